//! Git repositories → *untrusted* objects. The only place that runs `git`.
//!
//! Each repository has a bare database below `BULKHEAD_HOME/git/`, named by a digest of its canonical URL. [`Database`] brings
//! into it what a reference names, tells which commit that is, and prints the objects of a commit; whoever writes them to
//! disk compares every one with its id. No working copy is ever made here, so that nothing in a repository can become a
//! hook, a filter or an attribute that acts.
//!
//! Every run of git is one confined process ([`bulkhead_sandbox`]) with an environment, a configuration and a list of
//! protocols of ours: the network only to fetch, and then to write only the database. `docs/decisions/git.md` says why it is
//! the program and no library.
//!
//! Start with [`Database::open`], then [`Database::fetch`].

mod changes;
mod credentials;
mod database;
mod error;
mod fetching;
mod leftovers;
mod limits;
mod local;
mod objects;
mod program;

pub use changes::{Change, changes};
pub use credentials::{ASK_HELPERS, HELPERS_ENVIRONMENT};
pub use database::{Database, Wanted};
pub use error::{GitError, GitErrorKind};
pub use limits::Limits;
pub use program::{GitOptions, Servers, find_program, profiles};
