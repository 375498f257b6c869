//! Which directives of a build script are obeyed (DESIGN §5): those that only describe pass, those that choose files and
//! programs for the linker or for rustc are confined or need a grant.

use std::path::{Component, Path, PathBuf};

use bulkhead_schema::build_script::BuildScriptOutput;
use bulkhead_schema::policy::chooses_programs;

use crate::effective::GrantSet;

/// What a package owns and was granted.
#[derive(Debug, Clone)]
pub struct DirectiveContext<'a> {
    /// Its `OUT_DIR`, absolute and without links.
    pub out_dir: &'a Path,
    /// Its folder: what lies there was verified with the package.
    pub package_root: &'a Path,
    /// Folders named by the metadata of direct dependencies, and others that the caller vouches for.
    pub folders: &'a [PathBuf],
    /// Its grants.
    pub grants: &'a GrantSet,
}

/// A directive that is not obeyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The directive as a grant would name it. Untrusted.
    pub directive: String,
    /// The rule, a clause.
    pub reason: &'static str,
    /// Whether a grant can allow it.
    pub grantable: bool,
}

/// Folders of libraries that belong to the system.
const SYSTEM_FOLDERS: &[&str] = &["/usr", "/lib", "/lib32", "/lib64", "/opt/homebrew", "/Library", "/System"];

/// Decides one directive, such as `("rustc-link-search", "native=/usr/lib")`.
///
/// # Errors
/// It is not obeyed; the refusal names what a grant would have to say.
pub fn check_directive(key: &str, value: &str, context: &DirectiveContext<'_>) -> Result<(), Refusal> {
    let refuse = |directive: String, reason, grantable| Err(Refusal { directive, reason, grantable });
    let whole = format!("{key}={value}");
    if value.chars().any(char::is_control) {
        return refuse(whole, "it contains control characters", false);
    }
    if context.grants.allows_directive(&whole) {
        return Ok(());
    }
    match key {
        "rustc-link-search" => link_search(value, context),
        "rustc-flags" => rustc_flags(value, context),
        // `-l` is joined to the name: `-l-x` is no option, but nobody has a library of such a name.
        "rustc-link-lib" if library(value).starts_with('-') => {
            refuse(whole, "a library's name does not begin so", false)
        }
        "rustc-link-lib" if value.contains(['/', '\\']) => refuse(whole, "a library is named, not located", true),
        "rustc-env" => {
            let name = value.split_once('=').map_or(value, |(name, _)| name);
            let granted = format!("rustc-env={name}");
            if harmless_variable(name) || context.grants.allows_directive(&granted) {
                return Ok(());
            }
            refuse(granted, "the variable chooses programs or libraries for the compiler", true)
        }
        _ if key.starts_with("rustc-link-arg") || key == "rustc-cdylib-link-arg" => {
            // The grant does not have to say to which targets: `rustc-link-arg=…` covers all of them.
            let argument = argument_of(key, value);
            let granted = format!("rustc-link-arg={argument}");
            if harmless_link_argument(argument) || context.grants.allows_directive(&granted) {
                return Ok(());
            }
            refuse(granted, "an argument of the linker can choose programs and files", true)
        }
        _ => Ok(()),
    }
}

/// Decides everything that a build script said.
///
/// # Errors
/// All refusals, in the order in which the output lists what was said.
pub fn check_output(output: &BuildScriptOutput, context: &DirectiveContext<'_>) -> Result<(), Vec<Refusal>> {
    let searches = output.library_paths.iter().map(|path| ("rustc-link-search", path.clone()));
    let libraries = output.library_links.iter().map(|library| ("rustc-link-lib", library.clone()));
    let arguments = output.link_arguments.iter().map(|(_, argument)| ("rustc-link-arg", argument.clone()));
    let variables = output.environment.iter().map(|(name, value)| ("rustc-env", format!("{name}={value}")));
    let refusals: Vec<Refusal> = searches
        .chain(libraries)
        .chain(arguments)
        .chain(variables)
        .filter_map(|(key, value)| check_directive(key, &value, context).err())
        .collect();
    if refusals.is_empty() { Ok(()) } else { Err(refusals) }
}

/// `rustc-link-arg-bin=NAME=ARG` carries the name of a program before the argument.
fn argument_of<'a>(key: &str, value: &'a str) -> &'a str {
    match key {
        "rustc-link-arg-bin" => value.split_once('=').map_or(value, |(_, argument)| argument),
        _ => value,
    }
}

