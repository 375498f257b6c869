//! What a build script prints: `cargo:` and `cargo::` directives, parsed line by line as hostile input.
