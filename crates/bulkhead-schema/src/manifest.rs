//! `Cargo.toml`: bounded parsing with spans into the raw, not yet inherited, manifest.