fn link_search(value: &str, context: &DirectiveContext<'_>) -> Result<(), Refusal> {
    let path = match value.split_once('=') {
        Some(("native" | "dependency" | "crate" | "framework" | "all", path)) => path,
        _ => value,
    };
    let refuse =
        |reason| Err(Refusal { directive: format!("rustc-link-search={path}"), reason, grantable: !path.is_empty() });
    if path.starts_with('@') {
        let reason = "the linker would read its arguments from a file of that name";
        return Err(Refusal { directive: format!("rustc-link-search={value}"), reason, grantable: false });
    }
    let Some(folder) = absolute(Path::new(path), context.package_root) else {
        return refuse("the folder climbs over the root");
    };
    let own = [context.out_dir, context.package_root];
    let allowed = own.iter().any(|root| folder.starts_with(root))
        || SYSTEM_FOLDERS.iter().any(|root| folder.starts_with(root))
        || context.folders.iter().any(|root| folder.starts_with(root))
        || context.grants.read.iter().any(|root| folder.starts_with(&root.value))
        || context.grants.allows_directive(&format!("rustc-link-search={path}"));
    if allowed { Ok(()) } else { refuse("the folder is neither in OUT_DIR, the package, nor the system's") }
}

fn absolute(path: &Path, base: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in base.join(path).components() {
        match component {
            Component::ParentDir if !normal.pop() => return None,
            Component::ParentDir | Component::CurDir => {}
            other => normal.push(other),
        }
    }
    Some(normal)
}

/// `-L PATH` and `-l LIB`, attached or not; Cargo refuses everything else here, and so does Bulkhead.
fn rustc_flags(value: &str, context: &DirectiveContext<'_>) -> Result<(), Refusal> {
    let mut words = value.split_whitespace();
    while let Some(word) = words.next() {
        let (key, attached) = match word.get(..2) {
            Some("-L") => ("rustc-link-search", &word[2..]),
            Some("-l") => ("rustc-link-lib", &word[2..]),
            _ => {
                let directive = format!("rustc-flags={value}");
                return Err(Refusal {
                    directive,
                    reason: "only `-L` and `-l` are flags of a build script",
                    grantable: false,
                });
            }
        };
        let argument = if attached.is_empty() { words.next().unwrap_or_default() } else { attached };
        check_directive(key, argument, context)?;
    }
    Ok(())
}

/// The name in `KIND:MODIFIERS=NAME:RENAME`.
fn library(value: &str) -> &str {
    value.split_once('=').map_or(value, |(_, name)| name)
}

/// `CC` and its kin steer the build scripts of others if they reach them, so they count here as well; and what the linker's
/// driver is told of folders is told by `rustc-link-search`.
fn harmless_variable(name: &str) -> bool {
    const TOOLS: &[&str] = &["AR", "CC", "CXX", "LD", "LIBRARY_PATH", "RANLIB", "PKG_CONFIG", "CMAKE"];
    !chooses_programs(name) && !TOOLS.contains(&name.to_ascii_uppercase().as_str())
}

/// Arguments that name no file and no program. Whatever holds a separator, a comma beyond its form or an `@` is not among
/// them.
fn harmless_link_argument(argument: &str) -> bool {
    const WHOLE: &[&str] = &[
        "-pthread",
        "-rdynamic",
        "-s",
        "-static-libgcc",
        "-static-libstdc++",
        "-Wl,--as-needed",
        "-Wl,--no-as-needed",
        "-Wl,--export-dynamic",
        "-Wl,-E",
        "-Wl,--gc-sections",
        "-Wl,--no-undefined",
        "-Wl,-Bsymbolic",
        "-Wl,-Bsymbolic-functions",
        "-Wl,-z,defs",
        "-Wl,-z,lazy",
        "-Wl,-z,nodelete",
        "-Wl,-z,noexecstack",
        "-Wl,-z,now",
        "-Wl,-z,origin",
        "-Wl,-z,relro",
        "-Wl,--build-id",
        "-Wl,--build-id=sha1",
        "-Wl,-undefined,dynamic_lookup",
        "-undefined",
        "dynamic_lookup",
        "-Wl,-rpath,$ORIGIN",
        "-Wl,-rpath,$ORIGIN/../lib",
        "-Wl,-rpath,@loader_path",
    ];
    let soname = argument.strip_prefix("-Wl,-soname,").or_else(|| argument.strip_prefix("-Wl,-soname="));
    let plain = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c));
    WHOLE.contains(&argument) || soname.is_some_and(plain)
}

#[cfg(test)]
mod tests {
    use super::{DirectiveContext, check_directive};
    use crate::effective::GrantSet;
    use std::path::{Path, PathBuf};

    fn check(line: &str, grants: &GrantSet) -> Result<(), String> {
        let (key, value) = line.split_once('=').unwrap();
        let folders = [PathBuf::from("/dep/out")];
        let context = DirectiveContext {
            out_dir: Path::new("/t/out"),
            package_root: Path::new("/store/x"),
            folders: &folders,
            grants,
        };
        check_directive(key, value, &context).map_err(|refusal| refusal.directive)
    }

