//! `[lints]` and `[workspace.lints]`.

use toml::de::DeValue;

use super::reader::{Reader, Unknown, Value};
use super::{Origin, Spanned};

const KNOWN_TOOLS: &[&str] = &["cargo", "clippy", "rust", "rustdoc"];

/// Lints by tool, sorted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lints {
    /// The entries, sorted by tool and name.
    pub lints: Vec<Lint>,
}

/// Who defines a lint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LintTool {
    /// `[lints.rust]`
    Rust,
    /// Any other, such as `clippy` or `rustdoc`.
    Other(String),
}

/// One entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Lint {
    /// The table it stands in.
    pub tool: LintTool,
    /// Its name.
    pub name: Spanned<String>,
    /// Its level.
    pub level: LintLevel,
    /// Lints of higher priority come later on rustc's command line, and so win.
    pub priority: i8,
    /// `check-cfg`, of `rust.unexpected_cfgs` alone.
    pub check_cfg: Vec<Spanned<String>>,
}

/// What a lint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LintLevel {
    /// `forbid`
    Forbid,
    /// `deny`
    Deny,
    /// `warn`
    Warn,
    /// `allow`
    Allow,
}

impl LintLevel {
    /// The word, which is also the name of rustc's flag.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forbid => "forbid",
            Self::Deny => "deny",
            Self::Warn => "warn",
            Self::Allow => "allow",
        }
    }
}

impl Reader<'_> {
    pub(super) fn lints(&mut self, name: &str, value: Value<'_>) -> Option<Lints> {
        let section = self.section(name, value)?;
        let mut lints = Vec::new();
        for (tool, (span, value)) in &section.entries {
            if !KNOWN_TOOLS.contains(tool) {
                let message = format!(
                    "unrecognized lint tool `{}`, specifying unrecognized tools may break in the future. supported tools: {}",
                    section.child(tool),
                    KNOWN_TOOLS.join(", ")
                );
                self.warn("manifest-unknown-lint-tool", message, span.clone());
            }
            let Some(table) = self.section(section.child(tool), value) else { continue };
            for (lint, (span, value)) in &table.entries {
                let tool = if *tool == "rust" { LintTool::Rust } else { LintTool::Other((*tool).to_owned()) };
                let name = Spanned::new(span.clone(), (*lint).to_owned());
                if let Some((before, after)) = lint.split_once("::") {
                    let message =
                        format!("`{}` is not a valid lint name; try `lints.{before}.{after}`", table.child(lint));
                    self.error("manifest-lint", message, span.clone());
                }
                let lint = self.lint(&table.child(lint), value, tool, name);
                // Cargo's own lints are for Cargo, not for rustc.
                lints.extend(lint.filter(|lint| lint.tool != LintTool::Other("cargo".to_owned())));
            }
        }
        Some(Lints { lints })
    }

    fn lint(&mut self, full: &str, value: Value<'_>, tool: LintTool, name: Spanned<String>) -> Option<Lint> {
        if value.get_ref().is_str() {
            let level = self.lint_level(full, value)?;
            return Some(Lint { tool, name, level, priority: 0, check_cfg: Vec::new() });
        }
        let mut section = self.section(full, value)?;
        let Some(level) = section.take("level") else {
            self.error("manifest-lint", format!("`{full}` has no `level`"), value.span());
            return None;
        };
        let level = self.lint_level(&section.child("level"), level)?;
        let priority = match section.take("priority") {
            Some(value) => self.priority(&section.child("priority"), value)?,
            None => 0,
        };
        let mut check_cfg = Vec::new();
        if tool == LintTool::Rust && name.get_ref() == "unexpected_cfgs" {
            check_cfg = section.strings(self, "check-cfg").unwrap_or_default();
        } else if self.origin == Origin::Local {
            self.unknown_keys(&section, &["level", "priority"], Unknown::Warn);
        }
        Some(Lint { tool, name, level, priority, check_cfg })
    }

    fn priority(&mut self, full: &str, value: Value<'_>) -> Option<i8> {
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong_type(full, "an integer", value.get_ref(), value.span());
            return None;
        };
        let priority = i8::from_str_radix(number.as_str(), number.radix()).ok();
        if priority.is_none() {
            self.error("manifest-lint", format!("`{full}` must lie between -128 and 127"), value.span());
        }
        priority
    }

    fn lint_level(&mut self, full: &str, value: Value<'_>) -> Option<LintLevel> {
        let text = self.string(full, value)?;
        match text.get_ref().as_str() {
            "forbid" => Some(LintLevel::Forbid),
            "deny" => Some(LintLevel::Deny),
            "warn" => Some(LintLevel::Warn),
            "allow" => Some(LintLevel::Allow),
            other => {
                let message =
                    format!("`{full}`: unknown lint level `{other}`, expected `forbid`, `deny`, `warn` or `allow`");
                self.error("manifest-lint", message, text.span());
                None
            }
        }
    }
}
