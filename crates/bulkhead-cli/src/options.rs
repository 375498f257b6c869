//! From parsed arguments to the options of the commands.

pub(crate) mod manifests;

use std::ffi::OsString;
use std::path::PathBuf;

use bulkhead_ops::fmt::FmtOptions;
use bulkhead_ops::options::{
    CleanOptions, CompileOptions, ExplainOptions, FeatureOptions, GlobalOptions, Intent, LockOptions, MessageFormat,
    MetadataOptions, NameFilter, NewOptions, PackageOptions, Place, SingleTarget, TargetFilter, TreeOptions,
    UpdateOptions,
};
use bulkhead_ops::vendor::VendorOptions;
use bulkhead_ops::{Error, ErrorKind};
use clap::ArgMatches;

use crate::shell::{Shell, Verbosity};

type Result<T> = std::result::Result<T, Error>;

/// `--config`, `-v`, `--locked` and the like.
pub(crate) fn global(place: Place, matches: &ArgMatches) -> Result<GlobalOptions> {
    let unstable = strings(matches, "unstable");
    check_unstable(&place, &unstable)?;
    let frozen = matches.get_flag("frozen");
    Ok(GlobalOptions {
        config: strings(matches, "config"),
        manifest_path: manifest_path(&place, matches)?,
        lockfile: lockfile(&place, &unstable)?,
        place,
        lock: LockOptions {
            locked: matches.get_flag("locked") || frozen,
            offline: matches.get_flag("offline") || frozen,
            frozen,
        },
        verbose: matches.get_count("verbose"),
        quiet: matches.get_flag("quiet"),
    })
}

/// The `-Z` flags that rust-analyzer needs; to know no other is part of following stable Cargo.
const UNSTABLE: [&str; 2] = ["unstable-options", "lockfile-path"];

/// Tools say by a variable that they want unstable flags of stable Cargo all the same, and Cargo obeys.
fn check_unstable(place: &Place, flags: &[String]) -> Result<()> {
    let says = |name: &str, words: &[&str]| place.variable(name).is_some_and(|value| words.contains(&value));
    let claimed =
        says("RUSTC_BOOTSTRAP", &["1"]) || says("__CARGO_TEST_CHANNEL_OVERRIDE_DO_NOT_USE_THIS", &["nightly", "dev"]);
    match flags.iter().find(|flag| !UNSTABLE.contains(&flag.as_str())) {
        Some(flag) if claimed => Err(Error::failure(format!("Bulkhead follows stable Cargo and knows no `-Z {flag}`"))),
        None if claimed || flags.is_empty() => Ok(()),
        _ => {
            let message =
                "the `-Z` flag is only accepted on the nightly channel of Cargo, and Bulkhead follows the stable one";
            Err(Error::failure(message))
        }
    }
}

/// Whether `-Z` was given and, as the command goes on, allowed.
fn may_be_unstable(matches: &ArgMatches) -> bool {
    !strings(matches, "unstable").is_empty()
}

/// The lockfile that the user's environment names, where the flag lets it.
fn lockfile(place: &Place, flags: &[String]) -> Result<Option<PathBuf>> {
    let given = place.variable("CARGO_RESOLVER_LOCKFILE_PATH");
    let Some(path) = given.filter(|_| flags.iter().any(|flag| flag == "lockfile-path")) else { return Ok(None) };
    let path = place.current_dir.join(path);
    if path.file_name().is_none_or(|name| name != "Cargo.lock") {
        return Err(Error::failure("the `resolver.lockfile-path` must be a path to a Cargo.lock file"));
    }
    Ok(Some(path))
}

