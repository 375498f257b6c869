//! The digest by which build-time code is approved: of everything in a package that takes part when something is built,
//! and of nothing else, so that a version whose build code is unchanged need not be approved again.
//!
//! `docs/decisions/build-code.md` says what counts and why.

use std::collections::BTreeSet;

use bulkhead_schema::bulkhead_lock::BuildCodeKind;
use bulkhead_schema::policy::Digest;
use bulkhead_trust::{Hasher, TreeEntry, tree_digest};

use crate::listing::{File, Listing};
use crate::reach::{Reach, reach};

/// What the manifest says of a package's build code, in paths below the package's folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// The build script.
    pub build_script: Option<String>,
    /// The roots of all other targets.
    pub targets: Vec<String>,
    /// Whether the library is a procedural macro.
    pub proc_macro: bool,
    /// `links`
    pub links: Option<String>,
    /// Names of build-dependencies, with the alias and source of each; sorted.
    pub build_dependencies: Vec<String>,
    /// `package.metadata`, which build code may read, as JSON.
    pub metadata: Option<String>,
}

/// The digest of the code that runs because of `kinds`.
pub fn digest(layout: &Layout, kinds: &BTreeSet<BuildCodeKind>, listing: &Listing) -> Digest {
    let counted = counted(layout, kinds, listing);
    let mut entries: Vec<TreeEntry<'_>> = counted.into_iter().map(|(path, file)| entry(path, file)).collect();
    let mut hasher = Hasher::new();
    hasher.update(b"bulkhead build code 1\0");
    let words = kinds.iter().map(|kind| kind.word());
    put(&mut hasher, &words.collect::<Vec<_>>());
    let facts = [&layout.build_script, &layout.links, &layout.metadata];
    put(&mut hasher, &facts.map(|fact| fact.as_deref().unwrap_or_default()));
    put(&mut hasher, &layout.build_dependencies.iter().map(String::as_str).collect::<Vec<_>>());
    hasher.update(tree_digest(&mut entries).as_bytes());
    Digest::from_sha256(*hasher.finish().as_bytes())
}

/// The digest of build code that is worked on: of the build script, the modules that it is made of and the files that it
/// names; of a procedural macro, the same for its targets. Where a name is made up, of every file. Other files of a workspace
/// are edited all day, and take no part. `None` if the package has no build code.
pub fn own_digest(layout: &Layout, listing: &Listing) -> Option<Digest> {
    let macros = layout.targets.iter().filter(|_| layout.proc_macro);
    let roots: Vec<&String> = layout.build_script.iter().chain(macros).collect();
    if roots.is_empty() {
        return None;
    }
    let reached: Vec<Reach> = roots.iter().map(|root| reach(root, listing)).collect();
    let counts = |path: &str| reached.iter().any(|reach| reach.unknown || reach.files.contains(path));
    let files = listing.iter().filter(|(path, _)| !is_bookkeeping(path) && !is_policy(path) && counts(path));
    let mut entries: Vec<TreeEntry<'_>> = files.map(|(path, file)| entry(path, file)).collect();
    let mut hasher = Hasher::new();
    hasher.update(b"bulkhead own build code 1\0");
    put(&mut hasher, &roots.iter().map(|root| root.as_str()).collect::<Vec<_>>());
    put(&mut hasher, &[layout.links.as_deref().unwrap_or_default()]);
    put(&mut hasher, &layout.build_dependencies.iter().map(String::as_str).collect::<Vec<_>>());
    hasher.update(tree_digest(&mut entries).as_bytes());
    Some(Digest::from_sha256(*hasher.finish().as_bytes()))
}

/// What holds the digest cannot be a part of it.
fn is_policy(path: &str) -> bool {
    matches!(path, "bulkhead.toml" | "bulkhead.lock")
}

fn entry<'a>(path: &'a str, file: &File) -> TreeEntry<'a> {
    TreeEntry { path, kind: file.kind, content: file.digest }
}

