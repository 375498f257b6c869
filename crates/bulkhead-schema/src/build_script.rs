//! What a build script prints: `cargo:` and `cargo::` directives, parsed line by line as hostile input (Cargo Book,
//! "Build Scripts").

use std::path::PathBuf;

use crate::Diagnostic;

/// Longest accepted directive, in bytes.
pub const MAX_LINE_LENGTH: usize = 1 << 20;

/// Most directives that one script may print.
pub const MAX_DIRECTIVES: usize = 100_000;

/// What the directives of one build script say, in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildScriptOutput {
    /// `rustc-link-search`: `KIND=PATH` or `PATH`.
    pub library_paths: Vec<String>,
    /// `rustc-link-lib`
    pub library_links: Vec<String>,
    /// `rustc-link-arg*`: to which targets, and the argument.
    pub link_arguments: Vec<(LinkArgTarget, String)>,
    /// `rustc-cfg`
    pub cfgs: Vec<String>,
    /// `rustc-check-cfg`
    pub check_cfgs: Vec<String>,
    /// `rustc-env`
    pub environment: Vec<(String, String)>,
    /// `metadata`, and unknown keys of the old form: for `DEP_<links>_<KEY>`.
    pub metadata: Vec<(String, String)>,
    /// `rerun-if-changed`
    pub rerun_if_changed: Vec<PathBuf>,
    /// `rerun-if-env-changed`
    pub rerun_if_env_changed: Vec<String>,
    /// `warning`
    pub warnings: Vec<String>,
    /// `error`
    pub errors: Vec<String>,
}

/// Which targets of the package a link argument is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkArgTarget {
    /// `rustc-link-arg`: all that link.
    All,
    /// `rustc-link-arg-cdylib` and `rustc-cdylib-link-arg`
    Cdylib,
    /// `rustc-link-arg-bins`
    Bins,
    /// `rustc-link-arg-bin=NAME=…`
    Bin(String),
    /// `rustc-link-arg-tests`
    Tests,
    /// `rustc-link-arg-benches`
    Benches,
    /// `rustc-link-arg-examples`
    Examples,
}

/// What is known of the package whose script spoke.
#[derive(Debug, Clone, Copy, Default)]
pub struct Speaker<'a> {
    /// The package, as messages name it.
    pub package: &'a str,
    /// `rust-version`, as (major, minor).
    pub rust_version: Option<(u64, u64)>,
    /// Names of its binaries.
    pub bins: &'a [&'a str],
    /// Whether it has a cdylib.
    pub has_cdylib: bool,
    /// Whether it has integration tests.
    pub has_tests: bool,
    /// Whether it has benchmarks.
    pub has_benches: bool,
    /// Whether it has examples.
    pub has_examples: bool,
}

