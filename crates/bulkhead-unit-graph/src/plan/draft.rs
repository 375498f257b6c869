//! The graph while it grows: units keyed by everything that could separate them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bulkhead_resolver::FeaturesFor;
use bulkhead_schema::{Diagnostic, PackageId, Symbol};
use bulkhead_workspace::{DebugInfo, Lto, Package, PanicStrategy, Profile, ProfileRequest, Strip, Target};

use crate::{CompileKind, CompileMode, PlanInput, PlatformInfo};

/// Position in [`Draft::nodes`].
pub(super) type NodeIndex = usize;

/// For whom a unit is built, which its dependencies inherit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Purpose {
    /// `build-override` applies.
    pub(super) for_host: bool,
    /// Which set of features applies.
    pub(super) features: FeaturesFor,
    /// `panic = "abort"` does not apply: tests, build scripts and proc macros, and all they need.
    pub(super) always_unwind: bool,
}

impl Purpose {
    /// For the program itself.
    pub(super) const PROGRAM: Self = Self { for_host: false, features: FeaturesFor::Target, always_unwind: false };

    /// For the run of a build script and for compiling it: the features stay those of the package it is for.
    pub(super) fn script(self) -> Self {
        Self { for_host: true, always_unwind: true, ..self }
    }

    /// For a library `dependency` of a unit of target `dependent` that has this purpose.
    pub(super) fn dependency(self, dependent: &Target, dependency: &Target) -> Self {
        let crosses = runs_on_host(dependent) || dependency.is_proc_macro();
        Self {
            for_host: self.for_host || crosses,
            features: if crosses { FeaturesFor::Host } else { self.features },
            always_unwind: self.always_unwind || dependency.is_proc_macro(),
        }
    }
}

/// Whether the target is always compiled for the building machine.
pub(super) fn runs_on_host(target: &Target) -> bool {
    target.is_proc_macro() || target.is_build_script()
}

/// What distinguishes units while the graph grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) package: PackageId,
    /// Position in the package's list of targets.
    pub(super) target: usize,
    pub(super) mode: CompileMode,
    /// Without `--target` the program's units stand here as if the host's triple had been asked for, so that they stay
    /// apart from those for build scripts until it is known which are equal.
    pub(super) platform: CompileKind,
    pub(super) purpose: Purpose,
}

/// An edge of the growing graph.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    pub(super) node: NodeIndex,
    pub(super) extern_crate_name: Symbol,
    /// Only there because of development dependencies, which pass on no `links` metadata.
    pub(super) development: bool,
}

/// A unit of the growing graph.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) key: Key,
    pub(super) package: Arc<Package>,
    pub(super) target: Arc<Target>,
    pub(super) profile: Profile,
    /// The debug level the unit takes if the program needs it too.
    pub(super) shared_debug: Option<DebugInfo>,
    /// No manifest says what is stripped.
    pub(super) strip_is_default: bool,
    pub(super) features: Arc<BTreeSet<Symbol>>,
    pub(super) dependencies: Vec<Edge>,
}

/// How a unit is compiled, as far as it depends on the unit alone.
#[derive(Debug, Clone)]
struct Settings {
    profile: Profile,
    shared_debug: Option<DebugInfo>,
    strip_is_default: bool,
}

