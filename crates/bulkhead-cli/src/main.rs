//! The command line `bulkhead`: arguments in, rendering and exit code out. It alone prints, reads the environment and
//! looks at the terminal; what commands do is in `bulkhead-ops`.
//!
//! Start with [`main`], then `commands` (what can be said), `dispatch` (what is then done) and `render` (what is shown).

mod arguments;
mod commands;
mod dispatch;
mod escape;
mod grammar;
mod interrupt;
mod options;
mod place;
mod question;
mod recall;
mod registry_commands;
mod render;
mod report;
mod shell;
mod terminal;
mod version;

use std::process::ExitCode;

fn main() -> ExitCode {
    let code = dispatch::run(std::env::args_os().collect());
    // Codes of programs that `run` started pass as they are; the system keeps their lower eight bits.
    u8::try_from(code & 0xff).map_or(ExitCode::FAILURE, ExitCode::from)
}
