//! Which variables of the user's environment build code may see, besides those that Cargo documents and sets.

use bulkhead_schema::policy::chooses_programs;

use crate::secrets::is_secret_variable;

/// Whether a build script may see a variable without a grant. An allow-list: what native builds need, never what looks
/// like a secret, whatever list it is on.
pub fn environment_allowed(name: &str) -> bool {
    !is_secret_variable(name) && !chooses_programs(name) && (tool_variable(name) || listed(name))
}

/// Whether a credential helper may see a variable of which its own command line says nothing: it finds its way around, to
/// the keyring and the agents of the desktop, and to the account that its tokens belong to. Never the tokens of registries.
pub fn helper_environment_allowed(name: &str) -> bool {
    let listed = HELPER_NAMES.contains(&name) || HELPER_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    listed && !is_registry_token(name)
}

/// Whether a variable holds the token of a registry.
pub fn is_registry_token(name: &str) -> bool {
    name.starts_with("CARGO_REGISTR") && (name.ends_with("_TOKEN") || name.ends_with("_SECRET_KEY"))
}

const HELPER_NAMES: &[&str] = &[
    "ALL_PROXY",
    "CARGO_HOME",
    "CI",
    "COLORTERM",
    "CURL_CA_BUNDLE",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "GNUPGHOME",
    "GPG_TTY",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "KRB5CCNAME",
    "KRB5_CONFIG",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "NO_COLOR",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "SYSTEM_ACCESSTOKEN",
    "TERM",
    "TZ",
    "USER",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];
/// Of the services that hand out tokens.
const HELPER_PREFIXES: &[&str] = &[
    "ACTIONS_ID_TOKEN_",
    "AWS_",
    "AZURE_",
    "BITBUCKET_",
    "BWS_",
    "BW_",
    "CI_JOB_",
    "CLOUDSDK_",
    "DOPPLER_",
    "GH_",
    "GITHUB_",
    "GITLAB_",
    "GOOGLE_",
    "JFROG_",
    "LC_",
    "OP_",
    "PASSWORD_STORE_",
    "VAULT_",
    "XDG_",
];

/// Whether a variable tells `build.rustc-wrapper` what to do. Tools that make themselves the wrapper (cargo-llvm-cov,
/// cargo-expand) name what they want to read there after it: `CARGO_EXPAND_RUSTC_WRAPPER`.
pub fn is_for_rustc_wrapper(name: &str) -> bool {
    name.contains("_RUSTC_WRAPPER") && name != "CARGO_BUILD_RUSTC_WRAPPER" && !is_secret_variable(name)
}

/// Whether a variable only says how a terminal wants things shown. What a build prints goes through us and into no terminal;
/// whoever builds in an editor and in two terminals should not build three times.
pub fn is_about_terminal(name: &str) -> bool {
    ["CLICOLOR", "CLICOLOR_FORCE", "COLORTERM", "FORCE_COLOR", "NO_COLOR", "TERM"].contains(&name)
}

/// The tools of a native build, in the forms that the `cc` and `cmake` crates read: `CC`, `CC_<platform>`, `HOST_CC`,
/// `TARGET_CC`, and `<PLATFORM>_CC`.
fn tool_variable(name: &str) -> bool {
    const TOOLS: &[&str] = &[
        "AR",
        "ARFLAGS",
        "AS",
        "ASFLAGS",
        "CC",
        "CFLAGS",
        "CPPFLAGS",
        "CXX",
        "CXXFLAGS",
        "CXXSTDLIB",
        "CUDACXX",
        "FC",
        "FFLAGS",
        "LD",
        "LDFLAGS",
        "NASM",
        "NM",
        "NVCC",
        "OBJCOPY",
        "OBJCFLAGS",
        "RANLIB",
        "RANLIBFLAGS",
        "STRIP",
        "YASM",
    ];
    let bare = name.strip_prefix("HOST_").or_else(|| name.strip_prefix("TARGET_")).unwrap_or(name);
    TOOLS.iter().any(|tool| bare == *tool || bare.strip_prefix(tool).is_some_and(|rest| rest.starts_with('_')))
}

