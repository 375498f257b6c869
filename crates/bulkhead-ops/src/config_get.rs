//! `config get`

use bulkhead_config::show::{self, Format};
use bulkhead_config::{IgnoredKey, KeyPath, Layer, LayerClass, Merged, Origin};

use crate::configuration::{self, Configuration};
use crate::error::Result;
use crate::options::GlobalOptions;
use crate::{Error, Event};

pub use bulkhead_config::show::Format as ConfigFormat;

/// What `config get` is asked.
#[derive(Debug, Clone)]
pub struct ConfigRequest {
    /// The dotted key; everything without one.
    pub key: Option<String>,
    /// How it is shown.
    pub format: Format,
    /// `--merged no`: one layer after the other instead of what comes of them.
    pub apart: bool,
}

/// The lines to print. Text from files, which the caller escapes; a line may hold line feeds.
///
/// # Errors
/// The configuration is wrong, or the key is not set.
pub fn config_get(global: &GlobalOptions, request: &ConfigRequest, events: &dyn Fn(Event)) -> Result<Vec<String>> {
    let key = request.key.as_deref();
    let Format::Toml { origins } = request.format else {
        return json(global, key, request, events);
    };
    if request.apart {
        return apart(global, key, request.format);
    }
    let configuration = configuration::load(global, &|_| ())?;
    let mut lines = shown(&configuration, key, request.format)?;
    let variables = show::variables(&configuration.config, key);
    if show::is_table(&configuration.config, key) && !variables.is_empty() {
        lines.push("# The following environment variables may affect the loaded values.".to_owned());
        lines.extend(variables.iter().map(|variable| format!("# {variable}")));
    }
    if origins {
        let inert = configuration.ignored.iter().filter(|ignored| concerns(key, &ignored.key));
        lines.extend(inert.map(|ignored| format!("# inert: {}", described(ignored))));
    }
    Ok(lines)
}

fn shown(configuration: &Configuration, key: Option<&str>, format: Format) -> Result<Vec<String>> {
    show::show(&configuration.config, key, format).map_err(|finding| {
        let inert = configuration.ignored.iter().find(|ignored| concerns(key, &ignored.key));
        let error = Error::failure(finding.message);
        inert.map_or(error.clone(), |ignored| error.because(described(ignored)).help(ignored.how_to_trust.clone()))
    })
}

fn described(ignored: &IgnoredKey) -> String {
    format!("`{}` in {} does not act: {}", ignored.key, ignored.definition, ignored.reason)
}

/// Whether a key that does not act would be shown below `key`.
fn concerns(key: Option<&str>, inert: &str) -> bool {
    let key = key.map(|key| KeyPath::parse(key).to_string());
    key.is_none_or(|key| inert.strip_prefix(&key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

fn json(
    global: &GlobalOptions,
    key: Option<&str>,
    request: &ConfigRequest,
    events: &dyn Fn(Event),
) -> Result<Vec<String>> {
    if request.apart {
        let name = if request.format == Format::Json { "json" } else { "json-value" };
        let message = format!("the `{name}` format does not support --merged=no, try the `toml` format instead");
        return Err(Error::failure(message));
    }
    let configuration = configuration::load(global, &|_| ())?;
    let lines = shown(&configuration, key, request.format)?;
    let variables = show::variables(&configuration.config, key);
    if show::is_table(&configuration.config, key) && !variables.is_empty() {
        events(Event::Note("The following environment variables may affect the loaded values.".to_owned()));
        variables.into_iter().for_each(|variable| events(Event::Text(variable)));
    }
    Ok(lines)
}

/// Each layer for itself, the highest precedence first, as far as it acts.
fn apart(global: &GlobalOptions, key: Option<&str>, format: Format) -> Result<Vec<String>> {
    let (mut lines, mut files) = (Vec::new(), Vec::new());
    let configuration = configuration::load(global, &|_| ())?;
    let section = |title: String, shown: Vec<String>, lines: &mut Vec<String>| {
        lines.push(format!("# {title}"));
        lines.extend(shown);
        lines.push(String::new());
    };
    for layer in configuration::layers(global, &|_| ())?.0.into_iter().rev() {
        let title = title(&layer);
        let of_command_line = layer.class == LayerClass::CommandLine;
        let Merged { config, .. } =
            bulkhead_config::merge(vec![layer], Default::default(), global.place.current_dir.clone())?;
        let Ok(shown) = show::show(&config, key, format) else { continue };
        section(title, shown, if of_command_line { &mut lines } else { &mut files });
    }
    let variables = show::variables(&configuration.config, key);
    if !variables.is_empty() {
        let variables = variables.iter().map(|variable| format!("# {variable}")).collect();
        section("Environment variables".to_owned(), variables, &mut lines);
    }
    lines.extend(files);
    Ok(lines)
}

fn title(layer: &Layer) -> String {
    match &layer.origin {
        Origin::File { path, .. } => path.display().to_string(),
        Origin::CommandLine(_) => "--config cli option".to_owned(),
        Origin::Environment(variable) => format!("environment variable `{variable}`"),
    }
}
