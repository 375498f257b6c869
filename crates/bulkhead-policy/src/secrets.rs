//! What looks like a secret: it is never shown to build code without a grant that somebody wrote by hand, and so never
//! proposed. This is the only list of such things.
//!
//! A folder that holds a secret counts as one: whoever may read the home folder may read the keys in it.

use std::path::{Path, PathBuf};

use crate::propose::Denied;

/// Knows the folders of one user, besides what is the same everywhere.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// Files and folders that are secrets themselves.
    places: Vec<PathBuf>,
    /// Home folders, besides those that lie where homes do.
    homes: Vec<PathBuf>,
}

/// Of every machine.
const PLACES: &[&str] = &[
    "/boot",
    "/etc/gshadow",
    "/etc/krb5.keytab",
    "/etc/letsencrypt",
    "/etc/shadow",
    "/etc/ssl/private",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/proc",
    "/run/secrets",
    "/run/user",
    "/var/lib/docker",
    "/var/run/secrets",
    "/var/spool/mail",
];

/// Below the home folder of whoever: parts of paths, compared whole.
const IN_HOMES: &[&str] = &[
    ".1password",
    ".aws",
    ".azure",
    ".bash_history",
    ".bitcoin",
    ".bulkhead/audit",
    ".bulkhead/credentials",
    ".bulkhead/trust",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".config/bulkhead",
    ".config/chromium",
    ".config/gcloud",
    ".config/gh",
    ".config/git/credentials",
    ".config/google-chrome",
    ".config/hub",
    ".config/op",
    ".config/rclone",
    ".config/solana",
    ".docker/config.json",
    ".electrum",
    ".ethereum",
    ".gem/credentials",
    ".git-credentials",
    ".gnupg",
    ".kube",
    ".local/share/keyrings",
    ".mozilla",
    ".netrc",
    ".npmrc",
    ".password-store",
    ".pgpass",
    ".pypirc",
    ".ssh",
    ".terraform.d",
    ".thunderbird",
    ".vault-token",
    ".zsh_history",
];

/// Right in home folders, with a dot, and no secret.
const OPEN_IN_HOMES: &[&str] = &[".cache", ".rustup"];

/// Names of files, wherever they lie.
const NAMES: &[&str] = &[
    ".env",
    ".htpasswd",
    "authorized_keys",
    "credentials",
    "credentials.json",
    "credentials.toml",
    "id_dsa",
    "id_ecdsa",
    "id_ecdsa_sk",
    "id_ed25519",
    "id_ed25519_sk",
    "id_rsa",
    "keytab",
    "wallet.dat",
];

/// Ends of names of files, wherever they lie.
const ENDS: &[&str] = &[".jks", ".kdbx", ".key", ".keystore", ".p12", ".pfx", "_key.pem", "-key.pem", ".ppk"];

/// Sockets whose other end acts for the user.
const SOCKETS: &[&str] =
    &["agent", "docker.sock", "podman.sock", "containerd.sock", "keyring", "s.gpg", "/bus", "pcscd"];

/// Where the machines of clouds hand out what they may do.
const HOSTS: &[&str] =
    &["169.254.169.254", "169.254.170.2", "fd00:ec2::254", "metadata.google.internal", "100.100.100.200"];

impl Secrets {
    /// Of a user with these folders.
    pub fn new(home: Option<&Path>, bulkhead_home: &Path, cargo_home: &Path) -> Self {
        let mut places: Vec<PathBuf> = PLACES.iter().map(PathBuf::from).collect();
        let homes: Vec<PathBuf> = home.into_iter().chain([Path::new("/root")]).map(Path::to_path_buf).collect();
        for home in &homes {
            places.extend(IN_HOMES.iter().map(|name| home.join(name)));
        }
        places.extend(["audit", "credentials", "trust"].map(|name| bulkhead_home.join(name)));
        places.extend(["credentials", "credentials.toml"].map(|name| cargo_home.join(name)));
        Self { places, homes }
    }

