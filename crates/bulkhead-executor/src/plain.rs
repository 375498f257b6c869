//! Compilers that run nobody's code but the toolchain's: what they are refused tells nothing about a package.
//!
//! What is not known to be harmless counts as a way to run something: a wrapper, a linker or its arguments, a plugin, a
//! folder in which crates are found, a description of a platform. Libraries that are linked are data to the linker.

use std::path::Path;

use bulkhead_schema::policy::chooses_programs;
use bulkhead_unit_graph::Command;

use crate::outcome::LIBRARY_PATH;

/// Options whose value, the next argument, is text or a file that rustc reads as its own input.
const WITH_VALUE: &[&str] =
    &["--crate-name", "--crate-type", "--cfg", "--check-cfg", "--out-dir", "--extern", "--cap-lints", "-l"];
/// The same with the value in the argument itself.
const JOINED: &[&str] = &[
    "--edition=",
    "--error-format=",
    "--json=",
    "--diagnostic-width=",
    "--emit=dep-info,",
    "--remap-path-prefix=",
    "--allow=",
    "--warn=",
    "--deny=",
    "--forbid=",
];
/// What is looked for in a folder of `-L` where that is no crate of somebody else's choice.
const FOLDERS: &[&str] = &["dependency=", "native="];
/// `-C` with a value that changes what is made, not how.
const CODEGEN: &[&str] = &[
    "opt-level",
    "panic",
    "lto",
    "embed-bitcode",
    "codegen-units",
    "debuginfo",
    "split-debuginfo",
    "debug-assertions",
    "overflow-checks",
    "metadata",
    "extra-filename",
    "incremental",
    "strip",
    "target-cpu",
    "target-feature",
];
/// `-C` without a value.
const CODEGEN_FLAGS: &[&str] = &["linker-plugin-lto", "prefer-dynamic", "rpath"];

/// Whether `command` is the toolchain's rustc with arguments and variables that make it start nothing of anybody else's.
pub(crate) fn is_plain(command: &Command, sysroot: &Path) -> bool {
    let planned = command.environment.iter().filter(|(name, _)| name != LIBRARY_PATH);
    let harmless = |name: &str| name.starts_with("CARGO") || !chooses_programs(name);
    command.program == sysroot.join("bin/rustc")
        && planned.map(|(name, _)| name.as_str()).all(harmless)
        && are_plain(&command.arguments)
}

fn are_plain(arguments: &[String]) -> bool {
    let mut arguments = arguments.iter().map(String::as_str);
    while let Some(argument) = arguments.next() {
        let is_plain = match argument {
            "--test" => true,
            "-C" => arguments.next().is_some_and(is_plain_codegen),
            // Where crates are looked for, a file of anybody's might pass for one that holds a macro. The linker's driver is told of
            // the folder alone, and reads `@FILE` as rustc does.
            "-L" => arguments
                .next()
                .is_some_and(|path| FOLDERS.iter().filter_map(|kind| path.strip_prefix(kind)).any(is_value)),
            // Another file describes a platform, with its linker.
            "--target" => arguments.next().is_some_and(|target| !target.ends_with(".json") && is_value(target)),
            option if WITH_VALUE.contains(&option) => arguments.next().is_some_and(is_value),
            option if option.starts_with('-') => JOINED.iter().any(|known| option.starts_with(known)),
            // The source; `@FILE` holds further arguments.
            source => is_value(source),
        };
        if !is_plain {
            return false;
        }
    }
    true
}

/// `@FILE` holds further arguments wherever it stands.
fn is_value(argument: &str) -> bool {
    !argument.starts_with('@')
}

fn is_plain_codegen(option: &str) -> bool {
    match option.split_once('=') {
        Some((name, _)) => CODEGEN.contains(&name),
        None => CODEGEN_FLAGS.contains(&option),
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::is_plain;
    use bulkhead_unit_graph::Command;

    fn judge(program: &str, arguments: &str, variable: &str) -> bool {
        let command = Command {
            program: PathBuf::from(program),
            arguments: arguments.split(' ').map(str::to_owned).collect(),
            environment: vec![
                (variable.to_owned(), "/x".to_owned()),
                ("LD_LIBRARY_PATH".to_owned(), "/deps".to_owned()),
                ("CARGO".to_owned(), "/cargo".to_owned()),
            ],
            current_dir: PathBuf::from("/"),
        };
        is_plain(&command, Path::new("/toolchain"))
    }

    #[test]
    fn only_what_is_known_to_run_nothing_is_plain() {
        let usual = "--crate-name a --edition=2021 src/lib.rs --error-format=json --json=diagnostic-rendered-ansi,artifacts \
                     --crate-type lib --emit=dep-info,metadata,link -C embed-bitcode=no -C debuginfo=2 --warn=clippy::all \
                     --check-cfg cfg(docsrs,test) -C metadata=1 -C extra-filename=-1 --out-dir /t -C strip=debuginfo \
                     --target x86_64-unknown-linux-gnu -L dependency=/t --extern b=/t/libb.rmeta --cap-lints allow";
        assert!(judge("/toolchain/bin/rustc", usual, "OUT_DIR"));
        assert!(judge("/toolchain/bin/rustc", &format!("{usual} -L native=/out -l static=z"), "OUT_DIR"));
        for more in [
            "-C linker=/evil",
            "-C link-arg=-fuse-ld=/evil",
            "-Clink-args=-plugin",
            "-C codegen-backend=/evil.so",
            "-C llvm-args=-load=/evil.so",
            "-C linker-plugin-lto=/evil.so",
            "-Zcodegen-backend=/evil.so",
            "-L all=/out",
            "-L /out",
            "--target evil.json",
            "--sysroot=/evil",
            "-C",
            "@arguments",
            "--cfg @arguments",
            "-L native=@arguments",
            "-l @arguments",
            "--target @arguments",
        ] {
            assert!(!judge("/toolchain/bin/rustc", &format!("{usual} {more}"), "OUT_DIR"), "{more}");
        }
        assert!(!judge("/usr/bin/sccache", &format!("/toolchain/bin/rustc {usual}"), "OUT_DIR"));
        assert!(!judge("/toolchain/bin/rustc", usual, "LD_PRELOAD"));
        assert!(!judge("/toolchain/bin/rustc", usual, "GCC_EXEC_PREFIX"));
    }
}
