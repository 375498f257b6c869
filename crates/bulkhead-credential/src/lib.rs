//! Where tokens are kept: private files, and the programs that speak Cargo's credential-provider protocol.
//!
//! Nothing here decides which token belongs to which registry: the caller binds them to an exact address. Nothing here
//! reads configuration or the environment either; a program is started by its absolute path, with the environment that
//! the caller gives it. A token is a [`bulkhead_schema::credential::Secret`] from the moment it is read.
//!
//! Start with [`Process::ask`], [`Store`] and [`cargo_tokens`].

mod cargo_file;
mod paseto;
mod private_file;
mod process;
mod store;

pub use cargo_file::{CargoTokens, cargo_tokens, remove_cargo_token};
pub use paseto::signed_token;
pub use private_file::FileError;
pub use process::Process;
pub use store::Store;
