//! `cargo:libsecret`: the desktop's keyring, through `secret-tool`, the program that libsecret comes with.
//!
//! Items have the attributes that Cargo gives them, so that both find what the other kept.

use bulkhead_credential::Process;
use bulkhead_schema::SourceId;
use bulkhead_schema::credential::{Action, Answer, Refusal, Secret, index_url};

/// The program.
pub(super) const PROGRAM: &str = "secret-tool";

/// The kind of item that Cargo's own provider makes.
const SCHEMA: &str = "org.rust-lang.cargo.registry";

/// Asks the keyring; `process` starts [`PROGRAM`] with the given arguments.
pub(super) fn ask(
    registry: SourceId,
    action: Action<'_>,
    process: &dyn Fn(Vec<String>) -> crate::error::Result<Process>,
) -> crate::error::Result<Result<Answer, Refusal>> {
    let url = index_url(registry);
    let arguments = |first: &[&str]| {
        let attributes = ["url", &url, "xdg:schema", SCHEMA];
        first.iter().chain(&attributes).map(|word| (*word).to_owned()).collect::<Vec<String>>()
    };
    let failed = |problem: String| Err(Refusal::Other(vec![problem]));
    if let Action::Login { token, .. } = action {
        let Some(token) = token else { return Ok(Err(Refusal::OperationNotSupported)) };
        let label = format!("--label=cargo-registry:{url}");
        return Ok(done(process(arguments(&["store", &label]))?.exchange(token.expose())));
    }
    let found = match process(arguments(&["lookup"]))?.exchange("") {
        Ok((true, token)) if !token.is_empty() => token,
        Ok(_) => return Ok(Err(Refusal::NotFound)),
        Err(problem) => return Ok(failed(problem)),
    };
    if matches!(action, Action::Logout) {
        return Ok(done(process(arguments(&["clear"]))?.exchange("")));
    }
    Ok(match Secret::token(found.trim_end_matches('\n').to_owned()) {
        Ok(token) => Ok(Answer::Token { token, expires: None }),
        Err(problem) => failed(problem.to_owned()),
    })
}

fn done<T>(exchange: Result<(bool, T), String>) -> Result<Answer, Refusal> {
    match exchange {
        Ok((true, _)) => Ok(Answer::Done),
        Ok((false, _)) => Err(Refusal::Other(vec![format!("`{PROGRAM}` failed")])),
        Err(problem) => Err(Refusal::Other(vec![problem])),
    }
}
