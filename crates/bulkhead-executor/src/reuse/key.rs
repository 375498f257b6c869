//! The key of a unit: a digest over everything that its process is given. Pure: texts and digests in, a digest out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_trust::{Digest, Hasher};
use bulkhead_unit_graph::Command;

/// Changes whenever what is kept, or what a key is made of, changes.
const FORMAT: &str = "bulkhead unit 1";

/// Variables that say how much of the machine a process may take, and nothing about its result.
const NOT_INPUTS: &[&str] = &["NUM_JOBS", "CARGO_MAKEFLAGS", "MAKEFLAGS", "MFLAGS"];

/// Folders that are elsewhere in each workspace, and what stands for them in keys and in what is kept.
#[derive(Debug, Clone)]
pub(crate) struct Places(Vec<(String, String)>);

impl Places {
    /// The deepest folder is replaced first, should one lie in another.
    pub(crate) fn new(folders: &[PathBuf]) -> Self {
        let mut places: Vec<(String, String)> = Vec::new();
        for (position, folder) in folders.iter().enumerate() {
            let text = folder.to_string_lossy().into_owned();
            if places.iter().all(|(known, _)| *known != text) {
                places.push((text, format!("${{bulkhead-place-{position}}}")));
            }
        }
        places.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        Self(places)
    }

    /// Whether the names of the folders look the same in every kind of text, JSON and makefiles among them.
    pub(crate) fn are_plain(&self) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/_-.+@".contains(c);
        self.0.iter().all(|(folder, _)| folder.len() > 1 && folder.chars().all(plain))
    }

    /// The folders as they are here.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(folder, _)| folder.as_str())
    }

    /// `text` with what stands for the folders in their place.
    pub(crate) fn portable(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (folder, token)| text.replace(folder, token))
    }

    /// The opposite.
    pub(crate) fn local(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (folder, token)| text.replace(token, folder))
    }

    /// Whether nothing in `text` could be taken for what stands for a folder.
    pub(crate) fn can_carry(&self, text: &str) -> bool {
        !text.contains("${bulkhead-place-")
    }
}

/// Everything on which the result of a unit's process depends.
#[derive(Debug, Clone)]
pub(crate) struct Inputs<'a> {
    /// `compile` or `run`.
    pub(crate) kind: &'a str,
    pub(crate) command: &'a Command,
    /// All variables that the process gets, the user's among them.
    pub(crate) environment: Vec<(String, String)>,
    /// The digest of the package's files.
    pub(crate) source: String,
    /// Names and digests of what other units left that the process can read.
    pub(crate) dependencies: Vec<(Arc<str>, Digest)>,
    /// What identifies the compiler.
    pub(crate) toolchain: &'a str,
    /// What identifies linkers, C compilers and libraries of the system, where the process can use those.
    pub(crate) system: Option<&'a str>,
    /// How the process is confined.
    pub(crate) confinement: String,
}

/// The key of what is the same in every workspace, and of what is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) portable: Digest,
    /// Of a unit that names a folder of its workspace in what it leaves.
    pub(crate) bound: Digest,
}

/// Works out both keys.
pub(crate) fn keys(inputs: &Inputs<'_>, places: &Places) -> Keys {
    let mut parts = Parts(Hasher::new());
    parts.text(FORMAT);
    parts.text(inputs.kind);
    parts.text(&places.portable(&inputs.command.program.to_string_lossy()));
    parts.text(&places.portable(&inputs.command.current_dir.to_string_lossy()));
    let arguments = inputs.command.arguments.iter().filter(|argument| is_input(argument));
    parts.list(arguments.map(|argument| places.portable(argument)));
    let variables = inputs.environment.iter().filter(|(name, _)| !NOT_INPUTS.contains(&name.as_str()));
    parts.list(variables.flat_map(|(name, value)| [name.clone(), places.portable(value)]));
    parts.text(&inputs.source);
    parts.list(inputs.dependencies.iter().flat_map(|(name, digest)| [name.to_string(), digest.to_string()]));
    parts.text(inputs.toolchain);
    parts.list(inputs.system.map(str::to_owned).into_iter());
    parts.text(&inputs.confinement);
    let portable = parts.0.finish();
    let mut parts = Parts(Hasher::new());
    parts.text(&portable.to_string());
    parts.list(places.folders().map(str::to_owned));
    Keys { portable, bound: parts.0.finish() }
}

