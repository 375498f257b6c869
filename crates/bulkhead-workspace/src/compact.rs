//! A package in few bytes: what was read from a manifest that cannot change is kept so, and need not be parsed again.
//!
//! Texts are in a table, each once, and everything else names them by number. Reading checks every length and number, so
//! that bytes of any origin give a package or nothing; that they are the bytes that were written, the caller has to know.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_schema::{Dependency, DependencyKind, FeatureValue, PackageId, PackageName, SourceId, Summary, Symbol};

use crate::{CrateType, Edition, Package, PackageDetails, Target, TargetKind};

/// Changes whenever the form does.
const FORMAT: u8 = 1;

/// `package`, for [`decode`]. `None` if one of its paths lies outside its folder.
pub fn encode(package: &Package) -> Option<Vec<u8>> {
    let mut out = Writer::default();
    put_package(&mut out, package)?;
    let mut bytes = vec![FORMAT];
    put_number(&mut bytes, out.texts.len() as u64);
    for text in &out.texts {
        put_number(&mut bytes, text.len() as u64);
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.extend_from_slice(&out.bytes);
    Some(bytes)
}

/// The package that stands in the folder `root` and comes from `source`; `None` if the bytes are not what [`encode`] made.
pub fn decode(bytes: &[u8], root: &Path, source: SourceId) -> Option<Package> {
    let (&format, rest) = bytes.split_first()?;
    let mut reader = Reader { rest, texts: Vec::new(), source: None };
    if format != FORMAT {
        return None;
    }
    let count = reader.count()?;
    let mut texts = Vec::with_capacity(count);
    for _ in 0..count {
        let length = reader.count()?;
        let (text, rest) = reader.rest.split_at_checked(length)?;
        reader.rest = rest;
        texts.push((std::str::from_utf8(text).ok()?, None));
    }
    reader.texts = texts;
    let package = package(&mut reader, root, source)?;
    reader.rest.is_empty().then_some(package)
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    texts: Vec<String>,
    known: HashMap<String, u64>,
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

impl Writer {
    fn number(&mut self, number: usize) {
        put_number(&mut self.bytes, number as u64);
    }

    fn flag(&mut self, flag: bool) {
        self.bytes.push(u8::from(flag));
    }

    fn text(&mut self, text: &str) {
        let next = self.texts.len() as u64;
        let number = *self.known.entry(text.to_owned()).or_insert(next);
        if number == next {
            self.texts.push(text.to_owned());
        }
        put_number(&mut self.bytes, number);
    }

    fn optional(&mut self, text: Option<&str>) {
        self.flag(text.is_some());
        text.into_iter().for_each(|text| self.text(text));
    }

    fn list<T>(&mut self, items: &[T], mut put: impl FnMut(&mut Self, &T)) {
        self.number(items.len());
        items.iter().for_each(|item| put(self, item));
    }

    fn symbols(&mut self, symbols: &[Symbol]) {
        self.list(symbols, |out, symbol| out.text(symbol));
    }

    fn strings(&mut self, strings: &[String]) {
        self.list(strings, |out, text| out.text(text));
    }
}

fn put_package(out: &mut Writer, package: &Package) -> Option<()> {
    let Package { id, manifest_path, root, edition, targets, summary, default_run, lint_flags, check_cfg, details } =
        package;
    if *manifest_path != root.join("Cargo.toml") {
        return None;
    }
    out.text(id.name().as_str());
    out.text(&id.version().to_string());
    out.text(edition.as_str());
    out.number(targets.len());
    for target in targets {
        put_target(out, target, root)?;
    }
    put_summary(out, summary);
    out.optional(default_run.as_ref().map(|name| name.as_str()));
    out.strings(lint_flags);
    out.strings(check_cfg);
    put_details(out, details)
}

fn put_target(out: &mut Writer, target: &Target, root: &Path) -> Option<()> {
    let Target { kind, name, path, edition, required_features, test, doctest, bench, doc, harness } = target;
    let (number, types): (usize, &[CrateType]) = match kind {
        TargetKind::Lib(types) => (0, types),
        TargetKind::Bin => (1, &[]),
        TargetKind::Example(types) => (2, types),
        TargetKind::Test => (3, &[]),
        TargetKind::Bench => (4, &[]),
        TargetKind::BuildScript => (5, &[]),
    };
    out.number(number);
    out.list(types, |out, kind| out.text(kind.as_str()));
    out.text(name);
    out.text(path.strip_prefix(root).ok()?.to_str()?);
    out.text(edition.as_str());
    out.flag(required_features.is_some());
    required_features.iter().for_each(|features| out.symbols(features));
    [test, doctest, bench, doc, harness].into_iter().for_each(|flag| out.flag(*flag));
    Some(())
}

fn put_summary(out: &mut Writer, summary: &Summary) {
    let Summary { id: _, dependencies, features, links, checksum, rust_version, yanked } = summary;
    out.list(dependencies, put_dependency);
    out.number(features.len());
    for (name, values) in features.iter() {
        out.text(name);
        out.list(values, |out, value| out.text(&value.to_string()));
    }
    out.optional(links.as_ref().map(|links| links.as_str()));
    out.optional(checksum.as_deref());
    out.optional(rust_version.as_ref().map(ToString::to_string).as_deref());
    out.flag(*yanked);
}

fn put_dependency(out: &mut Writer, dependency: &Dependency) {
    let Dependency {
        package,
        rename,
        requirement,
        kind,
        platform,
        optional,
        default_features,
        features,
        source,
        specified_requirement,
    } = dependency;
    out.text(package.as_str());
    out.optional(rename.as_ref().map(|name| name.as_str()));
    out.text(&requirement.to_string());
    out.number(match kind {
        DependencyKind::Normal => 0,
        DependencyKind::Development => 1,
        DependencyKind::Build => 2,
    });
    out.optional(platform.as_ref().map(ToString::to_string).as_deref());
    [optional, default_features, specified_requirement].into_iter().for_each(|flag| out.flag(*flag));
    out.symbols(features);
    out.text(&source.encoded());
}

fn put_details(out: &mut Writer, details: &PackageDetails) -> Option<()> {
    let PackageDetails {
        authors,
        description,
        homepage,
        documentation,
        readme,
        repository,
        license,
        license_file,
        keywords,
        categories,
        rust_version,
        links,
        publish,
        metadata,
        hints,
        exclude,
        include,
        features,
    } = details;
    for list in [authors, keywords, categories, exclude, include] {
        out.strings(list);
    }
    for text in [description, homepage, documentation, readme, repository, license, license_file, rust_version, links] {
        out.optional(text.as_deref());
    }
    out.flag(publish.is_some());
    out.strings(publish.as_deref().unwrap_or_default());
    for value in [metadata, hints] {
        let text = value.as_ref().map(serde_json::to_string).transpose().ok()?;
        out.optional(text.as_deref());
    }
    out.number(features.len());
    for (name, values) in features {
        out.text(name);
        out.strings(values);
    }
    Some(())
}

struct Reader<'a> {
    rest: &'a [u8],
    /// Each with its symbol, once it has been needed as one.
    texts: Vec<(&'a str, Option<Symbol>)>,
    /// The source that was read last: most dependencies come from the same one.
    source: Option<(usize, SourceId)>,
}

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// A number of things of which each takes at least a byte of what is left.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.rest.len()).then_some(count)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.number()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<&'a str> {
        let number = usize::try_from(self.number()?).ok()?;
        self.texts.get(number).map(|(text, _)| *text)
    }

    fn symbol(&mut self) -> Option<Symbol> {
        let number = usize::try_from(self.number()?).ok()?;
        let (text, symbol) = self.texts.get_mut(number)?;
        Some(*symbol.get_or_insert_with(|| Symbol::new(text)))
    }

    fn source(&mut self) -> Option<SourceId> {
        let number = usize::try_from(self.number()?).ok()?;
        if let Some((_, source)) = self.source.filter(|(last, _)| *last == number) {
            return Some(source);
        }
        let source = SourceId::parse(self.texts.get(number)?.0).ok()?;
        self.source = Some((number, source));
        Some(source)
    }

    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }

    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.count()?;
        (0..count).map(|_| read(self)).collect()
    }

    fn string(&mut self) -> Option<String> {
        self.text().map(str::to_owned)
    }

    fn strings(&mut self) -> Option<Vec<String>> {
        self.list(Self::string)
    }

    fn symbols(&mut self) -> Option<Vec<Symbol>> {
        self.list(Self::symbol)
    }
}

