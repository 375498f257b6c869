//! A profile as people and programs read it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bulkhead_executor::confinement;
use bulkhead_policy::profile::{DEVICES, EVERYWHERE, PROXY};
use bulkhead_policy::{Granted, Origin};
use bulkhead_sandbox::{ControlGroup, Level, Limits, control_group};
use bulkhead_schema::policy::NetworkRule;
use serde_json::{Value, json};

use super::Shown;

/// What stands in the place of a value that a grant lets through: it may be a secret.
const HIDDEN: &str = "(not shown)";

impl Shown {
    /// Lines for people. Untrusted text is in them.
    pub fn lines(&self) -> Vec<String> {
        let profile = &self.profile;
        let mut lines = vec![self.title.clone()];
        let mut row = |name: &str, text: String, origin: &dyn std::fmt::Display| {
            lines.push(format!("  {name:<10} {text}  [{origin}]"));
        };
        row("program", profile.program.display().to_string(), &"plan");
        row("folder", profile.current_dir.display().to_string(), &"plan");
        profile.hidden.iter().for_each(|entry| row("hidden", entry.value.display().to_string(), &entry.origin));
        EVERYWHERE.iter().for_each(|text| row("read", (*text).to_owned(), &Origin::Default));
        row("devices", self.devices().join(" "), &Origin::Default);
        for entry in profile.required.iter().chain(&profile.read) {
            row("read", entry.value.display().to_string(), &entry.origin);
        }
        for entry in &profile.write {
            row("write", entry.value.display().to_string(), &entry.origin);
        }
        row("network", self.network().join(" "), &profile.network.origin);
        for entry in &profile.directives {
            row("directive", entry.value.clone(), &entry.origin);
        }
        for (name, value) in &profile.environment {
            row("variable", format!("{name}={}", visible(value)), &value.origin);
        }
        let limits: Vec<_> = self.limits().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        row("limits", limits.join(" "), &"policy, else the defaults");
        row("kept by", self.keepers(), &"this host");
        row("enforced", self.mechanisms().join(", "), &"sandbox.level");
        lines
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let profile = &self.profile;
        let paths = |entries: &[Granted<PathBuf>]| -> Vec<Value> {
            entries.iter().map(|it| json!({ "path": it.value, "because": it.origin.to_string() })).collect()
        };
        let variables = profile.environment.iter();
        let variables = variables.map(|(name, value)| {
            (name.clone(), json!({ "value": visible(value), "because": value.origin.to_string() }))
        });
        let directives = profile.directives.iter();
        json!({
            "package": self.package.map(bulkhead_workspace::package_id_spec),
            "process": profile.kind.name(),
            "title": self.title,
            "program": profile.program,
            "current_dir": profile.current_dir,
            "base": { "read": EVERYWHERE, "devices": self.devices() },
            "required": paths(&profile.required),
            "read": paths(&profile.read),
            "write": paths(&profile.write),
            "hidden": paths(&profile.hidden),
            "network": { "reach": self.network(), "because": profile.network.origin.to_string() },
            "directives": directives
                .map(|it| json!({ "directive": it.value, "because": it.origin.to_string() }))
                .collect::<Vec<_>>(),
            "environment": variables.collect::<BTreeMap<_, _>>(),
            "limits": self.limits(),
            "kept_by": self.keepers(),
            "enforced": self.mechanisms(),
        })
    }

    fn devices(&self) -> Vec<&'static str> {
        let terminal = self.profile.kind.asks_people().then_some("/dev/tty");
        DEVICES.into_iter().chain(terminal).collect()
    }

    fn network(&self) -> Vec<String> {
        match &self.profile.network.value {
            NetworkRule::None if self.profile.kind.is_program() => {
                vec!["a loopback of its own".to_owned()]
            }
            NetworkRule::None => vec!["none".to_owned()],
            NetworkRule::All => vec!["all".to_owned()],
            NetworkRule::Hosts(hosts) => {
                let via = format!("(through {PROXY})");
                hosts.iter().map(ToString::to_string).chain([via]).collect()
            }
        }
    }

    fn limits(&self) -> BTreeMap<&'static str, u64> {
        let Limits {
            wall_time,
            cpu_time,
            memory_bytes,
            total_memory_bytes,
            processes,
            open_files,
            file_size,
            output_bytes,
        } = confinement::limits(&self.profile);
        let mebibytes = |bytes: Option<u64>| bytes.map(|bytes| bytes >> 20);
        let all = [
            ("time-seconds", wall_time.map(|time| time.as_secs())),
            ("cpu-seconds", cpu_time.map(|time| time.as_secs())),
            ("memory-mib", mebibytes(memory_bytes)),
            ("total-memory-mib", mebibytes(total_memory_bytes)),
            ("processes", processes),
            ("open-files", open_files),
            ("file-mib", mebibytes(file_size)),
            ("output-mib", mebibytes(output_bytes)),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// What holds the process to its limits.
    fn keepers(&self) -> String {
        if self.level.is_none() {
            return "nothing".to_owned();
        }
        let missing = match control_group() {
            Ok(ControlGroup { memory: true, processes: true }) => return "a control group, resource limits".to_owned(),
            Ok(ControlGroup { memory: true, .. }) => "the control group here cannot limit processes".to_owned(),
            Ok(_) => "the control group here cannot limit memory".to_owned(),
            Err(why) => format!("no control group: {why}"),
        };
        format!("resource limits, looks at the memory ({missing})")
    }

    fn mechanisms(&self) -> Vec<&'static str> {
        match self.level {
            Some(Level::Full) => vec!["namespaces", "landlock", "seccomp"],
            Some(Level::LandlockOnly) => vec!["landlock", "seccomp"],
            None => vec!["nothing"],
        }
    }
}

fn visible(value: &Granted<String>) -> &str {
    if matches!(value.origin, Origin::Grant(_)) { HIDDEN } else { &value.value }
}