    /// Whether somebody who had this would have a secret, as far as its name tells.
    pub fn hold(&self, what: &Denied) -> bool {
        match what {
            Denied::Read(path) | Denied::Write(path) => self.hold_path(path),
            Denied::Environment(name) => is_secret_variable(name),
            Denied::Network(address) => match address.strip_prefix("unix:") {
                Some(name) => {
                    let lower = name.to_ascii_lowercase();
                    SOCKETS.iter().any(|part| lower.contains(part)) || self.hold_path(Path::new(name))
                }
                None => is_secret_host(address),
            },
            Denied::Host(host) => is_secret_host(host),
            Denied::Directive(_) => false,
        }
    }

    fn hold_path(&self, path: &Path) -> bool {
        self.places.iter().any(|place| path.starts_with(place) || place.starts_with(path))
            || is_home(path)
            || is_in_some_home(path)
            || self.is_kept_in_home(path)
            || path.file_name().is_some_and(|name| is_secret_name(&name.to_string_lossy().to_ascii_lowercase()))
            // The host keys of the ssh server.
            || path.starts_with("/etc/ssh")
    }
}

impl Secrets {
    /// A file or folder with a dot, right in a home folder: programs keep there what is the user's, keys among it, under names
    /// that no list knows. What lies deeper was named by somebody who knows what it is.
    fn is_kept_in_home(&self, path: &Path) -> bool {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return false };
        let name = name.to_string_lossy();
        let in_home = self.homes.iter().any(|home| home == folder)
            || folder.parent().is_some_and(|homes| homes == Path::new("/home") || homes == Path::new("/Users"));
        in_home && name.starts_with('.') && !OPEN_IN_HOMES.contains(&&*name)
    }
}

/// A home folder as a whole, or what holds all of them.
fn is_home(path: &Path) -> bool {
    ["/home", "/Users"].iter().any(|homes| match path.strip_prefix(homes) {
        Ok(rest) => rest.components().count() < 2,
        Err(_) => false,
    })
}

/// The user may have more than one home folder, and others have theirs.
fn is_in_some_home(path: &Path) -> bool {
    let path = format!("{}/", path.to_string_lossy().to_ascii_lowercase());
    IN_HOMES.iter().any(|name| path.contains(&format!("/{name}/")))
}

fn is_secret_name(name: &str) -> bool {
    NAMES.contains(&name) || name.starts_with(".env.") || ENDS.iter().any(|end| name.ends_with(end))
}

fn is_secret_host(address: &str) -> bool {
    HOSTS.iter().any(|host| {
        let rest = address.strip_prefix(host).or_else(|| address.strip_prefix(&format!("[{host}]")));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    })
}