fn manifest_path(place: &Place, matches: &ArgMatches) -> Result<Option<PathBuf>> {
    let Some(path) = string(matches, "manifest-path") else { return Ok(None) };
    let (path, given) = (place.current_dir.join(&path), path);
    if path.is_dir() {
        let error = Error::failure(format!("manifest path `{given}` is a directory but expected a file"));
        let inner = path.join("Cargo.toml");
        return Err(if inner.exists() { error.help(format!("{} exists", inner.display())) } else { error });
    }
    if path.file_name().is_none_or(|name| name != "Cargo.toml") {
        return Err(Error::failure("the manifest-path must be a path to a Cargo.toml file"));
    }
    if !path.exists() {
        return Err(Error::failure(format!("manifest path `{given}` does not exist")));
    }
    Ok(Some(path))
}

fn strings(matches: &ArgMatches, name: &str) -> Vec<String> {
    match matches.try_get_many::<String>(name) {
        Ok(Some(values)) => values.cloned().collect(),
        _ => Vec::new(),
    }
}

fn string(matches: &ArgMatches, name: &str) -> Option<String> {
    matches.try_get_one::<String>(name).ok().flatten().cloned()
}

fn flag(matches: &ArgMatches, name: &str) -> bool {
    matches.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or(false)
}

pub(crate) fn packages(matches: &ArgMatches) -> PackageOptions {
    PackageOptions {
        packages: strings(matches, "package"),
        workspace: flag(matches, "workspace") || flag(matches, "all"),
        exclude: strings(matches, "exclude"),
    }
}

fn features(matches: &ArgMatches) -> FeatureOptions {
    let given = strings(matches, "features");
    let split = given.iter().flat_map(|list| list.split([',', ' '])).filter(|feature| !feature.is_empty());
    FeatureOptions {
        features: split.map(str::to_owned).collect(),
        all_features: flag(matches, "all-features"),
        no_default_features: flag(matches, "no-default-features"),
    }
}

fn targets(matches: &ArgMatches) -> Result<TargetFilter> {
    let rule = |all: &str, name: &str| -> Result<NameFilter> {
        let names = strings(matches, name);
        Ok(match (flag(matches, all), names.is_empty()) {
            (true, _) => NameFilter::All,
            (false, false) => NameFilter::Named(names),
            (false, true) => NameFilter::None,
        })
    };
    let targets = TargetFilter {
        lib: flag(matches, "lib"),
        bins: rule("bins", "bin")?,
        examples: rule("examples", "example")?,
        tests: rule("tests", "test")?,
        benches: rule("benches", "bench")?,
        all_targets: flag(matches, "all-targets"),
        doctests: flag(matches, "doc"),
    };
    let none = [&targets.bins, &targets.examples, &targets.tests, &targets.benches]
        .iter()
        .all(|rule| **rule == NameFilter::None);
    if targets.doctests && (targets.lib || targets.all_targets || !none) {
        return Err(Error::failure("can't mix --doc with other target selecting options"));
    }
    Ok(targets)
}

fn profile(matches: &ArgMatches) -> Option<String> {
    if flag(matches, "release") { Some("release".to_owned()) } else { string(matches, "profile") }
}

fn jobs(matches: &ArgMatches) -> Result<Option<i32>> {
    match string(matches, "jobs").as_deref() {
        None | Some("default") => Ok(None),
        Some(text) => match text.parse() {
            Ok(0) => Err(Error::failure("jobs may not be 0")),
            Ok(jobs) => Ok(Some(jobs)),
            Err(_) => {
                let message =
                    format!("could not parse `{text}`. Number of parallel jobs should be `default` or a number.");
                Err(Error::failure(message))
            }
        },
    }
}

