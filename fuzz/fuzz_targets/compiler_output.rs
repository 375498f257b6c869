//! What rustc says and writes down: a stream is cut into the same lines wherever its pieces end, what is not a message is
//! text, and dep-info lists no more than stands in it.
#![no_main]

use bulkhead_executor::dep_info;
use bulkhead_executor::messages::{Counts, Line, Lines, parse};
use libfuzzer_sys::fuzz_target;
use std::path::{Path, PathBuf};

fuzz_target!(|bytes: &[u8]| {
    // The first byte says how long the pieces are.
    let Some((&length, stream)) = bytes.split_first() else { return };
    let whole = lines([stream]);
    assert_eq!(lines(stream.chunks(usize::from(length).max(1))), whole);
    let mut counts = Counts::default();
    for line in &whole {
        match parse(line) {
            Line::Text => {}
            Line::Diagnostic(message) => {
                assert!(message.rendered.len() <= line.len());
                counts.add(&message, false);
            }
            _ => assert!(line.starts_with('{'), "only an object is a message: {line}"),
        }
    }
    assert!(counts.warnings + counts.errors <= whole.len());
    check_dep_info(&String::from_utf8_lossy(stream));
});

fn lines<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    for piece in pieces {
        lines.push(piece, &mut |line| found.push(line.to_owned()));
    }
    lines.finish(&mut |line| found.push(line.to_owned()));
    found
}

fn check_dep_info(text: &str) {
    let found = dep_info::parse(text);
    let sources = found.sources.iter().map(|path| path.as_os_str().len()).sum::<usize>();
    assert!(sources + found.variables.iter().map(String::len).sum::<usize>() <= text.len());
    // rustc leaves a backslash as it is, so that one before a space cannot be told from what escapes the space.
    let plain = |path: &PathBuf| !path.to_string_lossy().contains(['\\', '\n', '\r']);
    let sources: Vec<PathBuf> = found.sources.into_iter().filter(plain).collect();
    let again = dep_info::parse(&dep_info::rule(Path::new("/target/a b"), sources.clone()));
    assert_eq!(again.sources, sources, "what was written reads back");
}