/// The growing graph.
pub(super) struct Draft<'a> {
    pub(super) input: PlanInput<'a>,
    pub(super) nodes: Vec<Node>,
    known: HashMap<Key, NodeIndex>,
    settings: HashMap<(PackageId, Purpose), Settings>,
    features: HashMap<(PackageId, FeaturesFor), Arc<BTreeSet<Symbol>>>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(input: PlanInput<'a>) -> Self {
        let (nodes, known) = (Vec::new(), HashMap::new());
        Self { input, nodes, known, settings: HashMap::new(), features: HashMap::new() }
    }

    /// The package, which the caller of [`crate::plan()`] owed.
    pub(super) fn package(&self, id: PackageId) -> Result<&'a Arc<Package>, Diagnostic> {
        self.input.packages.get(&id).ok_or_else(|| {
            Diagnostic::error("plan-missing-package", format!("the package `{id}` is needed but was not loaded"))
        })
    }

    /// What the toolchain knows of a platform; an explicit host is the host.
    pub(super) fn platform(&self, platform: CompileKind) -> Result<&'a PlatformInfo, Diagnostic> {
        let toolchain = self.input.toolchain;
        let info = toolchain.platforms.get(&platform).or_else(|| match platform {
            CompileKind::Target(triple) if triple == toolchain.host => toolchain.platforms.get(&CompileKind::Host),
            _ => None,
        });
        info.ok_or_else(|| {
            let name = match platform {
                CompileKind::Host => toolchain.host,
                CompileKind::Target(triple) => triple,
            };
            Diagnostic::error("plan-unknown-platform", format!("the toolchain was not asked about platform `{name}`"))
        })
    }

    /// The node of `key`, made if there is none yet. Its dependencies are found later, by [`super::edges::complete`].
    pub(super) fn node(&mut self, key: Key) -> Result<NodeIndex, Diagnostic> {
        if let Some(&index) = self.known.get(&key) {
            return Ok(index);
        }
        let package = Arc::clone(self.package(key.package)?);
        let Some(target) = package.targets.get(key.target).map(Arc::clone) else {
            return Err(Diagnostic::error("plan-target", format!("`{}` has no target {}", key.package, key.target)));
        };
        let Settings { profile, shared_debug, strip_is_default } = self.settings(key)?;
        let features = self.features(key.package, key.purpose.features);
        let index = self.nodes.len();
        self.nodes.push(Node {
            key,
            package,
            target,
            profile,
            shared_debug,
            strip_is_default,
            features,
            dependencies: Vec::new(),
        });
        self.known.insert(key, index);
        Ok(index)
    }

    /// The active features of a package. Resolver 1 knows no separate features for the host.
    pub(super) fn features(&mut self, package: PackageId, purpose: FeaturesFor) -> Arc<BTreeSet<Symbol>> {
        let active = self.input.features;
        let features = self.features.entry((package, purpose)).or_insert_with(|| {
            let found = active.features.get(&(package, purpose));
            let found = found.or_else(|| active.features.get(&(package, FeaturesFor::Target)));
            Arc::new(found.cloned().unwrap_or_default())
        });
        Arc::clone(features)
    }

    /// Whether the optional dependency `name` of `package` is switched on.
    pub(super) fn is_activated(&self, package: PackageId, purpose: FeaturesFor, name: Symbol) -> bool {
        let active = self.input.features;
        let known = active.features.contains_key(&(package, purpose));
        let purpose = if known { purpose } else { FeaturesFor::Target };
        active.dependencies.get(&(package, purpose)).is_some_and(|names| names.contains(&name))
    }

    /// Whether what the build script says, of which the node is the run, stands in configuration.
    pub(super) fn is_given(&self, node: NodeIndex) -> bool {
        let (node, given) = (&self.nodes[node], &self.input.request.given_scripts);
        let links = node.package.summary.links;
        links.is_some_and(|links| given.contains(&(node.key.platform, links.to_string())))
    }

    fn settings(&mut self, key: Key) -> Result<Settings, Diagnostic> {
        let settings = match self.settings.get(&(key.package, key.purpose)) {
            Some(known) => known.clone(),
            None => {
                let request = ProfileRequest {
                    package: key.package,
                    is_member: self.input.members.contains(&key.package),
                    is_local: key.package.source().is_path(),
                    for_host: key.purpose.for_host,
                    always_unwind: key.purpose.always_unwind,
                };
                let (name, profiles) = (&*self.input.request.profile, self.input.profiles);
                let settings = Settings {
                    profile: profiles.resolve(name, &request)?,
                    shared_debug: profiles.shared_debug(name, &request)?,
                    strip_is_default: profiles.is_strip_default(name, &request)?,
                };
                self.settings.insert((key.package, key.purpose), settings.clone());
                settings
            }
        };
        Ok(if key.mode == CompileMode::RunBuildScript { run_settings(&settings) } else { settings })
    }
}

/// The settings of a build script's run: of the unit it is for, only what the script is told.
fn run_settings(settings: &Settings) -> Settings {
    let profile = Profile {
        lto: Lto::ThinLocal,
        codegen_units: None,
        split_debuginfo: None,
        overflow_checks: false,
        rpath: false,
        incremental: false,
        panic: PanicStrategy::Unwind,
        strip: Strip::None,
        ..settings.profile.clone()
    };
    Settings { profile, strip_is_default: true, shared_debug: settings.shared_debug }
}
