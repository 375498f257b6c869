//! Rust text as tokens, by rustc's own lexer: it reads every text, never fails, and does not recurse.

use std::iter::Peekable;

pub(crate) use ra_ap_rustc_lexer::TokenKind;
use ra_ap_rustc_lexer::{FrontmatterAllowed, LiteralKind};

/// One token that means something: no white space, no comment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind,
    pub(crate) text: &'a str,
    /// Where it begins, in bytes.
    pub(crate) start: usize,
}

impl<'a> Token<'a> {
    /// An identifier or keyword, without `r#`.
    pub(crate) fn identifier(self) -> Option<&'a str> {
        match self.kind {
            TokenKind::Ident => Some(self.text),
            TokenKind::RawIdent => self.text.strip_prefix("r#"),
            _ => None,
        }
    }

    /// What stands between the quotes of a string, escapes as they are written.
    pub(crate) fn string(self) -> Option<&'a str> {
        use LiteralKind::{ByteStr, CStr, RawByteStr, RawCStr, RawStr, Str};
        let TokenKind::Literal {
            kind: Str { .. } | ByteStr { .. } | CStr { .. } | RawStr { .. } | RawByteStr { .. } | RawCStr { .. },
            ..
        } = self.kind
        else {
            return None;
        };
        let (start, end) = (self.text.find('"')? + 1, self.text.rfind('"')?);
        self.text.get(start..end)
    }

    pub(crate) fn is(self, identifier: &str) -> bool {
        self.identifier() == Some(identifier)
    }
}

/// The tokens of a text.
pub(crate) fn tokens(text: &str) -> Peekable<impl Iterator<Item = Token<'_>>> {
    let mut start = 0;
    let lexed = ra_ap_rustc_lexer::tokenize(text, FrontmatterAllowed::Yes);
    let placed = lexed.filter_map(move |token| {
        let begin = start;
        start += token.len as usize;
        Some(Token { kind: token.kind, text: text.get(begin..start)?, start: begin })
    });
    placed.filter(|token| !is_trivia(token.kind)).peekable()
}

/// Whether a literal is a number.
pub(crate) fn is_number(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Literal { kind: LiteralKind::Int { .. } | LiteralKind::Byte { .. }, .. })
}

fn is_trivia(kind: TokenKind) -> bool {
    use TokenKind::{BlockComment, Frontmatter, LineComment, Whitespace};
    matches!(kind, LineComment { .. } | BlockComment { .. } | Whitespace | Frontmatter { .. })
}
