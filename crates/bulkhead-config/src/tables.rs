//! The tables that are read as a whole.

use std::path::PathBuf;

use bulkhead_schema::Diagnostic;

use crate::layer::Value;
use crate::read::{Config, Item, Tree};

/// One variable of `[env]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvVariable {
    /// Its name.
    pub name: String,
    /// Its value; `relative` is already applied.
    pub value: Value<String>,
    /// Whether it replaces a variable that the command was started with.
    pub force: bool,
}

/// `[http]`: how servers are reached. Never from a project's file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpConfig {
    /// Proxy, in the format of libcurl.
    pub proxy: Option<String>,
    /// Lowest TLS version.
    pub ssl_version_min: Option<String>,
    /// Highest TLS version.
    pub ssl_version_max: Option<String>,
    /// Seconds without an answer.
    pub timeout: Option<u64>,
    /// Bytes per second below which a transfer counts as stuck.
    pub low_speed_limit: Option<u64>,
    /// File of accepted certificate authorities.
    pub cainfo: Option<PathBuf>,
    /// The same for the proxy.
    pub proxy_cainfo: Option<PathBuf>,
    /// Whether revocation is checked.
    pub check_revoke: Option<bool>,
    /// Whether HTTP/2 is used with many requests on a connection.
    pub multiplexing: Option<bool>,
    /// The `user-agent` header.
    pub user_agent: Option<String>,
    /// Whether exchanges are logged.
    pub debug: bool,
}

/// `[net]`. Never from a project's file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetConfig {
    /// How often a request is repeated; Cargo's default is 3.
    pub retry: Option<u32>,
    /// Whether nothing may be fetched.
    pub offline: bool,
    /// Whether the `git` program fetches.
    pub git_fetch_with_cli: bool,
    /// `net.ssh.known-hosts`.
    pub known_hosts: Vec<String>,
}

/// `[registries.NAME]`, or `[registry]` for the public one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryConfig {
    /// URL of the index.
    pub index: Option<Value<String>>,
    /// Token. Must only be sent where `index` of the same or a higher layer points.
    pub token: Option<Value<String>>,
    /// Credential provider with its arguments.
    pub credential_provider: Option<Value<Vec<String>>>,
    /// `protocol`, for the public registry.
    pub protocol: Option<Value<String>>,
}

/// `term.progress.when`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProgressWhen {
    /// On a terminal that is not dumb, outside CI.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// `[term]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TermConfig {
    /// Whether status lines are left out.
    pub quiet: Option<bool>,
    /// Whether command lines are shown.
    pub verbose: Option<bool>,
    /// `auto`, `always` or `never`.
    pub color: Option<Value<String>>,
    /// Whether the progress bar is shown.
    pub progress: ProgressWhen,
    /// Width of the progress bar in columns.
    pub progress_width: Option<usize>,
    /// Whether links are written.
    pub hyperlinks: Option<bool>,
    /// Whether characters beyond ASCII are written.
    pub unicode: Option<bool>,
}

fn value<T>(found: Option<Value<T>>) -> Option<T> {
    found.map(|found| found.value)
}

fn string_in<'a>(item: &'a Item, key: &str) -> Option<&'a str> {
    match &item.as_table()?.get(key)?.tree {
        Tree::String(text) => Some(text),
        _ => None,
    }
}

impl Config {
    fn count<T: TryFrom<i64>>(&self, key: &str) -> Result<Option<T>, Diagnostic> {
        let Some(found) = self.integer(key)? else { return Ok(None) };
        T::try_from(found.value)
            .map(Some)
            .map_err(|_| found.definition.error("config-range", format!("`{key}` is out of range: {}", found.value)))
    }

    /// `[http]`, with `CARGO_HTTP_…`. The variables `HTTPS_PROXY` and the like are left to the HTTP client.
    ///
    /// # Errors
    /// A value of the wrong type, here as in the other tables.
    pub fn http(&self) -> Result<HttpConfig, Diagnostic> {
        let single = match self.item("http.ssl-version") {
            Some(Item { tree: Tree::Table(_), .. }) => None,
            _ => value(self.string("http.ssl-version")?),
        };
        let nested = |end: &str| match self.item("http.ssl-version") {
            Some(Item { tree: Tree::Table(_), .. }) => self.string(["http", "ssl-version", end]).map(value),
            _ => Ok(None),
        };
        Ok(HttpConfig {
            proxy: value(self.string("http.proxy")?),
            ssl_version_min: nested("min")?.or_else(|| single.clone()),
            ssl_version_max: nested("max")?.or(single),
            timeout: match self.count("http.timeout")? {
                Some(seconds) => Some(seconds),
                None => self.environment("HTTP_TIMEOUT").and_then(|found| found.value.parse().ok()),
            },
            low_speed_limit: self.count("http.low-speed-limit")?,
            cainfo: value(self.path("http.cainfo")?),
            proxy_cainfo: value(self.path("http.proxy-cainfo")?),
            check_revoke: value(self.boolean("http.check-revoke")?),
            multiplexing: value(self.boolean("http.multiplexing")?),
            user_agent: value(self.string("http.user-agent")?),
            debug: value(self.boolean("http.debug")?).unwrap_or(false),
        })
    }

