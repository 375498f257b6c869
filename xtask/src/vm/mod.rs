//! `cargo xtask vm`: the sandbox's tests on another kernel than this machine's, in a virtual machine that is emulated, so
//! that it needs no rights: with control groups of version 2, as root and as an ordinary user, and with what hosts refuse.

mod archive;
mod image;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bulkhead_test_support::toolchain_program;
use clap::ArgMatches;

use crate::CommandResult;
use crate::arguments::{Given, path, words};
use crate::tidy::repository_root;

const EMULATOR: &str = "/usr/bin/qemu-system-x86_64";

const NEEDS: &str = "\
on Debian and Ubuntu, `apt-get install --no-install-recommends qemu-system-x86 python3` brings the emulator and what the tests
start, and this a kernel, without installing it:
  cd $(mktemp -d) && apt-get download $(apt-cache depends linux-image-cloud-amd64 | sed -n 's/ *Depends: //p') &&
    dpkg -x *.deb . && realpath boot/vmlinuz-*
  cargo xtask vm --kernel PATH";

/// One machine for each set of parameters of the kernel.
const MACHINES: [&str; 2] = ["", "lsm=yama"];

struct Options {
    kernel: PathBuf,
    folder: PathBuf,
    scenarios: Vec<String>,
}

pub(crate) fn command() -> clap::Command {
    clap::Command::new("vm")
        .about("Run the sandbox's tests under another kernel, in an emulated machine")
        .arg(path("kernel").help("A kernel for x86-64; without one it is said where to get it"))
        .arg(path("dir").help("Where the image of the machine is written; target/vm where it is not given"))
        .arg(words("SCENARIO").help("Only these of xtask/src/vm/scenarios.sh"))
}

/// Builds the tests, packs them with what they start, boots, and reads what the scenarios say.
pub(crate) fn run(arguments: &ArgMatches) -> CommandResult {
    let kernel = arguments.path_of("kernel");
    let options = Options {
        kernel: kernel.ok_or_else(|| format!("vm: --kernel has to name a kernel for x86-64\n{NEEDS}"))?,
        folder: arguments.path_of("dir").unwrap_or_else(|| repository_root().join("target/vm")),
        scenarios: arguments.all_words(),
    };
    if !Path::new(EMULATOR).exists() {
        return Err(format!("vm: there is no {EMULATOR}\n{NEEDS}"));
    }
    let test = test_program()?;
    std::fs::create_dir_all(&options.folder).map_err(|error| format!("{}: {error}", options.folder.display()))?;
    let image = options.folder.join("initramfs");
    image::write(&image, &test)?;
    let mut passed = true;
    for parameters in MACHINES {
        passed &= judge(&boot(&options, &image, parameters)?);
    }
    Ok(passed)
}

/// The tests of the sandbox, which are one program.
fn test_program() -> Result<PathBuf, String> {
    let mut cargo = Command::new(toolchain_program("cargo"));
    cargo.args(["test", "--no-run", "--message-format=json", "--package", "bulkhead-sandbox", "--test", "it"]);
    let output = cargo.current_dir(repository_root()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cargo: {error}"))?;
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let program = messages.find_map(|message| {
        let is_test = message["profile"]["test"] == true && message["target"]["name"] == "it";
        is_test.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
    });
    program.ok_or_else(|| "vm: the tests of bulkhead-sandbox were not built".to_owned())
}

/// Runs the machine until it switches itself off, shows what it prints, and returns the lines about scenarios.
fn boot(options: &Options, image: &Path, parameters: &str) -> Result<Vec<String>, String> {
    let wanted = options.scenarios.join(",");
    // On a busy machine the emulated timer looks broken to a kernel that checks it.
    let parameters =
        format!("console=ttyS0 quiet no_timer_check panic=-1 oops=panic rdinit=/init scenarios={wanted} {parameters}");
    let mut machine = Command::new(EMULATOR);
    machine.args(["-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "3072", "-nodefaults", "-display", "none"]);
    machine.args(["-serial", "stdio", "-no-reboot", "-kernel"]).arg(&options.kernel);
    machine.arg("-initrd").arg(image).args(["-append", &parameters]);
    let mut machine = machine.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let output = machine.stdout.take().ok_or("vm: the machine prints nowhere")?;
    let mut lines = Vec::new();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.map_err(|error| format!("vm: {error}"))?;
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        println!("{line}");
        lines.extend(line.strip_prefix("vm: ").map(str::to_owned));
    }
    let status = machine.wait().map_err(|error| format!("vm: {error}"))?;
    if status.success() { Ok(lines) } else { Err(format!("vm: the emulator ended with {status}")) }
}

/// Whether the machine came to its end, and every scenario with it.
fn judge(lines: &[String]) -> bool {
    let Some((_, scenarios)) = lines.split_last().filter(|(last, _)| *last == "end") else {
        println!("vm: the machine stopped before its end");
        return false;
    };
    let failed: Vec<&str> = scenarios.iter().filter_map(|line| line.strip_suffix(" failed")).collect();
    println!("vm: {} scenarios, {} failed {}", scenarios.len(), failed.len(), failed.join(" "));
    failed.is_empty()
}

#[cfg(test)]
mod tests {
    use super::judge;

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn only_a_machine_that_came_to_its_end_has_passed() {
        assert!(judge(&lines(&["root passed", "user passed", "end"])));
        for text in [&["root passed"][..], &["root passed", "user failed", "end"], &[]] {
            assert!(!judge(&lines(text)));
        }
    }
}