/// The width of the terminal shapes messages and nothing else; what is replayed has, as with Cargo, the width of then.
fn is_input(argument: &str) -> bool {
    !argument.starts_with("--diagnostic-width=")
}

/// The first argument that names a file or folder of which the key does not know the content. `known` are folders that it
/// covers.
pub(crate) fn unpinned<'a>(arguments: &'a [String], known: &[&Path]) -> Option<&'a str> {
    let is_condition = |position: usize| {
        let before = position.checked_sub(1).and_then(|position| arguments.get(position));
        before.is_some_and(|option| option == "--cfg" || option == "--check-cfg")
    };
    let is_text = |position: usize, argument: &str| is_condition(position) && !argument.starts_with('@');
    let mut all = arguments.iter().enumerate().filter(|(position, argument)| !is_text(*position, argument));
    all.find(|(_, argument)| !is_pinned(argument, known)).map(|(_, argument)| argument.as_str())
}

fn is_pinned(argument: &str, known: &[&Path]) -> bool {
    if argument.starts_with('@') {
        return false;
    }
    let Some(slash) = argument.find('/') else { return true };
    let (before, path) = argument.split_at(slash);
    // `OPTION=/path` or the path alone; whatever else has a slash in it is not understood, and so not pinned.
    let is_whole = before.is_empty() || before.ends_with('=');
    let is_single = !path.contains([',', ':', '=', ';']) && !path.split('/').any(|part| part == "..");
    is_whole && is_single && known.iter().any(|folder| Path::new(path).starts_with(folder))
}

/// Lengths and counts keep different lists apart.
struct Parts(Hasher);

