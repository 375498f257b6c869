//! One child process, timed and weighed by the kernel.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// What one run cost, its children included.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    /// From start to end.
    pub(super) wall: Duration,
    /// User and system time.
    pub(super) processor: Duration,
    /// The most memory that any one process of the run held, in KiB.
    pub(super) peak_kib: u64,
}

/// Runs a command to its end through [`measure_here`] in a small process of its own: a child's peak memory counts from
/// what its parent held when it was started, and this process may have grown.
pub(super) fn run(command: &Command) -> Result<Sample, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", command.get_program().display());
    let mut wrapper = Command::new(std::env::current_exe().map_err(failed)?);
    wrapper.arg(super::MEASURE).arg(command.get_program()).args(command.get_args()).env_clear();
    wrapper.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        wrapper.current_dir(folder);
    }
    let output = wrapper.output().map_err(failed)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> =
        text.lines().last().unwrap_or_default().split(' ').filter_map(|word| word.parse().ok()).collect();
    let [0, wall, processor, peak_kib] = numbers[..] else {
        return Err(format!("{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr)));
    };
    Ok(Sample { wall: Duration::from_micros(wall), processor: Duration::from_micros(processor), peak_kib })
}

/// Runs a program and prints status, wall time and processor time in microseconds, and peak memory in KiB.
pub(super) fn measure_here(arguments: &[String]) -> Result<bool, String> {
    let (program, arguments) = arguments.split_first().ok_or("nothing to measure")?;
    let mut command = Command::new(Path::new(program));
    command.args(arguments).stdout(std::process::Stdio::null());
    let begin = Instant::now();
    let child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
    let (status, usage) = wait(child.id())?;
    let wall = begin.elapsed().as_micros();
    let microseconds = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
    let processor = microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
    println!("{status} {wall} {processor} {}", usage.ru_maxrss);
    Ok(true)
}

#[allow(unsafe_code)]
fn wait(process: u32) -> Result<(i32, libc::rusage), String> {
    let process = i32::try_from(process).map_err(|error| error.to_string())?;
    let mut status = 0;
    // SAFETY: `rusage` is plain numbers, for which zero is a value; both pointers live through the call; the process is
    // our child and nobody else waits for it. No safe wrapper among our dependencies returns a child's usage.
    let (waited, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(process, &raw mut status, 0, &raw mut usage), usage)
    };
    if waited == process { Ok((status, usage)) } else { Err(std::io::Error::last_os_error().to_string()) }
}