/// One directive, borrowed from a [`BuildScriptOutput`] so that a policy can judge each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directive<'a> {
    /// `rustc-link-search`: kind, path
    LinkSearch(Option<&'a str>, &'a str),
    /// `rustc-link-lib`
    LinkLib(&'a str),
    /// `rustc-link-arg*`
    LinkArg(&'a LinkArgTarget, &'a str),
    /// `rustc-cfg`
    Cfg(&'a str),
    /// `rustc-check-cfg`
    CheckCfg(&'a str),
    /// `rustc-env`
    Env(&'a str, &'a str),
    /// `metadata`
    Metadata(&'a str, &'a str),
    /// `rerun-if-changed`
    RerunIfChanged(&'a std::path::Path),
    /// `rerun-if-env-changed`
    RerunIfEnvChanged(&'a str),
}

/// Reads what a build script printed. Lines that are no directives are passed over, whatever bytes they hold. Besides the
/// value there can be warnings (and only those).
///
/// A directive must be UTF-8 and free of control characters other than the tab, since Cargo's own treatment of them
/// differs from line to line; the texts of `warning` and `error` may hold anything and are escaped where they are shown.
///
/// # Errors
/// The first line that breaks the grammar.
pub fn parse(stdout: &[u8], speaker: &Speaker<'_>) -> Result<(BuildScriptOutput, Vec<Diagnostic>), Box<Diagnostic>> {
    let mut reader = Reader { output: BuildScriptOutput::default(), warnings: Vec::new(), speaker, count: 0 };
    for line in stdout.split(|&byte| byte == b'\n') {
        let line = line.trim_ascii();
        if line.starts_with(b"cargo:") {
            reader.line(line)?;
        }
    }
    Ok((reader.output, reader.warnings))
}

impl BuildScriptOutput {
    /// Every directive that a policy might forbid.
    pub fn directives(&self) -> impl Iterator<Item = Directive<'_>> {
        let search = self.library_paths.iter().map(|text| {
            let (kind, path) = split_search_path(text);
            Directive::LinkSearch(kind, path)
        });
        search
            .chain(self.library_links.iter().map(|lib| Directive::LinkLib(lib)))
            .chain(self.link_arguments.iter().map(|(target, argument)| Directive::LinkArg(target, argument)))
            .chain(self.cfgs.iter().map(|cfg| Directive::Cfg(cfg)))
            .chain(self.check_cfgs.iter().map(|cfg| Directive::CheckCfg(cfg)))
            .chain(self.environment.iter().map(|(name, value)| Directive::Env(name, value)))
            .chain(self.metadata.iter().map(|(name, value)| Directive::Metadata(name, value)))
            .chain(self.rerun_if_changed.iter().map(|path| Directive::RerunIfChanged(path)))
            .chain(self.rerun_if_env_changed.iter().map(|name| Directive::RerunIfEnvChanged(name)))
    }
}

/// Splits the `KIND=` off a library search path.
pub fn split_search_path(text: &str) -> (Option<&str>, &str) {
    match text.split_once('=') {
        Some((kind @ ("dependency" | "crate" | "native" | "framework" | "all"), path)) => (Some(kind), path),
        _ => (None, text),
    }
}

struct Reader<'a> {
    output: BuildScriptOutput,
    warnings: Vec<Diagnostic>,
    speaker: &'a Speaker<'a>,
    count: usize,
}

type Step = Result<(), Box<Diagnostic>>;

impl Reader<'_> {
    fn line(&mut self, line: &[u8]) -> Step {
        self.count += 1;
        if line.len() > MAX_LINE_LENGTH {
            let start = String::from_utf8_lossy(&line[..80]);
            return Err(self.broken(&start, format!("the line is longer than {MAX_LINE_LENGTH} bytes")));
        }
        if self.count > MAX_DIRECTIVES {
            return Err(self.broken("", format!("there are more than {MAX_DIRECTIVES} directives")));
        }
        let text = String::from_utf8_lossy(line);
        let (new_form, rest) = match text.strip_prefix("cargo::") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("cargo:").unwrap_or_default()),
        };
        if new_form {
            self.check_rust_version(rest)?;
        }
        let prefix = if new_form { "cargo::" } else { "cargo:" };
        let Some((key, value)) = rest.split_once('=') else {
            return Err(self.broken(&text, format!("expected `{prefix}KEY=VALUE` with an `=`, but none was found")));
        };
        let is_prose = key == "warning" || (new_form && key == "error");
        if !is_prose {
            let control = text.chars().any(|c| c.is_control() && c != '\t');
            if control || matches!(text, std::borrow::Cow::Owned(_)) {
                return Err(self.broken(&text, "it is not UTF-8, or holds control characters".to_owned()));
            }
        }
        self.directive(new_form, key, value.trim_end(), &text)
    }

    fn directive(&mut self, new_form: bool, key: &str, value: &str, line: &str) -> Step {
        let output = &mut self.output;
        match key {
            "rustc-flags" => return self.flags(value, line),
            "rustc-link-lib" => output.library_links.push(value.to_owned()),
            "rustc-link-search" => output.library_paths.push(value.to_owned()),
            "rustc-cfg" => output.cfgs.push(value.to_owned()),
            "rustc-check-cfg" => output.check_cfgs.push(value.to_owned()),
            "rustc-env" => return self.environment(value, line),
            "rerun-if-changed" => output.rerun_if_changed.push(PathBuf::from(value)),
            "rerun-if-env-changed" => output.rerun_if_env_changed.push(value.to_owned()),
            "warning" => output.warnings.push(value.to_owned()),
            "error" if new_form => output.errors.push(value.to_owned()),
            "metadata" if new_form => {
                let Some((name, value)) = value.split_once('=') else {
                    let reason = "expected `cargo::metadata=KEY=VALUE` with an `=`, but none was found";
                    return Err(self.broken(line, reason.to_owned()));
                };
                output.metadata.push((name.to_owned(), value.to_owned()));
            }
            _ => {
                if let Some(target) = link_arg_target(key) {
                    return self.link_argument(target, key, value, line);
                }
                if new_form {
                    return Err(self.broken(line, format!("unknown key: `{key}`")));
                }
                output.metadata.push((key.to_owned(), value.to_owned()));
            }
        }
        Ok(())
    }

    fn link_argument(&mut self, target: LinkArgTarget, key: &str, value: &str, line: &str) -> Step {
        let speaker = self.speaker;
        let (target, value) = match target {
            LinkArgTarget::Bin(_) => {
                let Some((bin, argument)) = value.split_once('=') else {
                    return Err(self.broken(line, "expected the form `rustc-link-arg-bin=BIN=ARG`".to_owned()));
                };
                if !speaker.bins.contains(&bin) {
                    return Err(self.broken(line, format!("the package has no bin target with the name `{bin}`")));
                }
                (LinkArgTarget::Bin(bin.to_owned()), argument)
            }
            other => (other, value),
        };
        let missing = match target {
            LinkArgTarget::Bins if speaker.bins.is_empty() => Some("bin"),
            LinkArgTarget::Tests if !speaker.has_tests => Some("test"),
            LinkArgTarget::Benches if !speaker.has_benches => Some("bench"),
            LinkArgTarget::Examples if !speaker.has_examples => Some("example"),
            _ => None,
        };
        if let Some(kind) = missing {
            return Err(self.broken(line, format!("the package has no {kind} target")));
        }
        if target == LinkArgTarget::Cdylib && !speaker.has_cdylib {
            let package = speaker.package;
            let message = format!(
                "cargo:{key} was specified in the build script of {package}, but that package does not contain a cdylib target"
            );
            self.warnings.push(Diagnostic::warning("build-script-no-cdylib", message));
        }
        self.output.link_arguments.push((target, value.to_owned()));
        Ok(())
    }

    /// `-l NAME`, `-lNAME`, `-L PATH`, `-LPATH`, split at white space.
    fn flags(&mut self, value: &str, line: &str) -> Step {
        let mut words = value.split_whitespace();
        while let Some(word) = words.next() {
            let (list, rest) = match (word.strip_prefix("-l"), word.strip_prefix("-L")) {
                (Some(rest), _) => (&mut self.output.library_links, rest),
                (_, Some(rest)) => (&mut self.output.library_paths, rest),
                _ => return Err(self.broken(line, format!("only `-l` and `-L` flags are allowed, not `{word}`"))),
            };
            let given = if rest.is_empty() { words.next() } else { Some(rest) };
            match given {
                Some(given) => list.push(given.to_owned()),
                None => return Err(self.broken(line, "a flag in rustc-flags has no value".to_owned())),
            }
        }
        Ok(())
    }

    fn environment(&mut self, value: &str, line: &str) -> Step {
        let Some((name, value)) = value.split_once('=') else {
            return Err(self.broken(line, "the variable of rustc-env has no value".to_owned()));
        };
        if name.is_empty() {
            return Err(self.broken(line, "the variable of rustc-env has no name".to_owned()));
        }
        if name == "RUSTC_BOOTSTRAP" {
            let reason =
                "crates cannot set `RUSTC_BOOTSTRAP` themselves: it would subvert the stability guarantees of Rust";
            return Err(self.broken(line, reason.to_owned()));
        }
        self.output.environment.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// The new form needs Rust 1.77; a package that promises to work with less may not use it.
    fn check_rust_version(&self, rest: &str) -> Step {
        match self.speaker.rust_version {
            Some((major, minor)) if (major, minor) < (1, 77) => {
                let message = format!(
                    "the `cargo::` syntax for build script output instructions was added in Rust 1.77.0, but the minimum \
                     supported Rust version of `{}` is {major}.{minor}",
                    self.speaker.package
                );
                let help = format!("switch to the old `cargo:{rest}` syntax (note the single colon)");
                Err(Box::new(Diagnostic::error("build-script-syntax", message).help(help)))
            }
            _ => Ok(()),
        }
    }

    fn broken(&self, line: &str, reason: impl std::fmt::Display) -> Box<Diagnostic> {
        let shown: String = line.chars().take(200).collect();
        let message = format!(
            "invalid output in build script of `{}`: `{}`: {reason}",
            self.speaker.package,
            shown.escape_debug()
        );
        Box::new(Diagnostic::error("build-script-output", message))
    }
}

