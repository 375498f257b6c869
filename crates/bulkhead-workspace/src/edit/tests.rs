use std::path::Path;

use bulkhead_schema::DependencyKind;
use expect_test::{Expect, expect};

use super::{Entry, ManifestEditor, Place, Section};

const HEAD: &str = "[package]\nname = \"a\"\nversion = \"1.0.0\"\nedition = \"2024\"\n";

/// What `change` makes of a manifest that begins with [`HEAD`]; the head is not shown.
fn check(manifest: &str, change: impl Fn(&mut ManifestEditor), expected: &Expect) {
    let mut editor = ManifestEditor::parse(Path::new("/Cargo.toml"), &format!("{HEAD}{manifest}").into()).unwrap();
    change(&mut editor);
    let text = editor.finish().unwrap();
    expected.assert_eq(text.strip_prefix(HEAD).expect("the head stays as it is"));
}

fn section(kind: DependencyKind, platform: Option<&str>) -> Section {
    Section { kind, platform: platform.map(str::to_owned) }
}

fn normal() -> Section {
    section(DependencyKind::Normal, None)
}

fn version(version: &str) -> Entry {
    Entry::new(Place::Registry { version: version.to_owned() })
}

#[test]
fn a_sorted_table_stays_sorted_and_comments_stay_where_they_are() {
    check(
        "\n[dependencies]\n# of b\nb = \"1\" # one\nd = { version = \"1\" }\n\n[lib]\nname = \"x\"\n",
        |editor| editor.put(&normal(), "c", &version("2")),
        &expect![[r#"

            [dependencies]
            # of b
            b = "1" # one
            c = "2"
            d = { version = "1" }

            [lib]
            name = "x"
        "#]],
    );
    check(
        "\n[dependencies]\nd = \"1\"\nb = \"1\"\n",
        |editor| editor.put(&normal(), "c", &version("2")),
        &expect![[r#"

            [dependencies]
            d = "1"
            b = "1"
            c = "2"
        "#]],
    );
}

#[test]
fn entries_with_headers_of_their_own_have_no_say_in_what_is_sorted() {
    let renamed = Entry { package: Some("real".to_owned()), ..version("2") };
    check(
        "\n[dependencies]\nb = \"1\"\nd.version = \"1\"\ne = \"1\"\n\n[dependencies.a]\nversion = \"1\"\n",
        |editor| editor.put(&normal(), "c", &renamed),
        &expect![[r#"

            [dependencies]
            b = "1"
            c = { version = "2", package = "real" }
            d.version = "1"
            e = "1"

            [dependencies.a]
            version = "1"
        "#]],
    );
    check(
        "\n[dependencies]\nb = \"1\"\ne = \"1\"\nd.version = \"1\"\n\n[dependencies.z]\nversion = \"1\"\n",
        |editor| editor.put(&normal(), "c", &renamed),
        &expect![[r#"

            [dependencies]
            b = "1"
            e = "1"
            d.version = "1"
            c = { version = "2", package = "real" }

            [dependencies.z]
            version = "1"
        "#]],
    );
}

#[test]
fn new_entries_have_the_shortest_form() {
    let every = Entry {
        registry: Some("mine".to_owned()),
        package: Some("real".to_owned()),
        default_features: Some(false),
        features: Some(vec!["x".to_owned(), "y".to_owned()]),
        optional: Some(true),
        public: Some(true),
        ..version("1")
    };
    let path = Entry::new(Place::Path { path: "../p".to_owned(), version: Some("0.1.0".to_owned()) });
    let git = Entry::new(Place::Git {
        url: "https://example.org/x".to_owned(),
        reference: Some(("tag", "v1".to_owned())),
        version: None,
    });
    check(
        "",
        |editor| {
            editor.put(&normal(), "all", &every);
            editor.put(&normal(), "git", &git);
            editor.put(&normal(), "inherited", &Entry::new(Place::Workspace));
            editor.put(&normal(), "path", &path);
            let platform = section(DependencyKind::Development, Some("cfg(unix)"));
            editor.put(
                &platform,
                "more",
                &Entry { optional: None, features: Some(vec!["f".into()]), ..Entry::new(Place::Workspace) },
            );
        },
        &expect![[r#"

            [dependencies]
            all = { version = "1", registry = "mine", package = "real", default-features = false, features = ["x", "y"], optional = true, public = true }
            git = { git = "https://example.org/x", tag = "v1" }
            inherited.workspace = true
            path = { version = "0.1.0", path = "../p" }

            [target."cfg(unix)".dev-dependencies]
            more = { workspace = true, features = ["f"] }
        "#]],
    );
}

#[test]
fn existing_entries_keep_their_form() {
    let optional = Entry { optional: Some(true), ..version("2") };
    check(
        "\n[dependencies]\nplain = \"1\" # why\ninline = {version=\"1\"}\n\n[dependencies.long]\n# note\nversion = \"1\"\nfeatures = [\"a\"]\n",
        |editor| {
            for key in ["plain", "inline", "long"] {
                editor.put(&normal(), key, &optional);
            }
        },
        &expect![[r#"

            [dependencies]
            plain = { version = "2", optional = true } # why
            inline = { version = "2", optional = true }

            [dependencies.long]
            # note
            version = "2"
            features = ["a"]
            optional = true
        "#]],
    );
    check(
        "\n[dependencies]\na = { path = \"x\", default-features = false, optional = true }\nb = { path = \"x\" }\nc.workspace = true\n",
        |editor| {
            let back = Entry { default_features: Some(true), optional: Some(false), ..version("2") };
            editor.put(&normal(), "a", &back);
            editor.put(&normal(), "b", &version("2"));
            editor.put(&normal(), "c", &Entry { features: Some(vec!["f".into()]), ..Entry::new(Place::Workspace) });
        },
        &expect![[r#"

            [dependencies]
            a = { version = "2" }
            b = "2"
            c = { workspace = true, features = ["f"] }
        "#]],
    );
}

#[test]
fn an_optional_dependency_gets_a_feature_unless_it_has_one() {
    check(
        "\n[dependencies]\na = { version = \"1\", optional = true }\nb = { version = \"1\", optional = true }\n\n[features]\nx = [\"dep:a\"]\nb = []\n",
        |editor| {
            assert!(!editor.add_feature("a"));
            assert!(editor.add_feature("b"));
        },
        &expect![[r#"

            [dependencies]
            a = { version = "1", optional = true }
            b = { version = "1", optional = true }

            [features]
            x = ["dep:a"]
            b = ["dep:b"]
        "#]],
    );
}

#[test]
fn features_forget_what_is_gone() {
    let manifest = "
[dependencies]
a = { version = \"1\", optional = true }
b = \"1\"

[build-dependencies]
c = \"1\"

[features]
default = [\"a\", \"b/x\"]
x = [\"dep:a\", \"a?/y\", \"b/z\"]
";
    let manifest = manifest.replace("\"a\", ", "");
    check(
        &manifest,
        |editor| {
            assert!(editor.take(&normal(), "a") && editor.take(&normal(), "b"));
            assert!(editor.take(&section(DependencyKind::Build, None), "c"));
            assert!(!editor.take(&normal(), "a"));
            editor.mend_features("a");
            editor.mend_features("b");
        },
        &expect![[r#"

            [features]
            default = []
            x = []
        "#]],
    );
    check(
        &manifest,
        |editor| {
            editor.put(&normal(), "a", &Entry { optional: Some(false), ..version("1") });
            editor.mend_features("a");
        },
        &expect![[r#"

            [dependencies]
            a = { version = "1" }
            b = "1"

            [build-dependencies]
            c = "1"

            [features]
            default = ["b/x"]
            x = [ "a/y", "b/z"]
        "#]],
    );
}

#[test]
fn comments_outlive_the_features_they_stand_before() {
    check(
        "\n[features]\nx = [\n  # one\n  \"dep:a\", # two\n  \"y\",\n  # three\n  \"a/z\"\n]\ny = []\n",
        |editor| editor.mend_features("a"),
        &expect![[r#"

            [features]
            x = [
              # one
             # two
              "y"
              # three
            ]
            y = []
        "#]],
    );
}

#[test]
fn the_root_forgets_what_no_member_uses() {
    check(
        "
[workspace]

[workspace.dependencies]
a = \"1\"
b = \"1\" # kept

[profile.dev.package.a]
opt-level = 1
[profile.dev.package.\"b@1\"]
opt-level = 1
[profile.dev.package.\"*\"]
opt-level = 1

[patch.crates-io]
a = { git = \"https://example.org/a\" }
",
        |editor| {
            editor.remove_unused_workspace_dependencies(&["b".to_owned()].into());
            editor.remove_unused_profile_overrides(&["b".to_owned()].into());
            let patches = editor.git_patches();
            assert_eq!(patches[0].2, "https://example.org/a");
            editor.remove_patches(&patches.into_iter().map(|(source, key, _)| (source, key)).collect::<Vec<_>>());
        },
        &expect![[r#"

            [workspace]

            [workspace.dependencies]
            b = "1" # kept
            [profile.dev.package."b@1"]
            opt-level = 1
            [profile.dev.package."*"]
            opt-level = 1
        "#]],
    );
}

#[test]
fn what_is_no_manifest_is_neither_read_nor_written() {
    let parse = |text: &str| ManifestEditor::parse(Path::new("/Cargo.toml"), &text.into());
    assert!(parse(&format!("{HEAD}[dependencies]\nx = {{ version = \"1\", pakage = \"y\" }}")).is_err());
    assert!(parse(&format!("x = {}", "[".repeat(100_000))).is_err());
    assert!(parse(&format!("{HEAD}[dev_dependencies]\n")).is_err());
    assert!(parse(&"x".repeat(2 << 20)).is_err());
    let mut editor = parse(HEAD).unwrap();
    assert!(!editor.is_changed());
    editor.put(&normal(), "-x", &version("1"));
    assert!(editor.is_changed());
    assert!(editor.finish().is_err() || !editor.finish().unwrap().is_empty());
}

#[test]
fn flags_lead_from_one_table_to_another() {
    let towards = |from: &Section, to: &Section| from.flags_towards(to).join(" ");
    let unix = section(DependencyKind::Development, Some("cfg(unix)"));
    assert_eq!(towards(&normal(), &unix), "--dev --target cfg(unix)");
    assert_eq!(towards(&section(DependencyKind::Development, None), &unix), "--target cfg(unix)");
    assert_eq!(towards(&unix, &normal()), "");
    assert_eq!(unix.described(), "dev-dependencies for target `cfg(unix)`");
    assert_eq!(unix.to_string(), "target.cfg(unix).dev-dependencies");
}
