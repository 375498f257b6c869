//! `review`: what a package can do, for people and for programs.

use std::collections::BTreeMap;

use bulkhead_ops::approvals::{describe, spec};
use bulkhead_ops::info::InfoOptions;
use bulkhead_ops::options::GlobalOptions;
use bulkhead_ops::review::{
    Against, Change, Comparison, Counts, Finding, Review, ReviewOptions, Role, Rule, Upstream, as_sarif, review as run,
};
use bulkhead_ops::{Error, ErrorKind};
use bulkhead_schema::policy::Weight;
use bulkhead_schema::publish_age;
use clap::ArgMatches;
use serde_json::{Value, json};

use super::build_code::changed_file;
use super::{Events, print, print_json};
use crate::escape::escaped_line;
use crate::options;
use crate::render::{plural_u64, size};
use crate::shell::{DIM, ERROR, NOTE, REMARK, STATUS, Shell, WARNING};

/// Places of one rule that are shown without `-v`.
const MOST_PLACES: usize = 4;

pub(super) fn review(
    arguments: &ArgMatches,
    global: &GlobalOptions,
    shell: &Shell,
    events: &Events<'_>,
) -> Result<(), Error> {
    let options = review_options(arguments)?;
    let compile = options::approve(arguments, shell)?;
    let reviewed = run(global, &options, &compile, events)?;
    match arguments.get_one::<String>("format").map(String::as_str) {
        Some("json") => {
            let packages: Vec<Value> = reviewed.reviews.iter().map(as_json).collect();
            print_json(shell, &json!({ "packages": packages }).to_string())?;
        }
        Some("sarif") => print_json(shell, &as_sarif(&reviewed.reviews, env!("CARGO_PKG_VERSION")).to_string())?,
        _ => {
            let whole = options.package.is_some() || global.verbose > 0;
            let page = Page { shell, verbose: global.verbose > 0, lines: options.against.is_some() };
            let blocks = reviewed.reviews.iter().map(|it| if whole { page.whole(it) } else { page.brief(it) });
            let text = blocks.collect::<Vec<_>>().join("\n");
            if text.is_empty() {
                shell.status("Reviewed", "nothing of others runs while this project is built");
            } else {
                print(shell, text.trim_end())?;
            }
        }
    }
    reviewed.refusal.map_or(Ok(()), Err)
}

fn review_options(arguments: &ArgMatches) -> Result<ReviewOptions, Error> {
    let text = |name: &str| arguments.get_one::<String>(name).cloned();
    let usage = |message: String| Error::new(ErrorKind::Usage, message);
    let against = match text("diff") {
        None => None,
        Some(version) if version.is_empty() => Some(Against::InUse),
        Some(version) => {
            let wrong = |error| usage(format!("`--diff` takes a version such as `1.2.3`: {error}"));
            Some(Against::Version(semver_version(&version).map_err(wrong)?))
        }
    };
    let package =
        text("spec").map(|spec| InfoOptions { spec, registry: text("registry"), index: text("index"), as_built: true });
    if package.is_none() && (text("registry").is_some() || text("index").is_some()) {
        return Err(usage("`--registry` and `--index` need the package that is looked for there".to_owned()));
    }
    let repository = package.is_some() && !arguments.get_flag("no-repository");
    let deny = text("deny").as_deref().and_then(Weight::parse);
    Ok(ReviewOptions { package, against, repository, deny })
}

fn semver_version(text: &str) -> Result<bulkhead_ops::review::Version, String> {
    text.parse().map_err(|error| format!("{error}"))
}

/// How reviews are shown to people: what is somebody else's is escaped, and stands further in than what is ours.
struct Page<'a> {
    shell: &'a Shell,
    verbose: bool,
    /// Whether the lines that differ are shown, too.
    lines: bool,
}

