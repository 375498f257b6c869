//! Credential helpers: programs of the user's own that hand out tokens and passwords. What they may do, and their start.
//!
//! They need the user's keyring, agents, files and network, so what can be taken from them is what has nothing to do with a
//! password: the project, which anybody may have written and whose settings many tools obey, what was built of it, and what
//! Bulkhead keeps, the tokens of other registries among it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bulkhead_credential::Process;
use bulkhead_executor::confinement;
use bulkhead_policy::profile::{Facts, Profile, compile};
use bulkhead_policy::{Granted, Origin, ProcessKind, helper_environment_allowed, is_registry_token};
use bulkhead_sandbox::Level;
use bulkhead_schema::policy::{NetworkRule, ProcessLimits, Switch};

use crate::configuration::{Configuration, project_root};
use crate::error::Result;
use crate::options::{GlobalOptions, Place};
use crate::{Error, permissions, programs, switches};

/// What is none of a helper's business, and what else its start depends on.
#[derive(Debug, Clone)]
pub struct Helpers {
    place: Place,
    /// Folders and files that they do not see.
    hidden: Vec<PathBuf>,
}

/// A helper, as configuration names it.
#[derive(Debug, Default)]
pub struct Helper<'a> {
    /// Its absolute path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The words of the user's configuration that name it: a variable among them is one that it may see.
    pub words: &'a [String],
    /// Variables that it is given.
    pub environment: Vec<(&'a str, String)>,
    /// Whether what it says to people is thrown away.
    pub quiet: bool,
}

impl Helpers {
    /// Those of this user, in this place.
    pub fn new(global: &GlobalOptions, configuration: &Configuration) -> Self {
        let place = &global.place;
        let manifest =
            global.manifest_path.as_ref().and_then(|path| place.current_dir.join(path).parent().map(PathBuf::from));
        let mut hidden: Vec<PathBuf> = vec![project_root(&place.disk, &place.current_dir), place.current_dir.clone()];
        hidden.extend(manifest.map(|folder| project_root(&place.disk, &folder)));
        hidden.extend(configuration.config.target_dir().ok().flatten().map(|folder| folder.value));
        hidden.push(place.bulkhead_home.clone());
        hidden.extend(["credentials.toml", "credentials"].map(|name| place.cargo_home.join(name)));
        // Whoever works in a project that holds the home folder keeps the rest in view.
        let holds_home =
            |path: &Path| place.home.as_ref().is_none_or(|home| home.starts_with(path)) || path == Path::new("/");
        hidden.retain(|path| !holds_home(path));
        Self {
            place: place.clone(),
            hidden: hidden.into_iter().map(|path| bulkhead_workspace::normalize(&path)).collect(),
        }
    }

    /// Whether they are confined.
    pub fn confined(&self) -> bool {
        !switches::is_on(&self.place, Switch::CREDENTIAL_CONFINED)
    }

    /// What to do about a helper that failed, perhaps because of that.
    pub fn advice(&self) -> Option<String> {
        self.confined().then(|| {
            format!(
                "it ran confined: `bulkhead sandbox show --process credential-helper` tells what it saw; {} \
                 names more variables for it, and {}=false lets it run as it would elsewhere",
                Switch::CREDENTIAL_ENV.name,
                Switch::CREDENTIAL_CONFINED.name
            )
        })
    }

    /// What a helper may do.
    ///
    /// # Errors
    /// It lies where it may not look.
    pub fn profile(&self, helper: &Helper<'_>) -> Result<Profile> {
        let lies_in = |path: &Path| self.hidden.iter().any(|hidden| path.starts_with(hidden));
        let real = self.place.disk.canonicalize(&helper.program).unwrap_or_else(|_| helper.program.clone());
        if self.confined() && (lies_in(&helper.program) || lies_in(&real)) {
            let message = format!(
                "the credential helper `{}` lies in the project, or among what Bulkhead keeps",
                helper.program.display()
            );
            return Err(Error::failure(message).help("keep it in a folder of your own, outside the project"));
        }
        let mut facts = Facts::new(ProcessKind::CredentialHelper, &helper.program, Path::new("/"));
        let granted = |path: PathBuf, origin| Granted::new(path, origin);
        facts.read.extend(permissions::top_folders().into_iter().map(|path| granted(path, Origin::User)));
        facts.read.extend(self.sockets().into_iter().map(|path| granted(path, Origin::User)));
        facts.read.push(granted(real, Origin::Configuration));
        facts.write.extend(self.own_folders().into_iter().map(|path| granted(path, Origin::User)));
        facts.hidden.extend(self.hidden.iter().map(|path| granted(path.clone(), Origin::Private)));
        facts.network = Granted::new(NetworkRule::All, Origin::User);
        facts.environment = self.environment(helper);
        facts.limits = ProcessLimits {
            time_seconds: Some(self.seconds()),
            memory_mib: Some(4 << 10),
            processes: Some(512),
            file_mib: Some(256),
            output_mib: Some(1),
            ..ProcessLimits::default()
        };
        compile(facts).map_err(|error| Error::failure(format!("a credential helper cannot be confined: {error}")))
    }

