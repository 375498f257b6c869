//! Which token belongs to which registry, and who is asked for it (Cargo Book, "Registry Authentication").
//!
//! A token is bound to the exact address of an index, never to a name: a name counts only where the user has defined it.

mod keyring;

use std::path::{Path, PathBuf};

use bulkhead_config::{Config, Definition};
use bulkhead_credential::{FileError, Process, Store, cargo_tokens, remove_cargo_token, signed_token};
use bulkhead_policy::Profile;
use bulkhead_schema::SourceId;
use bulkhead_schema::credential::{Action, Answer, Refusal, RegistryInfo, Secret, index_url, login_advice, login_url};
use bulkhead_source::{Authorize, ErrorKind as SourceKind, Grant, SourceError};

use crate::configuration::{Configuration, project_root};
use crate::error::Result;
use crate::helpers::{Helper, Helpers};
use crate::options::{GlobalOptions, Place};
use crate::programs::find_program;
use crate::{Error, ErrorKind};

/// Who is asked where configuration names nobody: Cargo's files and variables, and Bulkhead's own store.
const DEFAULT_PROVIDER: &str = "cargo:token";

/// The desktop's keyring.
const KEYRING: &str = "cargo:libsecret";

/// Tokens that are signed for each use.
const PASETO: &str = "cargo:paseto";

/// Seconds for which a signed token is used again: registries accept them for some minutes.
const SIGNED_FOR: u64 = 60;

/// Everything that says which tokens there are.
pub struct Credentials {
    place: Place,
    config: Config,
    helpers: Helpers,
}

/// Reads a token from the user, who may be told the page that hands it out.
pub type ReadToken<'a> = dyn Fn(Option<&str>) -> std::result::Result<Secret, String> + 'a;

/// What configuration calls a registry.
#[derive(Default)]
struct Names {
    /// Names that the user defined, in files or variables.
    own: Vec<String>,
    /// Names that only a project's configuration defines, with the place.
    foreign: Vec<(String, Definition)>,
}

impl Credentials {
    /// The credentials of the user, as this configuration speaks of them.
    pub fn new(global: &GlobalOptions, configuration: &Configuration) -> Self {
        let helpers = Helpers::new(global, configuration);
        Self { place: global.place.clone(), config: configuration.config.clone(), helpers }
    }

    /// The function that the HTTP client asks for tokens.
    pub fn authorize(self) -> Box<Authorize> {
        Box::new(move |registry, challenge| {
            self.grant(registry, challenge).map_err(|error| {
                let mut message = error.message.clone();
                error.causes.iter().chain(&error.help).for_each(|cause| message.push_str(&format!(": {cause}")));
                SourceError { kind: SourceKind::Unauthorized, url: index_url(registry), message, challenge: Vec::new() }
            })
        })
    }

    fn grant(&self, registry: SourceId, challenge: &[String]) -> Result<Grant> {
        let names = self.names(registry)?;
        let answer = self.ask(registry, &names, Action::Get, challenge, &[])?;
        let Some(Answer::Token { token, expires }) = answer else {
            let error = Error::failure(login_advice("no token found", called(registry, &names)));
            return Err(match login_url(challenge) {
                Some(page) => error.because(format!("the registry hands out tokens at {page}")),
                None => error,
            });
        };
        let mut origins = Vec::new();
        for name in &names.own {
            let listed = self.config.list(["registries", name, "token-origins"])?;
            origins.extend(listed.into_iter().map(|origin| origin.value.trim_end_matches('/').to_owned()));
        }
        Ok(Grant { token, expires, origins })
    }

    /// Has a token kept by whoever keeps those of `registry`. Returns whether that is Bulkhead itself.
    ///
    /// # Errors
    /// Only a project's configuration defines the registry; the token is none; a provider fails.
    pub fn login(
        &self,
        registry: SourceId,
        page: Option<&str>,
        arguments: &[String],
        read_token: &ReadToken<'_>,
    ) -> Result<bool> {
        let names = self.names(registry)?;
        self.refuse_foreign(registry, &names)?;
        for words in self.providers(&names)? {
            let read = || read_token(page).map_err(|problem| failed_action(&words, action_of_login()).because(problem));
            if words[0] == KEYRING {
                let token = read()?;
                let action = Action::Login { token: Some(&token), login_url: page };
                return Ok(self.provider(&words, registry, &names, action, &[], &[])?.is_some());
            }
            if words[0] != DEFAULT_PROVIDER {
                let action = Action::Login { token: None, login_url: page };
                match self.provider(&words, registry, &names, action, &[], arguments)? {
                    Some(_) => return Ok(false),
                    None => continue,
                }
            }
            let token = read()?;
            self.store().set(&index_url(registry), &token).map_err(file_error)?;
            return Ok(true);
        }
        Err(Error::failure(format!("no credential provider keeps tokens for `{}`", registry.registry_name())))
    }