/// Lengths before texts, so that no two lists have the same input.
fn put(hasher: &mut Hasher, texts: &[&str]) {
    hasher.update(&(texts.len() as u64).to_le_bytes());
    for text in texts {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
}

/// The files that count.
pub fn counted<'a>(layout: &Layout, kinds: &BTreeSet<BuildCodeKind>, listing: &'a Listing) -> Vec<(&'a str, &'a File)> {
    let all = listing.iter().map(|(path, file)| (path.as_str(), file)).filter(|(path, _)| !is_bookkeeping(path));
    let whole = kinds.contains(&BuildCodeKind::ProcMacro) || kinds.contains(&BuildCodeKind::Dependency);
    match &layout.build_script {
        Some(script) if !whole => {
            let reach = reach(script, listing);
            all.filter(|(path, _)| !is_other_code(path, layout, &reach)).collect()
        }
        _ => all.collect(),
    }
}

/// Files that differ between any two versions; what in the manifest concerns build code is hashed by itself.
fn is_bookkeeping(path: &str) -> bool {
    matches!(path, "Cargo.toml" | "Cargo.toml.orig" | "Cargo.lock" | ".cargo_vcs_info.json" | ".cargo-ok")
}

/// Whether a file is the source of other targets, or prose, and the build script neither contains nor names it. Data always
/// counts: payloads hide in it.
fn is_other_code(path: &str, layout: &Layout, reach: &Reach) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let named = || {
        let folder = path.split('/').next().filter(|folder| *folder != path);
        reach.files.contains(path) || reach.words.contains(name) || folder.is_some_and(|it| reach.words.contains(it))
    };
    let is_source = || {
        path.ends_with(".rs")
            && layout.targets.iter().any(|target| match target.rsplit_once('/') {
                Some((folder, _)) => path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')),
                None => target == path,
            })
    };
    !reach.unknown && (path.ends_with(".md") || is_source()) && !named()
}

#[cfg(test)]
mod tests {
    use super::{Layout, counted, digest, own_digest};
    use crate::{File, Listing};
    use bulkhead_schema::bulkhead_lock::BuildCodeKind;
    use std::collections::BTreeSet;

    fn layout() -> Layout {
        let targets = ["src/lib.rs", "tests/t.rs"].map(str::to_owned).to_vec();
        Layout { build_script: Some("build.rs".to_owned()), targets, ..Layout::default() }
    }

    fn listing(script: &str) -> Listing {
        let files = [
            ("Cargo.toml", ""),
            ("README.md", "read me"),
            ("build.rs", script),
            ("build/more.rs", ""),
            ("src/lib.rs", "pub fn f() {}"),
            ("src/deep/part.rs", ""),
            ("tests/t.rs", ""),
            ("tests/data.xz", "\u{1}"),
            ("native/a.c", ""),
        ];
        files.map(|(path, text)| (path.to_owned(), File::new(text))).into()
    }

    const SCRIPT: BuildCodeKind = BuildCodeKind::BuildScript;

    fn paths(script: &str, kinds: &[BuildCodeKind]) -> Vec<String> {
        let kinds = kinds.iter().copied().collect();
        counted(&layout(), &kinds, &listing(script)).into_iter().map(|(path, _)| path.to_owned()).collect()
    }

    /// Attack 14 of the campaigns (payload in test data) included: data counts wherever it lies.
    #[test]
    fn what_a_script_may_touch_counts_and_other_code_does_not() {
        let least = ["build.rs", "build/more.rs", "native/a.c", "tests/data.xz"];
        assert_eq!(paths("fn main() {}", &[SCRIPT]), least);
        for (script, also) in [
            ("mod part; fn main() {}", "src/deep/part.rs"),
            ("#[path = \"src/deep/part.rs\"] mod x;", "src/deep/part.rs"),
            ("include!(\"src/lib.rs\");", "src/lib.rs"),
            ("include_str!(r#\"README.md\"#);", "README.md"),
            ("fn main() { std::fs::read_dir(\"src\"); }", "src/lib.rs"),
            ("fn main() { println!(\"cargo:rerun-if-changed=src/lib.rs\"); }", "src/lib.rs"),
            ("include!(concat!(\"src/l\", \"ib.rs\"));", "src/lib.rs"),
            ("use std::include as i; i!(concat!(\"a\", \"b\"));", "README.md"),
            ("macro_rules! m { ($n:ident) => { mod $n; } }", "src/deep/part.rs"),
            ("include!(\"\\x73rc/lib.rs\");", "src/lib.rs"),
        ] {
            assert!(paths(script, &[SCRIPT]).iter().any(|path| path == also), "{script}");
        }
    }

