//! What the caller decides about a build.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use bulkhead_policy::{Granted, ProcessKind};
use bulkhead_schema::build_script::Directive;
use bulkhead_schema::policy::{NetworkRule, ProcessLimits};
use bulkhead_schema::{Diagnostic, PackageId};
use bulkhead_unit_graph::Unit;
use bulkhead_workspace::Package;

/// How to run a plan.
pub struct Options<'a> {
    /// `-j`: processes at once, at least 1.
    pub jobs: usize,
    /// `--keep-going`: build whatever does not depend on a failed unit.
    pub keep_going: bool,
    /// The target folder (`CACHEDIR.TAG` and the marker for `clean` are written there).
    pub target_dir: PathBuf,
    /// Where what is not for users goes; usually the same.
    pub build_dir: PathBuf,
    /// Root of the workspace: the marker in the target folder is bound to it.
    pub workspace_root: PathBuf,
    /// A text that only this installation knows, such as a digest over a secret of the user's. What is remembered of earlier
    /// builds counts only if it was sealed with the same text, so that a target folder that came with a repository is not
    /// believed; one that the user has moved is.
    pub owner: &'a str,
    /// The toolchain's sysroot, readable by every process.
    pub sysroot: PathBuf,
    /// How strong the confinement must be.
    pub level: bulkhead_sandbox::Level,
    /// Limits of each process, by its kind.
    pub limits: &'a (dyn Fn(ProcessKind) -> ProcessLimits + Sync),
    /// Folders that no grant can make writable: the store, Bulkhead's home.
    pub protected: &'a [PathBuf],
    /// Units that were built before, wherever that was; `None` to build all that is not fresh, as if nobody shared it.
    pub cache: Option<crate::Cache<'a>>,
    /// The part of the user's environment that processes may see. Sets `PATH`.
    pub environment: &'a [(String, String)],
    /// Whether the user's environment has a variable, to report those that a build script asked about and did not see.
    pub has_variable: &'a (dyn Fn(&str) -> bool + Sync),
    /// Set from outside (Ctrl-C): kills what runs and ends the build.
    pub stop: &'a AtomicBool,
    /// A jobserver of the process that started us. Without it the build makes its own with `jobs` tokens.
    pub jobserver: Option<jobserver::Client>,
    /// What a package was granted beyond the defaults.
    pub grants: &'a (dyn Fn(&Unit) -> Grants + Sync),
    /// The files of a package, as `package --list` knows them: a build script that names no `rerun-if` depends on them all.
    /// `None`: all files below the package's folder but hidden ones, other packages and the target folder.
    pub package_files: &'a (dyn Fn(&Package) -> Option<Vec<PathBuf>> + Sync),
    /// Called once it is known which packages have units that are built, and not taken out of the cache, and before anything of
    /// them runs or is read: whether their sources are what they are said to be.
    pub verify: &'a (dyn Fn(&BTreeSet<PackageId>) -> Result<(), Diagnostic> + Sync),
    /// Whether a directive of a build script is allowed; the error says which rule forbids it and what would grant it.
    pub check_directive: &'a (dyn Fn(&Unit, &Directive<'_>) -> Result<(), Diagnostic> + Sync),
}

/// What a package's processes may do beyond the defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Readable files and folders.
    pub read: Vec<Granted<PathBuf>>,
    /// Writable files and folders.
    pub write: Vec<Granted<PathBuf>>,
    /// Environment variables, with the values they have; `None` for one that is not set.
    pub environment: Vec<Granted<(String, Option<String>)>>,
    /// The network that is reachable.
    pub network: Option<Granted<NetworkRule>>,
    /// Directives that are obeyed.
    pub directives: Vec<Granted<String>>,
}

impl Grants {
    /// The grants as a text that is equal while nothing was granted or taken away. The values of variables are left out:
    /// whether they matter is told by what was read. So are directives, which are judged again at each build.
    pub(crate) fn to_text(&self) -> String {
        let Self { read, write, environment, network, directives: _ } = self;
        let paths = |list: &[Granted<PathBuf>]| list.iter().map(|granted| granted.value.clone()).collect::<Vec<_>>();
        let (read, write) = (paths(read), paths(write));
        let names: Vec<&str> = environment.iter().map(|granted| granted.value.0.as_str()).collect();
        let network = match network.as_ref().map(|granted| &granted.value) {
            None | Some(NetworkRule::None) => "false".to_owned(),
            Some(NetworkRule::All) => "true".to_owned(),
            Some(NetworkRule::Hosts(hosts)) => format!("{hosts:?}"),
        };
        format!("read {read:?} write {write:?} environment {names:?} network {network}")
    }
}