impl Page<'_> {
    fn whole(&self, it: &Review) -> String {
        let mut text = format!("{}\n", self.shell.paint_result(STATUS, &spec(it.package.id)));
        text.push_str(&format!("  {}\n", self.runs(it)));
        text.push_str(&format!("  {}\n", about(&it.examination.counts, it.age)));
        if it.upstream != Upstream::NotAsked {
            text.push_str(&format!("  source repository {}\n", escaped_line(&it.upstream.to_string())));
        }
        if let Some(comparison) = &it.comparison {
            text.push_str(&format!("  {}\n", self.compared(comparison)));
        }
        let new = it.comparison.as_ref().map(|comparison| &comparison.new);
        let is_told =
            |finding: &&Finding| self.verbose || finding.weight > Weight::Note || finding.role == Role::BuildCode;
        let told: Vec<&Finding> = it.examination.findings.iter().filter(is_told).collect();
        for (rule, findings) in by_rule(&told) {
            text.push_str(&self.rule(rule, &findings, it.examination.left_out.get(&rule).copied().unwrap_or(0)));
            for (position, finding) in findings.iter().enumerate() {
                if !self.verbose && position == MOST_PLACES {
                    text.push_str(&format!("           … and {} more\n", findings.len() - MOST_PLACES));
                    break;
                }
                text.push_str(&self.place(finding, new.is_some_and(|new| new.contains(*finding))));
            }
        }
        text.push_str(&elsewhere(it, &told));
        for change in it.comparison.iter().flat_map(|it| &it.changes).filter(|_| self.lines) {
            text.push_str(&changed_file(change, self.shell));
        }
        text
    }

    /// One of many: a line, and one for each rule that matters.
    fn brief(&self, it: &Review) -> String {
        let mut text = format!("{}: {}", self.shell.paint_result(STATUS, &spec(it.package.id)), self.runs(it));
        text.push('\n');
        let told: Vec<&Finding> = it.examination.findings.iter().filter(|it| it.weight > Weight::Low).collect();
        for (rule, findings) in by_rule(&told) {
            text.push_str(&self.rule(rule, &findings, 0));
            text.push_str(&findings.first().map(|first| self.place(first, false)).unwrap_or_default());
        }
        text.trim_end_matches('\n').to_owned()
    }

    fn runs(&self, it: &Review) -> String {
        if it.kinds.is_empty() {
            return "nothing of it runs while something is built".to_owned();
        }
        match &it.standing {
            Some(standing) => describe(&it.kinds, standing),
            None => {
                let kinds = it.kinds.iter().map(ToString::to_string).collect::<Vec<_>>();
                format!("runs while something is built: {}", kinds.join(", "))
            }
        }
    }

    fn compared(&self, it: &Comparison) -> String {
        let (added, removed) = lines_changed(&it.changes);
        let which = if it.in_use { ", the version in use" } else { "" };
        let files = plural_u64(it.changes.len() as u64, "file");
        let new = match it.new.len() {
            0 => "no new findings".to_owned(),
            count => {
                format!("{}, marked {}", plural_u64(count as u64, "new finding"), self.shell.paint_result(WARNING, "+"))
            }
        };
        format!("compared with {}{which}: {files} differ (+{added} -{removed}), {new}", it.former.version())
    }

    fn rule(&self, rule: Rule, findings: &[&Finding], left_out: u64) -> String {
        let weight = findings.first().map_or(Weight::Note, |finding| finding.weight);
        let style = match weight {
            Weight::High => ERROR,
            Weight::Medium => WARNING,
            Weight::Low => NOTE,
            Weight::Note => DIM,
        };
        let word = self.shell.paint_result(style, &format!("{:>8}", weight.word()));
        let count = findings.len() as u64 + left_out;
        let times = if count > 1 { format!(", {count} times") } else { String::new() };
        format!("{word}  {}{times} {}\n", rule.title(), self.shell.paint_result(DIM, &format!("[{}]", rule.id())))
    }

    fn place(&self, finding: &Finding, is_new: bool) -> String {
        let mark = if is_new { self.shell.paint_result(WARNING, "+") } else { " ".to_owned() };
        let place = match (finding.path.as_str(), finding.line) {
            ("", _) => String::new(),
            (path, 0) => self.shell.paint_result(REMARK, &escaped_line(path)),
            (path, line) => self.shell.paint_result(REMARK, &format!("{}:{line}", escaped_line(path))),
        };
        let text = format!("         {mark} {place}  {}", escaped_line(&finding.detail));
        if place.is_empty() && finding.detail.is_empty() { String::new() } else { format!("{}\n", text.trim_end()) }
    }
}

/// Findings of one weight and rule stand together, in the order that they have.
fn by_rule<'a>(findings: &[&'a Finding]) -> Vec<(Rule, Vec<&'a Finding>)> {
    let mut groups: Vec<(Rule, Vec<&Finding>)> = Vec::new();
    for finding in findings {
        match groups.last_mut() {
            Some((rule, group)) if *rule == finding.rule && group.iter().all(|it| it.weight == finding.weight) => {
                group.push(finding);
            }
            _ => groups.push((finding.rule, vec![finding])),
        }
    }
    groups
}

