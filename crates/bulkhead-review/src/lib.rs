//! The files of a package → what its code can do: which of them run while something is built, what that code reaches for,
//! what is hidden in it, and how it differs from another version. Nothing is run and nothing is parsed deeper than its
//! tokens, so that no file can cost more than one pass over its bytes.
//!
//! Pure: whoever calls hands in the files ([`Listing`]) and what the manifest says of them ([`Layout`]).
//!
//! Start with [`examine`], and with [`digest`](build_code::digest), by which build code is approved.

pub mod build_code;
mod code;
mod data;
mod diff;
mod examine;
mod finding;
mod hidden;
mod listing;
mod reach;
pub mod sarif;
mod sink;
mod text;
mod upstream;
mod words;

pub use build_code::Layout;
pub use diff::{Change, ChangeKind, changes};
pub use examine::{Counts, Examination, examine};
pub use finding::{Finding, Role, Rule, Weight};
pub use listing::{File, Listing, MAX_CONTENT, MAX_TOTAL};
pub use upstream::{Repository, RepositoryFile, compare};