impl Parts {
    fn text(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    fn list(&mut self, texts: impl Iterator<Item = String>) {
        let texts: Vec<_> = texts.collect();
        self.0.update(&(texts.len() as u64).to_le_bytes());
        texts.iter().for_each(|text| self.text(text));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bulkhead_trust::Digest;
    use bulkhead_unit_graph::Command;

    use super::{Inputs, Places, keys, unpinned};

    fn command() -> Command {
        Command {
            program: "/sysroot/bin/rustc".into(),
            arguments: ["--crate-name", "a", "/store/a/src/lib.rs", "--out-dir", "/one/target/debug/deps"]
                .map(str::to_owned)
                .to_vec(),
            environment: Vec::new(),
            current_dir: "/store/a".into(),
        }
    }

    fn inputs(command: &Command) -> Inputs<'_> {
        Inputs {
            kind: "compile",
            command,
            environment: vec![("A".to_owned(), "1".to_owned()), ("OUT_DIR".to_owned(), "/one/target/out".to_owned())],
            source: "source".to_owned(),
            dependencies: vec![("libb.rmeta".into(), Digest::of(b"b"))],
            toolchain: "rustc 1",
            system: Some("system"),
            confinement: "full".to_owned(),
        }
    }

    fn places(folder: &str) -> Places {
        Places::new(&[folder.into(), folder.into()])
    }

    /// One line for each input: none may be left out of the key.
    #[test]
    fn every_single_change_is_another_key() {
        type Change = fn(&mut Command, &mut Inputs<'_>);
        let changes: &[(&str, Change)] = &[
            ("program", |command, _| command.program = "/other/bin/rustc".into()),
            ("folder", |command, _| command.current_dir = "/store/b".into()),
            ("argument", |command, _| command.arguments[1] = "b".to_owned()),
            ("one more argument", |command, _| command.arguments.push("-Copt-level=1".to_owned())),
            ("one argument less", |command, _| drop(command.arguments.pop())),
            ("order of arguments", |command, _| command.arguments.swap(0, 1)),
            ("where arguments end", |command, _| {
                command.arguments[0] = "--crate-namea".to_owned();
                command.arguments[1] = String::new();
            }),
            ("kind", |_, inputs| inputs.kind = "run"),
            ("a value", |_, inputs| inputs.environment[0].1 = "2".to_owned()),
            ("a variable's name", |_, inputs| inputs.environment[0].0 = "B".to_owned()),
            ("one more variable", |_, inputs| inputs.environment.push(("B".to_owned(), String::new()))),
            ("source", |_, inputs| inputs.source = "another".to_owned()),
            ("a dependency", |_, inputs| inputs.dependencies[0].1 = Digest::of(b"c")),
            ("a dependency's name", |_, inputs| inputs.dependencies[0].0 = "libc.rmeta".into()),
            ("no dependency", |_, inputs| inputs.dependencies.clear()),
            ("toolchain", |_, inputs| inputs.toolchain = "rustc 2"),
            ("system", |_, inputs| inputs.system = Some("newer")),
            ("no system", |_, inputs| inputs.system = None),
            ("confinement", |_, inputs| inputs.confinement = "weak".to_owned()),
        ];
        let places = places("/one/target");
        let original = command();
        let mut seen = vec![("nothing", keys(&inputs(&original), &places))];
        for (name, change) in changes {
            let (mut changed, scratch) = (command(), command());
            let mut changed_inputs = inputs(&scratch);
            change(&mut changed, &mut changed_inputs);
            let found = keys(&Inputs { command: &changed, ..changed_inputs }, &places);
            for (other, key) in &seen {
                assert!(found.portable != key.portable && found.bound != key.bound, "{name} looks like {other}");
            }
            seen.push((name, found));
        }
    }

    #[test]
    fn the_place_of_the_workspace_and_the_machines_load_do_not_matter() {
        let one = command();
        let mut two = command();
        two.arguments[4] = "/two/target/debug/deps".to_owned();
        two.arguments.push("--diagnostic-width=80".to_owned());
        let mut there = inputs(&two);
        there.environment[1].1 = "/two/target/out".to_owned();
        there.environment.push(("NUM_JOBS".to_owned(), "7".to_owned()));
        let (here, there) = (keys(&inputs(&one), &places("/one/target")), keys(&there, &places("/two/target")));
        assert_eq!(here.portable, there.portable);
        assert_ne!(here.bound, there.bound);
    }

    #[test]
    fn texts_travel() {
        let (one, two) = (places("/one/target"), places("/two/longer/target"));
        let text = "cargo::rustc-link-search=/one/target/debug/build/a/out";
        assert_eq!(two.local(&one.portable(text)), "cargo::rustc-link-search=/two/longer/target/debug/build/a/out");
        assert!(one.can_carry(text) && !one.can_carry(&one.portable(text)));
        assert!(one.are_plain() && !places("/my projects").are_plain() && !places("/").are_plain());
    }

    #[test]
    fn only_known_folders_are_pinned() {
        let known = [Path::new("/store"), Path::new("/one/target")];
        let check = |argument: &str| unpinned(&[argument.to_owned()], &known).is_none();
        for good in ["--cfg", "-Copt-level=3", "/store/a/src/lib.rs", "dependency=/one/target/debug/deps"] {
            assert!(check(good), "{good}");
        }
        for bad in [
            "/home/me/x",
            "-L/home/me",
            "native=/opt/lib",
            "profile-use=/tmp/x",
            "@/store/args",
            "@args",
            "link-arg=-Wl,-rpath,/opt",
            "/store/../home",
            "a/b",
            "/storehouse/x",
            "link-arg=/store/a,/home/me",
        ] {
            assert!(!check(bad), "{bad}");
        }
        assert!(unpinned(&["--cfg".to_owned(), "@args".to_owned()], &known).is_some());
        assert!(unpinned(&["--check-cfg".to_owned(), "cfg(feature, values(\"a/b\"))".to_owned()], &known).is_none());
    }
}
