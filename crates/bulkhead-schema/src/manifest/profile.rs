//! `[profile.*]`, shared by manifests and configuration.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::reader::{Reader, Section, Unknown, Value};
use crate::Symbol;

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

/// The settings that one profile table names; what it does not name is inherited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileTable {
    /// `inherits`
    pub inherits: Option<Symbol>,
    /// `opt-level`: `0`, `1`, `2`, `3`, `s` or `z`.
    pub opt_level: Option<Symbol>,
    /// `lto`
    pub lto: Option<Lto>,
    /// `codegen-units`
    pub codegen_units: Option<u32>,
    /// `debug`
    pub debug: Option<DebugInfo>,
    /// `split-debuginfo`
    pub split_debuginfo: Option<Symbol>,
    /// `debug-assertions`
    pub debug_assertions: Option<bool>,
    /// `overflow-checks`
    pub overflow_checks: Option<bool>,
    /// `rpath`
    pub rpath: Option<bool>,
    /// `incremental`
    pub incremental: Option<bool>,
    /// `panic`
    pub panic: Option<PanicStrategy>,
    /// `strip`
    pub strip: Option<Strip>,
    /// `[profile.NAME.package.SPEC]`, by package id specification or `*`.
    pub packages: BTreeMap<String, ProfileTable>,
    /// `[profile.NAME.build-override]`
    pub build_override: Option<Box<ProfileTable>>,
}

/// A setting's value, from TOML or (as text) from the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileValue<'a> {
    /// A string.
    String(&'a str),
    /// An integer.
    Integer(i64),
    /// A boolean.
    Boolean(bool),
}

/// Every key of a profile table that [`ProfileTable::set`] knows.
pub const PROFILE_KEYS: &[&str] = &[
    "inherits",
    "opt-level",
    "lto",
    "codegen-units",
    "debug",
    "split-debuginfo",
    "debug-assertions",
    "overflow-checks",
    "rpath",
    "incremental",
    "panic",
    "strip",
];

impl ProfileTable {
    /// Sets `key` (one of [`PROFILE_KEYS`]), or says which rule the value breaks.
    ///
    /// # Errors
    ///
    /// A sentence without location: the caller knows where the value stands.
    pub fn set(&mut self, key: &str, value: ProfileValue<'_>) -> Result<(), String> {
        match key {
            "inherits" => self.inherits = Some(text(key, value)?.into()),
            "opt-level" => self.opt_level = Some(opt_level(value)?),
            "lto" => self.lto = Some(lto(value)?),
            "codegen-units" => self.codegen_units = Some(codegen_units(value)?),
            "debug" => self.debug = Some(debug(value)?),
            "split-debuginfo" => self.split_debuginfo = Some(text(key, value)?.into()),
            "debug-assertions" => self.debug_assertions = Some(boolean(key, value)?),
            "overflow-checks" => self.overflow_checks = Some(boolean(key, value)?),
            "rpath" => self.rpath = Some(boolean(key, value)?),
            "incremental" => self.incremental = Some(boolean(key, value)?),
            "panic" => self.panic = Some(panic(value)?),
            "strip" => self.strip = Some(strip(value)?),
            _ => return Err(format!("unknown profile setting `{key}`")),
        }
        Ok(())
    }

    /// Lays `above` over this table: what `above` names wins.
    pub fn merge(&mut self, above: &Self) {
        fn over<T: Copy>(below: &mut Option<T>, above: Option<T>) {
            if above.is_some() {
                *below = above;
            }
        }
        over(&mut self.inherits, above.inherits);
        over(&mut self.opt_level, above.opt_level);
        over(&mut self.lto, above.lto);
        over(&mut self.codegen_units, above.codegen_units);
        over(&mut self.debug, above.debug);
        over(&mut self.split_debuginfo, above.split_debuginfo);
        over(&mut self.debug_assertions, above.debug_assertions);
        over(&mut self.overflow_checks, above.overflow_checks);
        over(&mut self.rpath, above.rpath);
        over(&mut self.incremental, above.incremental);
        over(&mut self.panic, above.panic);
        over(&mut self.strip, above.strip);
        for (spec, table) in &above.packages {
            self.packages.entry(spec.clone()).or_default().merge(table);
        }
        if let Some(table) = &above.build_override {
            self.build_override.get_or_insert_default().merge(table);
        }
    }
}

