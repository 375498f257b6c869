//! From a commit to a checkout in the store, submodules included.

use bulkhead_git::{Database, Wanted};
use bulkhead_schema::git::{ObjectId, Transport, parse_submodules, submodule_url};
use bulkhead_schema::{Diagnostic, SourceId};
use bulkhead_store::{Checkout, NewCheckout, Store, checkout_key};
use url::Url;

use super::GitSources;
use super::failure::{git_error, local_repository};
use crate::error::Result;
use crate::{Error, ErrorKind, Event};

/// Deepest nesting of submodules.
const MAX_DEPTH: usize = 10;

/// Most submodules of one checkout.
const MAX_SUBMODULES: usize = 1000;

impl GitSources {
    /// Writes `commit` of the repository at `url` into the store.
    ///
    /// # Errors
    /// An object or a submodule is refused or cannot be had.
    pub(super) fn check_out(
        &self,
        store: &Store,
        database: &Database<'_>,
        source: SourceId,
        url: &Url,
        commit: ObjectId,
        events: &dyn Fn(Event),
    ) -> Result<Checkout> {
        let key = checkout_key(source.canonical_url(), commit);
        let mut checkout = store.begin_checkout(key, commit, self.checkout_limits)?;
        let mut pending = self.write(&mut checkout, database, "", url, commit, 0)?;
        let mut count = 0;
        while let Some(module) = pending.pop() {
            count += 1;
            if module.depth > MAX_DEPTH || count > MAX_SUBMODULES {
                let message = format!("`{}` has too many submodules, or they are nested too deeply", source.url());
                return Err(Error::new(ErrorKind::Verification, message)
                    .because(format!("{MAX_SUBMODULES} submodules, {MAX_DEPTH} within each other, are accepted")));
            }
            let inner = self.submodule(&mut checkout, &module, events);
            let failed = || format!("failed to update submodule `{}` of `{}`", module.path, source.url());
            pending.extend(inner.map_err(|error| error.while_doing(failed()))?);
        }
        Ok(checkout.finish()?)
    }

    /// Writes one repository into the checkout; returns its submodules, the first one last.
    fn write(
        &self,
        checkout: &mut NewCheckout<'_>,
        database: &Database<'_>,
        prefix: &str,
        url: &Url,
        commit: ObjectId,
        depth: usize,
    ) -> Result<Vec<Module>> {
        let added = database.objects(commit, |objects| checkout.add(prefix, commit, objects));
        let refused = |diagnostic: Diagnostic| {
            let kind = if diagnostic.code == "git-limit" { ErrorKind::Policy } else { ErrorKind::Verification };
            Error { kind, ..Error::from(diagnostic) }
        };
        let added = match added {
            // What is wrong with an object says more than how git ended.
            Ok(added) => added.map_err(refused)?,
            Err(error) => return Err(git_error(error)),
        };
        let text = added.gitmodules.unwrap_or_default();
        let described = parse_submodules(&text).map_err(|reason| {
            Error::new(ErrorKind::Verification, format!("`{url}` has bad submodules")).because(reason)
        })?;
        let mut modules = Vec::new();
        for link in added.submodules.into_iter().rev() {
            // A commit without a description is no submodule to git either, and stays an empty folder.
            let Some(found) = described.iter().find(|found| found.path == link.path && !found.skipped) else {
                continue;
            };
            let url = submodule_url(url, &found.url).map_err(|error| {
                let message = format!("the submodule `{}` of `{url}` is refused", link.path);
                Error::new(ErrorKind::Verification, message).because(error)
            })?;
            let path = if prefix.is_empty() { link.path } else { format!("{prefix}/{}", link.path) };
            modules.push(Module { path, url, commit: link.commit, depth: depth + 1 });
        }
        Ok(modules)
    }

    fn submodule(
        &self,
        checkout: &mut NewCheckout<'_>,
        module: &Module,
        events: &dyn Fn(Event),
    ) -> Result<Vec<Module>> {
        let database = Database::open(&self.options, &module.url).map_err(git_error)?;
        if database.transport() == Transport::File {
            return Err(local_repository(&module.url));
        }
        events(Event::Status { verb: "Updating", message: format!("git submodule `{}`", module.url) });
        if !database.contains(module.commit).map_err(git_error)? {
            database.fetch(Wanted::Everything).map_err(git_error)?;
        }
        if !database.contains(module.commit).map_err(git_error)? {
            database.fetch(Wanted::Commit(module.commit)).map_err(git_error)?;
        }
        self.write(checkout, &database, &module.path, &module.url, module.commit, module.depth)
    }
}

/// A submodule that has to be written.
struct Module {
    /// Its place in the whole checkout.
    path: String,
    url: Url,
    commit: ObjectId,
    depth: usize,
}