fn package(reader: &mut Reader<'_>, root: &Path, source: SourceId) -> Option<Package> {
    let name = PackageName::registry(reader.text()?).ok()?;
    let id = PackageId::new(name, reader.text()?.parse().ok()?, source);
    Some(Package {
        id,
        manifest_path: root.join("Cargo.toml"),
        root: root.to_path_buf(),
        edition: Edition::parse(reader.text()?)?,
        targets: reader.list(|reader| target(reader, root).map(Arc::new))?,
        summary: Arc::new(summary(reader, id)?),
        default_run: reader.optional(Reader::symbol)?,
        lint_flags: reader.strings()?,
        check_cfg: reader.strings()?,
        details: details(reader)?,
    })
}

fn target(reader: &mut Reader<'_>, root: &Path) -> Option<Target> {
    let number = reader.number()?;
    let types = reader.list(|reader| CrateType::parse(reader.text()?))?;
    let kind = match number {
        0 => TargetKind::Lib(types),
        1 => TargetKind::Bin,
        2 => TargetKind::Example(types),
        3 => TargetKind::Test,
        4 => TargetKind::Bench,
        5 => TargetKind::BuildScript,
        _ => return None,
    };
    Some(Target {
        kind,
        name: reader.symbol()?,
        path: below(root, reader.text()?)?,
        edition: Edition::parse(reader.text()?)?,
        required_features: reader.optional(Reader::symbols)?,
        test: reader.flag()?,
        doctest: reader.flag()?,
        bench: reader.flag()?,
        doc: reader.flag()?,
        harness: reader.flag()?,
    })
}