/// The format, and whether rustc's messages are rendered all the same.
fn message_format(matches: &ArgMatches) -> Result<(MessageFormat, bool)> {
    let words: Vec<String> = strings(matches, "message-format").iter().map(|word| word.to_ascii_lowercase()).collect();
    let (mut render_diagnostics, mut short, mut ansi) = (false, false, false);
    let mut kind: Option<&str> = None;
    for word in &words {
        let this = match word.as_str() {
            "human" | "short" => word.as_str(),
            _ => "json",
        };
        // The words for JSON can be combined with each other, the others stand alone.
        if kind.is_some_and(|kind| kind != this || this != "json") {
            return Err(Error::failure("cannot specify two kinds of `message-format` arguments"));
        }
        kind = Some(this);
        match word.as_str() {
            "json-render-diagnostics" => render_diagnostics = true,
            "json-diagnostic-short" => short = true,
            "json-diagnostic-rendered-ansi" => ansi = true,
            _ => {}
        }
    }
    if render_diagnostics && (short || ansi) {
        return Err(Error::failure("cannot combine `json-render-diagnostics` with other formats of diagnostics"));
    }
    let format = match kind {
        None | Some("human") => MessageFormat::Human,
        Some("short") => MessageFormat::Short,
        Some(_) => MessageFormat::Json { short, ansi },
    };
    Ok((format, render_diagnostics))
}

/// `build`, `check`, `run` and `test`.
pub(crate) fn compile(matches: &ArgMatches, intent: Intent, shell: &Shell) -> Result<CompileOptions> {
    compile_with(matches, intent, None, shell)
}

/// `rustc` and `rustdoc`
pub(crate) fn compile_one(matches: &ArgMatches, intent: Intent, shell: &Shell) -> Result<CompileOptions> {
    let single = single(matches, &intent)?;
    compile_with(matches, intent, Some(single), shell)
}

fn compile_with(
    matches: &ArgMatches,
    intent: Intent,
    single: Option<SingleTarget>,
    shell: &Shell,
) -> Result<CompileOptions> {
    if string(matches, "artifact-dir").is_some() {
        return Err(Error::failure("the `--artifact-dir` flag is unstable, and Bulkhead follows stable Cargo"));
    }
    let compile_time_deps = flag(matches, "compile-time-deps");
    if compile_time_deps && !may_be_unstable(matches) {
        return Err(Error::failure("the `--compile-time-deps` flag is unstable, and Bulkhead follows stable Cargo"));
    }
    let private = flag(matches, "document-private-items");
    let mut arguments: Vec<OsString> = string(matches, "TESTNAME").map(OsString::from).into_iter().collect();
    if let Ok(Some(values)) = matches.try_get_many::<OsString>("args") {
        arguments.extend(values.cloned());
    }
    let (message_format, render_diagnostics) = message_format(matches)?;
    let (intent, profile) = intent_and_profile(intent, single.as_ref(), profile(matches));
    Ok(CompileOptions {
        intent,
        packages: packages(matches),
        targets: targets(matches)?,
        compile_time_deps,
        features: features(matches),
        profile,
        platforms: strings(matches, "target"),
        target_dir: target_dir(matches)?,
        jobs: jobs(matches)?,
        keep_going: flag(matches, "keep-going"),
        no_fail_fast: flag(matches, "no-fail-fast"),
        ignore_rust_version: flag(matches, "ignore-rust-version"),
        message_format,
        render_diagnostics,
        unit_graph: flag(matches, "unit-graph"),
        future_incompat_report: flag(matches, "future-incompat-report"),
        timings: flag(matches, "timings"),
        no_run: flag(matches, "no-run"),
        confined: flag(matches, "confined"),
        quiet_harness: shell.verbosity() == Verbosity::Quiet,
        color: shell.color(),
        color_choice: shell.color_choice(),
        terminal_width: shell.width(),
        clippy: None,
        document_private_items: private,
        single,
        arguments,
        lint_arguments: Vec::new(),
        foreign: None,
    })
}