const NAMES: &[&str] = &[
    "CC_ENABLE_DEBUG_OUTPUT",
    "CC_FORCE_DISABLE",
    "CC_KNOWN_WRAPPER_CUSTOM",
    "CI",
    "CLANG_PATH",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLORTERM",
    "CRATE_CC_NO_DEFAULTS",
    "DEVELOPER_DIR",
    "DOCS_RS",
    "FORCE_COLOR",
    "LANG",
    "LANGUAGE",
    "LLVM_CONFIG_PATH",
    "MACOSX_DEPLOYMENT_TARGET",
    "IPHONEOS_DEPLOYMENT_TARGET",
    "NINJA",
    "NINJA_STATUS",
    "NO_COLOR",
    "NUMBER_OF_PROCESSORS",
    "PERL",
    "PYTHON",
    "PYTHON3",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "SDKROOT",
    "SOURCE_DATE_EPOCH",
    "TERM",
    "TZ",
    "WASI_SDK_PATH",
    "WASI_SYSROOT",
    "ZERO_AR_DATE",
];
const PREFIXES: &[&str] = &[
    "ANDROID_NDK",
    "AWS_LC_",
    "BINDGEN_",
    "CMAKE",
    "CUDA_",
    "EMSDK",
    "JEMALLOC_",
    "LC_",
    "LIBCLANG_",
    "OPENSSL_",
    "OPENBLAS_",
    "PKG_CONFIG",
    "PROTOC",
    "PYO3_",
    "RING_",
    "ROCKSDB_",
    "SQLITE",
    "SYSTEM_DEPS_",
    "VCPKG",
    "X86_64_",
    "AARCH64_",
];
// How `-sys` crates are told which library to take: `LIBZ_SYS_STATIC`, `FOO_LIB_DIR`, `FOO_NO_PKG_CONFIG`.
const SUFFIXES: &[&str] = &[
    "_DYNAMIC",
    "_INCLUDE_DIR",
    "_INCLUDE_PATH",
    "_LIB_DIR",
    "_LIB_PATH",
    "_LIBS",
    "_NO_PKG_CONFIG",
    "_NO_VENDOR",
    "_STATIC",
    "_USE_PKG_CONFIG",
    "_USE_SYSTEM",
    "_VENDORED",
];

fn listed(name: &str) -> bool {
    NAMES.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::environment_allowed;

    #[test]
    fn native_builds_see_their_variables() {
        for name in [
            "CC",
            "CC_x86_64-unknown-linux-gnu",
            "CFLAGS_x86_64_unknown_linux_gnu",
            "HOST_CC",
            "TARGET_CXXFLAGS",
            "AR",
            "PKG_CONFIG_PATH",
            "PKG_CONFIG_ALLOW_CROSS",
            "CMAKE",
            "CMAKE_TOOLCHAIN_FILE",
            "OPENSSL_DIR",
            "X86_64_UNKNOWN_LINUX_GNU_OPENSSL_LIB_DIR",
            "LIBCLANG_PATH",
            "PROTOC",
            "SOURCE_DATE_EPOCH",
            "LANG",
            "LC_ALL",
            "AWS_LC_SYS_CMAKE_BUILDER",
            "LIBZ_SYS_STATIC",
            "BINDGEN_EXTRA_CLANG_ARGS_x86_64",
            "SQLITE3_LIB_DIR",
        ] {
            assert!(environment_allowed(name), "{name}");
        }
    }

    /// Attack 101.
    #[test]
    fn secrets_and_the_unknown_are_hidden() {
        for name in [
            "CARGO_REGISTRY_TOKEN",
            "CARGO_REGISTRIES_T_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_REGION",
            "GITHUB_TOKEN",
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            "FOO_SECRET",
            "https_proxy",
            "HTTP_PROXY",
            "SSH_AUTH_SOCK",
            "HOME",
            "USER",
            "PATH",
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "RUSTFLAGS",
            "OPENSSL_API_KEY",
            "CMAKE_TOKEN",
            "OPENSSL_KEY",
            "SQLITE_KEY",
            "VCPKG_BINARY_SOURCES",
            "POLYMARKET_PRIVATE_KEY",
            "DATABASE_URL",
            "GITLAB_CI",
            "FOO",
            "",
        ] {
            assert!(!environment_allowed(name), "{name}");
        }
    }
}