    /// `[net]`, with `CARGO_NET_…`.
    pub fn net(&self) -> Result<NetConfig, Diagnostic> {
        Ok(NetConfig {
            retry: self.count("net.retry")?,
            offline: value(self.boolean("net.offline")?).unwrap_or(false),
            git_fetch_with_cli: value(self.boolean("net.git-fetch-with-cli")?).unwrap_or(false),
            known_hosts: self.list("net.ssh.known-hosts")?.into_iter().map(|host| host.value).collect(),
        })
    }

    /// `build.jobs`; `default` is as good as nothing.
    pub fn jobs(&self) -> Result<Option<i32>, Diagnostic> {
        let Some(item) = self.scalar(&"build.jobs".into()) else { return Ok(None) };
        let wrong = |what: String| {
            let help = "a number of jobs, a negative one that is taken from the number of CPUs, or `default`";
            Err(item
                .definition
                .error("config-value", format!("`build.jobs` cannot be {what} in {}", item.definition))
                .help(help))
        };
        match &item.tree {
            Tree::String(text) if text == "default" => Ok(None),
            Tree::String(text) => {
                text.trim().parse().map_or_else(|_| wrong(format!("`{text}`")), |jobs| Ok(Some(jobs)))
            }
            Tree::Integer(jobs) => i32::try_from(*jobs).map_or_else(|_| wrong(jobs.to_string()), |jobs| Ok(Some(jobs))),
            other => wrong(other.kind().to_owned()),
        }
    }

    /// `[term]`, with `CARGO_TERM_…`.
    pub fn term(&self) -> Result<TermConfig, Diagnostic> {
        let progress = match self.item("term.progress") {
            Some(item @ Item { tree: Tree::String(_), .. }) => {
                Some(item.definition.error("config-type", "`term.progress` expected a table, but found a string"))
            }
            _ => None,
        };
        if let Some(error) = progress {
            return Err(error);
        }
        Ok(TermConfig {
            quiet: value(self.boolean("term.quiet")?),
            verbose: value(self.boolean("term.verbose")?),
            color: self.string("term.color")?,
            progress: self.progress_when()?,
            progress_width: self.count("term.progress.width")?,
            hyperlinks: value(self.boolean("term.hyperlinks")?),
            unicode: value(self.boolean("term.unicode")?),
        })
    }

    fn progress_when(&self) -> Result<ProgressWhen, Diagnostic> {
        let Some(when) = self.string("term.progress.when")? else { return Ok(ProgressWhen::Auto) };
        match when.value.as_str() {
            "auto" => Ok(ProgressWhen::Auto),
            "always" => Ok(ProgressWhen::Always),
            "never" => Ok(ProgressWhen::Never),
            other => Err(when
                .definition
                .error("config-value", format!("`term.progress.when` is `auto`, `always` or `never`, not `{other}`"))),
        }
    }