/// Some names of profiles say what is done, too.
fn intent_and_profile(
    intent: Intent,
    single: Option<&SingleTarget>,
    profile: Option<String>,
) -> (Intent, Option<String>) {
    let is_rustc = single.is_some_and(|single| single.command == "rustc");
    match (intent, profile.as_deref()) {
        (Intent::Check { .. }, Some("test")) => (Intent::Check { test: true }, profile),
        (Intent::Build, Some("check")) if is_rustc => (Intent::Check { test: false }, None),
        (Intent::Build, Some("test")) if is_rustc => (Intent::Test, profile),
        (Intent::Build, Some("bench")) if is_rustc => (Intent::Bench, profile),
        (intent, _) => (intent, profile),
    }
}

/// What `rustc` and `rustdoc` say to the compiler.
fn single(matches: &ArgMatches, intent: &Intent) -> Result<SingleTarget> {
    let refused = |name: &str| string(matches, name).is_some() && !(name == "print" && may_be_unstable(matches));
    if let Some(unstable) = ["print", "output-format"].into_iter().find(|name| refused(name)) {
        let message = format!("the `{unstable}` flag is unstable, and Bulkhead follows stable Cargo");
        return Err(Error::failure(message));
    }
    Ok(SingleTarget {
        command: if matches!(intent, Intent::Doc { .. }) { "rustdoc" } else { "rustc" },
        arguments: strings(matches, "compiler-args"),
        crate_types: strings(matches, "crate-type"),
    })
}

fn target_dir(matches: &ArgMatches) -> Result<Option<PathBuf>> {
    match string(matches, "target-dir") {
        Some(path) if path.is_empty() => {
            Err(Error::failure("the target directory is set to an empty string in `--target-dir`"))
        }
        path => Ok(path.map(PathBuf::from)),
    }
}

/// `fmt`
pub(crate) fn fmt(matches: &ArgMatches) -> Result<FmtOptions> {
    let mut arguments = Vec::new();
    if flag(matches, "check") {
        arguments.push("--check".to_owned());
    }
    arguments.extend(match string(matches, "message-format").as_deref() {
        Some("short") => vec!["-l".to_owned()],
        Some("json") => vec!["--emit".to_owned(), "json".to_owned()],
        _ => Vec::new(),
    });
    if flag(matches, "quiet") {
        arguments.push("--quiet".to_owned());
    }
    arguments.extend(strings(matches, "rustfmt-args"));
    Ok(FmtOptions { packages: strings(matches, "package"), all: flag(matches, "all"), arguments })
}

/// `approve`: all that building, testing and measuring the whole workspace would run.
pub(crate) fn approve(matches: &ArgMatches, shell: &Shell) -> Result<CompileOptions> {
    let options = compile(matches, Intent::Test, shell)?;
    let targets = TargetFilter { all_targets: true, ..options.targets };
    let packages = PackageOptions { workspace: true, ..options.packages };
    Ok(CompileOptions { targets, packages, ..options })
}

/// `clean`
pub(crate) fn clean(matches: &ArgMatches) -> Result<CleanOptions> {
    Ok(CleanOptions {
        packages: strings(matches, "package"),
        workspace: flag(matches, "workspace"),
        profile: profile(matches),
        platforms: strings(matches, "target"),
        target_dir: target_dir(matches)?,
        doc: flag(matches, "doc"),
        dry_run: flag(matches, "dry-run"),
    })
}

/// `vendor`. Paths are as the user wrote them.
pub(crate) fn vendor(matches: &ArgMatches) -> VendorOptions {
    VendorOptions {
        path: string(matches, "path").map_or_else(|| PathBuf::from("vendor"), PathBuf::from),
        versioned_dirs: flag(matches, "versioned-dirs"),
        no_delete: flag(matches, "no-delete"),
        sync: strings(matches, "tomls").into_iter().map(PathBuf::from).collect(),
        respect_source_config: flag(matches, "respect-source-config"),
    }
}

/// `fetch --target`
pub(crate) fn platforms(matches: &ArgMatches) -> Vec<String> {
    strings(matches, "target")
}