/// A path inside `root`, as it was written.
fn below(root: &Path, relative: &str) -> Option<PathBuf> {
    let inside = Path::new(relative).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    inside.then(|| root.join(relative))
}

fn summary(reader: &mut Reader<'_>, id: PackageId) -> Option<Summary> {
    let dependencies = reader.list(dependency)?;
    let features = reader.list(|reader| {
        let name = reader.symbol()?;
        Some((name, reader.list(|reader| reader.text().map(FeatureValue::parse))?))
    })?;
    Some(Summary {
        id,
        dependencies,
        features: Arc::new(features.into_iter().collect()),
        links: reader.optional(Reader::symbol)?,
        checksum: reader.optional(|reader| reader.text().map(Arc::from))?,
        rust_version: reader.optional(|reader| reader.text()?.parse().ok())?,
        yanked: reader.flag()?,
    })
}

fn dependency(reader: &mut Reader<'_>) -> Option<Dependency> {
    Some(Dependency {
        package: PackageName::registry(reader.text()?).ok()?,
        rename: reader.optional(Reader::symbol)?,
        requirement: reader.text()?.parse().ok()?,
        kind: match reader.number()? {
            0 => DependencyKind::Normal,
            1 => DependencyKind::Development,
            2 => DependencyKind::Build,
            _ => return None,
        },
        platform: reader.optional(|reader| reader.text()?.parse().ok())?,
        optional: reader.flag()?,
        default_features: reader.flag()?,
        specified_requirement: reader.flag()?,
        features: reader.symbols()?,
        source: reader.source()?,
    })
}

fn details(reader: &mut Reader<'_>) -> Option<PackageDetails> {
    let [authors, keywords, categories, exclude, include] = [(); 5].map(|()| reader.strings());
    let texts: [Option<Option<String>>; 9] = [(); 9].map(|()| reader.optional(Reader::string));
    let [description, homepage, documentation, readme, repository, license, license_file, rust_version, links] = texts;
    let is_published = reader.flag()?;
    let registries = reader.strings()?;
    let [metadata, hints] = [(); 2].map(|()| reader.optional(|reader| serde_json::from_str(reader.text()?).ok()));
    let features = reader.list(|reader| Some((reader.symbol()?, reader.strings()?)))?;
    Some(PackageDetails {
        authors: authors?,
        description: description?,
        homepage: homepage?,
        documentation: documentation?,
        readme: readme?,
        repository: repository?,
        license: license?,
        license_file: license_file?,
        keywords: keywords?,
        categories: categories?,
        rust_version: rust_version?,
        links: links?,
        publish: is_published.then_some(registries),
        metadata: metadata?,
        hints: hints?,
        exclude: exclude?,
        include: include?,
        features: features.into_iter().collect::<BTreeMap<_, _>>(),
    })
}
