//! What Rust code reaches for, as far as its tokens tell. Names that macros put together are not seen; what is seen is never
//! less for how the code is laid out.

use crate::data::{MIN_ENCODED, is_encoded};
use crate::examine::Counts;
use crate::finding::{Role, Rule};
use crate::sink::Sink;
use crate::text::{Token, TokenKind, is_number, tokens};
use crate::words;

/// So many numbers in a row are data.
const MIN_NUMBERS: usize = MIN_ENCODED;

/// Tokens that are remembered: `Command :: new (` and the one after.
const REMEMBERED: usize = 5;

/// Bytes of a line that are shown.
const SHOWN: usize = 400;

/// Looks through the code of one file.
pub(crate) fn scan(path: &str, text: &str, role: Role, counts: &mut Counts, sink: &mut Sink) {
    let mut scan = Scan {
        path,
        text,
        role,
        counts,
        sink,
        place: Place::default(),
        recent: [None; REMEMBERED],
        import: Import::None,
        knows_command: false,
        numbers: 0,
    };
    for token in tokens(text) {
        scan.token(token);
    }
}

/// Where the scan is.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Everything before was counted.
    offset: usize,
    /// Line feeds before it.
    lines: u32,
    /// Where its line begins.
    start: usize,
}

/// Whether the tokens belong to a `use`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Import {
    None,
    Some,
    /// Of `clap`, whose `Command` starts nothing.
    Clap,
}

struct Scan<'a, 's> {
    path: &'s str,
    text: &'a str,
    role: Role,
    counts: &'s mut Counts,
    sink: &'s mut Sink,
    place: Place,
    /// The tokens before, the last one first.
    recent: [Option<Token<'a>>; REMEMBERED],
    import: Import,
    /// `Command` is that of `std::process` here.
    knows_command: bool,
    numbers: usize,
}

impl<'a> Scan<'a, '_> {
    fn token(&mut self, token: Token<'a>) {
        self.call_with(token);
        if let Some(name) = token.identifier() {
            self.word(name, token);
        } else if let Some(string) = token.string() {
            self.string(string, token);
        }
        match token.kind {
            TokenKind::Semi => self.import = Import::None,
            TokenKind::Bang if self.word_before(0).is_some_and(|name| words::ASSEMBLY.contains(&name)) => {
                self.add(Rule::Assembly, token);
            }
            TokenKind::Star if self.import == Import::Some && self.follows_colons() => {
                self.renames(self.word_before(2), token);
            }
            TokenKind::OpenBrace if self.opens_foreign_block() => self.counts.foreign_blocks += 1,
            _ => {}
        }
        self.count_numbers(token);
        self.recent.rotate_right(1);
        self.recent[0] = Some(token);
    }

    fn before(&self, distance: usize) -> Option<TokenKind> {
        self.recent.get(distance)?.map(|token| token.kind)
    }

