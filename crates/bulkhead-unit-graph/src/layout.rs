//! Where files go below the target folder (Cargo Book, "Build Cache").

use std::path::PathBuf;

use bulkhead_schema::Symbol;

/// The folders of one platform and profile: `target/debug` or `target/<triple>/debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// `target/debug`: what users look for; programs and libraries are hard-linked here.
    pub artifacts: PathBuf,
    /// `target/debug` again, or its counterpart below `build.build-dir`: everything intermediate.
    pub intermediate: PathBuf,
}

impl Layout {
    /// The folders of `profile` below the target folder `target` and the build folder `build` (the same unless
    /// `build.build-dir` is set), for a platform that was asked for by its triple, or for the host.
    pub fn new(target: &std::path::Path, build: &std::path::Path, triple: Option<Symbol>, profile: Symbol) -> Self {
        let below = |root: &std::path::Path| match triple {
            Some(triple) => root.join(triple.as_str()).join(profile_folder(profile)),
            None => root.join(profile_folder(profile)),
        };
        Self { artifacts: below(target), intermediate: below(build) }
    }

    /// What rustc writes and reads: `deps`.
    pub fn dependencies(&self) -> PathBuf {
        self.intermediate.join("deps")
    }

    /// Build scripts and what they leave: `build`.
    pub fn build(&self) -> PathBuf {
        self.intermediate.join("build")
    }

    /// Examples as users find them.
    pub fn examples(&self) -> PathBuf {
        self.artifacts.join("examples")
    }

    /// Examples as rustc writes them.
    pub fn intermediate_examples(&self) -> PathBuf {
        self.intermediate.join("examples")
    }

    /// rustc's incremental state.
    pub fn incremental(&self) -> PathBuf {
        self.intermediate.join("incremental")
    }

    /// What is remembered of the last build.
    pub fn fingerprints(&self) -> PathBuf {
        self.intermediate.join(".fingerprint")
    }
}

/// The folder of a profile: `debug` for `dev` and `test`, `release` for `release` and `bench`, else its own name.
pub fn profile_folder(profile: Symbol) -> &'static str {
    match profile.as_str() {
        "dev" | "test" => "debug",
        "release" | "bench" => "release",
        other => other,
    }
}
