//! The TOML of `.cargo/config.toml`: spanned values, before layers are merged.
