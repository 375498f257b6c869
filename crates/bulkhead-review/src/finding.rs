//! What a review can find, and how much each finding weighs.

pub use bulkhead_schema::policy::Weight;

/// Where a file takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// It runs while something is built.
    BuildCode,
    /// It becomes part of whoever uses the package.
    Library,
    /// It is only built where the package itself is worked on: tests, examples, benches.
    Development,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What was found.
    pub rule: Rule,
    /// How much it weighs there.
    pub weight: Weight,
    /// Where the file takes part.
    pub role: Role,
    /// The file, below the package's folder; empty if it is about the package itself. Untrusted.
    pub path: String,
    /// The line, from 1; 0 if it is about the whole file.
    pub line: u32,
    /// What stands there, in short. Untrusted.
    pub detail: String,
}

impl Finding {
    /// A finding about the package as a whole, which nothing in it tells.
    pub fn about_package(rule: Rule, detail: String) -> Self {
        let role = Role::BuildCode;
        let weight = rule.weight(role).unwrap_or(Weight::Note);
        Self { rule, weight, role, path: String::new(), line: 0, detail }
    }
}

macro_rules! rules {
    ($($variant:ident $id:literal $title:literal $help:literal;)*) => {
        /// The rules.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule { $(#[doc = $title] $variant,)* }

        impl Rule {
            /// All of them, in the order in which they are shown.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name that stays the same.
            pub fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }

            /// What was found, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// Why that matters, in one sentence.
            pub fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

rules! {
    BidirectionalText "bidirectional-text" "text that is shown in another order than it is compiled"
        "Controls of writing direction can make code look like something else.";
    LookalikeName "lookalike-name" "a name that is easily taken for a well-known one"
        "Malicious packages are often published under such names.";
    NotInRepository "not-in-repository" "a file that the source repository does not have"
        "What nobody could review in the repository is where published payloads hide.";
    DiffersFromRepository "differs-from-repository" "a file that differs from the source repository"
        "What was published is not what can be reviewed in the repository.";
    SecretPath "secret-path" "names a place where secrets are kept"
        "Keys, tokens and wallets are what malicious packages look for.";
    SecretVariable "secret-variable" "reads an environment variable that holds a secret"
        "Tokens of the environment are what malicious build code looks for first.";
    Network "network" "uses the network"
        "Build code that downloads can do something else every day.";
    Shell "shell" "starts a shell or a program that downloads"
        "A shell can do whatever its text says.";
    Executable "executable" "compiled code"
        "Nobody can read what it does.";
    EarlyCode "early-code" "code that runs before `main`"
        "It runs in every program that contains the package, used or not.";
    Process "process" "starts programs"
        "What they do is not in the package.";
    DynamicCode "dynamic-code" "loads code while it runs"
        "What it does is not in the package.";
    EncodedData "encoded-data" "a long run of encoded data"
        "Payloads are carried as text to look harmless.";
    Archive "archive" "packed files"
        "What is in them is not looked at.";
    OpaqueData "opaque-data" "data that looks encrypted or packed"
        "Nobody can read what it holds; payloads hide in test data.";
    Unread "unread" "a file that was not looked into"
        "It is too large, or its package is.";
    NotText "not-text" "source code that is no valid text"
        "The compiler refuses it; something else may read it.";
    HiddenText "hidden-text" "characters that cannot be seen"
        "They can hide text, or make two names look the same.";
    MixedScripts "mixed-scripts" "a name of letters that only look alike"
        "It can be taken for another name.";
    OutsidePackage "outside-package" "includes a file from outside of the package"
        "What it includes depends on where it is built.";
    LinkerArgument "linker-argument" "gives arguments to the linker or the compiler"
        "They can change what a program consists of.";
    LongLine "long-line" "a line longer than anybody reads"
        "Code hides at the end of long lines.";
    MovedFile "moved-file" "a file that the source repository has in another place"
        "It may be used differently than the repository suggests.";
    OtherCommit "other-commit" "made from another commit than the release's tag names"
        "What was published may not be what was tagged.";
    Young "young" "published a short time ago"
        "Malicious versions are mostly noticed in their first days.";
    Write "write" "writes files"
        "Confined build code writes only below `OUT_DIR`.";
    Address "address" "names an address of the network"
        "Build code that is confined reaches none.";
    BuildScript "build-script" "a build script"
        "It runs while anything that depends on the package is built.";
    ProcMacro "proc-macro" "a procedural macro"
        "It runs inside the compiler.";
    NativeLibrary "links" "links a native library"
        "What is linked is decided by its build script.";
    LinkDirective "link-directive" "tells the compiler what to link"
        "Native code becomes part of the program.";
    Environment "environment" "reads environment variables"
        "What is built depends on them.";
    Read "read" "reads files"
        "Confined build code reads the package and the system, and none of the user's files.";
    Assembly "assembly" "assembly"
        "No compiler checks what it does.";
}

impl Rule {
    /// How much a finding of this rule weighs in a file of this role; `None` if it is not worth to be told there.
    pub(crate) fn weight(self, role: Role) -> Option<Weight> {
        use Role::{BuildCode, Development, Library};
        use Rule::{
            Address, Archive, Assembly, BidirectionalText, BuildScript, DiffersFromRepository, DynamicCode, EarlyCode,
            EncodedData, Environment, Executable, HiddenText, LinkDirective, LinkerArgument, LongLine, LookalikeName,
            MixedScripts, MovedFile, NativeLibrary, Network, NotInRepository, NotText, OpaqueData, OtherCommit,
            OutsidePackage, ProcMacro, Process, Read, SecretPath, SecretVariable, Shell, Unread, Write, Young,
        };
        Some(match (self, role) {
            (BidirectionalText | LookalikeName | NotInRepository | DiffersFromRepository | Executable, _) => {
                Weight::High
            }
            (SecretPath | SecretVariable | Network | Shell, BuildCode) => Weight::High,
            (Archive | OpaqueData | Unread, _) => Weight::Medium,
            (EarlyCode | HiddenText | MixedScripts | NotText | OutsidePackage, BuildCode | Library) => Weight::Medium,
            (Process | DynamicCode | EncodedData | LinkerArgument, BuildCode) => Weight::Medium,
            (SecretPath, Library) => Weight::Medium,
            (MovedFile | Young | OtherCommit, _) | (LongLine | Write | Address, BuildCode) => Weight::Low,
            (EncodedData | HiddenText | MixedScripts | NotText, _) => Weight::Low,
            (SecretVariable | Shell | DynamicCode, Library) => Weight::Low,
            (BuildScript | ProcMacro | NativeLibrary, _) | (LinkDirective | Environment | Read, BuildCode) => {
                Weight::Note
            }
            (Network | Process | Write, Library) => Weight::Note,
            (SecretPath | SecretVariable | Network | Shell | DynamicCode | EarlyCode, Development) => Weight::Note,
            (Assembly, BuildCode | Library) => Weight::Note,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Role, Rule, Weight};
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_nothing_weighs_less_in_build_code() {
        let ids: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.id()).collect();
        assert_eq!(ids.len(), Rule::ALL.len());
        for rule in Rule::ALL {
            assert!(rule.id().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
            assert!(rule.help().ends_with('.') && !rule.title().ends_with('.'));
            let [build, library, development] =
                [Role::BuildCode, Role::Library, Role::Development].map(|role| rule.weight(role));
            assert!(build >= library && library >= development && build.is_some(), "{rule:?}");
        }
        assert!(Weight::ALL.iter().all(|weight| Weight::parse(weight.word()) == Some(*weight)));
    }
}