    /// A helper, ready to be asked.
    ///
    /// # Errors
    /// See [`Self::profile`].
    pub fn process(&self, helper: &Helper<'_>) -> Result<Process> {
        let mut description = confinement::process(&self.profile(helper)?, Level::Full);
        description.arguments = helper.arguments.iter().map(OsString::from).collect();
        description.limits.wall_time = Some(Duration::from_secs(self.seconds()));
        Ok(Process { description, confined: self.confined(), quiet: helper.quiet })
    }

    fn seconds(&self) -> u64 {
        let timeout = Switch::CREDENTIAL_TIMEOUT;
        let set = self.place.variable(timeout.name).and_then(|text| text.parse().ok());
        set.unwrap_or(timeout.default_number())
    }

    /// The user's part of the environment, without what looks for programs in the project, and what it is given.
    fn environment(&self, helper: &Helper<'_>) -> Vec<Granted<(String, String)>> {
        let more = self.place.variable(Switch::CREDENTIAL_ENV.name).unwrap_or_default();
        let more: Vec<&str> = more.split(',').map(str::trim).collect();
        let named = |name: &str| more.contains(&name) || helper.words.iter().any(|word| word == name);
        let project = project_root(&self.place.disk, &self.place.current_dir);
        let search_path = programs::folders(&self.place, &project)
            .iter()
            .map(|path| path.display().to_string())
            .collect::<Vec<_>>()
            .join(":");
        let variable = |name: &str, value: &str, origin| Granted::new((name.to_owned(), value.to_owned()), origin);
        let users = self.place.environment.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
        let visible = users.filter_map(|(name, value)| match () {
            () if is_registry_token(name) => None,
            () if helper_environment_allowed(name) => Some(variable(name, value, Origin::AllowList)),
            () if named(name) => Some(variable(name, value, Origin::Configuration)),
            () => None,
        });
        let home = self.place.home.iter().map(|home| variable("HOME", &home.display().to_string(), Origin::User));
        let given = helper.environment.iter().map(|(name, value)| variable(name, value, Origin::Package));
        let ours = variable("CARGO", &self.place.program.display().to_string(), Origin::Package);
        visible.chain(home).chain([variable("PATH", &search_path, Origin::User)]).chain([ours]).chain(given).collect()
    }

    /// Where a helper may keep things: the user's home folder, and the one for the time of a session.
    #[expect(clippy::disallowed_methods, reason = "where these folders are is nothing that an answer depends on")]
    fn own_folders(&self) -> Vec<PathBuf> {
        let runtime = self.place.variable("XDG_RUNTIME_DIR").map(PathBuf::from);
        let folders = self.place.home.iter().cloned().chain(runtime);
        let real = folders.filter_map(|folder| folder.canonicalize().ok().filter(|folder| folder.is_dir()));
        real.filter(|folder| folder != Path::new("/")).collect()
    }

    /// Ways to the desktop and to agents that lie in `/tmp`, of which each confined process has its own.
    fn sockets(&self) -> Vec<PathBuf> {
        let agent = self.place.variable("SSH_AUTH_SOCK").map(PathBuf::from);
        let bus = self.place.variable("DBUS_SESSION_BUS_ADDRESS").into_iter();
        let bus = bus.flat_map(|address| address.split([';', ',', ':'])).filter_map(|part| part.strip_prefix("path="));
        let desktop = [PathBuf::from("/tmp/.X11-unix")];
        agent.into_iter().chain(bus.map(PathBuf::from)).chain(desktop).filter(|path| path.is_absolute()).collect()
    }
}
