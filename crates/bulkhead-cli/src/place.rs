//! The surroundings of the process, read once.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use bulkhead_ops::Error;
use bulkhead_ops::observed::Disk;
use bulkhead_ops::options::Place;

/// Reads folder, homes, environment and own path; `directory` is the value of `-C`, `disk` what the command reads through.
///
/// # Errors
/// The folder does not exist, or no home can be found.
pub(crate) fn read(directory: Option<&Path>, disk: Disk) -> Result<Place, Error> {
    let here = std::env::current_dir()
        .map_err(|error| Error::failure("could not find the current working directory").because(error))?;
    let current_dir = directory.map_or_else(|| here.clone(), |directory| here.join(directory));
    if directory.is_some() && !current_dir.is_dir() {
        return Err(Error::failure(format!("could not change to requested directory `{}`", current_dir.display())));
    }
    let environment: std::collections::BTreeMap<_, _> = std::env::vars_os().collect();
    let folder = |name: &str| {
        environment.get(OsStr::new(name)).filter(|value| !value.is_empty()).map(|value| here.join(PathBuf::from(value)))
    };
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    let below_home = |name: &str| home.as_ref().map(|home| home.join(name));
    let missing = |name: &str| Error::failure(format!("could not find a home folder; set `{name}`"));
    Ok(Place {
        bulkhead_home: folder("BULKHEAD_HOME")
            .or_else(|| below_home(".bulkhead"))
            .ok_or_else(|| missing("BULKHEAD_HOME"))?,
        cargo_home: folder("CARGO_HOME").or_else(|| below_home(".cargo")).ok_or_else(|| missing("CARGO_HOME"))?,
        program: std::env::current_exe()
            .map_err(|error| Error::failure("could not find the path of this program").because(error))?,
        current_dir,
        now: seconds_since_1970(),
        home,
        environment,
        disk,
    })
}

/// A clock that stands before 1970 says 1970: every version is then too young, and nothing fresh is taken by mistake.
fn seconds_since_1970() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(0)
}