fn link_arg_target(key: &str) -> Option<LinkArgTarget> {
    Some(match key {
        "rustc-link-arg" => LinkArgTarget::All,
        "rustc-link-arg-cdylib" | "rustc-cdylib-link-arg" => LinkArgTarget::Cdylib,
        "rustc-link-arg-bins" => LinkArgTarget::Bins,
        "rustc-link-arg-bin" => LinkArgTarget::Bin(String::new()),
        "rustc-link-arg-tests" => LinkArgTarget::Tests,
        "rustc-link-arg-benches" => LinkArgTarget::Benches,
        "rustc-link-arg-examples" => LinkArgTarget::Examples,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::{LinkArgTarget, Speaker, parse};

    fn error(stdout: &[u8], expect: &Expect) {
        let speaker = Speaker { package: "p v1.0.0", rust_version: Some((1, 80)), ..Speaker::default() };
        expect.assert_eq(&parse(stdout, &speaker).unwrap_err().message);
    }

    #[test]
    fn both_forms_are_read_as_cargo_reads_them() {
        let text = b"noise \xff\n  cargo:rustc-cfg=a \r\ncargo::rustc-cfg= b\ncargo:foo=\ncargo: rustc-cfg=no\n\
            cargo:rustc-flags=-l x -Ly -L native=z\ncargo:error=old\ncargo::error=new\ncargo::metadata=k=v=w\n\
            cargo:rustc-link-arg-bin=b=-x=y\ncargo:rustc-cdylib-link-arg=c\ncargo:warning=\x1b\xff\ncargo:rustc-env=A=b=c";
        let (output, warnings) = parse(text, &Speaker { bins: &["b"], ..Speaker::default() }).unwrap();
        assert_eq!(output.cfgs, ["a", " b"]);
        assert_eq!(output.library_links, ["x"]);
        assert_eq!(output.library_paths, ["y", "native=z"]);
        assert_eq!(output.errors, ["new"]);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            output.metadata,
            [pair("foo", ""), pair(" rustc-cfg", "no"), pair("error", "old"), pair("k", "v=w")]
        );
        assert_eq!(output.environment, [pair("A", "b=c")]);
        let bin = LinkArgTarget::Bin("b".to_owned());
        assert_eq!(output.link_arguments, [(bin, "-x=y".to_owned()), (LinkArgTarget::Cdylib, "c".to_owned())]);
        assert_eq!(output.warnings, ["\u{1b}\u{fffd}"]);
        assert_eq!(warnings.len(), 1);
    }

    /// Attack 110.
    #[test]
    fn broken_lines_name_the_package_and_the_escaped_line() {
        error(
            b"cargo::foo",
            &expect![[
                r#"invalid output in build script of `p v1.0.0`: `cargo::foo`: expected `cargo::KEY=VALUE` with an `=`, but none was found"#
            ]],
        );
        error(
            b"cargo::foo=1",
            &expect![[r#"invalid output in build script of `p v1.0.0`: `cargo::foo=1`: unknown key: `foo`"#]],
        );
        error(
            b"cargo:rustc-cfg=a\0b",
            &expect![[
                r#"invalid output in build script of `p v1.0.0`: `cargo:rustc-cfg=a\0b`: it is not UTF-8, or holds control characters"#
            ]],
        );
        error(
            b"cargo:rustc-cfg=a\rcargo:rustc-link-arg=b",
            &expect![[
                r#"invalid output in build script of `p v1.0.0`: `cargo:rustc-cfg=a\rcargo:rustc-link-arg=b`: it is not UTF-8, or holds control characters"#
            ]],
        );
        error(
            b"cargo:rustc-cfg=\xff",
            &expect![[
                r#"invalid output in build script of `p v1.0.0`: `cargo:rustc-cfg=�`: it is not UTF-8, or holds control characters"#
            ]],
        );
        error(
            b"cargo:rustc-flags=-Cx",
            &expect![[
                r#"invalid output in build script of `p v1.0.0`: `cargo:rustc-flags=-Cx`: only `-l` and `-L` flags are allowed, not `-Cx`"#
            ]],
        );
        error(
            b"cargo:rustc-flags=-l",
            &expect![[
                r#"invalid output in build script of `p v1.0.0`: `cargo:rustc-flags=-l`: a flag in rustc-flags has no value"#
            ]],
        );
        error(
            b"cargo:rustc-env=RUSTC_BOOTSTRAP=1",
            &expect![[
                r#"invalid output in build script of `p v1.0.0`: `cargo:rustc-env=RUSTC_BOOTSTRAP=1`: crates cannot set `RUSTC_BOOTSTRAP` themselves: it would subvert the stability guarantees of Rust"#
            ]],
        );
        error(
            b"cargo:rustc-link-arg-tests=1",
            &expect![[
                r#"invalid output in build script of `p v1.0.0`: `cargo:rustc-link-arg-tests=1`: the package has no test target"#
            ]],
        );
    }

    #[test]
    fn an_old_rust_version_forbids_the_new_form() {
        let speaker = Speaker { rust_version: Some((1, 70)), ..Speaker::default() };
        assert!(parse(b"cargo::rustc-cfg=a", &speaker).is_err());
        assert!(parse(b"cargo:rustc-cfg=a", &speaker).is_ok());
    }

    #[test]
    fn floods_are_refused() {
        let speaker = Speaker::default();
        assert!(parse(&b"cargo:a=b\n".repeat(super::MAX_DIRECTIVES + 1), &speaker).is_err());
        let long = [b"cargo:rustc-cfg=".as_slice(), &vec![b'a'; super::MAX_LINE_LENGTH]].concat();
        assert!(parse(&long, &speaker).is_err());
    }
}
