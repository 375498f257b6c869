//! `Cargo.lock`, versions 1 to 4: parsing, and printing the bytes that Cargo would write.
