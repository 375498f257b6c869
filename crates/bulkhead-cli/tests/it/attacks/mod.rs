//! The attack catalogue, case by case, as far as a case has no older test beside the part that it attacks. The numbers are
//! those of `docs/security/attacks.md`, which is written from this suite (`cargo xtask attacks`).
//!
//! Each case is first seen to bite, under stock `cargo` or with the defence off, and has a benign twin that works. Payloads
//! do nothing but leave a mark in the test's own folders, read a planted secret, and connect to listeners of the test.

mod arena;
mod arguments;
mod build_code;
mod campaigns;
mod exhaustion;
mod output;
mod pages;
mod spellings;
mod storage;
mod variants;
mod ways;
