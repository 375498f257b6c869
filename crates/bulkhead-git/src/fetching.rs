//! What `git fetch` says while it fetches: how much there is to come, before it is there.

use crate::Limits;

/// Most bytes of what git says that are kept for messages.
const MAX_KEPT: usize = 64 << 10;

/// Longest line that is looked at.
const MAX_LINE: usize = 4 << 10;

/// Listens to one fetch.
pub(crate) struct Listener<'a> {
    limits: &'a Limits,
    line: Vec<u8>,
    references: u64,
    kept: Vec<u8>,
}

impl<'a> Listener<'a> {
    pub(crate) fn new(limits: &'a Limits) -> Self {
        Self { limits, line: Vec::new(), references: 0, kept: Vec::new() }
    }

    /// Takes a piece of standard error.
    ///
    /// # Errors
    /// The key of the limit that is passed.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        for &byte in bytes {
            match byte {
                b'\r' | b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    self.line(&line)?;
                }
                _ if self.line.len() < MAX_LINE => self.line.push(byte),
                _ => {}
            }
        }
        Ok(())
    }

    /// What is worth telling: neither progress nor references that went well.
    pub(crate) fn finish(mut self) -> String {
        let rest = std::mem::take(&mut self.line);
        self.keep(&rest);
        String::from_utf8_lossy(&self.kept).into_owned()
    }

    fn line(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        let line = String::from_utf8_lossy(bytes);
        if let Some(total) = total(&line) {
            return if total > self.limits.objects { Err("objects") } else { Ok(()) };
        }
        // ` * [new branch]  main -> refs/…`: said of each before any is written.
        if line.starts_with(' ') && line.contains(" -> ") {
            self.references += 1;
            if self.references > self.limits.references {
                return Err("references");
            }
            if !line.starts_with(" ! ") {
                return Ok(());
            }
        }
        let done = line.starts_with("remote: ") && line.trim_end().ends_with(", done.");
        if !done && !line.contains("% (") && !line.starts_with("From ") && !line.starts_with("remote: Total ") {
            self.keep(bytes);
        }
        Ok(())
    }

    fn keep(&mut self, line: &[u8]) {
        if !line.is_empty() && self.kept.len() + line.len() < MAX_KEPT {
            self.kept.extend_from_slice(line);
            self.kept.push(b'\n');
        }
    }
}

/// The number of objects in `Receiving objects:   3% (1/42)`.
fn total(line: &str) -> Option<u64> {
    let counts = line.strip_prefix("Receiving objects:")?.split_once('(')?.1;
    counts.split_once(')')?.0.split_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "remote: Enumerating objects: 3, done.        \nremote: Counting objects: 100% (3/3)\rFrom file:///x\n\
                        Receiving objects:  33% (1/3)\rReceiving objects: 100% (3/3), done.\n\
                        \x20* [new branch]      main       -> refs/x/main\n * [new tag] v1 -> refs/x/v1\n\
                        \x20! [rejected] v2 -> refs/x/v2 (unable to update local ref)\nfatal: it went wrong\n";

    fn listen(limits: &Limits) -> Result<String, &'static str> {
        let mut listener = Listener::new(limits);
        // In pieces, as pipes give them.
        SAID.as_bytes().chunks(7).try_for_each(|piece| listener.take(piece))?;
        Ok(listener.finish())
    }

    #[test]
    fn only_what_is_worth_telling_is_kept() {
        let kept = listen(&Limits::default()).unwrap();
        assert_eq!(kept, " ! [rejected] v2 -> refs/x/v2 (unable to update local ref)\nfatal: it went wrong\n");
    }

    #[test]
    fn a_limit_is_noticed_when_it_is_announced() {
        let limits = Limits { objects: 3, references: 3, ..Limits::default() };
        assert!(listen(&limits).is_ok());
        assert_eq!(listen(&Limits { objects: 2, ..limits }), Err("objects"));
        assert_eq!(listen(&Limits { references: 2, ..limits }), Err("references"));
    }
}
