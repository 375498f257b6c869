//! The content-addressed store of packages: `store/<SHA-256 of the .crate>/<name>-<version>/`, read-only, verified again at
//! each use.
//!
//! It takes packages only as `Verified<CrateArchive>`, which only the trust crate can construct. An archive is walked once
//! ([`archive`]): what passes is written into a folder of this process, which gets its final name by one rename after the
//! last byte has passed, and is removed if any rule is broken.
//! Checkouts of git repositories ([`NewCheckout`]) are written the same way, from objects that are hashed one by one on the
//! way down from the commit's id.
//! Beside each tree stand the archive it came from and a record of every file in it, so that a tree that was changed
//! behind Bulkhead's back is noticed and healed. An archive may stand alone until somebody wants its tree.
//!
//! Start with [`Store`].

pub mod archive;
mod checkout;
mod folder;
mod names;
mod notebook;
mod notes;
pub mod record;
mod store;
mod units;
mod vendored;
mod verify;
mod write;

pub use checkout::{Added, Checkout, CheckoutLimits, Link, NewCheckout, checkout_key, submodules_in};
pub use notebook::Notebook;
pub use store::{Noted, PackageTree, Store};
pub use units::{ClosedEntry, Collected, Entry, Stats, UnitCache, UnitContent, UnitFile};
pub use vendored::{Vendored, VendoredPackage};
pub use verify::Finding;
