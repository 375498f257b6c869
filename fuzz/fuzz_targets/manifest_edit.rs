//! What `add` and `remove` do to a manifest: the result is a manifest that says what was wanted, everything else in it says
//! what it said, doing it twice changes nothing, and what was added can be removed.
#![no_main]

use bulkhead_schema::DependencyKind;
use bulkhead_workspace::edit::{Entry, ManifestEditor, Place, Section};
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::Arc;

const NEW: &str = "zz-added";

fuzz_target!(|text: &str| {
    let Ok(editor) = edit(&Arc::from(text)) else { return };
    let before = editor.finish().expect("what was accepted is still accepted");
    assert!(!editor.is_changed());
    let sections = [
        Section { kind: DependencyKind::Normal, platform: None },
        Section { kind: DependencyKind::Development, platform: None },
        Section { kind: DependencyKind::Build, platform: Some("cfg(unix)".to_owned()) },
    ];
    for section in sections.into_iter().chain(editor.sections()) {
        let known = editor.keys(&section).into_iter().next();
        for key in known.iter().map(String::as_str).chain([NEW]) {
            for entry in entries() {
                check_put(&editor, &before, &section, key, &entry);
            }
            check_take(&editor, &section, key);
        }
    }
});

fn edit(text: &Arc<str>) -> Result<ManifestEditor, Vec<bulkhead_schema::Diagnostic>> {
    ManifestEditor::parse(Path::new("/w/Cargo.toml"), text)
}

fn entries() -> Vec<Entry> {
    let version = Some("1.2".to_owned());
    let plain = Entry::new(Place::Registry { version: "1.2".to_owned() });
    let features = Some(vec!["one".to_owned(), "t\"wo".to_owned()]);
    let path = Place::Path { path: "../a b".to_owned(), version };
    let reference = Some(("branch", "next".to_owned()));
    let git = Place::Git { url: "https://example.org/x".to_owned(), reference, version: None };
    vec![
        plain.clone(),
        Entry { features, default_features: Some(false), ..plain },
        Entry { package: Some("other".to_owned()), ..Entry::new(path) },
        Entry::new(git),
    ]
}

fn check_put(editor: &ManifestEditor, before: &Arc<str>, section: &Section, key: &str, entry: &Entry) {
    let mut changed = editor.clone();
    changed.put(section, key, entry);
    let Ok(text) = changed.finish() else { return };
    check_rest(before, &text, section, key);
    let again = edit(&text).expect("an edited manifest can be edited");
    let said = again.entry(section, key);
    let Ok(Some(said)) = said else { panic!("{said:?} instead of {entry:?}") };
    assert_eq!(said.place, entry.place);
    assert!(entry.features.is_none() || said.features == entry.features, "{said:?} instead of {entry:?}");
    assert!(entry.default_features.is_none() || said.default_features == entry.default_features, "{said:?}");
    let mut twice = again.clone();
    twice.put(section, key, entry);
    assert!(!twice.is_changed(), "to put twice is to put once");
    let mut removed = again;
    assert!(removed.take(section, key), "what was added can be removed");
    if let Ok(text) = removed.finish() {
        check_rest(before, &text, section, key);
    }
}

fn check_take(editor: &ManifestEditor, section: &Section, key: &str) {
    let mut changed = editor.clone();
    let was_there = editor.keys(section).iter().any(|known| known == key);
    assert_eq!(changed.take(section, key), was_there);
    assert!(was_there || !changed.is_changed());
    assert!(!changed.keys(section).iter().any(|known| known == key));
    changed.mend_features(key);
    if let Ok(text) = changed.finish() {
        check_edited(&text);
    }
}

fn check_edited(text: &Arc<str>) {
    let again = edit(text).expect("an edited manifest can be edited");
    assert!(!again.is_changed());
}

/// Without the entry of `key`, both say the same.
fn check_rest(before: &str, after: &str, section: &Section, key: &str) {
    assert_eq!(rest(before, section, key), rest(after, section, key));
}

fn rest(text: &str, section: &Section, key: &str) -> String {
    let mut document: toml::Table = text.parse().expect("a manifest is TOML");
    let table = match section.kind {
        DependencyKind::Normal => "dependencies",
        DependencyKind::Development => "dev-dependencies",
        DependencyKind::Build => "build-dependencies",
    };
    match &section.platform {
        Some(platform) => remove(&mut document, &["target", platform, table, key]),
        None => remove(&mut document, &[table, key]),
    }
    // Numbers that are none are not equal to themselves.
    format!("{document:?}")
}

/// Removes what `path` leads to, and the tables above it that are empty then, or were.
fn remove(table: &mut toml::Table, path: &[&str]) {
    let Some((first, below)) = path.split_first() else { return };
    match table.get_mut(*first) {
        Some(toml::Value::Table(inner)) if !below.is_empty() => {
            remove(inner, below);
            if inner.is_empty() {
                table.remove(*first);
            }
        }
        _ => drop(table.remove(*first)),
    }
}