fn text<'a>(key: &str, value: ProfileValue<'a>) -> Result<&'a str, String> {
    match value {
        ProfileValue::String(text) => Ok(text),
        _ => Err(format!("`{key}` must be a string")),
    }
}

fn boolean(key: &str, value: ProfileValue<'_>) -> Result<bool, String> {
    match value {
        ProfileValue::Boolean(value) => Ok(value),
        ProfileValue::String("true") => Ok(true),
        ProfileValue::String("false") => Ok(false),
        _ => Err(format!("`{key}` must be a boolean")),
    }
}

fn opt_level(value: ProfileValue<'_>) -> Result<Symbol, String> {
    let text = match value {
        ProfileValue::Integer(level @ 0..=3) => return Ok(Symbol::new(&level.to_string())),
        ProfileValue::String(text @ ("0" | "1" | "2" | "3" | "s" | "z")) => return Ok(text.into()),
        ProfileValue::Integer(level) => level.to_string(),
        ProfileValue::String(text) => text.to_owned(),
        ProfileValue::Boolean(flag) => flag.to_string(),
    };
    Err(format!("must be `0`, `1`, `2`, `3`, `s` or `z`, but found the string: \"{text}\""))
}

fn lto(value: ProfileValue<'_>) -> Result<Lto, String> {
    match value {
        ProfileValue::Boolean(true) | ProfileValue::String("true" | "fat" | "on" | "y" | "yes") => Ok(Lto::Fat),
        ProfileValue::Boolean(false) | ProfileValue::String("false") => Ok(Lto::ThinLocal),
        ProfileValue::String("off" | "n" | "no") => Ok(Lto::Off),
        ProfileValue::String("thin") => Ok(Lto::Thin),
        _ => Err("`lto` must be a boolean, \"off\", \"thin\" or \"fat\"".to_owned()),
    }
}

fn codegen_units(value: ProfileValue<'_>) -> Result<u32, String> {
    let number = match value {
        ProfileValue::Integer(number) => u32::try_from(number).ok(),
        ProfileValue::String(text) => text.parse().ok(),
        ProfileValue::Boolean(_) => None,
    };
    number.filter(|&number| number > 0).ok_or_else(|| "`codegen-units` must be a positive integer".to_owned())
}

fn debug(value: ProfileValue<'_>) -> Result<DebugInfo, String> {
    match value {
        ProfileValue::Boolean(true) | ProfileValue::Integer(2) | ProfileValue::String("2" | "true" | "full") => {
            Ok(DebugInfo::Full)
        }
        ProfileValue::Boolean(false) | ProfileValue::Integer(0) | ProfileValue::String("0" | "false" | "none") => {
            Ok(DebugInfo::None)
        }
        ProfileValue::Integer(1) | ProfileValue::String("1" | "limited") => Ok(DebugInfo::Limited),
        ProfileValue::String("line-directives-only") => Ok(DebugInfo::LineDirectivesOnly),
        ProfileValue::String("line-tables-only") => Ok(DebugInfo::LineTablesOnly),
        _ => Err("`debug` must be a boolean, 0, 1, 2, \"line-tables-only\" or \"line-directives-only\"".to_owned()),
    }
}

fn panic(value: ProfileValue<'_>) -> Result<PanicStrategy, String> {
    match value {
        ProfileValue::String("unwind") => Ok(PanicStrategy::Unwind),
        ProfileValue::String("abort") => Ok(PanicStrategy::Abort),
        ProfileValue::String(other) => {
            Err(format!("`panic` setting of `{other}` is not a valid setting, must be `unwind` or `abort`"))
        }
        _ => Err("`panic` must be a string".to_owned()),
    }
}

