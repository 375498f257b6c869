use std::fmt::Write as _;

use expect_test::{Expect, expect};

use super::{IndexFile, Validators, index_path};
use crate::{PackageName, SourceId};

const SUM: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn parse(name: &str, lines: &str) -> Result<IndexFile, crate::Diagnostic> {
    let lines = lines.replace("SUM", &format!("\"cksum\":\"{SUM}\""));
    let validators = Validators { etag: Some("\"e\"".to_owned()), last_modified: None };
    IndexFile::parse(PackageName::registry(name).unwrap(), SourceId::crates_io(), lines.into_bytes(), validators)
}

/// Everything that can be seen of a file, before and after a trip through the cache.
fn check(lines: &str, expect: &Expect) {
    let shown = match parse("aa", lines) {
        Err(error) => error.to_string(),
        Ok(file) => {
            let cached = IndexFile::from_cache(file.name(), file.source(), file.to_cache().unwrap().to_vec())
                .expect("the cache form is read");
            assert_eq!(show(&file), show(&cached));
            assert_eq!(file.validators(), cached.validators());
            show(&file)
        }
    };
    expect.assert_eq(shown.trim_end());
}

fn show(file: &IndexFile) -> String {
    let mut out = String::new();
    for (position, entry) in file.versions().iter().enumerate() {
        assert_eq!(file.position(&entry.version), Some(position));
        write!(out, "{}", entry.version).unwrap();
        if entry.yanked {
            out.push_str(" yanked");
        }
        entry.rust_version.iter().for_each(|version| write!(out, " rust {version}").unwrap());
        entry.pubtime.iter().for_each(|time| write!(out, " time {time}").unwrap());
        match file.summary(position) {
            Err(error) => write!(out, " ! {error}").unwrap(),
            Ok(summary) => {
                for (feature, values) in &*summary.features {
                    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                    write!(out, "\n  {feature} = [{}]", values.join(", ")).unwrap();
                }
                for dep in &summary.dependencies {
                    write!(out, "\n  {:?} {} {}", dep.kind, dep.package, dep.requirement).unwrap();
                    dep.rename.iter().for_each(|name| write!(out, " as {name}").unwrap());
                    dep.platform.iter().for_each(|platform| write!(out, " on {platform}").unwrap());
                    write!(out, "{}", if dep.optional { " optional" } else { "" }).unwrap();
                    write!(out, "{}", if dep.default_features { "" } else { " bare" }).unwrap();
                    if dep.source != file.source() {
                        write!(out, " from {}", dep.source).unwrap();
                    }
                    if !dep.features.is_empty() {
                        write!(out, " {:?}", dep.features).unwrap();
                    }
                }
                summary.links.iter().for_each(|links| write!(out, "\n  links {links}").unwrap());
            }
        }
        out.push('\n');
    }
    for rejected in file.rejected() {
        writeln!(out, "rejected {:?}: {}", rejected.version, rejected.reason).unwrap();
    }
    out
}