/// `update`
pub(crate) fn update(matches: &ArgMatches) -> Result<UpdateOptions> {
    if flag(matches, "breaking") {
        let message = "the `--breaking` flag is unstable, and only available on the nightly channel of Cargo";
        return Err(Error::failure(message).help("change the version requirements in `Cargo.toml`, then run `update`"));
    }
    let mut packages = strings(matches, "package");
    packages.extend(strings(matches, "package2"));
    let options = UpdateOptions {
        packages,
        precise: string(matches, "precise"),
        recursive: flag(matches, "recursive") || flag(matches, "aggressive"),
        workspace: flag(matches, "workspace"),
        dry_run: flag(matches, "dry-run"),
        ignore_rust_version: flag(matches, "ignore-rust-version"),
        why: flag(matches, "why"),
    };
    if options.packages.is_empty() && options.precise.is_some() {
        let message = "the following required arguments were not provided:\n  [SPEC]...";
        return Err(Error::new(ErrorKind::Usage, message));
    }
    Ok(options)
}

/// `explain`
pub(crate) fn explain(matches: &ArgMatches) -> Result<ExplainOptions> {
    Ok(ExplainOptions {
        spec: string(matches, "spec").unwrap_or_default(),
        packages: packages(matches),
        features: features(matches),
        platforms: platforms(matches),
    })
}

/// `generate-lockfile`: whether rust-version is ignored.
pub(crate) fn generate_lockfile(matches: &ArgMatches) -> Result<bool> {
    match string(matches, "publish-time") {
        None => Ok(flag(matches, "ignore-rust-version")),
        Some(_) => {
            let message = "the `--publish-time` flag is unstable, and Bulkhead follows stable Cargo";
            Err(Error::failure(message).help("`registry.global-min-publish-age` holds back what is young"))
        }
    }
}

/// `metadata`
pub(crate) fn metadata(matches: &ArgMatches) -> MetadataOptions {
    MetadataOptions {
        no_deps: flag(matches, "no-deps"),
        filter_platforms: strings(matches, "filter-platform"),
        features: features(matches),
    }
}

/// `tree`. Flags that Cargo had before are taken with a warning.
pub(crate) fn tree(matches: &ArgMatches, shell: &Shell) -> Result<TreeOptions> {
    let old = |name: &str, now: &str| {
        let given = flag(matches, name);
        if given {
            shell.warning(&format!("the --{name} flag has {now}"));
        }
        given
    };
    let mut options = TreeOptions {
        packages: packages(matches),
        features: features(matches),
        platforms: strings(matches, "target"),
        edges: strings(matches, "edges"),
        invert: strings(matches, "invert"),
        prune: strings(matches, "prune"),
        depth: string(matches, "depth"),
        no_dedupe: flag(matches, "no-dedupe"),
        duplicates: flag(matches, "duplicates"),
        ascii: string(matches, "charset").as_deref() == Some("ascii"),
        prefix: string(matches, "prefix").unwrap_or_else(|| "indent".to_owned()),
        format: string(matches, "format").unwrap_or_else(|| "{p}".to_owned()),
    };
    if flag(matches, "repeat-all") {
        let message =
            "the `cargo tree` --all flag has been changed to --no-dedupe, and may be removed in a future version";
        shell.warning(message);
        shell.help("if you are looking to display all workspace members, use the --workspace flag");
        (options.no_dedupe, options.packages.workspace) = (true, true);
    }
    if old("no-indent", "been changed to --prefix=none") {
        "none".clone_into(&mut options.prefix);
    }
    if old("prefix-depth", "been changed to --prefix=depth") {
        "depth".clone_into(&mut options.prefix);
    }
    if old("all-targets", "been changed to --target=all") {
        options.platforms = vec!["all".to_owned()];
    }
    if old("no-dev-dependencies", "changed to -e=no-dev") {
        options.edges.push("no-dev".to_owned());
    }
    Ok(options)
}