    fn word_before(&self, distance: usize) -> Option<&'a str> {
        (*self.recent.get(distance)?)?.identifier()
    }

    fn follows_colons(&self) -> bool {
        self.before(0) == Some(TokenKind::Colon) && self.before(1) == Some(TokenKind::Colon)
    }

    fn opens_foreign_block(&self) -> bool {
        let abi = (*self.recent.first().unwrap_or(&None)).is_some_and(|token| token.string().is_some());
        self.word_before(usize::from(abi)) == Some("extern")
    }

    fn word(&mut self, name: &'a str, token: Token<'a>) {
        let in_attribute = matches!(self.before(0), Some(TokenKind::OpenBracket | TokenKind::OpenParen));
        match name {
            "use" => self.import = Import::Some,
            "unsafe" => self.counts.unsafe_uses += 1,
            "no_mangle" | "export_name" if in_attribute => self.counts.exported += 1,
            "ctor" if self.before(0) == Some(TokenKind::OpenBracket) => self.add(Rule::EarlyCode, token),
            _ if words::DYNAMIC.contains(&name) => self.add(Rule::DynamicCode, token),
            _ if !name.is_ascii() && words::mixes_scripts(name) => self.add(Rule::MixedScripts, token),
            _ => {}
        }
        let imports = self.import != Import::None;
        if imports && name == "clap" {
            self.import = Import::Clap;
        }
        let head = if self.follows_colons() { self.word_before(2) } else { None };
        let named = self.follows_colons() || imports;
        if name == "Command" && named && head != Some("clap") && self.import != Import::Clap {
            self.knows_command = true;
            self.add(Rule::Process, token);
        } else if named && let Some(rule) = words::meaning(head, name, imports) {
            self.add(rule, token);
        }
        if imports && name == "as" {
            self.renames(self.word_before(0), token);
        }
    }

    /// A module that is imported whole or under another name: what is used of it cannot be told any more.
    fn renames(&mut self, module: Option<&str>, token: Token<'a>) {
        if let Some(rule) = module.and_then(words::module) {
            self.add(rule, token);
        }
    }

    /// `token` may be the first argument of a call: of a program to start, or of a variable to read.
    fn call_with(&mut self, token: Token<'a>) {
        if self.before(0) != Some(TokenKind::OpenParen) {
            return;
        }
        let string = token.string();
        let (macro_name, function) = match self.before(1) {
            Some(TokenKind::Bang) => (self.word_before(2), None),
            _ => (None, self.word_before(1)),
        };
        let of_command = self.word_before(4) == Some("Command") && self.knows_command;
        match (macro_name, function, string) {
            (None, Some("new"), Some(program)) if of_command => {
                let shell = words::is_shell(program);
                self.tell(if shell { Rule::Shell } else { Rule::Process }, token, &format!("starts `{program}`"));
            }
            (None, Some("new"), None) if of_command => self.add(Rule::Process, token),
            (None, Some("var" | "var_os"), Some(name)) | (Some("env" | "option_env"), None, Some(name)) => {
                let rule = if words::is_secret_variable(name) { Rule::SecretVariable } else { Rule::Environment };
                self.tell(rule, token, &format!("`{name}`"));
            }
            (Some("include" | "include_str" | "include_bytes"), None, Some(path))
                if words::leaves_package(self.path, path) =>
            {
                self.tell(Rule::OutsidePackage, token, &format!("`{path}`"));
            }
            _ => {}
        }
    }

    fn string(&mut self, string: &'a str, token: Token<'a>) {
        let is_assigned = self.before(0) == Some(TokenKind::Eq);
        match self.word_before(1) {
            Some("doc") if is_assigned => return,
            Some("link_section") if is_assigned && words::runs_early(string) => self.add(Rule::EarlyCode, token),
            _ => {}
        }
        if let Some(place) = words::secret_place(string) {
            self.tell(Rule::SecretPath, token, &format!("`{place}`"));
        }
        if let Some(rule) = words::directive(string) {
            self.tell(rule, token, &format!("`{string}`"));
        }
        if let Some(address) = words::address(string) {
            self.tell(Rule::Address, token, &format!("`{address}`"));
        }
        if is_encoded(string) {
            self.tell(Rule::EncodedData, token, &format!("a string of {} bytes", string.len()));
        }
    }

    /// Numbers with nothing but commas and signs between them.
    fn count_numbers(&mut self, token: Token<'a>) {
        match token.kind {
            kind if is_number(kind) => self.numbers += 1,
            TokenKind::Comma | TokenKind::Minus => {}
            _ => {
                if self.numbers >= MIN_NUMBERS {
                    let detail = format!("{} numbers in a row", self.numbers);
                    self.tell(Rule::EncodedData, token, &detail);
                }
                self.numbers = 0;
            }
        }
    }

    /// A finding at `token`, told by the line in which it stands.
    fn add(&mut self, rule: Rule, token: Token<'a>) {
        self.move_to(token.start);
        // A line can be as long as the file: only what is shown of it is looked at.
        let start = self.place.start.max(token.start.saturating_sub(60));
        let start = (start..=token.start).find(|&at| self.text.is_char_boundary(at)).unwrap_or(token.start);
        let end = self.text.len().min(start + SHOWN);
        let end = (start..=end).rev().find(|&at| self.text.is_char_boundary(at)).unwrap_or(start);
        let line = self.text.get(start..end).unwrap_or_default().lines().next().unwrap_or_default();
        self.sink.add(rule, self.role, (self.path, self.place.lines + 1), line);
    }

    fn tell(&mut self, rule: Rule, token: Token<'a>, detail: &str) {
        self.move_to(token.start);
        self.sink.add(rule, self.role, (self.path, self.place.lines + 1), detail);
    }

    fn move_to(&mut self, offset: usize) {
        let passed = self.text.get(self.place.offset..offset).unwrap_or_default().bytes();
        for (at, _) in passed.enumerate().filter(|(_, byte)| *byte == b'\n') {
            self.place.lines += 1;
            self.place.start = self.place.offset + at + 1;
        }
        self.place.offset = self.place.offset.max(offset);
    }
}

#[cfg(test)]
mod tests {
    use super::scan;
    use crate::examine::Counts;
    use crate::finding::Role;
    use crate::sink::Sink;

    fn found(text: &str) -> (Vec<String>, Counts) {
        let (mut counts, mut sink) = (Counts::default(), Sink::default());
        scan("src/a/b.rs", text, Role::BuildCode, &mut counts, &mut sink);
        let mut findings = sink.finish().0;
        findings.sort_by_key(|it| (it.line, it.rule));
        (findings.iter().map(|it| format!("{}:{}", it.line, it.rule.id())).collect(), counts)
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(found(text).0, expected, "{text}");
    }

