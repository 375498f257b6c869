//! A client against servers that fail, lie and flood: each on a loopback port of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod client;
mod index;
mod server;