/// Whether a variable is likely to hold something that nobody else should know.
pub(crate) fn is_secret_variable(name: &str) -> bool {
    const PARTS: &[&str] = &[
        "TOKEN",
        "SECRET",
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "CREDENTIAL",
        "PRIVATE_KEY",
        "API_KEY",
        "APIKEY",
        "ACCESS_KEY",
        "AUTH",
        "COOKIE",
        "SESSION",
        // Where vcpkg keeps and finds binaries: addresses with keys to a store.
        "BINARY_SOURCES",
        "ASSET_SOURCES",
    ];
    const ENDS: &[&str] = &["_KEY", "_PASS", "_PROXY", "_PWD"];
    const PREFIXES: &[&str] = &[
        "ACTIONS_",
        "AWS_",
        "AZURE_",
        "BULKHEAD_",
        "CARGO_REGISTR",
        "DOCKER_",
        "GCP_",
        "GH_",
        "GITHUB_",
        "GITLAB_",
        "GOOGLE_",
        "GPG_",
        "KUBE",
        "NPM_",
        "SSH_",
        "VAULT_",
    ];
    let name = name.to_ascii_uppercase();
    // The C library of aws-lc is configured by variables with this prefix; they are not the cloud's.
    let cloud = PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && !name.starts_with("AWS_LC_");
    cloud || PARTS.iter().any(|part| name.contains(part)) || ENDS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::Secrets;
    use crate::propose::Denied;
    use std::path::Path;

    fn secrets() -> Secrets {
        Secrets::new(Some(Path::new("/srv/people/me")), Path::new("/data/bulkhead"), Path::new("/data/cargo"))
    }

    /// Attacks 98 and 101: what code asks for in order to have it granted.
    #[test]
    fn what_looks_like_a_secret_is_known_as_one() {
        for path in [
            "/",
            "/etc",
            "/etc/shadow",
            "/etc/ssh/ssh_host_ed25519_key",
            "/root",
            "/root/.ssh",
            "/home",
            "/home/other",
            "/home/other/.ssh/id_ed25519",
            "/home/other/.AWS/credentials",
            "/srv/people/me",
            "/srv/people",
            "/srv/people/me/.config",
            "/srv/people/me/.config/gh/hosts.yml",
            "/srv/people/me/.gnupg/private-keys-v1.d/x.key",
            "/srv/people/me/.cargo",
            "/srv/people/me/.cargo/credentials.toml",
            "/data/cargo/credentials.toml",
            "/data/bulkhead",
            "/data/bulkhead/credentials",
            "/data/bulkhead/trust/installation",
            "/work/app/.env",
            "/work/app/.env.production",
            "/work/app/server.key",
            "/work/app/tls-key.pem",
            "/proc/1/environ",
            "/run/user/1000/keyring/ssh",
            "/var/run/secrets/kubernetes.io/serviceaccount/token",
        ] {
            assert!(secrets().hold(&Denied::Read(path.into())), "{path}");
            assert!(secrets().hold(&Denied::Write(path.into())), "{path}");
        }
        for name in ["NPM_TOKEN", "app_secret", "DB_PASSWORD", "CARGO_REGISTRY_TOKEN", "AWS_SECRET_ACCESS_KEY"] {
            assert!(secrets().hold(&Denied::Environment(name.to_owned())), "{name}");
        }
        for address in
            ["unix:/tmp/ssh-XX/agent.12", "unix:/run/docker.sock", "169.254.169.254:80", "[fd00:ec2::254]:80"]
        {
            assert!(secrets().hold(&Denied::Network(address.to_owned())), "{address}");
        }
        assert!(secrets().hold(&Denied::Host("metadata.google.internal:80".to_owned())));
    }

    #[test]
    fn what_builds_really_ask_for_is_none() {
        for path in [
            "/opt/openssl/include/openssl/ssl.h",
            "/srv/people/me/models/weights.bin",
            "/srv/people/me/.cargo/config.toml",
            "/srv/people/me/.cargo/registry/src/x/build.rs",
            "/srv/people/me/.config/app.toml",
            "/home/other/project/src/credentials.rs",
            "/home/other/ssh/notes.txt",
            "/etc/ssl/certs/ca-certificates.crt",
            "/usr/local/cuda/version.json",
            "/work/app/.environment",
            "/work/app/cacert.pem",
            "/data/bulkhead/store/abc/src/lib.rs",
        ] {
            assert!(!secrets().hold(&Denied::Read(path.into())), "{path}");
        }
        for name in ["OPENSSL_DIR", "NEEDY_HOST", "AWS_LC_SYS_CMAKE_BUILDER", "DATABASE_URL"] {
            assert!(!secrets().hold(&Denied::Environment(name.to_owned())), "{name}");
        }
        for address in ["127.0.0.1:80", "unix:/run/postgresql/.s.PGSQL.5432", "169.254.169.25:80"] {
            assert!(!secrets().hold(&Denied::Network(address.to_owned())), "{address}");
        }
        assert!(!secrets().hold(&Denied::Host("example.com:443".to_owned())));
    }
}
