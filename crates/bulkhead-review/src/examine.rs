//! All files of a package → what they are and what is found in them.

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_schema::bulkhead_lock::BuildCodeKind;

use crate::build_code::Layout;
use crate::data::{Data, examine as examine_data, is_encoded};
use crate::finding::{Finding, Role, Rule};
use crate::listing::{File, Listing};
use crate::reach::reach;
use crate::sink::Sink;
use crate::{code, hidden};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examination {
    /// What there is.
    pub counts: Counts,
    /// The findings, the heaviest first.
    pub findings: Vec<Finding>,
    /// How many more there are of rules of which not all are kept.
    pub left_out: BTreeMap<Rule, u64>,
    /// The Rust sources that run while something is built.
    pub build_code: BTreeSet<String>,
}

impl Examination {
    /// Takes more findings in.
    pub fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
        crate::sink::sort(&mut self.findings);
    }

    /// The findings that `former` did not have, wherever they stand in their file.
    pub fn new_since<'a>(&'a self, former: &Self) -> impl Iterator<Item = &'a Finding> + use<'a> {
        let key = |it: &Finding| (it.rule, it.role, it.path.clone(), it.detail.clone());
        let known: BTreeSet<_> = former.findings.iter().map(key).collect();
        self.findings.iter().filter(move |it| !known.contains(&key(it)))
    }
}

/// How much there is of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Rust sources.
    pub rust_files: u64,
    /// Lines in them.
    pub rust_lines: u64,
    /// Sources in C, C++ and assembly.
    pub native_files: u64,
    /// Files that are no text.
    pub binary_files: u64,
    /// `unsafe`, outside of tests, examples and benches.
    pub unsafe_uses: u64,
    /// `extern` blocks: functions of other languages that are called.
    pub foreign_blocks: u64,
    /// Functions that other languages can call.
    pub exported: u64,
}

/// Looks at all files of a package whose code runs because of `kinds`.
pub fn examine(layout: &Layout, kinds: &BTreeSet<BuildCodeKind>, listing: &Listing) -> Examination {
    let build_code = build_code(layout, kinds, listing);
    let (mut counts, mut sink) = (Counts::default(), Sink::default());
    about_package(layout, &mut sink);
    for (path, file) in listing {
        let role = if build_code.contains(path) { Role::BuildCode } else { role(path) };
        counts.files += 1;
        counts.bytes += file.size;
        counts.native_files += u64::from(is_native(path));
        about_file(path, file, role, &mut counts, &mut sink);
    }
    let (findings, left_out) = sink.finish();
    Examination { counts, findings, left_out, build_code }
}

/// Sources of which a build script, a procedural macro or a library of these is made.
fn build_code(layout: &Layout, kinds: &BTreeSet<BuildCodeKind>, listing: &Listing) -> BTreeSet<String> {
    let whole = layout.proc_macro || kinds.contains(&BuildCodeKind::Dependency);
    let sources = listing.keys().filter(|path| is_rust(path));
    let of_macro = sources.filter(|path| whole && role(path) == Role::Library);
    let script = layout.build_script.as_ref().map(|script| reach(script, listing).files).unwrap_or_default();
    script.into_iter().filter(|path| is_rust(path)).chain(of_macro.cloned()).collect()
}

fn about_package(layout: &Layout, sink: &mut Sink) {
    let manifest = ("Cargo.toml", 0);
    if let Some(script) = &layout.build_script {
        sink.add(Rule::BuildScript, Role::BuildCode, (script, 0), "");
    }
    if layout.proc_macro {
        sink.add(Rule::ProcMacro, Role::BuildCode, manifest, "");
    }
    if let Some(links) = &layout.links {
        sink.add(Rule::NativeLibrary, Role::BuildCode, manifest, &format!("`{links}`"));
    }
}

fn about_file(path: &str, file: &File, role: Role, counts: &mut Counts, sink: &mut Sink) {
    let whole = (path, 0);
    let Some(content) = &file.content else {
        sink.add(Rule::Unread, role, whole, &format!("{} bytes", file.size));
        return;
    };
    match file.text().filter(|text| !text.contains('\0')) {
        Some(text) if is_rust(path) => {
            counts.rust_files += 1;
            counts.rust_lines += text.lines().count() as u64;
            let before = *counts;
            code::scan(path, text, role, counts, sink);
            if role == Role::Development {
                // What only the package's own developers run makes nobody else unsafe.
                *counts = Counts { rust_files: counts.rust_files, rust_lines: counts.rust_lines, ..before };
            }
            hidden::scan(path, text, role, true, sink);
        }
        Some(text) => {
            hidden::scan(path, text, role, is_compiled(path), sink);
            if let Some(line) = text.lines().position(is_encoded) {
                let detail = format!("a line of {} bytes", text.lines().nth(line).map_or(0, str::len));
                sink.add(Rule::EncodedData, role, (path, u32::try_from(line + 1).unwrap_or(u32::MAX)), &detail);
            }
        }
        None => {
            counts.binary_files += 1;
            if is_rust(path) {
                sink.add(Rule::NotText, role, whole, "");
            }
            match examine_data(content) {
                Data::Executable(kind) => sink.add(Rule::Executable, role, whole, kind),
                Data::Archive(kind) => sink.add(Rule::Archive, role, whole, kind),
                Data::Opaque(bits) => {
                    sink.add(Rule::OpaqueData, role, whole, &format!("{} bytes, {bits:.1} bits each", file.size));
                }
                Data::Harmless => {}
            }
        }
    }
}