/// What code does that does not run while something is built, in one line.
fn elsewhere(it: &Review, told: &[&Finding]) -> String {
    let mut counts: BTreeMap<Rule, usize> = BTreeMap::new();
    for finding in it.examination.findings.iter().filter(|finding| !told.contains(finding)) {
        *counts.entry(finding.rule).or_default() += 1;
    }
    if counts.is_empty() {
        return String::new();
    }
    let words: Vec<String> = counts.iter().map(|(rule, count)| format!("{} {count}", rule.id())).collect();
    format!("  besides, where it is used or tested: {} (-v shows where)\n", words.join(", "))
}

fn about(counts: &Counts, age: Option<u64>) -> String {
    let mut parts = Vec::new();
    if let Some(age) = age {
        parts.push(format!("published {} ago", publish_age::describe(age)));
    }
    parts.push(format!("{} of {}", plural_u64(counts.files, "file"), size(counts.bytes)));
    parts.push(format!("{} of Rust", plural_u64(counts.rust_lines, "line")));
    for (count, noun) in [
        (counts.native_files, "C, C++ or assembly file"),
        (counts.binary_files, "binary file"),
        (counts.unsafe_uses, "`unsafe`"),
        (counts.foreign_blocks, "block of foreign functions"),
        (counts.exported, "exported function"),
    ] {
        if count > 0 {
            parts.push(if noun.ends_with('`') { format!("{count} {noun}") } else { plural(count, noun) });
        }
    }
    parts.join(", ")
}

fn plural(count: u64, noun: &str) -> String {
    match noun.split_once(" of ") {
        Some((noun, rest)) => format!("{} of {rest}", plural_u64(count, noun)),
        None => plural_u64(count, noun),
    }
}

fn lines_changed(changes: &[Change]) -> (u64, u64) {
    (changes.iter().map(|it| it.added).sum(), changes.iter().map(|it| it.removed).sum())
}

fn as_json(it: &Review) -> Value {
    let counts = &it.examination.counts;
    let finding = |finding: &Finding| {
        json!({
            "rule": finding.rule.id(),
            "weight": finding.weight.word(),
            "runs-during-build": finding.role == Role::BuildCode,
            "path": finding.path,
            "line": (finding.line > 0).then_some(finding.line),
            "detail": finding.detail,
            "new": it.comparison.as_ref().map(|comparison| comparison.new.contains(finding)),
        })
    };
    let left_out: BTreeMap<&str, u64> =
        it.examination.left_out.iter().map(|(rule, count)| (rule.id(), *count)).collect();
    json!({
        "name": it.package.id.name().as_str(),
        "version": it.package.id.version().to_string(),
        "source": it.package.id.source().to_string(),
        "kinds": it.kinds.iter().map(|kind| kind.word()).collect::<Vec<_>>(),
        "links": it.package.summary.links.map(|links| links.to_string()),
        "age-seconds": it.age,
        "files": counts.files,
        "bytes": counts.bytes,
        "rust-files": counts.rust_files,
        "rust-lines": counts.rust_lines,
        "native-files": counts.native_files,
        "binary-files": counts.binary_files,
        "unsafe": counts.unsafe_uses,
        "foreign-blocks": counts.foreign_blocks,
        "exported-functions": counts.exported,
        "findings": it.examination.findings.iter().map(finding).collect::<Vec<_>>(),
        "findings-left-out": left_out,
        "repository": upstream_json(&it.upstream),
        "comparison": it.comparison.as_ref().map(comparison_json),
    })
}

fn upstream_json(upstream: &Upstream) -> Value {
    match upstream {
        Upstream::NotAsked => Value::Null,
        Upstream::Unknown(reason) => json!({ "compared": false, "reason": reason }),
        Upstream::Compared { url, tag, commit } => {
            json!({ "compared": true, "url": url, "tag": tag, "commit": commit.to_string() })
        }
    }
}

fn comparison_json(it: &Comparison) -> Value {
    json!({
        "version": it.former.version().to_string(),
        "in-use": it.in_use,
        "files": it.changes.iter().map(super::build_code::change_json).collect::<Vec<_>>(),
    })
}