    #[test]
    fn of_macros_and_their_libraries_everything_counts() {
        for kind in [BuildCodeKind::ProcMacro, BuildCodeKind::Dependency] {
            assert_eq!(paths("fn main() {}", &[SCRIPT, kind]).len(), 8);
        }
    }

    #[test]
    fn whatever_counts_changes_the_digest_and_nothing_else() {
        let kinds: BTreeSet<_> = [SCRIPT].into();
        let of = |layout: &Layout, change: &dyn Fn(&mut Listing)| {
            let mut files = listing("fn main() {}");
            change(&mut files);
            digest(layout, &kinds, &files)
        };
        let plain = of(&layout(), &|_| {});
        let put = |path: &'static str, text: &'static str| {
            move |files: &mut Listing| drop(files.insert(path.to_owned(), File::new(text)))
        };
        for (path, changes) in [
            ("src/lib.rs", false),
            ("src/new.rs", false),
            ("README.md", false),
            ("Cargo.toml", false),
            ("build.rs", true),
            ("build/more.rs", true),
            ("tests/data.xz", true),
            ("new.bin", true),
            ("src/data.bin", true),
        ] {
            assert_eq!(of(&layout(), &put(path, "other")) != plain, changes, "{path}");
        }
        for other in [
            Layout { links: Some("z".to_owned()), ..layout() },
            Layout { build_dependencies: vec!["cc".to_owned()], ..layout() },
            Layout { metadata: Some("{}".to_owned()), ..layout() },
        ] {
            assert_ne!(of(&other, &|_| {}), plain);
        }
    }

    #[test]
    fn of_what_is_worked_on_the_code_counts_and_the_rest_does_not() {
        let script = "mod more; fn main() { std::fs::read(\"native/a.c\"); }";
        let of = |script: &str, change: Option<&str>| {
            let mut files = listing(script);
            change.into_iter().for_each(|path| drop(files.insert(path.to_owned(), File::new("other"))));
            own_digest(&layout(), &files).unwrap()
        };
        for (path, changes) in [
            ("build.rs", true),
            ("build/more.rs", true),
            ("native/a.c", true),
            ("src/lib.rs", false),
            ("tests/data.xz", false),
            ("bulkhead.toml", false),
        ] {
            assert_eq!(of(script, Some(path)) != of(script, None), changes, "{path}");
        }
        let unknown = "include!(concat!(\"src/l\", \"ib.rs\"));";
        assert_ne!(of(unknown, Some("src/lib.rs")), of(unknown, None));
        assert_eq!(of(unknown, Some("bulkhead.toml")), of(unknown, None));
        let plain = Layout { build_script: None, ..layout() };
        assert_eq!(own_digest(&plain, &listing("")), None);
        assert!(own_digest(&Layout { proc_macro: true, ..plain }, &listing("")).is_some());
    }

    /// Neither depth nor size of hostile text costs more than a pass over it.
    #[test]
    fn hostile_text_is_read_to_its_end() {
        for text in ["(".repeat(1 << 20), "/*".repeat(1 << 20), "r#\"".repeat(1 << 18), "mod mod ".repeat(1 << 18)] {
            assert!(paths(&text, &[SCRIPT]).len() >= 4);
        }
        let mut files = listing("mod more;");
        files.insert("build/more.rs".to_owned(), File::new("mod more; mod build;"));
        assert_eq!(counted(&layout(), &[SCRIPT].into(), &files).len(), 4);
    }
}
