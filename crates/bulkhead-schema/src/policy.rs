//! `bulkhead.toml`, the policy files and `bulkhead.lock`: grants, approvals, pins.
