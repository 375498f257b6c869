//! What a view shows, as a tree of names: each path that a process names is judged by one walk over its bytes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::view::{Access, Shown};

/// The view's root.
#[derive(Debug, Default)]
pub(super) struct Places(Node);

#[derive(Debug, Default)]
struct Node {
    access: Option<Access>,
    /// Where it leads to, if it is one of the view's own symbolic links.
    link: Option<Box<[u8]>>,
    below: HashMap<Box<[u8]>, Node>,
}

/// What the view has at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The access that it gives, if it shows the path: the nearest entry above decides, since those inside an entry were
    /// dropped unless they give more.
    pub(super) access: Option<Access>,
    /// Whether the path is itself an entry, or one of the empty folders that lead to one.
    pub(super) is_named: bool,
}

/// No more of the view's links are followed.
const MOST_LINKS: usize = 8;

impl Places {
    pub(super) fn of(shown: &Shown) -> Places {
        let mut root = Node::default();
        for (path, access) in shown.accesses() {
            root.make(path).access = Some(access);
        }
        for (path, target) in shown.links() {
            root.make(path).link = Some(target.as_os_str().as_bytes().into());
        }
        Places(root)
    }

    /// Looks a normalised path up. Answers as well where it leads to by the view's own links.
    pub(super) fn look_up<'a>(&self, path: &'a [u8]) -> (Cow<'a, [u8]>, Found) {
        let mut place = Cow::Borrowed(path);
        for _ in 0..MOST_LINKS {
            let behind = match self.walk(&place) {
                Walked::To(found) => return (place, found),
                Walked::Link { target, rest } => [target, rest].concat(),
            };
            place = Cow::Owned(behind);
        }
        (place, Found { access: None, is_named: false })
    }

    fn walk<'a>(&'a self, path: &'a [u8]) -> Walked<'a> {
        let mut node = &self.0;
        let mut access = node.access;
        let mut left = path;
        while let Some((name, rest)) = first_name(left) {
            let Some(next) = node.below.get(name) else { return Walked::To(Found { access, is_named: false }) };
            if let Some(target) = &next.link {
                return Walked::Link { target, rest };
            }
            (node, left) = (next, rest);
            access = node.access.or(access);
        }
        Walked::To(Found { access, is_named: true })
    }
}

enum Walked<'a> {
    To(Found),
    /// A link, and what of the path has to be looked up behind it.
    Link {
        target: &'a [u8],
        rest: &'a [u8],
    },
}

/// The first name of a normalised path, and what follows it.
fn first_name(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let path = path.strip_prefix(b"/")?;
    let end = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
    Some(path.split_at(end)).filter(|(name, _)| !name.is_empty())
}

impl Node {
    fn make(&mut self, path: &Path) -> &mut Node {
        let names = path.as_os_str().as_bytes().split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        names.fold(self, |node, name| node.below.entry(name.into()).or_default())
    }
}

/// Removes `.`, `..` and doubled slashes from `path` by their spelling, and appends it to `place`, which is a normalised path
/// without a slash at its end: empty for the root.
pub(super) fn append(place: &mut Vec<u8>, path: &[u8]) {
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => place.truncate(place.iter().rposition(|byte| *byte == b'/').unwrap_or(0)),
            name => {
                place.push(b'/');
                place.extend_from_slice(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::{Access, Shown};
    use super::{Found, Places, append};

    #[test]
    fn the_nearest_entry_above_decides() {
        let places = Places::of(&Shown::of(
            &[
                ("/ws", Access::Read),
                ("/ws/target/out", Access::Write),
                ("/ws/hidden", Access::Hidden),
                ("/usr", Access::Read),
                ("/tmp", Access::Private),
            ],
            &[("/lib", "/usr/lib"), ("/loop", "/loop")],
        ));
        for (path, place, access, is_named) in [
            ("/ws", "/ws", Some(Access::Read), true),
            ("/ws/src/lib.rs", "/ws/src/lib.rs", Some(Access::Read), false),
            ("/ws/target", "/ws/target", Some(Access::Read), true),
            ("/ws/target/out/x", "/ws/target/out/x", Some(Access::Write), false),
            ("/ws/target/outer", "/ws/target/outer", Some(Access::Read), false),
            ("/ws/hidden", "/ws/hidden", Some(Access::Hidden), true),
            ("/ws/hidden/key", "/ws/hidden/key", Some(Access::Hidden), false),
            ("/wsx", "/wsx", None, false),
            ("/w", "/w", None, false),
            ("/", "/", None, true),
            ("/lib", "/usr/lib", Some(Access::Read), false),
            ("/lib/x", "/usr/lib/x", Some(Access::Read), false),
            ("/tmp/x", "/tmp/x", Some(Access::Private), false),
            ("/loop/x", "/loop/x", None, false),
        ] {
            let (found_at, found) = places.look_up(path.as_bytes());
            assert_eq!(std::str::from_utf8(&found_at), Ok(place), "{path}");
            assert_eq!(found, Found { access, is_named }, "{path}");
        }
    }

    #[test]
    fn paths_are_normalised_by_their_spelling() {
        for (folder, path, expected) in [
            ("", "/a/./b//c/../d/", "/a/b/d"),
            ("", "/../..", ""),
            ("", "/a/..", ""),
            ("/a/b", "../c", "/a/c"),
            ("/a", "../../c", "/c"),
        ] {
            let mut place = folder.as_bytes().to_vec();
            append(&mut place, path.as_bytes());
            assert_eq!(place, expected.as_bytes(), "{folder} {path}");
        }
    }
}
