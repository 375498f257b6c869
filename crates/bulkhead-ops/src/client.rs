//! How registries are reached: the user's configuration as values for `source`.

use std::path::PathBuf;
use std::time::Duration;

use bulkhead_schema::policy::Switch;
use bulkhead_source::{Client, ClientOptions, HttpsPins, Proxy};

use crate::configuration::Configuration;
use crate::credentials::Credentials;
use crate::error::Result;
use crate::limits;
use crate::options::GlobalOptions;
use crate::project::Project;
use crate::switches;

/// The HTTP client, with the user's tokens. Nothing is connected before the first request.
pub fn client(global: &GlobalOptions, configuration: &Configuration) -> Result<Client> {
    let tokens = Credentials::new(global, configuration).authorize();
    Ok(Client::new(options(global, configuration)?).with_tokens(tokens))
}

/// How servers are reached.
pub fn options(global: &GlobalOptions, configuration: &Configuration) -> Result<ClientOptions> {
    let (http, net) = (configuration.config.http()?, configuration.config.net()?);
    let defaults = ClientOptions::default();
    let place = &global.place;
    Ok(ClientOptions {
        offline: global.lock.offline || net.offline,
        user_agent: http.user_agent.unwrap_or(defaults.user_agent),
        proxy: http.proxy.map_or(Proxy::System, Proxy::Explicit),
        ca_bundle: http.cainfo.or_else(|| place.variable("SSL_CERT_FILE").map(PathBuf::from)),
        timeout: http.timeout.map_or(defaults.timeout, Duration::from_secs),
        low_speed_limit: http.low_speed_limit.unwrap_or(defaults.low_speed_limit),
        retries: net.retry.unwrap_or(defaults.retries).min(20),
        multiplexing: http.multiplexing.unwrap_or(true),
        allow_http_loopback: switches::is_on(place, Switch::HTTP_LOOPBACK),
        https_pins: HttpsPins::at(place.bulkhead_home.join("trust/https")),
        ..defaults
    })
}

/// The client for what a project needs, within the limits of its policy.
pub fn project_client(global: &GlobalOptions, project: &Project) -> Result<Client> {
    let tokens = Credentials::new(global, &project.configuration).authorize();
    let options = limits::answers(&project.policy, options(global, &project.configuration)?);
    Ok(Client::new(options).with_tokens(tokens))
}
