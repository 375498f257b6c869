//! `login` and `logout`.

use bulkhead_schema::SourceId;
use bulkhead_schema::credential::login_url;
use bulkhead_schema::ids::CRATES_IO_DOMAIN;
use bulkhead_source::{Client, SparseIndex};

use crate::audit::{self, Kind};
use crate::credentials::{Credentials, ReadToken};
use crate::error::Result;
use crate::options::GlobalOptions;
use crate::{Event, client, configuration, registries};

/// Keeps a token for a registry: in Bulkhead's own store, or with the credential provider that the user configured.
///
/// # Errors
/// There is no such registry, or only a project defines it; the token is none; a provider or the disk fails.
pub fn login(
    global: &GlobalOptions,
    registry: Option<&str>,
    arguments: &[String],
    read_token: &ReadToken<'_>,
    events: &(dyn Fn(Event) + Sync),
) -> Result<()> {
    let configuration = configuration::load(global, events)?;
    let source = registries::chosen(&configuration, registry, None)?;
    // Without tokens: what the registry answers to strangers is what is wanted here.
    let stranger = Client::new(client::options(global, &configuration)?);
    let page = page(global, &stranger, source, events);
    let credentials = Credentials::new(global, &configuration);
    let stored = credentials.login(source, page.as_deref(), arguments, read_token)?;
    let keeper = if stored { "Bulkhead" } else { "credential provider" };
    audit::record(&global.place, Kind::Login, source.registry_name(), &[("index", source.url()), ("keeper", keeper)])?;
    if stored {
        let message = format!("token for `{}` saved", source.registry_name());
        events(Event::Status { verb: "Login", message });
    }
    Ok(())
}

/// The page that hands out tokens, as far as the registry says: by its refusal, or by the address of its API.
fn page(global: &GlobalOptions, client: &Client, source: SourceId, events: &(dyn Fn(Event) + Sync)) -> Option<String> {
    if source.is_crates_io() {
        return Some(format!("https://{CRATES_IO_DOMAIN}/me"));
    }
    let loopback = client.options().allow_http_loopback;
    let index = SparseIndex::at(source, source.url(), &global.place.bulkhead_home.join("index"), loopback).ok()?;
    if client.options().offline {
        return None;
    }
    events(Event::UpdatingIndex { registry: source.index_name() });
    match index.config(client) {
        Ok(config) => config.api.map(|api| format!("{}/me", api.trim_end_matches('/'))),
        Err(refused) => login_url(&refused.challenge).map(str::to_owned),
    }
}

/// Has the token for a registry forgotten.
///
/// # Errors
/// There is no such registry; a provider or the disk fails.
pub fn logout(global: &GlobalOptions, registry: Option<&str>, events: &(dyn Fn(Event) + Sync)) -> Result<()> {
    let configuration = configuration::load(global, events)?;
    let source = registries::chosen(&configuration, registry, None)?;
    let name = source.registry_name();
    match Credentials::new(global, &configuration).logout(source)? {
        None => {
            let message = format!("not currently logged in to `{name}`");
            events(Event::Status { verb: "Logout", message });
        }
        Some(false) => {}
        Some(true) => {
            audit::record(&global.place, Kind::Logout, &*name, &[("index", source.url())])?;
            let message = format!("token for `{name}` has been removed from local storage");
            events(Event::Status { verb: "Logout", message });
            let site = match source.is_crates_io() {
                true => format!("<https://{CRATES_IO_DOMAIN}/me>"),
                false => format!("the `{name}` website"),
            };
            events(Event::Note(format!(
                "This does not revoke the token on the registry server.\n  If you need to revoke the token, visit \
                 {site} and follow the instructions there."
            )));
        }
    }
    Ok(())
}
