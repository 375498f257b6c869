//! Which compiler flags an untrusted file may set: those that choose no program, no file and no library.

/// What an untrusted file may set, and what it may not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SplitFlags {
    /// Flags on the allow-list.
    pub passed: Vec<String>,
    /// The others.
    pub held: Vec<String>,
}

/// Splits `flags` into those on rustc's allow-list and the others. A flag and its value in two arguments stay together.
pub fn split_rustflags(flags: &[String]) -> SplitFlags {
    split(flags, harmless_rustflag)
}

/// The same for rustdoc, which reads files with most of its own flags.
pub fn split_rustdocflags(flags: &[String]) -> SplitFlags {
    split(flags, |flag| match flag.name {
        "--document-private-items" | "--document-hidden-items" => flag.value.is_none(),
        "--crate-version" | "--default-theme" => flag.value.is_some(),
        _ => harmless_rustflag(flag),
    })
}

/// `-C` options that only shape the code that is generated. Not among them: `linker`, `link-arg(s)`, `link-self-contained`,
/// `save-temps`, `profile-use`, `llvm-args`, `passes`, `codegen-backend` (-Z), and everything unknown.
const CODEGEN: &[&str] = &[
    "code-model",
    "codegen-units",
    "collapse-macro-debuginfo",
    "control-flow-guard",
    "debug-assertions",
    "debuginfo",
    "dwarf-version",
    "embed-bitcode",
    "force-frame-pointers",
    "force-unwind-tables",
    "inline-threshold",
    "instrument-coverage",
    "lto",
    "linker-plugin-lto",
    "no-redzone",
    "no-vectorize-loops",
    "no-vectorize-slp",
    "opt-level",
    "overflow-checks",
    "panic",
    "prefer-dynamic",
    "relocation-model",
    "relro-level",
    "rpath",
    "soft-float",
    "split-debuginfo",
    "strip",
    "symbol-mangling-version",
    "target-cpu",
    "target-feature",
];

/// Options that take their value in the next argument when none is attached.
const WITH_VALUE: &[&str] = &[
    "-A",
    "-C",
    "-D",
    "-F",
    "-L",
    "-W",
    "-Z",
    "-l",
    "-o",
    "--allow",
    "--cap-lints",
    "--cfg",
    "--check-cfg",
    "--codegen",
    "--crate-version",
    "--default-theme",
    "--deny",
    "--diagnostic-width",
    "--edition",
    "--emit",
    "--extern",
    "--forbid",
    "--force-warn",
    "--out-dir",
    "--sysroot",
    "--target",
    "--warn",
    "--html-in-header",
    "--theme",
];

struct Flag<'a> {
    name: &'a str,
    value: Option<&'a str>,
}

fn harmless_rustflag(flag: &Flag<'_>) -> bool {
    let Some(value) = flag.value else { return matches!(flag.name, "-g" | "-O" | "--verbose" | "-v") };
    match flag.name {
        "-C" | "--codegen" => {
            let (option, value) = value.split_once('=').unwrap_or((value, ""));
            let option = option.replace('_', "-");
            // `linker-plugin-lto=PATH` loads a plugin; without a value it is only a switch.
            CODEGEN.contains(&option.as_str()) && !(option == "linker-plugin-lto" && value.contains(['/', '\\', '.']))
        }
        "--cfg" | "--check-cfg" => true,
        "-A" | "-D" | "-F" | "-W" | "--allow" | "--deny" | "--forbid" | "--force-warn" | "--warn" | "--cap-lints" => {
            true
        }
        "--diagnostic-width" => true,
        _ => false,
    }
}

fn split(flags: &[String], harmless: impl Fn(&Flag<'_>) -> bool) -> SplitFlags {
    let mut result = SplitFlags::default();
    let mut rest = flags;
    while let Some(first) = rest.first() {
        let separate = WITH_VALUE.contains(&first.as_str());
        let taken = if separate { rest.len().min(2) } else { 1 };
        let flag =
            if separate { Flag { name: first, value: rest.get(1).map(String::as_str) } } else { attached(first) };
        // A value that begins with `@` is read as a file of arguments wherever it stands.
        let response_file = rest[..taken].iter().any(|argument| argument.starts_with('@'));
        let target = if harmless(&flag) && !response_file { &mut result.passed } else { &mut result.held };
        target.extend_from_slice(&rest[..taken]);
        rest = &rest[taken..];
    }
    result
}

/// `--cfg=x`, `-Copt-level=3`, `-Wunused`.
fn attached(argument: &str) -> Flag<'_> {
    if argument.starts_with("--") {
        return match argument.split_once('=') {
            Some((name, value)) => Flag { name, value: Some(value) },
            None => Flag { name: argument, value: None },
        };
    }
    match argument.char_indices().nth(2) {
        Some((index, _)) if argument.starts_with('-') => {
            let value = &argument[index..];
            Flag { name: &argument[..index], value: Some(value.strip_prefix('=').unwrap_or(value)) }
        }
        _ => Flag { name: argument, value: None },
    }
}

#[cfg(test)]
mod tests {
    use super::{split_rustdocflags, split_rustflags};

    fn held(line: &str) -> String {
        split_rustflags(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).held.join(" ")
    }

    /// Attack 20.
    #[test]
    fn harmless_flags_pass() {
        for line in [
            "-C opt-level=3",
            "-Copt-level=3",
            "--cfg tokio_unstable",
            "--cfg=x",
            "-C target-cpu=native",
            "-Ctarget_feature=+aes",
            "-Dwarnings",
            "-W unused",
            "--check-cfg cfg(x)",
            "-C debuginfo=1",
            "-g",
            "--codegen lto=thin",
        ] {
            assert_eq!(held(line), "", "{line}");
        }
    }

    /// Attack 20.
    #[test]
    fn flags_that_choose_programs_or_files_are_held() {
        for line in [
            "-Clinker=/evil",
            "-C linker=/evil",
            "-C link-arg=-fuse-ld=/evil",
            "-Clink_args=x",
            "--sysroot /evil",
            "--sysroot=/evil",
            "@file",
            "-C @file",
            "--cfg @file",
            "-L /evil",
            "-levil",
            "--extern a=/evil",
            "-Zunstable-options",
            "-C llvm-args=-load=/evil",
            "-Clinker-plugin-lto=/evil.so",
            "-Cprofile-use=/x",
            "-o /x",
            "--emit=link=/x",
            "/evil.rs",
            "-C",
            "--cfg",
            "--remap-path-prefix=a=b",
        ] {
            assert_eq!(held(line), line);
        }
        assert_eq!(held("--cfg a -Clinker=x -C opt-level=1"), "-Clinker=x");
        assert_eq!(split_rustdocflags(&["--html-in-header=/etc/passwd".to_owned()]).passed, [""; 0]);
    }
}
