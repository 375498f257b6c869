//! The command line of the chores: the flags that several share, and what is taken from them.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::path::PathBuf;

/// `--bin PATH`: the program under test.
pub(crate) fn bin() -> Arg {
    path("bin").help("The Bulkhead under test; a release build of this repository where it is not given")
}

/// `--dir PATH`: the folder that is kept from run to run, below the system's one for temporary files unless it is named.
pub(crate) fn dir(name: &str) -> Arg {
    let usual = std::env::temp_dir().join(name);
    path("dir").default_value(usual.into_os_string()).help("Where homes, downloads and builds are kept from run to run")
}

/// `--only TEXT`: the subjects whose name holds it.
pub(crate) fn only() -> Arg {
    value("only", "TEXT").help("Only subjects whose name holds this")
}

pub(crate) fn path(name: &'static str) -> Arg {
    value(name, "PATH").value_parser(value_parser!(PathBuf))
}

pub(crate) fn value(name: &'static str, placeholder: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(placeholder)
}

pub(crate) fn switch(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

/// Words without a dash, any number of them.
pub(crate) fn words(placeholder: &'static str) -> Arg {
    Arg::new(WORDS).value_name(placeholder).num_args(0..)
}

const WORDS: &str = "words";

/// Reading what was given. Every flag that is asked for here was declared with the same name and type.
pub(crate) trait Given {
    fn path_of(&self, name: &str) -> Option<PathBuf>;
    fn text_of(&self, name: &str) -> Option<String>;
    /// Of a flag that has a default.
    fn number_of<N: Copy + Default + Send + Sync + 'static>(&self, name: &str) -> N;
    fn all_words(&self) -> Vec<String>;
}

impl Given for ArgMatches {
    fn path_of(&self, name: &str) -> Option<PathBuf> {
        self.get_one::<PathBuf>(name).cloned()
    }

    fn text_of(&self, name: &str) -> Option<String> {
        self.get_one::<String>(name).cloned()
    }

    fn number_of<N: Copy + Default + Send + Sync + 'static>(&self, name: &str) -> N {
        self.get_one::<N>(name).copied().unwrap_or_default()
    }

    fn all_words(&self) -> Vec<String> {
        self.get_many::<String>(WORDS).into_iter().flatten().cloned().collect()
    }
}

/// All chores.
pub(crate) fn command() -> Command {
    let chores = [
        crate::attacks::command(),
        crate::bench::command(),
        crate::compare::command(),
        crate::fuzz::command(),
        crate::projects::command(),
        crate::release::command(),
        crate::tidy::command(),
        crate::vm::command(),
    ];
    Command::new("xtask")
        .bin_name("cargo xtask")
        .about("The project's own chores")
        .subcommand_required(true)
        .subcommands(chores)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_chore_tells_how_it_is_used() {
        let mut command = super::command();
        command.build();
        command.clone().debug_assert();
        for chore in command.get_subcommands_mut().filter(|chore| chore.get_name() != "help") {
            let said = chore.render_help().to_string();
            assert!(said.contains(&format!("Usage: cargo xtask {}", chore.get_name())), "{said}");
            assert!(chore.get_about().is_some(), "{said}");
            assert!(chore.get_arguments().all(|argument| argument.get_help().is_some()), "{said}");
        }
    }
}
