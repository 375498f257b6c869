//! A registry as it is today against what it was when a project first used it.
//!
//! `Cargo.lock` names a registry by its address alone. Whoever can change which address a name stands for, or where a
//! registry says that its archives are, can bring packages from elsewhere under a version that nobody has locked yet.

use std::collections::BTreeSet;

use bulkhead_schema::bulkhead_lock::{BulkheadLock, RegistryPin};
use bulkhead_schema::{Diagnostic, SourceId};

/// Compares `seen`, what is known of `source` now, with what `lock` recorded, and records what it lacks. Returns whether
/// something was added.
///
/// # Errors
/// `registry-identity`: a name stands for another registry than at first use, or the registry's archives or its web API
/// have moved to another origin.
pub fn pin_registry(lock: &mut BulkheadLock, source: SourceId, seen: &RegistryPin) -> Result<bool, Diagnostic> {
    for name in &seen.names {
        let pinned = lock.registries.iter().find(|(_, pin)| pin.names.contains(name)).map(|(&pinned, _)| pinned);
        if let Some(pinned) = pinned.filter(|&pinned| pinned != source) {
            let message = format!("the registry `{name}` is not the one that this project has used so far");
            return Err(changed(&message, "index", &pinned.to_string(), &source.to_string()));
        }
    }
    let known = lock.registries.get(&source).cloned().unwrap_or_default();
    for (key, old, new) in [("download", &known.download, &seen.download), ("api", &known.api, &seen.api)] {
        if let (Some(old), Some(new)) = (old, new)
            && old != new
        {
            let what = if key == "api" { "the web API" } else { "the archives" };
            return Err(changed(&format!("{what} of the registry `{source}` moved to another server"), key, old, new));
        }
    }
    let names: BTreeSet<String> = known.names.union(&seen.names).cloned().collect();
    let merged = RegistryPin {
        names,
        download: known.download.or_else(|| seen.download.clone()),
        api: known.api.or_else(|| seen.api.clone()),
    };
    let added = lock.registries.get(&source) != Some(&merged);
    lock.registries.insert(source, merged);
    Ok(added)
}

fn changed(message: &str, key: &str, old: &str, new: &str) -> Diagnostic {
    Diagnostic::error("registry-identity", format!("{message}\n- {key} = \"{old}\"\n+ {key} = \"{new}\""))
        .help("if nobody meant to change that, do not go on: find out who did")
        .help("if it was meant, remove the registry's table from bulkhead.lock, so that it is pinned anew")
}

#[cfg(test)]
mod tests {
    use super::pin_registry;
    use bulkhead_schema::SourceId;
    use bulkhead_schema::bulkhead_lock::{BulkheadLock, RegistryPin};

    fn pin(names: &[&str], download: &str) -> RegistryPin {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        RegistryPin { names, download: (!download.is_empty()).then(|| download.to_owned()), api: None }
    }

    #[test]
    fn a_registry_stays_what_it_was_at_first_use() {
        let (here, there) = ("sparse+https://here.example/", "sparse+https://there.example/");
        let (here, there) = (SourceId::parse(here).unwrap(), SourceId::parse(there).unwrap());
        let mut lock = BulkheadLock::default();
        assert_eq!(pin_registry(&mut lock, here, &pin(&["t"], "")), Ok(true));
        assert_eq!(pin_registry(&mut lock, here, &pin(&["t"], "")), Ok(false));
        assert_eq!(pin_registry(&mut lock, here, &pin(&[], "https://dl.example")), Ok(true));
        assert_eq!(pin_registry(&mut lock, here, &pin(&["u"], "https://dl.example")), Ok(true));
        let error = pin_registry(&mut lock, there, &pin(&["t"], "")).unwrap_err().to_string();
        assert!(
            error.contains("- index = \"sparse+https://here.example/\"\n+ index = \"sparse+https://there"),
            "{error}"
        );
        let error = pin_registry(&mut lock, here, &pin(&["t"], "https://evil.example")).unwrap_err().to_string();
        assert!(error.contains("+ download = \"https://evil.example\""), "{error}");
        assert_eq!(pin_registry(&mut lock, there, &pin(&["other"], "")), Ok(true));
        assert_eq!(lock.registries.len(), 2);
    }
}
