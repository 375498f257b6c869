//! Hostile archives, each beside its harmless twin, and a store that someone else writes into.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod archives;
mod notebooks;
mod stores;
mod tar;
mod units;
mod vendored;
