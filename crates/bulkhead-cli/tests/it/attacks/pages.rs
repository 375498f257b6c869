//! Words of others in what is made for other programs (case 164): a page for browsers, logs for code hosts, tables for
//! spreadsheets, lines to be pasted into a policy. Whatever a name holds, it stays text there.

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_test_support::{CrateBuilder, Outcome};
use html5gum::{DefaultEmitter, HtmlString, Token, Tokenizer};
use serde_json::Value;

use crate::json_schema::misfits_of_sarif;
use crate::stage::{APP, Stage};

/// What leaves a text and becomes markup, an attribute, a script, a comment, a link. Nothing that no file's name may hold:
/// such names never get as far as a page.
const BREAKOUTS: [&str; 10] = [
    "q<script>w",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>",
    "' onmouseover='alert(1)",
    "\" style=\"display&colon;none",
    "<!--",
    "]]><x>",
    "&lt;img src=x&gt;&#60;b&#62;",
    "<a href=javascript&colon;alert(1)>a",
    "+ADw-script+AD4-",
];

/// Names that lead elsewhere, or hide.
const REFUSED: [&str; 6] =
    ["</title><script>", "</script>", "javascript:alert(1)", "a\\u001b[2Jb", "a\\u0000b", "a\\nb"];

fn manifest(binaries: &[&str]) -> String {
    let mut text = "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n".to_owned();
    for name in binaries {
        // TOML reads `\u001b` of a basic string; quotes are doubled nowhere but escaped here.
        text += &format!("[[bin]]\nname = \"{}\"\npath = \"src/main.rs\"\n", name.replace('"', "\\\""));
    }
    text
}

fn stage(binaries: &[&str]) -> Stage {
    Stage::new(&format!("//- /Cargo.toml\n{}//- /src/main.rs\nfn main() {{}}\n", manifest(binaries)))
}

/// What a browser makes of a page: its elements with their attributes, and the texts between them.
struct Page {
    elements: Vec<(String, BTreeMap<String, String>)>,
    texts: BTreeSet<String>,
    comments: usize,
    errors: usize,
}

impl Page {
    fn of(stage: &Stage) -> Page {
        let html = std::fs::read_to_string(stage.project.path("target/cargo-timings/cargo-timing.html")).unwrap();
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        let mut page = Page { elements: Vec::new(), texts: BTreeSet::new(), comments: 0, errors: 0 };
        let text = |bytes: &HtmlString| String::from_utf8(bytes.to_vec()).unwrap();
        for token in Tokenizer::new_with_emitter(html.as_str(), emitter) {
            match token.unwrap() {
                Token::StartTag(tag) => {
                    let attributes = tag.attributes.iter().map(|(name, value)| (text(name), text(value)));
                    page.elements.push((text(&tag.name), attributes.collect()));
                }
                Token::String(string) => {
                    page.texts.insert(text(&string));
                }
                Token::Comment(_) => page.comments += 1,
                Token::Error(_) => page.errors += 1,
                Token::EndTag(_) | Token::Doctype(_) => {}
            }
        }
        page
    }

    fn has(&self, element: &str) -> bool {
        self.elements.iter().any(|(name, _)| name == element)
    }

    /// Nothing but what the page is made of, and nothing in it that acts or loads.
    #[track_caller]
    fn assert_inert(&self) {
        const ELEMENTS: [&str; 19] = [
            "html", "head", "meta", "title", "style", "body", "h1", "h2", "table", "tr", "th", "td", "p", "i", "svg",
            "line", "text", "rect", "path",
        ];
        const ATTRIBUTES: [&str; 20] = [
            "lang",
            "charset",
            "http-equiv",
            "content",
            "name",
            "class",
            "style",
            "viewbox",
            "role",
            "aria-label",
            "x",
            "y",
            "x1",
            "x2",
            "y1",
            "y2",
            "width",
            "height",
            "d",
            "text-anchor",
        ];
        for (element, attributes) in &self.elements {
            assert!(ELEMENTS.contains(&element.as_str()), "{element} {attributes:?}");
            for (name, value) in attributes {
                assert!(ATTRIBUTES.contains(&name.as_str()), "{element} {name}={value:?}");
                assert!(name != "style" || element == "i" && value.starts_with("background: var(--"), "{value:?}");
            }
        }
        assert_eq!((self.comments, self.errors), (0, 0));
        let policy = self.elements.iter().find(|(_, it)| it.get("http-equiv").is_some()).map(|(_, it)| &it["content"]);
        assert_eq!(policy.unwrap(), "default-src 'none'; style-src 'unsafe-inline'");
    }
}

