//! What names and strings of Rust code mean to a review.

use crate::finding::Rule;

/// Macros with instructions of the processor in them.
pub(crate) const ASSEMBLY: &[&str] = &["asm", "global_asm", "naked_asm", "llvm_asm"];

/// Functions and packages that load code while a program runs.
pub(crate) const DYNAMIC: &[&str] = &[
    "libloading",
    "dlopen",
    "dlopen2",
    "LoadLibraryA",
    "LoadLibraryW",
    "LoadLibraryExW",
    "memfd_create",
    "fexecve",
    "VirtualProtect",
];

const SOCKETS: &[&str] = &[
    "TcpStream",
    "TcpListener",
    "TcpSocket",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "ToSocketAddrs",
];

/// Packages that speak to the network.
const CLIENTS: &[&str] = &[
    "reqwest",
    "ureq",
    "hyper",
    "curl",
    "attohttpc",
    "isahc",
    "minreq",
    "surf",
    "awc",
    "tungstenite",
    "trust_dns_resolver",
    "hickory_resolver",
    "ssh2",
    "lettre",
];

const WRITING: &[&str] = &[
    "write",
    "remove_file",
    "remove_dir",
    "remove_dir_all",
    "rename",
    "copy",
    "create_dir",
    "create_dir_all",
    "set_permissions",
    "hard_link",
    "symlink",
    "soft_link",
];

const READING: &[&str] =
    &["read", "read_to_string", "read_dir", "read_link", "metadata", "symlink_metadata", "canonicalize", "exists"];

/// What `head::name` means; within a `use`, `name` alone.
pub(crate) fn meaning(head: Option<&str>, name: &str, imports: bool) -> Option<Rule> {
    if SOCKETS.contains(&name) || head.is_some_and(|head| CLIENTS.contains(&head)) {
        return Some(Rule::Network);
    }
    match (head, name) {
        (Some("fs"), name) if WRITING.contains(&name) => Some(Rule::Write),
        (Some("fs"), name) if READING.contains(&name) => Some(Rule::Read),
        (Some("File"), "create" | "create_new" | "options") | (Some("OpenOptions"), "new") => Some(Rule::Write),
        (Some("File"), "open") => Some(Rule::Read),
        (Some("env"), "vars" | "vars_os") => Some(Rule::Environment),
        (None, name) if imports && CLIENTS.contains(&name) => Some(Rule::Network),
        _ => None,
    }
}

/// What a module of the standard library is for.
pub(crate) fn module(name: &str) -> Option<Rule> {
    match name {
        "process" => Some(Rule::Process),
        "net" => Some(Rule::Network),
        "fs" => Some(Rule::Write),
        "env" => Some(Rule::Environment),
        _ => None,
    }
}

/// Whether a program runs the text that it is given, or what it has downloaded.
pub(crate) fn is_shell(program: &str) -> bool {
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program).to_ascii_lowercase();
    let name = name.strip_suffix(".exe").unwrap_or(&name);
    let shells = ["sh", "bash", "dash", "zsh", "ksh", "fish", "cmd", "powershell", "pwsh", "busybox", "env", "sudo"];
    let others =
        ["curl", "wget", "nc", "ncat", "ssh", "scp", "ftp", "python", "python3", "perl", "ruby", "node", "osascript"];
    shells.contains(&name) || others.contains(&name)
}

/// Whether a variable holds a secret, by its name.
pub(crate) fn is_secret_variable(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let parts =
        ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "PRIVATE_KEY", "API_KEY", "APIKEY", "ACCESS_KEY"];
    parts.iter().any(|part| name.contains(part)) || name == "SSH_AUTH_SOCK"
}

/// The part of a string that names a place of secrets.
pub(crate) fn secret_place(string: &str) -> Option<&'static str> {
    const WHOLE: &[&str] = &[".ssh", ".aws", ".gnupg", ".netrc", ".kube", ".npmrc", ".pypirc", "id_rsa", "id_ed25519"];
    const PARTS: &[&str] = &[
        ".ssh/",
        ".aws/",
        ".gnupg/",
        "/.netrc",
        ".kube/config",
        ".docker/config.json",
        ".cargo/credentials",
        ".git-credentials",
        ".config/gcloud",
        ".bash_history",
        ".zsh_history",
        "/etc/shadow",
        "/etc/passwd",
        "/proc/self/environ",
        "wallet.dat",
        "/.npmrc",
        "/.pypirc",
    ];
    let whole = WHOLE.iter().find(|place| **place == string);
    whole.or_else(|| PARTS.iter().find(|place| string.contains(**place))).copied()
}

/// What a directive for Cargo in a string would do.
pub(crate) fn directive(string: &str) -> Option<Rule> {
    let said = string.strip_prefix("cargo:")?;
    let said = said.strip_prefix(':').unwrap_or(said);
    let key = said.split(['=', '{', ' ']).next().unwrap_or(said);
    match key {
        "rustc-link-lib" | "rustc-link-search" => Some(Rule::LinkDirective),
        "rustc-flags" => Some(Rule::LinkerArgument),
        key if key.starts_with("rustc-") && key.contains("link-arg") => Some(Rule::LinkerArgument),
        _ => None,
    }
}

/// The address in a string.
pub(crate) fn address(string: &str) -> Option<&str> {
    let start =
        ["http://", "https://", "ftp://", "ws://", "wss://"].iter().filter_map(|scheme| string.find(scheme)).min()?;
    let rest = string.get(start..)?;
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '>' | ')')).unwrap_or(rest.len());
    rest.get(..end)
}

/// Whether what stands in a section runs before `main`.
pub(crate) fn runs_early(section: &str) -> bool {
    ["init_array", ".ctors", ".CRT$X", "__mod_init_func", "preinit_array"].iter().any(|part| section.contains(part))
}

/// Whether `path`, included by `file`, lies outside of the package.
pub(crate) fn leaves_package(file: &str, path: &str) -> bool {
    if path.starts_with('/') || path.get(1..3) == Some(":\\") {
        return true;
    }
    let mut depth = file.split('/').count() - 1;
    for part in path.split(['/', '\\']) {
        match part {
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            "" | "." => {}
            _ => depth += 1,
        }
    }
    false
}

/// Whether a name has Latin letters, and letters of another script that look like them.
pub(crate) fn mixes_scripts(name: &str) -> bool {
    let similar = |c: char| matches!(c, '\u{370}'..='\u{3ff}' | '\u{400}'..='\u{52f}' | '\u{13a0}'..='\u{13ff}' | '\u{ff21}'..='\u{ff5a}');
    name.chars().any(|c| c.is_ascii_alphabetic()) && name.chars().any(similar)
}