#[test]
fn whole_entries() {
    check(
        r#"{"name":"aa","vers":"1.10.0","deps":[],SUM,"features":{},"yanked":true,"rust_version":"1.70","pubtime":"2025-11-12T19:30:12Z"}
{"name":"aa","vers":"1.2.0-rc.1+b","deps":[{"name":"b","req":"^1","features":["x"],"optional":true,"default_features":false,"target":"cfg(unix)","kind":"normal","registry":null,"package":null},{"name":"c","req":"*","kind":"dev","package":"real"},{"name":"d","req":">=1, <3","kind":"build","registry":"https://github.com/rust-lang/crates.io-index"}],SUM,"features":{"default":["b"],"f":["b?/x","c/y"]},"features2":{"f":["dep:b"],"b":[]},"v":2,"links":"z","unknown":{"deep":[1]}}
{"name":"aa","vers":"1.2.0","deps":[{"name":"b","req":"0.1","optional":true}],SUM,"features":{}}
"#,
        &expect![[r#"
            1.2.0-rc.1+b
              b = []
              default = [b]
              f = [b?/x, c/y, dep:b]
              Normal b ^1 on cfg(unix) optional bare ["x"]
              Development real * as c
              Build d >=1, <3
              links z
            1.2.0
              b = [dep:b]
              Normal b ^0.1 optional
            1.10.0 yanked rust 1.70.0 time 1762975812"#]],
    );
}

#[test]
fn a_broken_line_costs_its_version_and_no_other() {
    check(
        &format!(
            r#"{{"name":"aa","vers":"1.0.0","deps":[],SUM}}
{{"name":"aa","vers":"2.0.0","deps":[],SUM,SUM}}
{{"name":"aa","vers":"2.0.1","vers":"2.0.2","deps":[],SUM}}
{{"name":"aa","vers":"2.0.3","deps":[],SUM,"v":99}}
{{"name":"aa","vers":"2.0.4","deps":[],SUM,}}
{{"name":"aa","vers":"2.0.5","deps":[],SUM,"yanked":NaN}}
{{"name":"aa","vers":"2.0.6","deps":[],"cksum":"{}"}}
{{"name":"aa","vers":"2.0.7","deps":[],"cksum":""}}
{{"name":"aa","vers":"2.0.8","deps":[]}}
{{"name":"aa","vers":"1.18446744073709551616.0","deps":[],SUM}}
{{"name":"aa","vers":"1.0","deps":[],SUM}}
{{"name":"aa","vers":"2.1.0","deps":[],SUM,"rust_version":"1.70-x"}}
{{"name":"aa","vers":"2.1.1","deps":[],SUM,"pubtime":"2025-13-12T19:30:12Z"}}
{{"name":"aa","vers":"2.1.2","deps":[],SUM,"deps":[]}}
{{"name":"aa","vers":"2.1.3","deps":[],SUM}} // comment
not json
{{"name":"aa","vers":"1.18446744073709551615.0","deps":[],SUM}}
"#,
            SUM.to_uppercase()
        ),
        &expect![[r#"
            1.0.0
            1.18446744073709551615.0
            rejected "2.0.0": duplicate field `cksum` at line 1 column 120
            rejected "2.0.1": duplicate field `vers` at line 1 column 34
            rejected "2.0.3": its schema version 99 is not supported
            rejected "2.0.4": trailing comma at line 1 column 114
            rejected "2.0.5": expected value at line 1 column 123
            rejected "2.0.6": its `cksum` is not written as 64 lower-case hexadecimal digits
            rejected "2.0.7": its `cksum` is not written as 64 lower-case hexadecimal digits
            rejected "2.0.8": missing field `cksum` at line 1 column 38
            rejected "1.18446744073709551616.0": invalid version: value of minor version number exceeds u64::MAX
            rejected "1.0": invalid version: unexpected end of input while parsing minor version number
            rejected "2.1.0": invalid `rust_version` "1.70-x"
            rejected "2.1.1": invalid `pubtime` "2025-13-12T19:30:12Z"
            rejected "2.1.2": duplicate field `deps` at line 1 column 119
            rejected "2.1.3": trailing characters at line 1 column 115
            rejected "": expected ident at line 1 column 2"#]],
    );
}

#[test]
fn a_version_that_stands_twice_is_ambiguous() {
    check(
        r#"{"name":"aa","vers":"1.0.0","deps":[],SUM}
{"name":"aa","vers":"2.0.0","deps":[],SUM}
{"name":"aa","vers":"1.0.0","deps":[],SUM,"yanked":true}
{"name":"aa","vers":"3.0.0","deps":[],SUM}
{"name":"aa","vers":"3.0.0+evil","deps":[],SUM}
{"name":"aa","vers":"3.0.0+more","deps":[],SUM}
{"name":"aa","vers":"3.0.0-pre","deps":[],SUM}
{"name":"aa","vers":"4.0.0+old","deps":[],SUM,"pubtime":"2020-01-01T00:00:00Z"}
{"name":"aa","vers":"4.0.0+more","deps":[],SUM,"pubtime":"2021-01-01T00:00:00Z"}
{"name":"aa","vers":"5.0.0","deps":[],SUM,"pubtime":"2020-01-01T00:00:00Z"}
{"name":"aa","vers":"5.0.0+evil","deps":[],SUM}
"#,
        &expect![[r#"
            2.0.0
            3.0.0-pre
            4.0.0+more time 1609459200
            4.0.0+old time 1577836800
            rejected "1.0.0": the index holds this version more than once
            rejected "1.0.0": the index holds this version more than once
            rejected "3.0.0": the index holds this version more than once
            rejected "3.0.0+evil": the index holds this version more than once
            rejected "3.0.0+more": the index holds this version more than once
            rejected "5.0.0": the index holds this version more than once
            rejected "5.0.0+evil": the index holds this version more than once"#]],
    );
}

#[test]
fn hostile_parts_make_an_entry_unusable() {
    let huge = "x".repeat(100_000);
    let deps = [
        r#"{"name":"../../../../esc","req":"1"}"#,
        r#"{"name":"é漢","req":"1"}"#,
        r#"{"name":"","req":"1"}"#,
        &format!(r#"{{"name":"{huge}","req":"1"}}"#),
        r#"{"name":"b","req":"1","package":"-x"}"#,
        r#"{"name":"b","req":"*.*.*.*"}"#,
        r#"{"name":"b","req":"1","kind":"run"}"#,
        r#"{"name":"b","req":"1","target":"cfg("}"#,
        r#"{"name":"b","req":"1","features":["a\u001b[31m"]}"#,
        r#"{"name":"b","req":"1","registry":"file:///etc"}"#,
        r#"{"name":"b","req":"1","registry":"https://u:p@example.org/"}"#,
        r#"{"name":"b","req":"1","registry":"sparse+https://example.org/?q"}"#,
        r#"{"name":"b","name":"c","req":"1"}"#,
    ];
    let lines: String = deps
        .iter()
        .enumerate()
        .map(|(n, dep)| format!("{{\"name\":\"aa\",\"vers\":\"{n}.0.0\",\"deps\":[{dep}],SUM}}\n"))
        .collect();
    let file = parse("aa", &lines).unwrap();
    assert_eq!(file.versions().len(), deps.len());
    let reasons: Vec<String> = (0..deps.len()).map(|position| file.summary(position).unwrap_err().message).collect();
    let shown: Vec<&str> = reasons.iter().map(|reason| reason.rsplit_once(".0.0: ").unwrap().1).collect();
    expect![[r#"
        invalid dependency name: invalid package name "../../../../esc": the character '.' is not allowed
        invalid dependency name: invalid package name "é漢": the character 'é' is not allowed
        invalid dependency name: invalid package name "": it is empty
        invalid dependency name: invalid package name "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx": it is longer than 256 bytes
        invalid dependency name: invalid package name "-x": it must begin with a letter or `_`"#]]
    .assert_eq(&shown[..5].join("\n"));
    assert!(reasons.iter().all(|reason| reason.len() < 400 && !reason.chars().any(char::is_control)), "{reasons:?}");
}

#[test]
fn features_refer_to_what_exists() {
    let check = |deps: &str, features: &str| {
        let line = format!(r#"{{"name":"aa","vers":"1.0.0","deps":[{deps}],SUM,"features":{features}}}"#);
        parse("aa", &line)
            .unwrap()
            .summary(0)
            .map(drop)
            .map_err(|error| error.message.rsplit_once("1.0.0: ").unwrap().1.to_owned())
    };
    let optional = r#"{"name":"b","req":"1","optional":true}"#;
    let plain = r#"{"name":"b","req":"1"}"#;
    for (deps, features, reason) in [
        ("", r#"{"f":["g"]}"#, "feature `f` includes `g`, neither a dependency nor another feature"),
        ("", r#"{"f":["dep:b"]}"#, "feature `f` includes `dep:b`, but there is no such dependency"),
        ("", r#"{"f":["b/x"]}"#, "feature `f` includes `b/x`, but there is no such dependency"),
        (plain, r#"{"f":["b"]}"#, "feature `f` includes `b`, a dependency that is not optional"),
        (plain, r#"{"f":["dep:b"]}"#, "feature `f` includes `dep:b`, a dependency that is not optional"),
        (plain, r#"{"f":["b?/x"]}"#, "feature `f` includes `b?/x`, but `?` is only for optional dependencies"),
        (optional, r#"{"f":["dep:b","b"]}"#, "feature `f` includes `b`, an optional dependency that needs `dep:` here"),
        (optional, r#"{"f":["b/x/y"]}"#, "feature `f` includes `b/x/y`, which has more than one `/`"),
        (optional, r#"{"f":["dep:b/x"]}"#, "feature `f` includes `dep:b/x`, but there is no such dependency"),
        (optional, r#"{"b":[]}"#, "optional dependency `b` is not included in any feature"),
        ("", r#"{"f\n":[]}"#, "invalid feature name \"f\\n\""),
        ("", r#"{"-f":[]}"#, "invalid feature name \"-f\""),
        ("", r#"{"f":[""]}"#, "invalid feature value \"\""),
    ] {
        assert_eq!(check(deps, features), Err(reason.to_owned()), "{features}");
    }
    assert!(check("", r#"{"f":[],"f":[]}"#).unwrap_err().starts_with("duplicate feature"));
    for (deps, features) in [
        (optional, "{}"),
        (optional, r#"{"f":["b"]}"#),
        (optional, r#"{"f":["dep:b","b?/x"]}"#),
        (optional, r#"{"b":["dep:b"]}"#),
        (plain, r#"{"f":["b/x"],"2d":[],"_a":["f"],"a+b.c":[]}"#),
    ] {
        assert_eq!(check(deps, features), Ok(()), "{features}");
    }
}

#[test]
fn a_file_for_another_name_is_refused_whole() {
    for (asked, found) in [("ac", "serde"), ("ac", "AC")] {
        let good = format!(r#"{{"name":"{asked}","vers":"1.0.0","deps":[],SUM}}"#);
        let other = format!(r#"{{"name":"{found}","vers":"2.0.0","deps":[],SUM}}"#);
        let error = parse(asked, &format!("{good}\n{other}\n")).unwrap_err();
        assert_eq!(error.code, "index-other-name");
        assert!(error.message.contains(asked) && error.message.contains(found), "{error}");
    }
    assert!(parse("aa", &"x".repeat(super::MAX_INDEX_FILE + 1)).unwrap_err().message.contains("16 MiB"));
    assert!(parse("aa", &"x\n".repeat(super::MAX_VERSIONS + 1)).unwrap_err().message.contains("versions"));
}

#[test]
fn a_damaged_cache_is_not_read() {
    let line = r#"{"name":"aa","vers":"1.0.0-pre+b","deps":[{"name":"b","req":"1"}],SUM,"rust_version":"1.7"}"#;
    let file = parse("aa", &format!("{line}\nbroken\n")).unwrap();
    let (name, source, bytes) = (file.name(), file.source(), file.to_cache().unwrap().to_vec());
    let head = IndexFile::cache_head_length(&bytes).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        match IndexFile::from_cache(name, source, damaged) {
            None => assert!(at < head, "{at}"),
            // Damage in details is found when they are decoded.
            Some(file) => assert!(at >= head && file.summary(0).is_err(), "{at}"),
        }
        assert!(IndexFile::from_cache(name, source, bytes[..at].to_vec()).is_none());
    }
    assert!(IndexFile::from_cache(PackageName::registry("ab").unwrap(), source, bytes.clone()).is_none());
    let other = SourceId::parse("sparse+https://example.org/").unwrap();
    assert!(IndexFile::from_cache(name, other, bytes).is_none());
}

#[test]
fn a_forged_block_is_bounds_checked() {
    let line =
        r#"{"name":"aa","vers":"1.0.0","deps":[{"name":"b","req":"1","features":["x"]}],SUM,"features":{"f":["b/x"]}}"#;
    let file = parse("aa", line).unwrap();
    let (name, source, bytes) = (file.name(), file.source(), file.to_cache().unwrap().to_vec());
    let head = IndexFile::cache_head_length(&bytes).unwrap();
    let put = |bytes: &mut [u8], at: usize, sum: u64| bytes[at..at + 8].copy_from_slice(&sum.to_le_bytes());
    let part_sum = bytes.windows(8).position(|window| window == crate::hash::checksum(&bytes[head..]).to_le_bytes());
    // Every byte in turn is set to every kind of wrong value, with checksums that fit: nothing panics.
    for at in 16..bytes.len() {
        for wrong in [0, 1, 0x7f, 0x80, 0xff, bytes[at].wrapping_add(1)] {
            let mut forged = bytes.clone();
            forged[at] = wrong;
            if at >= head {
                let sum = crate::hash::checksum(&forged[head..]);
                put(&mut forged, part_sum.unwrap(), sum);
            }
            let sum = crate::hash::checksum(&forged[16..head]);
            put(&mut forged, 8, sum);
            if let Some(file) = IndexFile::from_cache(name, source, forged) {
                (0..file.versions().len()).for_each(|position| drop((file.summary(position), file.checksum(position))));
            }
        }
    }
}

#[derive(Debug)]
struct InMemory(Vec<u8>, std::sync::Arc<std::sync::atomic::AtomicBool>);

impl super::Remainder for InMemory {
    fn read(&self, offset: u32, length: u32) -> Option<Vec<u8>> {
        let start = offset as usize;
        self.0.get(start..start + length as usize).map(<[u8]>::to_vec)
    }

    fn damaged(&self) {
        self.1.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn details_may_stay_where_they_are() {
    let lines = "{\"name\":\"aa\",\"vers\":\"1.0.0\",\"deps\":[],SUM}\n\
                 {\"name\":\"aa\",\"vers\":\"1.1.0\",\"deps\":[],SUM,\"links\":\"z\"}";
    let whole = parse("aa", lines).unwrap();
    let bytes = whole.to_cache().unwrap().to_vec();
    let head = IndexFile::cache_head_length(&bytes[..24]).unwrap();
    let told = std::sync::Arc::default();
    let open = |shown: usize, rest: &[u8]| {
        let rest = Box::new(InMemory(rest.to_vec(), std::sync::Arc::clone(&told)));
        IndexFile::from_cache_head(whole.name(), whole.source(), bytes[..shown].to_vec(), bytes.len(), rest)
    };
    // The beginning may end anywhere after the head.
    for shown in head..=bytes.len() {
        assert_eq!(show(&open(shown, &bytes).unwrap()), show(&whole));
    }
    assert!(open(head - 1, &bytes).is_none());
    assert!(!told.load(std::sync::atomic::Ordering::Relaxed));
    // What is read later is checked like what was read before.
    let mut damaged = bytes.clone();
    damaged[head] ^= 1;
    let file = open(head, &damaged).unwrap();
    assert!(file.summary(0).is_err() && file.summary(1).is_ok());
    assert!(told.load(std::sync::atomic::Ordering::Relaxed), "whoever keeps the block hears of it");
    assert!(open(head, &bytes[..head]).unwrap().summary(1).is_err());
}

#[test]
fn equal_details_are_kept_once() {
    let line = |version: usize| {
        let padding = "long-feature".repeat(8);
        format!("{{\"name\":\"aa\",\"vers\":\"{version}.0.0\",\"deps\":[],SUM,\"features\":{{\"{padding}\":[]}}}}\n")
    };
    let [one, many] = [1, 100].map(|count| {
        let lines: String = (0..count).map(line).collect();
        parse("aa", &lines).unwrap().to_cache().unwrap().len()
    });
    assert!(many - one < 99 * 40, "{one} {many}");
}

#[test]
fn paths_follow_the_length_of_the_name() {
    for (name, path) in [("A", "1/a"), ("ab", "2/ab"), ("abc", "3/a/abc"), ("MyCrate", "my/cr/mycrate")] {
        assert_eq!(index_path(PackageName::registry(name).unwrap()), path);
    }
    assert_eq!(super::prefix("MyCrate"), "My/Cr");
}