/// The name of a program goes into the page that cargo writes as it is, and out of its table.
#[test]
fn case_164_what_has_a_name_stays_text_in_the_page_of_timings() {
    let theirs = stage(&BREAKOUTS[..1]);
    theirs.cargo(&["build", "--timings"]);
    assert!(Page::of(&theirs).has("script") && std::panic::catch_unwind(|| Page::of(&theirs).assert_inert()).is_err());

    let ours = stage(&BREAKOUTS);
    // The compiler refuses such names; the page is written all the same, as cargo's is.
    let outcome = ours.bulkhead(&["build", "--timings", "--keep-going"]);
    assert!(outcome.assert_code(101).stderr.contains("Timing report saved to"), "{outcome}");
    let page = Page::of(&ours);
    page.assert_inert();
    for name in BREAKOUTS {
        let shown = page.texts.iter().any(|text| text.contains(&format!("bin \"{name}\"")));
        assert!(shown, "a parser reads back what stood there: {name:?} {:?}", page.texts);
    }

    // What hides text, or gives it another direction, is not there at all.
    let hidden = stage(&["a\u{202e}\u{200b}\u{e0041}b"]);
    hidden.bulkhead(&["build", "--timings"]);
    let page = Page::of(&hidden);
    page.assert_inert();
    assert!(page.texts.iter().any(|text| text.contains("bin \"ab\"")), "{:?}", page.texts);
    for name in REFUSED {
        let refused = stage(&[name]);
        let outcome = refused.bulkhead(&["build", "--timings"]);
        assert!(outcome.assert_code(101).stderr.contains("target name"), "{outcome}");
        assert!(!refused.project.path("target/cargo-timings").exists());
    }

    // The benign twin is built, and its page is complete.
    let benign = stage(&["q-w"]);
    benign.bulkhead(&["build", "--timings"]).assert_success();
    let page = Page::of(&benign);
    page.assert_inert();
    assert!(page.texts.iter().any(|text| text.contains("app v0.1.0")) && page.has("rect"));
}

/// Package code that says such things where a review quotes it.
fn package() -> CrateBuilder {
    let said = "[ok](javascript:alert(1))</script><img src=x onerror=alert(1)>\u{202e}=cmd()|`";
    CrateBuilder::new("evil", "1.0.0")
        .build_script(&format!(
            "fn main() {{\n    std::process::Command::new(\"sh\").arg(\"-c\");\n    std::process::Command::new({said:?});\n    \
             let _ = std::env::var(\"[a](https://203.0.113.1)_TOKEN\");\n    let _ = \"https://203.0.113.1/[b](javascript:x)\";\n\
             // {said}\n}}\n"
        ))
        .file("src/lib.rs", format!("include!(\"../../{}\");\n", said.replace('`', "")))
        .file("tests/[x](y) #&'.bin", b"\x7fELF\xff".to_vec())
}

/// The schema of SARIF 2.1.0, and what it cannot say.
#[track_caller]
fn assert_sarif(log: &Value) -> Vec<&str> {
    assert_eq!(misfits_of_sarif(log), Vec::<String>::new());
    assert_eq!(log["version"], "2.1.0");
    assert!(log.as_object().unwrap().keys().all(|key| ["$schema", "version", "runs"].contains(&key.as_str())));
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let ids: BTreeSet<_> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), rules.len(), "each rule once");
    let mut texts = Vec::new();
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["none", "note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/+%".contains(c);
        assert!(uri.starts_with("evil-1.0.0/") && uri.chars().all(plain), "a relative reference: {uri}");
        assert!(place["region"].is_null() || place["region"]["startLine"].as_u64().unwrap() >= 1);
        assert_eq!(result["message"].as_object().unwrap().len(), 1, "plain text, no Markdown: {result}");
        texts.push(result["message"]["text"].as_str().unwrap());
    }
    texts
}

#[test]
fn case_164_what_a_package_says_stays_text_in_a_review_for_programs() {
    let stage = Stage::new(APP);
    stage.registry.publish(package());
    let review = |format: &str| -> (Outcome, Value) {
        let outcome = stage.bulkhead(&["review", "evil@1.0.0", "--message-format", format]);
        let value = serde_json::from_str(&outcome.assert_success().stdout).unwrap();
        assert!(!outcome.stdout.contains(['\u{202e}', '\u{1b}']), "{outcome}");
        (outcome, value)
    };
    let (outcome, log) = review("sarif");
    let texts = assert_sarif(&log);
    assert!(texts.iter().any(|text| text.contains("javascript")), "it is told: {outcome}");
    for text in texts {
        assert!(!text.contains("]("), "a viewer would make a link of it: {text}");
        assert!(!text.contains('\u{202e}') && !text.contains(char::is_control), "{text:?}");
    }
    // Programs that want the very text read the other format.
    let (_, report) = review("json");
    let findings = report["packages"][0]["findings"].as_array().unwrap();
    let details = || findings.iter().filter_map(|it| it["detail"].as_str());
    assert!(details().any(|detail| detail.contains("](javascript:")), "{findings:?}");
    let paths: Vec<_> = findings.iter().filter_map(|it| it["path"].as_str()).collect();
    assert!(paths.contains(&"tests/[x](y) #&'.bin"), "{paths:?}");
}
