//! What is noted of a package once its manifest was compared with its index entry.
//!
//! ```text
//! brief: fingerprint of the index entry (32) · whether it is a procedural macro (1) · source, folder, library, `links`,
//!     licence, repository · the package in few bytes       text: length (4), the highest for one that is absent · bytes
//! at length: its element of `metadata`
//! ```

use std::path::Path;
use std::sync::Arc;

use bulkhead_schema::{PackageId, Summary};
use bulkhead_store::Noted;
use bulkhead_trust::index_fingerprint;
use bulkhead_workspace::{Package, compact};

use super::told::{Described, Sketch, Told as _};

/// The length that stands for no text.
const ABSENT: u32 = u32::MAX;

/// Notes on one package.
pub struct Notes<'a> {
    is_proc_macro: bool,
    /// Where the tree was. The JSON has it in its paths.
    root: &'a str,
    library: Option<&'a str>,
    links: Option<&'a str>,
    license: Option<&'a str>,
    repository: Option<&'a str>,
    compact: &'a [u8],
    noted: &'a Noted<'a>,
}

impl<'a> Notes<'a> {
    /// What is to be noted: in brief, and at length.
    pub(super) fn write(package: &Arc<Package>, summary: &Summary) -> Option<(Vec<u8>, String)> {
        let Described { json, .. } = Described::of(package);
        let Sketch { is_proc_macro, library, links, license, repository, .. } = Sketch::of(package);
        let mut brief = index_fingerprint(summary).as_bytes().to_vec();
        brief.push(u8::from(is_proc_macro));
        let source = package.id.source().to_string();
        let links = links.map(|links| links.as_str());
        let optional = [library.as_deref(), links, license.as_deref(), repository.as_deref()];
        for text in [Some(&*source), Some(package.root.to_str()?)].into_iter().chain(optional) {
            let length = text.map_or(Ok(ABSENT), |text| u32::try_from(text.len()));
            brief.extend_from_slice(&length.ok()?.to_le_bytes());
            brief.extend_from_slice(text.unwrap_or_default().as_bytes());
        }
        brief.extend_from_slice(&compact::encode(package)?);
        Some((brief, json))
    }

    /// `None` if they are about a package of another source, which may have the same archive, or if the index says something
    /// else of it than when they were written.
    pub(super) fn read(noted: &'a Noted<'a>, summary: &Summary) -> Option<Self> {
        let (fingerprint, rest) = noted.brief().split_first_chunk::<32>()?;
        let (&is_proc_macro, mut bytes) = rest.split_first()?;
        if *fingerprint != *index_fingerprint(summary).as_bytes() {
            return None;
        }
        let mut text = || {
            let (length, rest) = bytes.split_first_chunk::<4>()?;
            let length = u32::from_le_bytes(*length);
            let (text, rest) = rest.split_at_checked(if length == ABSENT { 0 } else { length as usize })?;
            bytes = rest;
            Some((length != ABSENT).then_some(std::str::from_utf8(text).ok()?))
        };
        let (source, root) = (text()??, text()??);
        let (library, links, license, repository) = (text()?, text()?, text()?, text()?);
        let notes = Self {
            is_proc_macro: is_proc_macro == 1,
            root,
            library,
            links,
            license,
            repository,
            compact: bytes,
            noted,
        };
        (source == summary.id.source().to_string()).then_some(notes)
    }

    pub(super) fn package(&self, id: PackageId, root: &Path) -> Option<Package> {
        compact::decode(self.compact, root, id.source()).filter(|package| package.id == id)
    }

    pub(super) fn described(&self, root: &Path) -> Option<Described> {
        if Path::new(self.root) != root {
            return None;
        }
        let json = std::str::from_utf8(self.noted.text()?).ok()?.to_owned();
        Some(Described { json, library: self.library.map(str::to_owned) })
    }

    pub(super) fn sketch(&self, id: PackageId) -> Sketch {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Sketch {
            id,
            is_proc_macro: self.is_proc_macro,
            library: owned(self.library),
            links: self.links.map(Into::into),
            license: owned(self.license),
            repository: owned(self.repository),
        }
    }
}