    #[test]
    fn what_only_describes_passes() {
        for line in [
            "rustc-cfg=foo",
            "rustc-check-cfg=cfg(foo)",
            "rerun-if-changed=/etc/passwd",
            "warning=x",
            "metadata=A=b",
            "rustc-link-lib=static=foo",
            "rustc-link-lib=z",
            "rustc-env=GIT_HASH=abc",
            "rustc-env=CARGO_PKG_VERSION=2",
            "rustc-link-search=native=/t/out/lib",
            "rustc-link-search=/usr/lib/x86_64-linux-gnu",
            "rustc-link-search=lib",
            "rustc-link-search=native=/dep/out/lib",
            "rustc-flags=-L /t/out -l static=foo -lz",
            "rustc-link-arg=-pthread",
            "rustc-link-arg=-Wl,-soname,libx.so.1",
            "rustc-link-arg-bin=x=-rdynamic",
        ] {
            assert_eq!(check(line, &GrantSet::default()), Ok(()), "{line}");
        }
    }

    /// Attacks 108 and 109.
    #[test]
    fn what_chooses_files_and_programs_needs_a_grant() {
        for (line, grant) in [
            ("rustc-link-search=native=/tmp/x", "rustc-link-search=/tmp/x"),
            ("rustc-link-search=/t/out/../other", "rustc-link-search=/t/out/../other"),
            ("rustc-link-search=/t/outer", "rustc-link-search=/t/outer"),
            ("rustc-link-arg=-fuse-ld=/T/x", "rustc-link-arg=-fuse-ld=/T/x"),
            ("rustc-link-arg-bins=-Wl,-plugin,/x", "rustc-link-arg=-Wl,-plugin,/x"),
            ("rustc-link-arg-bin=b=-B/T", "rustc-link-arg=-B/T"),
            ("rustc-cdylib-link-arg=@resp", "rustc-link-arg=@resp"),
            ("rustc-link-arg=-specs=x", "rustc-link-arg=-specs=x"),
            ("rustc-link-arg=-Wl,-soname,a,-plugin,x", "rustc-link-arg=-Wl,-soname,a,-plugin,x"),
            ("rustc-env=LD_PRELOAD=/x.so", "rustc-env=LD_PRELOAD"),
            ("rustc-env=RUSTC_BOOTSTRAP=1", "rustc-env=RUSTC_BOOTSTRAP"),
            ("rustc-env=CC=x", "rustc-env=CC"),
            ("rustc-env=GCC_EXEC_PREFIX=/t/out/", "rustc-env=GCC_EXEC_PREFIX"),
            ("rustc-env=COMPILER_PATH=/t/out", "rustc-env=COMPILER_PATH"),
            ("rustc-env=LIBRARY_PATH=/tmp", "rustc-env=LIBRARY_PATH"),
            ("rustc-env=CARGO=x", "rustc-env=CARGO"),
            ("rustc-env=CARGO_ENCODED_RUSTFLAGS=x", "rustc-env=CARGO_ENCODED_RUSTFLAGS"),
            ("rustc-env=PATH=x", "rustc-env=PATH"),
            ("rustc-link-lib=/x/libfoo.a", "rustc-link-lib=/x/libfoo.a"),
        ] {
            assert_eq!(check(line, &GrantSet::default()), Err(grant.to_owned()), "{line}");
            let granted = GrantSet {
                directives: vec![crate::Granted::new(grant.to_owned(), crate::Origin::Default)],
                ..GrantSet::default()
            };
            assert_eq!(check(line, &granted), Ok(()), "{line}");
        }
    }

    /// Attack 107.
    #[test]
    fn some_things_cannot_be_granted() {
        for line in [
            "rustc-link-lib=-x",
            "rustc-link-lib=static:+verbatim=-x",
            "rustc-flags=-l -x",
            "rustc-flags=-l-x",
            "rustc-link-search=@/t/out/arguments",
            "rustc-link-search=native=@lib",
            "rustc-flags=-L native=@lib",
        ] {
            assert!(check(line, &GrantSet::default()).is_err(), "{line}");
        }
        for line in ["rustc-flags=-C linker=/x", "rustc-flags=-Clinker=/x", "rustc-cfg=a\0b", "rustc-link-arg=a\rb"] {
            let granted = GrantSet {
                directives: vec![crate::Granted::new(line.to_owned(), crate::Origin::Default)],
                ..GrantSet::default()
            };
            assert!(check(line, &GrantSet::default()).is_err(), "{line}");
            if line.contains(['\0', '\r']) {
                assert!(check(line, &granted).is_err(), "{line}");
            }
        }
    }
}
