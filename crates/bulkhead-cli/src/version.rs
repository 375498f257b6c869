//! What `version` says.

/// The version of Cargo whose behaviour Bulkhead has, reported where tools ask `cargo --version`.
pub(crate) const CARGO_VERSION: &str = "1.95.0";

/// One line, or with `-v` what tools read line by line.
pub(crate) fn version(program: &str, verbose: bool) -> String {
    let own = env!("CARGO_PKG_VERSION");
    let line = match program {
        "cargo" => format!("cargo {CARGO_VERSION} (bulkhead {own})"),
        _ => format!("bulkhead {own} (cargo {CARGO_VERSION})"),
    };
    if !verbose {
        return line;
    }
    let release = if program == "cargo" { CARGO_VERSION } else { own };
    format!("{line}\nrelease: {release}\nbulkhead: {own}\nhost: {}\nos: {}", host(), std::env::consts::OS)
}

/// The platform that this program was built for.
fn host() -> String {
    let environment = if cfg!(target_env = "musl") { "-musl" } else { "-gnu" };
    let system = match std::env::consts::OS {
        "linux" => format!("unknown-linux{environment}"),
        "macos" => "apple-darwin".to_owned(),
        "windows" => format!("pc-windows{}", if cfg!(target_env = "msvc") { "-msvc" } else { "-gnu" }),
        other => format!("unknown-{other}"),
    };
    format!("{}-{system}", std::env::consts::ARCH)
}
