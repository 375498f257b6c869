//! Which files of a package a piece of its code is made of, as far as its tokens tell.
//!
//! Too many is safe here and too few is not: modules and included files are found by name alone, wherever they lie, and
//! where a name is made up by a macro, the code may be made of anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::listing::Listing;
use crate::text::{Token, TokenKind, tokens};

/// What a crate is made of.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// The files that it is made of, and those that its strings name.
    pub(crate) files: BTreeSet<String>,
    /// Words of its strings that could be parts of paths.
    pub(crate) words: BTreeSet<String>,
    /// Some of it has a name that only a macro or the compiler knows: it may be made of any file.
    pub(crate) unknown: bool,
}

/// Follows modules, `#[path]` and `include…!` from the crate's root file on.
pub(crate) fn reach(root: &str, listing: &Listing) -> Reach {
    let by_name = by_name(listing);
    let mut reach = Reach::default();
    let mut waiting = vec![root];
    while let Some(path) = waiting.pop() {
        if !reach.files.insert(path.to_owned()) {
            continue;
        }
        let text = listing.get(path).map(|file| (file.text(), is_rust(path)));
        let Some((Some(text), true)) = text else {
            // A file that cannot be looked into may say anything; data says nothing.
            reach.unknown |= is_rust(path);
            continue;
        };
        for name in names(text, &mut reach) {
            waiting.extend(by_name.get(&*name).into_iter().flatten());
        }
    }
    reach
}

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

/// Files by their last name, and `mod.rs` by its folder's with the ending of a file.
fn by_name(listing: &Listing) -> BTreeMap<String, Vec<&str>> {
    let mut names: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for path in listing.keys() {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        names.entry(name.to_owned()).or_default().push(path);
        if name == "mod.rs" {
            let folder = folder.rsplit('/').next().unwrap_or_default();
            names.entry(format!("{folder}.rs")).or_default().push(path);
        }
    }
    names
}

/// The names of files that a text asks for.
fn names(text: &str, reach: &mut Reach) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut before: [Option<Token<'_>>; 2] = [None; 2];
    for token in tokens(text) {
        if let Some(string) = token.string() {
            let parts = || string.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '.'));
            reach.words.extend(parts().filter(|part| !part.is_empty()).map(str::to_owned));
            // Whatever a string names may be included, opened or run.
            found.extend(parts().filter(|part| part.contains('.')).map(str::to_owned));
            // An escape can spell a name so that it is not seen.
            reach.unknown |= string.contains("\\x") || string.contains("\\u");
        }
        let [second, first] = before;
        let is_module = first.is_some_and(|first| first.is("mod"));
        if is_module && let Some(name) = token.identifier() {
            found.insert(format!("{name}.rs"));
        }
        reach.unknown |= is_module && token.kind == TokenKind::Dollar;
        // `include!(concat!("a", ".rs"))`: the pieces are no names.
        reach.unknown |= token.kind == TokenKind::Bang && first.is_some_and(|it| it.is("concat") || it.is("stringify"));
        let includes = second.is_some_and(|it| it.identifier().is_some_and(|name| name.starts_with("include")));
        let is_call = includes && first.is_some_and(|it| it.kind == TokenKind::Bang);
        reach.unknown |= is_call && !opens(token.kind);
        before = [first, Some(token)];
    }
    found
}

fn opens(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::OpenParen | TokenKind::OpenBrace | TokenKind::OpenBracket)
}