/// By its place alone, of a file that is no build code.
fn role(path: &str) -> Role {
    match path.split_once('/') {
        Some(("tests" | "benches" | "examples" | "fuzz", _)) => Role::Development,
        _ => Role::Library,
    }
}

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

fn ending(path: &str) -> Option<&str> {
    path.rsplit('/').next()?.rsplit_once('.').map(|(_, ending)| ending)
}

fn is_native(path: &str) -> bool {
    matches!(ending(path), Some("c" | "cc" | "cpp" | "cxx" | "m" | "mm" | "s" | "S" | "asm"))
}

/// Whether something other than people reads a text, so that what it looks like matters.
fn is_compiled(path: &str) -> bool {
    is_native(path)
        || matches!(
            ending(path),
            Some(
                "h" | "hpp"
                    | "toml"
                    | "sh"
                    | "py"
                    | "pl"
                    | "rb"
                    | "js"
                    | "ts"
                    | "cmake"
                    | "am"
                    | "ac"
                    | "m4"
                    | "in"
                    | "proto"
            )
        )
}

#[cfg(test)]
mod tests {
    use super::{Counts, examine};
    use crate::{File, Layout, Listing, Weight};
    use bulkhead_schema::bulkhead_lock::BuildCodeKind;
    use std::collections::BTreeSet;

    fn examined(layout: &Layout, kinds: &[BuildCodeKind], files: &[(&str, &[u8])]) -> (Vec<String>, Counts) {
        let listing: Listing = files.iter().map(|(path, bytes)| ((*path).to_owned(), File::new(*bytes))).collect();
        let found = examine(layout, &kinds.iter().copied().collect::<BTreeSet<_>>(), &listing);
        let line = |it: &crate::Finding| format!("{} {} {}:{}", it.weight.word(), it.rule.id(), it.path, it.line);
        (found.findings.iter().map(line).collect(), found.counts)
    }

    const LIBRARY: &[u8] = b"use std::net::TcpStream;\nfn f() { unsafe {} }\n";

    #[test]
    fn the_same_code_weighs_more_where_it_runs_during_a_build() {
        let script = Layout { build_script: Some("build.rs".to_owned()), ..Layout::default() };
        let files: &[(&str, &[u8])] =
            &[("build.rs", b"mod net;"), ("build/net.rs", LIBRARY), ("src/lib.rs", LIBRARY), ("tests/t.rs", LIBRARY)];
        let (found, counts) = examined(&script, &[BuildCodeKind::BuildScript], files);
        assert_eq!(
            found,
            [
                "high network build/net.rs:1",
                "note network src/lib.rs:1",
                "note network tests/t.rs:1",
                "note build-script build.rs:0",
            ]
        );
        assert_eq!((counts.unsafe_uses, counts.rust_files, counts.rust_lines, counts.files), (2, 4, 7, 4));
        let makro = Layout { proc_macro: true, ..Layout::default() };
        assert_eq!(examined(&makro, &[], files).0.first().unwrap(), "high network build/net.rs:1");
        let (found, _) = examined(&Layout::default(), &[BuildCodeKind::Dependency], &[("src/lib.rs", LIBRARY)]);
        assert_eq!(found, ["high network src/lib.rs:1"]);
    }

    #[test]
    fn data_is_looked_at_wherever_it_lies() {
        let files: &[(&str, &[u8])] = &[
            ("tests/good.xz", b"\xfd7zXZ\0\0\0"),
            ("src/tool", b"\x7fELF\0"),
            ("src/odd.rs", b"fn \xff"),
            ("a.png", b"\x89PNG\0\xff"),
        ];
        let (found, counts) = examined(&Layout::default(), &[], files);
        assert_eq!(
            found,
            ["high executable src/tool:0", "medium archive tests/good.xz:0", "medium not-text src/odd.rs:0"]
        );
        assert_eq!((counts.binary_files, counts.bytes), (4, 23));
    }

    #[test]
    fn what_is_too_large_is_named() {
        let mut listing = Listing::new();
        listing.insert("a.bin".to_owned(), File { content: None, size: 1 << 40, ..File::new("") });
        let found = examine(&Layout::default(), &BTreeSet::new(), &listing);
        assert_eq!((found.findings[0].rule.id(), found.findings[0].weight), ("unread", Weight::Medium));
        assert_eq!(found.counts.bytes, 1 << 40);
    }
}