    #[test]
    fn programs_and_shells() {
        check("use std::process::Command;\nfn f() { Command::new(\"git\"); }", &["1:process", "2:process"]);
        check("use std::{env, process::{Command, Stdio}};\nfn f() { Command::new(&x) }", &["1:process", "2:process"]);
        check(
            "use std::process as p;\np::Command::new(\"x\");\nuse std::net::*;",
            &["1:process", "2:process", "2:process", "3:network"],
        );
        check("use tokio::process::Command as C;", &["1:process"]);
        check("fn f() {\n std::process::Command::new(\"/bin/sh\").arg(\"-c\") }", &["2:shell", "2:process"]);
        check("std::process::Command::new(r\"curl.exe\")", &["1:shell", "1:process"]);
        check("clap::Command::new(\"sh\"); std::process::exit(1); process::id()", &[]);
        check("use clap::{Arg, Command};\nCommand::new(\"sh\")", &[]);
    }

    #[test]
    fn network_and_files() {
        check("use std::net::{IpAddr, TcpStream};\nTcpStream::connect(a)", &["1:network"]);
        check("std::net::UdpSocket::bind(x)", &["1:network"]);
        check("let x = reqwest::blocking::get(u)", &["1:network"]);
        check("use ureq;", &["1:network"]);
        check(
            "std::fs::write(a, b);\nfs::read(a);\nFile::create(p);\nFile::open(p)",
            &["1:write", "2:read", "3:write", "4:read"],
        );
        check("println!(\"see https://example.org/a\");", &["1:address"]);
        check("#[doc = \"https://example.org\"] struct A;", &[]);
    }

    #[test]
    fn variables_and_secrets() {
        check("env::var(\"OUT_DIR\");\nstd::env::var_os(\"MY_API_TOKEN\");", &["1:environment", "2:secret-variable"]);
        check(
            "env!(\"CARGO_PKG_NAME\");\noption_env!(\"AWS_SECRET_ACCESS_KEY\")",
            &["1:environment", "2:secret-variable"],
        );
        check("for (k, v) in std::env::vars() {}", &["1:environment"]);
        check("home.join(\".ssh\").join(\"id_rsa\")", &["1:secret-path", "1:secret-path"]);
        check("home.join(\".aws/credentials\")", &["1:secret-path"]);
    }

    #[test]
    fn what_is_linked_and_loaded() {
        check(
            "println!(\"cargo:rustc-link-lib=z\");\nprintln!(\"cargo::rustc-link-arg=-Wl,x\");",
            &["1:link-directive", "2:linker-argument"],
        );
        check("libloading::Library::new(x);\ndlopen(x)", &["1:dynamic-code", "2:dynamic-code"]);
        check(
            "#[link_section = \".init_array\"]\nstatic A: u8 = 0;\n#[ctor]\nfn f() {}",
            &["1:early-code", "3:early-code"],
        );
        check("#[link_section = \".text\"] fn f() {}", &[]);
        check("core::arch::asm!(\"nop\")", &["1:assembly"]);
        check(
            "include!(\"../../../x.rs\");\ninclude_str!(\"../../README.md\");\ninclude_bytes!(\"/etc/passwd\")",
            &["1:outside-package", "3:secret-path", "3:outside-package"],
        );
    }

    #[test]
    fn data_and_names_that_hide() {
        check(&format!("const A: &str = \"{}\";", "Zm9vYmFyIHF1dXggYmF6".repeat(40)), &["1:encoded-data"]);
        check(&format!("const A: &[u8] = &[\n{}];", "0x4a, -1,".repeat(400)), &["2:encoded-data"]);
        check("let pаypal = 1; let größe = 2; let переменная = 3;", &["1:mixed-scripts"]);
    }

    #[test]
    fn unsafe_and_foreign_code_is_counted() {
        let (_, counts) = found(
            "unsafe extern \"C\" { fn f(); }\nextern { fn g(); }\nextern crate x;\n#[unsafe(no_mangle)] pub extern \"C\" fn h() \
             { unsafe { f() } }",
        );
        assert_eq!((counts.unsafe_uses, counts.foreign_blocks, counts.exported), (3, 2, 1));
    }

    /// Neither depth nor size of hostile text costs more than a pass over it, and what is told of it is short.
    #[test]
    fn hostile_text_is_looked_through() {
        let long = format!("std::net::TcpStream{}", " x".repeat(1 << 20));
        for text in
            ["(".repeat(1 << 20), "/*".repeat(1 << 20), "r#\"".repeat(1 << 18), "fs::write(".repeat(1 << 17), long]
        {
            let (mut counts, mut sink) = (Counts::default(), Sink::default());
            scan("build.rs", &text, Role::BuildCode, &mut counts, &mut sink);
            let (findings, _) = sink.finish();
            assert!(findings.len() <= 200 && findings.iter().all(|it| it.detail.len() < 1000));
        }
    }
}
