//! Profiles: how code is compiled.

use bulkhead_schema::Symbol;

/// `lto`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lto {
    /// `"off"`: not even thin-local.
    Off,
    /// `false`: thin-local LTO, rustc's own default.
    ThinLocal,
    /// `"thin"`
    Thin,
    /// `true` or `"fat"`
    Fat,
}

/// `debug`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DebugInfo {
    /// `0`, `false`, `"none"`
    None,
    /// `"line-directives-only"`
    LineDirectivesOnly,
    /// `"line-tables-only"`
    LineTablesOnly,
    /// `1`, `"limited"`
    Limited,
    /// `2`, `true`, `"full"`
    Full,
}

/// `panic`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PanicStrategy {
    /// `"unwind"`
    Unwind,
    /// `"abort"`
    Abort,
}

/// `strip`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Strip {
    /// `false`, `"none"`
    None,
    /// `"debuginfo"`
    DebugInfo,
    /// `true`, `"symbols"`
    Symbols,
}

/// The settings one unit is compiled with, overrides applied.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Profile {
    /// The name, such as `dev` or `release`.
    pub name: Symbol,
    /// `0`, `1`, `2`, `3`, `s` or `z`.
    pub opt_level: Symbol,
    /// Link-time optimisation.
    pub lto: Lto,
    /// `None`: rustc's default.
    pub codegen_units: Option<u32>,
    /// Debug information.
    pub debug: DebugInfo,
    /// `split-debuginfo`, `None` for the platform's default.
    pub split_debuginfo: Option<Symbol>,
    /// `debug-assertions`
    pub debug_assertions: bool,
    /// `overflow-checks`
    pub overflow_checks: bool,
    /// `rpath`
    pub rpath: bool,
    /// Whether incremental compilation is asked for (it only happens for workspace members and path dependencies).
    pub incremental: bool,
    /// Panic strategy.
    pub panic: PanicStrategy,
    /// What is stripped from linked artifacts. The default where `debug = false` is [`Strip::DebugInfo`].
    pub strip: Strip,
}
