//! `[lints]` → rustc's arguments.

use std::cmp::Reverse;

use bulkhead_schema::manifest::{LintTool, Lints};

/// The flags of `lints`, in the order that `cargo build -v` shows: by priority, and for equal priorities by name
/// without the tool, backwards.
pub(crate) fn lint_flags(lints: &Lints) -> Vec<String> {
    let mut sorted: Vec<_> = lints.lints.iter().collect();
    sorted.sort_by_key(|lint| (lint.priority, Reverse(lint.name.get_ref())));
    let flags = sorted.into_iter().map(|lint| match &lint.tool {
        LintTool::Rust => format!("--{}={}", lint.level.as_str(), lint.name.get_ref()),
        LintTool::Other(tool) => format!("--{}={tool}::{}", lint.level.as_str(), lint.name.get_ref()),
    });
    flags.collect()
}

/// What `rust.unexpected_cfgs.check-cfg` lists.
pub(crate) fn check_cfg(lints: &Lints) -> Vec<String> {
    lints.lints.iter().flat_map(|lint| &lint.check_cfg).map(|cfg| cfg.get_ref().clone()).collect()
}