/// `new` and `init`
pub(crate) fn new(matches: &ArgMatches, init: bool) -> Result<NewOptions> {
    let (lib, bin) = (flag(matches, "lib"), flag(matches, "bin"));
    if lib && bin {
        return Err(Error::failure("can't specify both lib and binary outputs"));
    }
    Ok(NewOptions {
        path: matches.get_one::<PathBuf>("path").cloned().unwrap_or_default(),
        name: string(matches, "name"),
        lib: (lib || bin).then_some(lib),
        registry: string(matches, "registry"),
        edition: string(matches, "edition"),
        vcs: string(matches, "vcs"),
        init,
    })
}

#[cfg(test)]
mod tests {
    use super::{compile, update};
    use crate::commands::command_line;
    use crate::shell::{ColorChoice, Shell, Verbosity};
    use bulkhead_ops::options::{CompileOptions, Intent, MessageFormat, NameFilter};

    fn parse(line: &str) -> Result<CompileOptions, String> {
        let words = std::iter::once("bulkhead").chain(line.split_whitespace());
        let matches = command_line("bulkhead").try_get_matches_from(words).map_err(|error| error.to_string())?;
        let (_, matches) = matches.subcommand().unwrap();
        compile(matches, Intent::Build, &Shell::new(Verbosity::Normal, ColorChoice::Never))
            .map_err(|error| error.message)
    }

    #[test]
    fn flags_become_options() {
        let options = parse("build -p a -p b --bin x --examples -F a,b -F c -r -j -1 --target t --keep-going").unwrap();
        assert_eq!(
            (options.packages.packages, options.targets.bins),
            (vec!["a".into(), "b".into()], NameFilter::Named(vec!["x".into()]))
        );
        assert_eq!(
            (options.features.features.len(), options.profile.as_deref(), options.jobs),
            (3, Some("release"), Some(-1))
        );
        assert!(options.keep_going && options.targets.examples == NameFilter::All && options.platforms == ["t"]);
    }

    #[test]
    fn arguments_of_programs_are_left_alone() {
        assert_eq!(parse("run -- --help -p x").unwrap().arguments, ["--help", "-p", "x"]);
        assert_eq!(parse("run a --b").unwrap().arguments, ["a", "--b"]);
        assert_eq!(parse("test name -- --nocapture").unwrap().arguments, ["name", "--nocapture"]);
    }

    #[test]
    fn formats_of_messages_combine_as_in_cargo() {
        let json = |rendered, short, ansi| Ok((MessageFormat::Json { short, ansi }, rendered));
        let format = |line: &str| {
            parse(&format!("build {line}")).map(|options| (options.message_format, options.render_diagnostics))
        };
        assert_eq!(format("--message-format=json"), json(false, false, false));
        assert_eq!(format("--message-format=json,json-diagnostic-short"), json(false, true, false));
        assert_eq!(
            format("--message-format json-diagnostic-rendered-ansi --message-format JSON"),
            json(false, false, true)
        );
        assert!(format("--message-format json,short").unwrap_err().contains("two kinds"));
        assert!(format("--message-format xx").is_err());
    }

    #[test]
    fn nonsense_is_refused_as_in_cargo() {
        for (line, message) in [
            ("build -j0", "jobs may not be 0"),
            ("build -jx", "could not parse `x`"),
            ("test --lib --doc", "can't mix --doc"),
            ("build --artifact-dir x", "unstable"),
            ("build --release --profile x", "cannot be used with"),
            ("build --bogus", "unexpected argument '--bogus'"),
            ("build extra", "unexpected argument 'extra'"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(message), "{line}: {error}");
        }
    }

    #[test]
    fn update_takes_both_spellings() {
        let matches = command_line("bulkhead").try_get_matches_from(["bulkhead", "update", "a", "-p", "b"]).unwrap();
        assert_eq!(update(matches.subcommand().unwrap().1).unwrap().packages, ["a", "b"]);
    }
}
