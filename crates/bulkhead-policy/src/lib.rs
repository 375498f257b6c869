//! Facts in, allow or deny out, with the reason and the rule: what the build code of one package may do beyond the
//! defaults, which directives of its build script are obeyed, which variables it may see, the lines for `bulkhead.toml`
//! that would grant what was denied, where packages may come from, and which names are too close to others.
//!
//! Pure: it confines nothing itself (`bulkhead-sandbox`) and parses no file (`bulkhead_schema::policy`).
//!
//! Start with [`Effective`], then [`check_directive`], [`Sources`] and [`lookalike`].

mod approval;
mod build_code;
mod catalogue;
mod directive;
mod effective;
mod environment;
pub mod explain;
mod lookalike;
pub mod profile;
mod propose;
mod secrets;
mod sources;

pub use approval::{BuildCodeFacts, Standing, standing};
pub use build_code::{BuildCode, BuildCodeDecision};
pub use catalogue::{CATALOGUE, CatalogueEntry};
pub use directive::{DirectiveContext, Refusal, check_directive, check_output};
pub use effective::{DigestMismatch, Effective, GrantSet, PolicyLayer, PolicySource, PublishAge, effective};
pub use environment::{
    environment_allowed, helper_environment_allowed, is_about_terminal, is_for_rustc_wrapper, is_registry_token,
};
pub use lookalike::{Lookalike, lookalike};
pub use profile::{Granted, Origin, ProcessKind, Profile};
pub use propose::{Denial, Denied, propose, propose_program};
pub use secrets::Secrets;
pub use sources::Sources;
