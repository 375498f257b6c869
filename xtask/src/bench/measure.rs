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
    adopt_orphans()?;
    let begin = Instant::now();
    let child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
    let status = wait(child.id())?;
    let wall = begin.elapsed().as_micros();
    let usage = usage_of_all()?;
    let microseconds = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
    let processor = microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
    println!("{status} {wall} {processor} {}", usage.ru_maxrss);
    Ok(true)
}

/// What the program leaves behind becomes ours, so that it counts as well: Bulkhead does not wait for the end of its last
/// compiler's sandbox.
#[allow(unsafe_code)]
fn adopt_orphans() -> Result<(), String> {
    // SAFETY: numbers only; it changes who waits for processes whose parent has ended. No safe wrapper is among our dependencies.
    match unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error().to_string()),
    }
}

#[allow(unsafe_code)]
fn wait(process: u32) -> Result<i32, String> {
    let process = i32::try_from(process).map_err(|error| error.to_string())?;
    let mut status = 0;
    // SAFETY: the pointer lives through the call; the process is our child and nobody else waits for it.
    let waited = unsafe { libc::waitpid(process, &raw mut status, 0) };
    if waited == process { Ok(status) } else { Err(std::io::Error::last_os_error().to_string()) }
}

/// Waits for all that is left, and says what everything together has used.
#[allow(unsafe_code)]
fn usage_of_all() -> Result<libc::rusage, String> {
    // SAFETY: no status is asked for; everything that is waited for is ours. It ends when there is nothing left.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::__WALL) } > 0 {}
    // SAFETY: `rusage` is plain numbers, for which zero is a value; the pointer lives through the call.
    let (answer, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage), usage)
    };
    if answer == 0 { Ok(usage) } else { Err(std::io::Error::last_os_error().to_string()) }
}