fn strip(value: ProfileValue<'_>) -> Result<Strip, String> {
    match value {
        ProfileValue::Boolean(false) | ProfileValue::String("false" | "none") => Ok(Strip::None),
        ProfileValue::Boolean(true) | ProfileValue::String("true" | "symbols") => Ok(Strip::Symbols),
        ProfileValue::String("debuginfo") => Ok(Strip::DebugInfo),
        _ => Err("`strip` must be a boolean, \"none\", \"debuginfo\" or \"symbols\"".to_owned()),
    }
}

/// What a profile table may hold besides settings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Nesting {
    /// `[profile.NAME]`
    Profile,
    /// `package` and `build-override` tables, which hold fewer settings and no tables.
    Override,
}

/// Settings that apply to the whole program, and so cannot be overridden by package.
const NOT_IN_OVERRIDES: &[&str] = &["inherits", "lto", "panic", "rpath"];

/// Settings that only nightly Cargo gives a meaning to.
const UNSTABLE_SETTINGS: &[&str] = &["codegen-backend", "dir-name", "rustflags", "trim-paths"];

impl Reader<'_> {
    pub(super) fn profile(&mut self, name: &str, value: Value<'_>, nesting: Nesting) -> Option<ProfileTable> {
        let mut section = self.section(name, value)?;
        let mut table = ProfileTable::default();
        for key in PROFILE_KEYS {
            let Some(value) = section.take(key) else { continue };
            let full = section.child(key);
            if nesting == Nesting::Override && NOT_IN_OVERRIDES.contains(key) {
                let message = format!("`{key}` may not be specified in a `package` or `build-override` profile");
                self.error("manifest-profile", message, value.span());
            } else if let (true, Some(text)) = (matches!(*key, "opt-level" | "debug"), value.get_ref().as_str())
                && text.starts_with(|c: char| c.is_ascii_digit())
            {
                let message = format!("`{full}` must not be a number in quotes: write {text}");
                self.error("manifest-profile", message, value.span());
            } else if let Err(problem) = profile_value(value).and_then(|value| table.set(key, value)) {
                self.error("manifest-profile", format!("`{full}`: {problem}"), value.span());
            }
        }
        for key in UNSTABLE_SETTINGS {
            if let Some((span, _)) = section.entries.remove(key) {
                let message = format!("`{name}.{key}` requires nightly Cargo, which this is not");
                self.error("manifest-unstable-key", message, span);
            }
        }
        if let Some((span, _)) = section.entries.remove("hint-mostly-unused") {
            let message = format!("ignoring `{name}.hint-mostly-unused`, which needs nightly Cargo");
            self.warn("manifest-unused-key", message, span);
        }
        if nesting == Nesting::Override {
            for key in ["build-override", "package"] {
                if let Some((span, _)) = section.entries.remove(key) {
                    self.error("manifest-profile", format!("{key} profiles cannot be nested"), span);
                }
            }
        } else {
            self.overrides(&mut section, &mut table);
        }
        self.unknown_keys(&section, PROFILE_KEYS, Unknown::Warn);
        Some(table)
    }

    fn overrides(&mut self, section: &mut Section<'_>, table: &mut ProfileTable) {
        let build_override = section.take("build-override");
        table.build_override = build_override
            .and_then(|value| self.profile(&section.child("build-override"), value, Nesting::Override))
            .map(Box::new);
        let packages = section.take("package");
        let Some(packages) = packages.and_then(|value| self.section(section.child("package"), value)) else { return };
        for (spec, (_, value)) in &packages.entries {
            if let Some(entry) = self.profile(&packages.child(spec), value, Nesting::Override) {
                table.packages.insert((*spec).to_owned(), entry);
            }
        }
    }
}

fn profile_value<'t>(value: Value<'t>) -> Result<ProfileValue<'t>, String> {
    match value.get_ref() {
        DeValue::String(text) => Ok(ProfileValue::String(text)),
        DeValue::Boolean(flag) => Ok(ProfileValue::Boolean(*flag)),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(ProfileValue::Integer)
            .map_err(|_| "the number is too large".to_owned()),
        _ => Err("it must be a string, an integer or a boolean".to_owned()),
    }
}
