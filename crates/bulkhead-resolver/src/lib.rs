//! Which version of which package, and with which features: version selection in Cargo's order, feature activation, and
//! the encoding of the result as `Cargo.lock`.
//!
//! Pure and iterative: it asks a [`Registry`] for what is known; what is not known yet is returned as
//! [`Outcome::Missing`], to be fetched by the caller before it asks again. A failure is a derivation that can be told
//! in sentences. It fetches nothing and knows neither files nor targets.
//!
//! Start with [`resolve()`], then [`features`] and [`lock`].

pub mod age;
mod changes;
pub mod features;
mod keep;
pub mod lock;
mod nearest;
pub mod registry;
pub mod request;
pub mod resolve;
mod select;
#[cfg(test)]
mod tests;
pub mod why;

pub use age::{PublishAge, Youth};
pub use features::{ActivatedFeatures, FeaturesFor};
pub use keep::locked_commits;
pub use registry::{Registry, VersionEntry};
pub use request::{
    Deadline, Limits, LocalRequirement, Member, MemberFeatures, Outcome, Patch, Request, ResolveError,
    ResolveErrorKind, Unlock, VersionOrder,
};
pub use resolve::{Node, Resolve, ResolvedDependency};
pub use select::resolve;