    /// Has the token forgotten. `None`: there was none. Otherwise whether Bulkhead itself had it.
    ///
    /// # Errors
    /// A provider or the disk fails.
    pub fn logout(&self, registry: SourceId) -> Result<Option<bool>> {
        let names = self.names(registry)?;
        for words in self.providers(&names)? {
            if words[0] != DEFAULT_PROVIDER {
                match self.provider(&words, registry, &names, Action::Logout, &[], &[])? {
                    Some(_) => return Ok(Some(false)),
                    None => continue,
                }
            }
            let mut found = self.store().remove(&index_url(registry)).map_err(file_error)?;
            for name in &names.own {
                found |= remove_cargo_token(&self.place.cargo_home, name).map_err(file_error)?;
            }
            if found {
                return Ok(Some(true));
            }
        }
        Ok(None)
    }

    /// What the helpers that configuration names may do, each with its command line.
    ///
    /// # Errors
    /// Configuration is wrong; a helper is not to be found.
    pub fn profiles(&self) -> Result<Vec<(String, Profile)>> {
        let mut all = self.providers(&Names::default())?;
        for name in self.config.registry_names() {
            all.extend(self.providers(&Names { own: vec![name.to_owned()], foreign: Vec::new() })?);
        }
        all.sort();
        all.dedup();
        let mut profiles = Vec::new();
        for words in all {
            let program = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["cargo:token-from-stdout", program, ..] => program,
                [KEYRING, ..] => keyring::PROGRAM,
                [name, ..] if !name.starts_with("cargo:") => name,
                _ => continue,
            };
            let helper = Helper { program: self.program(program)?, words: &words, ..Helper::default() };
            profiles.push((words.join(" "), self.helpers.profile(&helper)?));
        }
        Ok(profiles)
    }

    fn store(&self) -> Store {
        Store::new(&self.place.bulkhead_home)
    }

    /// What configuration calls the registry. A name counts for what it effectively means.
    fn names(&self, registry: SourceId) -> Result<Names> {
        let mut names = Names::default();
        if registry.is_crates_io() {
            names.own.push("crates-io".to_owned());
        }
        let means_it = |index: &str| SourceId::registry(index).is_ok_and(|source| source == registry);
        for name in self.config.registry_names() {
            let Some(index) = self.config.string(["registries", name, "index"])? else { continue };
            match (means_it(&index.value), index.definition.is_repository()) {
                (false, _) => {}
                (true, false) => names.own.push(name.to_owned()),
                (true, true) => names.foreign.push((name.to_owned(), index.definition)),
            }
        }
        for variable in self.config.registry_variables().filter(|(_, index)| means_it(index)).map(|(name, _)| name) {
            let known = |name: &String| Config::variable(&[name.as_str()]) == Config::variable(&[variable]);
            if !names.own.iter().any(known) {
                names.own.push(variable.to_owned());
            }
        }
        Ok(names)
    }

    /// A project may define registries, but the user's tokens are for those that the user defined.
    fn refuse_foreign(&self, registry: SourceId, names: &Names) -> Result<()> {
        let (true, Some((name, definition))) = (names.own.is_empty(), names.foreign.first()) else { return Ok(()) };
        let url = index_url(registry);
        let message = format!("only the project defines the registry `{name}` as `{url}`: your tokens are not for it");
        let variable = Config::variable(&["registries", name, "index"]);
        Err(Error::new(ErrorKind::UntrustedConfiguration, message)
            .because(format!("it is defined in {definition}"))
            .help(format!("if it is yours, define it in the `config.toml` of your cargo home or set {variable}={url}")))
    }

    /// Who is asked, in this order: the one that the registry's own entry names, else the global ones from the last to
    /// the first. Never from a project's configuration.
    fn providers(&self, names: &Names) -> Result<Vec<Vec<String>>> {
        for name in &names.own {
            if let Some(provider) = self.config.registry(name)?.credential_provider {
                return Ok(vec![self.without_alias(provider.value)?]);
            }
        }
        let global = self.config.list("registry.global-credential-providers")?;
        let mut providers = Vec::with_capacity(global.len());
        for provider in global.iter().rev() {
            let words: Vec<String> = provider.value.split_whitespace().map(str::to_owned).collect();
            if !words.is_empty() {
                providers.push(self.without_alias(words)?);
            }
        }
        if providers.is_empty() {
            providers.push(vec![DEFAULT_PROVIDER.to_owned()]);
        }
        Ok(providers)
    }

    /// Replaces a provider by what `[credential-alias]` calls so.
    fn without_alias(&self, words: Vec<String>) -> Result<Vec<String>> {
        let Some(alias) = self.config.command(["credential-alias", &words[0]])? else { return Ok(words) };
        let mut replaced = alias.value;
        replaced.extend(words.into_iter().skip(1));
        Ok(replaced)
    }

    fn ask(
        &self,
        registry: SourceId,
        names: &Names,
        action: Action<'_>,
        challenge: &[String],
        extra: &[String],
    ) -> Result<Option<Answer>> {
        self.refuse_foreign_token(registry, names)?;
        for words in self.providers(names)? {
            if let Some(answer) = self.provider(&words, registry, names, action, challenge, extra)? {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// Without a definition of the user's, a name's token is not looked for; if there is one, that is worth an error.
    fn refuse_foreign_token(&self, registry: SourceId, names: &Names) -> Result<()> {
        let has_token = |name: &str| {
            self.config.environment(&Config::variable(&["registries", name, "token"])).is_some()
                || cargo_tokens(&self.place.cargo_home, name).is_ok_and(|tokens| tokens.token.is_some())
        };
        if names.foreign.iter().any(|(name, _)| has_token(name)) {
            return self.refuse_foreign(registry, names);
        }
        Ok(())
    }

    /// Asks one provider. `None`: it has nothing, and the next is to be asked.
    fn provider(
        &self,
        words: &[String],
        registry: SourceId,
        names: &Names,
        action: Action<'_>,
        challenge: &[String],
        extra: &[String],
    ) -> Result<Option<Answer>> {
        let Some((name, arguments)) = words.split_first() else { return Ok(None) };
        let refusal = match name.as_str() {
            DEFAULT_PROVIDER => return self.own_token(registry, names),
            "cargo:token-from-stdout" => match (action, arguments.split_first()) {
                (Action::Get, Some((program, arguments))) => {
                    let mut environment = vec![("CARGO_REGISTRY_INDEX_URL", index_url(registry))];
                    environment.extend(names.own.first().map(|name| ("CARGO_REGISTRY_NAME_OPT", name.clone())));
                    match self.process(program, arguments.to_vec(), words, environment)?.token_from_stdout() {
                        Ok(token) => return Ok(Some(Answer::Token { token, expires: None })),
                        Err(problem) => Refusal::Other(vec![problem]),
                    }
                }
                (Action::Get, None) => Refusal::Other(vec!["it needs a command".to_owned()]),
                _ => Refusal::OperationNotSupported,
            },
            KEYRING => match keyring::ask(registry, action, &|arguments| {
                self.process(keyring::PROGRAM, arguments, words, Vec::new())
            })? {
                Ok(answer) => return Ok(Some(answer)),
                Err(refusal) => refusal,
            },
            PASETO => match action {
                Action::Get => return self.signed_token(registry, names),
                _ => Refusal::OperationNotSupported,
            },
            // Those of other systems have nothing here.
            "cargo:wincred" | "cargo:macos-keychain" => Refusal::UrlNotSupported,
            other if other.starts_with("cargo:") => {
                return Err(failed_action(words, action).because("there is no such built-in provider"));
            }
            program => {
                let url = index_url(registry);
                let info =
                    RegistryInfo { index_url: &url, name: names.own.first().map(String::as_str), headers: challenge };
                let mut arguments = arguments.to_vec();
                arguments.extend_from_slice(extra);
                match self
                    .process(program, vec!["--cargo-plugin".to_owned()], words, Vec::new())?
                    .ask(info, action, &arguments)
                {
                    Ok(answer) => return Ok(Some(answer)),
                    Err(refusal) => refusal,
                }
            }
        };
        match refusal {
            Refusal::UrlNotSupported | Refusal::NotFound => Ok(None),
            Refusal::OperationNotSupported => {
                Err(failed_action(words, action).because("requested operation not supported"))
            }
            Refusal::Other(causes) => {
                let failed = causes.into_iter().fold(failed_action(words, action), Error::because);
                Err(self.helpers.advice().into_iter().fold(failed, Error::help))
            }
        }
    }

    /// `cargo:token`: variables, Bulkhead's store, configuration, Cargo's file.
    fn own_token(&self, registry: SourceId, names: &Names) -> Result<Option<Answer>> {
        let found = |token: Secret| Ok(Some(Answer::Token { token, expires: None }));
        let given = |text: String, place: String| {
            Secret::token(text).map_err(|problem| Error::failure(format!("the token in {place}: {problem}")))
        };
        for name in &names.own {
            let variable = match name.as_str() {
                "crates-io" => Config::variable(&["registry", "token"]),
                name => Config::variable(&["registries", name, "token"]),
            };
            if let Some(token) = self.config.environment(&variable) {
                return found(given(token.value, variable)?);
            }
        }
        if let Some(token) = self.store().get(&index_url(registry)).map_err(file_error)? {
            return found(token);
        }
        for name in &names.own {
            if let Some(token) = self.config.registry(name)?.token {
                return found(given(token.value, token.definition.to_string())?);
            }
            if let Some(token) = cargo_tokens(&self.place.cargo_home, name).map_err(file_error)?.token {
                return found(token);
            }
        }
        Ok(None)
    }

    /// `cargo:paseto`: a token signed with the secret key of the first name that has one.
    fn signed_token(&self, registry: SourceId, names: &Names) -> Result<Option<Answer>> {
        for name in &names.own {
            let part = |last: &'static str| match name.as_str() {
                "crates-io" => vec!["registry", last],
                name => vec!["registries", name, last],
            };
            let kept = cargo_tokens(&self.place.cargo_home, name).map_err(file_error)?;
            let invalid = |problem: &str| Error::failure(format!("the secret key of `{name}`: {problem}"));
            let key = match self.config.string(part("secret-key").as_slice())? {
                Some(key) => Some(Secret::token(key.value).map_err(invalid)?),
                None => kept.secret_key,
            };
            let Some(key) = key else { continue };
            let subject = self.config.string(part("secret-key-subject").as_slice())?.map(|subject| subject.value);
            let subject = subject.or(kept.secret_key_subject);
            let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs());
            let token = signed_token(&key, subject.as_deref(), &index_url(registry), now).map_err(invalid)?;
            return Ok(Some(Answer::Token { token, expires: Some(now + SIGNED_FOR) }));
        }
        Ok(None)
    }

    /// A provider's program, as it will be started.
    fn process(
        &self,
        program: &str,
        arguments: Vec<String>,
        words: &[String],
        environment: Vec<(&str, String)>,
    ) -> Result<Process> {
        let program = self.program(program)?;
        self.place
            .disk
            .check_ownership(&program)
            .map_err(|reason| Error::failure(format!("the credential provider `{}` {reason}", program.display())))?;
        self.helpers.process(&Helper { program, arguments, words, environment, quiet: false })
    }

    fn program(&self, program: &str) -> Result<PathBuf> {
        let path = Path::new(program);
        if path.is_absolute() {
            return Ok(path.to_path_buf());
        }
        if program.contains('/') {
            let message = format!("the credential provider `{program}` is named by a relative path");
            return Err(Error::failure(message).help("give its absolute path, or its name if it is on PATH"));
        }
        find_program(&self.place, program, &project_root(&self.place.disk, &self.place.current_dir)).ok_or_else(|| {
            Error::failure(format!("the credential provider `{program}` is in no folder of PATH outside the project"))
        })
    }
}

/// The registry, with a name for people if configuration has one.
fn called(registry: SourceId, names: &Names) -> SourceId {
    names.own.first().map_or(registry, |name| registry.called(name))
}

fn action_of_login() -> Action<'static> {
    Action::Login { token: None, login_url: None }
}

fn failed_action(words: &[String], action: Action<'_>) -> Error {
    Error::failure(format!("credential provider `{}` failed action `{}`", words.join(" "), action.kind()))
}

fn file_error(error: FileError) -> Error {
    let failure = Error::failure(error.to_string());
    match error.help {
        Some(help) => failure.help(help),
        None => failure,
    }
}
