//! Tells the program what was tried.

/// What the build script tried, with what came of it.
pub const BY_BUILD_SCRIPT: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/attempts.rs"));

/// The same for the procedural macro.
pub const BY_MACRO: &[(&str, &str)] = innocent_macros::attempt!();

/// What the compiler of this package was given as `LD_PRELOAD`.
pub const PRELOAD: Option<&str> = option_env!("LD_PRELOAD");

/// A file that the linker writes if the injected argument reached it.
pub const LINK_MAP: &str = env!("LINK_MAP");