    /// The names of `[registries]` in files and `--config`. (The environment cannot introduce one: its upper-case
    /// names do not say where the dashes are. It is asked when a name is known.)
    pub fn registry_names(&self) -> Vec<&str> {
        let table = self.item("registries").and_then(Item::as_table);
        table.map(|table| table.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    /// The addresses of indexes that files, `--config` or variables name, whatever they call them: `[registries]`,
    /// `CARGO_REGISTRIES_…_INDEX` and `[source]`.
    pub fn registry_addresses(&self) -> Vec<&str> {
        let table = |name: &str| self.item(name).and_then(Item::as_table).into_iter().flat_map(|table| table.values());
        let registries = table("registries").filter_map(|item| string_in(item, "index"));
        let sources = table("source").filter_map(|item| string_in(item, "registry"));
        registries.chain(sources).chain(self.registry_variables().map(|(_, index)| index)).collect()
    }

    /// The registries that `CARGO_REGISTRIES_NAME_INDEX` define, as `(NAME, INDEX)`, the name in upper case.
    pub fn registry_variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment.iter().filter_map(|(variable, index)| {
            let name = variable.strip_prefix("CARGO_REGISTRIES_")?.strip_suffix("_INDEX")?;
            Some((name, index.as_str()))
        })
    }

    /// The registry `name`: `[registries.NAME]`; for `crates-io`, `[registry]` as well.
    pub fn registry(&self, name: &str) -> Result<RegistryConfig, Diagnostic> {
        let key = |last| ["registries", name, last];
        let public = name == "crates-io";
        let token = self.string(key("token"))?;
        let provider = self.command(key("credential-provider"))?;
        Ok(RegistryConfig {
            index: self.string(key("index"))?,
            token: if public && token.is_none() { self.string("registry.token")? } else { token },
            credential_provider: if public && provider.is_none() {
                self.command("registry.credential-provider")?
            } else {
                provider
            },
            protocol: self.string(key("protocol"))?,
        })
    }

    /// `[env]`, sorted by name. Relative values are joined to the folder that holds `.cargo`.
    pub fn env_table(&self) -> Result<Vec<EnvVariable>, Diagnostic> {
        let Some(table) = self.table("env")? else { return Ok(Vec::new()) };
        table.iter().map(|(name, item)| self.env_variable(name, item)).collect()
    }

    fn env_variable(&self, name: &str, item: &Item) -> Result<EnvVariable, Diagnostic> {
        let expected = format!("`env.{name}` is a string or a table with `value`, `force` and `relative`");
        let wrong = || item.definition.error("config-type", expected.clone());
        let flag = |table: &std::collections::BTreeMap<String, Item>, key: &str| match table.get(key) {
            None => Ok(false),
            Some(Item { tree: Tree::Boolean(value), .. }) => Ok(*value),
            Some(_) => Err(wrong()),
        };
        let (text, definition, force, relative) = match &item.tree {
            Tree::String(text) => (text, &item.definition, false, false),
            Tree::Table(table) => match table.get("value") {
                Some(Item { tree: Tree::String(text), definition }) => {
                    (text, definition, flag(table, "force")?, flag(table, "relative")?)
                }
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        let value = if relative {
            definition.base(self.current_dir()).join(text).to_string_lossy().into_owned()
        } else {
            text.clone()
        };
        Ok(EnvVariable { name: name.to_owned(), value: Value { value, definition: definition.clone() }, force })
    }

    /// The words of an alias.
    pub fn alias(&self, name: &str) -> Result<Option<Value<Vec<String>>>, Diagnostic> {
        self.command(["alias", name])
    }

    /// The names of all aliases in files and `--config`.
    pub fn alias_names(&self) -> Vec<&str> {
        let table = self.item("alias").and_then(Item::as_table);
        table.map(|table| table.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    /// Whether incremental compilation is forced on or off: `CARGO_INCREMENTAL`, else `build.incremental`.
    pub fn incremental(&self) -> Result<Option<bool>, Diagnostic> {
        match self.environment("CARGO_INCREMENTAL") {
            Some(found) => Ok(Some(found.value == "1")),
            None => Ok(value(self.boolean("build.incremental")?)),
        }
    }

    /// `CARGO_TARGET_DIR`, else `build.target-dir`. An empty value is refused.
    pub fn target_dir(&self) -> Result<Option<Value<PathBuf>>, Diagnostic> {
        let found = match self.environment("CARGO_TARGET_DIR") {
            Some(found) => Some(found),
            None => self.string("build.target-dir")?,
        };
        let Some(Value { value, definition }) = found else { return Ok(None) };
        if value.is_empty() {
            let message = format!("the target directory is set to an empty string in {definition}");
            return Err(definition.error("config-value", message));
        }
        let value = definition.base(self.current_dir()).join(value);
        Ok(Some(Value { value, definition }))
    }

    /// The platforms of `build.target`: an array, or one name.
    pub fn build_targets(&self) -> Result<Vec<Value<String>>, Diagnostic> {
        match self.item("build.target") {
            Some(Item { tree: Tree::List(_), .. }) => self.list("build.target"),
            _ => Ok(self.string("build.target")?.into_iter().collect()),
        }
    }

    /// A tool that the variable `RUSTC`, `RUSTC_WRAPPER`, `RUSTC_WORKSPACE_WRAPPER` or `RUSTDOC` names, else the key of
    /// `[build]`. `None` also for the empty string, which takes back what a file says.
    pub fn tool(&self, name: &str) -> Result<Option<Value<PathBuf>>, Diagnostic> {
        let found = match self.environment(&name.to_ascii_uppercase().replace('-', "_")) {
            Some(found) => Some(found),
            None => self.string(["build", name])?,
        };
        Ok(found.filter(|found| !found.value.is_empty()).map(|found| self.resolve_program(found)))
    }
}
