//! Prints what the build script and the procedural macro of a dependency managed to do while this program was built.
//!
//! What they *say* is not believed where it can be looked up: a file counts as written, and a process as left behind,
//! only when it can be seen from here.

use std::path::Path;
use std::time::{Duration, Instant};

fn main() {
    println!("{:24} {:34} procedural macro", "attempt", "build script");
    let mut succeeded = 0;
    for ((name, by_script), (_, by_macro)) in innocent::BY_BUILD_SCRIPT.iter().zip(innocent::BY_MACRO) {
        let [by_script, by_macro] = [by_script, by_macro].map(|outcome| verify(outcome));
        succeeded += [&by_script, &by_macro].iter().filter(|outcome| outcome.starts_with("succeeded")).count();
        println!("{name:24} {by_script:34} {by_macro}");
    }
    for (name, worked) in [
        ("inject LD_PRELOAD", innocent::PRELOAD.is_some()),
        ("inject a linker argument", Path::new(innocent::LINK_MAP).exists()),
    ] {
        succeeded += usize::from(worked);
        println!("{name:24} {:34} –", if worked { "succeeded" } else { "failed" });
    }
    println!("{succeeded} attempts succeeded");
}

/// An outcome `file:PATH` stands for a file that should be there by now or very soon.
fn verify(outcome: &str) -> String {
    let Some(path) = outcome.strip_prefix("file:") else {
        return outcome.split(" (os error").next().unwrap_or(outcome).to_owned();
    };
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        if Path::new(path).exists() {
            return "succeeded".to_owned();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    "failed: nothing to be seen outside".to_owned()
}
