//! Registries that answer only to those whom they know: whose token goes where, and who keeps it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bulkhead_test_support::{CrateBuilder, DependencyBuilder, Fault, Misbehaviour, Registry};

use crate::registries::{Shops, Side};
use crate::stage::{BULKHEAD, skipped};

const TOKEN: &str = "t0ken-that-nobody-may-see";

const APP: &str = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
secret = { version = "1", registry = "mine" }
same = "1"
//- /src/main.rs
fn main() { println!("{}", secret::SAYS) }
"#;

const PROVIDERS: &str = "[registry]\nglobal-credential-providers = [\"cargo:token\"]\n";

fn defined(mine: &Registry, _: &Registry) -> String {
    format!("{PROVIDERS}[registries.mine]\nindex = {:?}\n", mine.index_url())
}

/// The shops, of which `mine` wants a token.
fn shops_with(fixture: &str, configure: impl Fn(&Registry, &Registry) -> String) -> Shops {
    let shops = Shops::new(fixture, configure);
    shops.mine.publish(
        CrateBuilder::new("secret", "1.0.0")
            .dependency_with(DependencyBuilder::new("same", "^1"))
            .file("src/lib.rs", "pub const SAYS: &str = same::FROM;\n"),
    );
    shops.mine.require_token(TOKEN);
    // With cargo, only registries that have an API can be logged in to.
    shops.mine.set_search_answer("{}");
    shops
}

fn shops() -> Shops {
    shops_with(APP, defined)
}

/// Writes a file for its owner alone.
fn write_private(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn credentials(side: &Side) -> PathBuf {
    side.home.cargo_home().join("credentials.toml")
}

#[test]
fn a_private_registry_is_used_as_under_cargo() {
    let shops = shops();
    let variables = [("CARGO_REGISTRIES_MINE_TOKEN", TOKEN)];
    shops.same(&["fetch"], &variables);
    let theirs = shops.mine.tokens();
    assert!(theirs.iter().all(|(_, token)| token == TOKEN));
    for path in ["/index/config.json", "/index/se/cr/secret", "/dl/secret/1.0.0/download"] {
        let asked = theirs.iter().filter(|(asked, _)| asked == path).count();
        assert_eq!(asked, 2, "{path}: once by each program: {theirs:?}");
    }
    assert!(shops.public.tokens().is_empty() && shops.other.tokens().is_empty());
    // What was fetched needs no token.
    for arguments in [&["tree"][..], &["fetch", "--offline"], &["run"], &["build", "--locked", "--offline"]] {
        shops.same(arguments, &[]);
    }
    shops.same(&["update", "--dry-run"], &variables);
}

#[test]
fn the_file_of_cargo_is_read() {
    let shops = shops();
    for side in [&shops.cargo, &shops.bulkhead] {
        write_private(&credentials(side), &format!("[registries.mine]\ntoken = {TOKEN:?}\n"), 0o600);
    }
    shops.same(&["fetch"], &[]);
}

#[test]
fn without_a_token_it_is_said_how_to_get_one() {
    let shops = shops();
    let (theirs, ours) = shops.both(&["fetch"], &[]);
    for outcome in [theirs, ours] {
        assert!(
            outcome.stderr.contains("no token found for `mine`, please run `cargo login --registry mine`"),
            "{outcome}"
        );
        assert!(outcome.stderr.contains("or use environment variable CARGO_REGISTRIES_MINE_TOKEN"), "{outcome}");
    }
    let ours = shops.bulkhead.run(&["fetch"]);
    assert!(ours.stderr.contains(&format!("hands out tokens at http://{}/me", shops.mine.address())), "{ours}");
    let wrong = [("CARGO_REGISTRIES_MINE_TOKEN", "wr0ng")];
    let (theirs, ours) = shops.both(&["fetch"], &wrong);
    for outcome in [&theirs, &ours] {
        assert!(
            outcome.stderr.contains("token rejected for `mine`, please run `cargo login --registry mine`"),
            "{outcome}"
        );
    }
    assert!(!ours.output().contains("wr0ng"), "{ours}");
}

/// Attack 149: `dl` of the registry's own configuration points at another server.
#[test]
fn another_server_does_not_get_the_token() {
    let shops = shops();
    shops.other.publish(
        CrateBuilder::new("secret", "1.0.0")
            .dependency("same", "^1")
            .file("src/lib.rs", "pub const SAYS: &str = same::FROM;\n"),
    );
    shops.other.publish(CrateBuilder::new("same", "1.0.0").file("src/lib.rs", "pub const FROM: &str = \"mine\";\n"));
    shops.mine.set_download_origin(&shops.other);
    let variables = [("CARGO_REGISTRIES_MINE_TOKEN", TOKEN)];
    shops.cargo.run_with(&["fetch"], &variables).assert_success();
    assert!(!shops.other.tokens().is_empty(), "cargo sends the token to whatever server `dl` names");
    shops.other.clear_requests();
    // A server that needs none serves: the address may have been signed.
    shops.bulkhead.run_with(&["fetch"], &variables).assert_success();
    assert!(!shops.other.requests().is_empty() && shops.other.tokens().is_empty());
    // One that needs it is named, with what would allow it; nothing else of the registry's own says that it may.
    std::fs::remove_dir_all(shops.bulkhead.home.bulkhead_home()).unwrap();
    shops.other.require_token(TOKEN);
    let refused = shops.bulkhead.run_with(&["fetch"], &variables);
    refused.assert_code(101);
    let line = format!("token-origins = [\"http://{}\"]", shops.other.address());
    assert!(refused.stderr.contains(&line) && shops.other.tokens().is_empty(), "{refused}");
    // The twin: the user says that the server is the registry's.
    let config = std::fs::read_to_string(shops.bulkhead.home.cargo_home().join("config.toml")).unwrap();
    let config = config.replace("[registries.mine]\n", &format!("[registries.mine]\n{line}\n"));
    std::fs::write(shops.bulkhead.home.cargo_home().join("config.toml"), config).unwrap();
    shops.bulkhead.run_with(&["fetch"], &variables).assert_success();
    assert_eq!(shops.other.tokens().len(), 2);
}

/// Attack 150: a redirect leads to another server.
#[test]
fn a_redirect_does_not_carry_the_token_away() {
    let shops = shops();
    let target = format!("http://{}/dl/secret/1.0.0/download", shops.other.address());
    shops.other.publish(
        CrateBuilder::new("secret", "1.0.0")
            .dependency("same", "^1")
            .file("src/lib.rs", "pub const SAYS: &str = same::FROM;\n"),
    );
    shops.mine.fault(Fault::on("/dl/secret", Misbehaviour::StatusWithHeader(302, "location", target)));
    shops.bulkhead.run_with(&["fetch"], &[("CARGO_REGISTRIES_MINE_TOKEN", TOKEN)]).assert_success();
    assert!(shops.mine.tokens().iter().any(|(path, _)| path.starts_with("/dl/")));
    assert!(!shops.other.requests().is_empty() && shops.other.tokens().is_empty());
}

/// Attack 150, with every status that leads elsewhere, for everything that is asked for.
#[test]
fn no_redirect_carries_the_token_away() {
    let mut followed = 0;
    for status in [301, 302, 303, 307, 308] {
        for path in ["/index/config.json", "/index/se/cr/secret", "/dl/secret/1.0.0/download"] {
            let shops = shops();
            let target = format!("http://{}{path}", shops.other.address());
            shops.mine.fault(Fault::on(path, Misbehaviour::StatusWithHeader(status, "location", target)));
            let ours = shops.bulkhead.run_with(&["fetch"], &[("CARGO_REGISTRIES_MINE_TOKEN", TOKEN)]);
            assert!(shops.other.tokens().is_empty(), "{status} {path}: {ours}");
            assert!(!ours.output().contains(TOKEN), "{status} {path}: {ours}");
            followed += usize::from(!shops.other.requests().is_empty());
        }
    }
    assert!(followed >= 10, "only {followed} were followed");
}

/// Attack 152: on 1.95 cargo takes `…/index.git/` for `…/index/`, and sends the token there.
#[test]
fn a_token_is_for_one_exact_address() {
    let fixture = r#"
//- /Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[dependencies]
bait = { version = "1", registry-index = "[BAIT]" }
//- /src/lib.rs
"#;
    let shops = shops();
    let bait = shops.mine.index_url().replace("/index/", "/index.git/");
    let manifest =
        fixture.replace("[BAIT]", &bait).split_once("Cargo.toml\n").unwrap().1.replace("//- /src/lib.rs\n", "");
    for side in [&shops.cargo, &shops.bulkhead] {
        side.project.write("Cargo.toml", &manifest);
        side.project.write("src/lib.rs", "");
        write_private(&credentials(side), &format!("[registries.mine]\ntoken = {TOKEN:?}\n"), 0o600);
    }
    let stolen = |shops: &Shops| shops.mine.tokens().iter().any(|(path, _)| path.starts_with("/index.git/"));
    shops.cargo.run(&["fetch"]);
    assert!(stolen(&shops), "cargo sends the token to another address");
    shops.mine.clear_requests();
    let refused = shops.bulkhead.run(&["fetch"]);
    refused.assert_code(101);
    assert!(!stolen(&shops), "{:?}", shops.mine.tokens());
    assert!(refused.stderr.contains("no token found"), "{refused}");
}

/// Attack 23: the repository gives the name of a registry, for which there is a token, another address.
#[test]
fn a_project_cannot_point_a_name_with_a_token_elsewhere() {
    let evil = |side: &Side, evil: &Registry| {
        let config = format!("[registries.mine]\nindex = {:?}\n", evil.index_url());
        side.project.write(".cargo/config.toml", &config);
    };
    let shops = shops();
    shops.other.publish(CrateBuilder::new("secret", "1.0.0"));
    shops.other.require_token("another");
    for side in [&shops.cargo, &shops.bulkhead] {
        evil(side, &shops.other);
        write_private(&credentials(side), &format!("[registries.mine]\ntoken = {TOKEN:?}\n"), 0o600);
    }
    shops.cargo.run(&["fetch"]);
    assert!(shops.other.tokens().iter().any(|(_, token)| token == TOKEN), "cargo hands the token over");
    shops.other.clear_requests();
    let refused = shops.bulkhead.run(&["fetch"]);
    assert_ne!(refused.code(), Some(0));
    assert!(
        refused.stderr.contains(&shops.mine.index_url()) && refused.stderr.contains(&shops.other.index_url()),
        "{refused}"
    );
    assert!(shops.other.requests().is_empty());
    // The user has a token in a variable, and has not said for which address; the project's file is even trusted.
    std::fs::remove_file(credentials(&shops.bulkhead)).unwrap();
    let config = std::fs::read_to_string(shops.bulkhead.home.cargo_home().join("config.toml")).unwrap();
    let config = config.split("[registries.mine]").next().unwrap().to_owned();
    std::fs::write(shops.bulkhead.home.cargo_home().join("config.toml"), config).unwrap();
    shops.bulkhead.run(&["trust", "--yes", ".cargo/config.toml"]).assert_success();
    let token = ("CARGO_REGISTRIES_MINE_TOKEN", TOKEN);
    let refused = shops.bulkhead.run_with(&["fetch"], &[token]);
    assert_eq!(refused.code(), Some(101), "{refused}");
    assert!(refused.stderr.contains("your tokens are not for it"), "{refused}");
    let index = shops.other.index_url();
    assert!(refused.stderr.contains(&format!("CARGO_REGISTRIES_MINE_INDEX={index}")), "{refused}");
    assert!(shops.other.tokens().is_empty());
    // The twin: the user says that the address is meant.
    shops.other.require_token(TOKEN);
    let means = ("CARGO_REGISTRIES_MINE_INDEX", index.as_str());
    shops.bulkhead.run_with(&["fetch"], &[token, means]).assert_success();
}

/// Attack 22: the repository names a program that is handed the token's place.
#[test]
fn a_project_does_not_choose_credential_providers() {
    for settings in [
        "[registry]\nglobal-credential-providers = [\"[PROGRAM]\"]\n",
        "[registries.mine]\ncredential-provider = [\"cargo:token-from-stdout\", \"[PROGRAM]\"]\n",
        "[registry]\nglobal-credential-providers = [\"x\"]\n[credential-alias]\nx = [\"[PROGRAM]\"]\n",
    ] {
        let shops = shops();
        let marked = |side: &Side| side.home.path().join("marked").exists();
        for side in [&shops.cargo, &shops.bulkhead] {
            let program = side.project.path("evil");
            side.project.write("evil", "#!/bin/sh\ntouch $HOME/marked\n");
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
            side.project.write(".cargo/config.toml", settings.replace("[PROGRAM]", &program.to_string_lossy()));
        }
        shops.cargo.run(&["fetch"]);
        assert!(marked(&shops.cargo), "cargo runs it: {settings}");
        shops.bulkhead.run(&["trust", "--yes", ".cargo/config.toml"]).assert_success();
        let ran = shops.bulkhead.run_with(&["fetch"], &[("CARGO_REGISTRIES_MINE_TOKEN", TOKEN)]);
        ran.assert_success();
        assert!(!marked(&shops.bulkhead) && ran.stderr.contains("user-level only"), "{ran}");
    }
}

/// Attack 155, for reading and for what `login` and `logout` write.
#[test]
fn files_of_tokens_are_private() {
    let shops = shops();
    let side = &shops.bulkhead;
    let path = credentials(side);
    let text = format!("# mine\n[registries.mine]\ntoken = {TOKEN:?}\n");
    write_private(&path, &text, 0o644);
    let refused = side.run(&["fetch"]);
    assert!(refused.stderr.contains("can be used by others") && refused.stderr.contains("chmod 600"), "{refused}");
    std::fs::remove_file(&path).unwrap();
    let outside = side.home.path().join("outside");
    write_private(&outside, &text, 0o600);
    std::os::unix::fs::symlink(&outside, &path).unwrap();
    let refused = side.run(&["fetch"]);
    assert!(refused.stderr.contains("symbolic link"), "{refused}");
    assert!(shops.mine.tokens().is_empty());
    side.run(&["logout", "--registry", "mine"]);
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), text);
    std::fs::remove_file(&path).unwrap();
    let login = side.home.command(BULKHEAD).args(["login", "--registry", "mine"]).stdin(format!("{TOKEN}\n"));
    login.run().assert_success();
    let kept = side.home.bulkhead_home().join("credentials/tokens.json");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&kept), mode(kept.parent().unwrap())), (0o600, 0o700));
    side.run(&["fetch"]).assert_success();
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::fs::remove_dir_all(side.home.bulkhead_home().join("index")).unwrap();
    let refused = side.run(&["update"]);
    assert!(refused.stderr.contains("can be used by others"), "{refused}");
}

#[test]
fn logging_in_and_out_is_said_as_cargo_says_it() {
    let shops = shops();
    let both = |arguments: &[&str], input: &str| {
        let run = |side: &Side| {
            side.home.command(side.program).args(arguments).current_dir(side.project.root()).stdin(input).run()
        };
        let (theirs, ours) = (run(&shops.cargo), run(&shops.bulkhead));
        assert!(ours.ends_as(&theirs), "{arguments:?}\ncargo: {theirs}\nbulkhead: {ours}");
        // Whether the index is asked for the address of its page depends on caches.
        let said = |text: &str| -> String {
            let lines = text.lines().filter(|line| !line.contains("Updating") && !line.contains("please paste"));
            lines.map(|line| format!("{}\n", line.trim_start())).collect()
        };
        assert_eq!(said(&ours.stderr), said(&theirs.stderr), "{arguments:?}");
        assert_eq!(ours.stdout, theirs.stdout);
        ours
    };
    both(&["login", "--registry", "mine"], &format!("{TOKEN}\n"));
    shops.same(&["fetch"], &[]);
    both(&["logout", "--registry", "mine"], "");
    both(&["logout", "--registry", "mine"], "");
    both(&["login", "--registry", "absent"], "x\n");
    both(&["login", "--registry", "mine"], "\n");
    both(&["login", "-q", "--registry", "mine"], &format!("{TOKEN}\n"));
    both(&["login"], &format!("{TOKEN}\n"));
    shops.bulkhead.run(&["update"]).assert_success();
    // A token that cargo kept is forgotten too, and nothing else of that file.
    let path = credentials(&shops.bulkhead);
    write_private(
        &path,
        &format!("# mine\n[registries.mine]\ntoken = {TOKEN:?}\n[registries.b]\ntoken = \"b\"\n"),
        0o600,
    );
    shops.bulkhead.run(&["logout", "--registry", "mine"]).assert_success();
    let left = std::fs::read_to_string(&path).unwrap();
    assert!(left.starts_with("# mine\n") && left.contains("token = \"b\"") && !left.contains(TOKEN), "{left}");
    shops.bulkhead.run(&["update"]).assert_code(101);
}

/// Attack 156: a token is on no command line and in no output.
#[test]
fn a_token_is_never_shown() {
    let shops = shops();
    let side = &shops.bulkhead;
    let refused = side.run(&["login", TOKEN, "--registry", "mine"]);
    refused.assert_code(101);
    assert!(refused.stderr.contains("can be seen") && !refused.output().contains(TOKEN), "{refused}");
    shops.cargo.run(&["login", TOKEN, "--registry", "mine"]).assert_success();
    let variables = [("CARGO_REGISTRIES_MINE_TOKEN", TOKEN), ("RUST_LOG", "trace"), ("RUST_BACKTRACE", "1")];
    let mut outputs = vec![side.run_with(&["fetch", "-vv"], &variables)];
    // A server that sends back what it got.
    shops.mine.clear_faults();
    shops.mine.fault(Fault::on("/index/", Misbehaviour::Replace(format!("{{\"dl\": {TOKEN:?} oops").into_bytes())));
    outputs.push(side.run_with(&["update", "-vv"], &variables));
    shops.mine.clear_faults();
    shops.mine.fault(Fault::on("/index/", Misbehaviour::StatusWithHeader(401, "www-authenticate", TOKEN.to_owned())));
    outputs.push(side.run_with(&["update", "-vv"], &variables));
    outputs[0].assert_success();
    for outcome in &outputs {
        assert!(!outcome.output().contains(TOKEN), "{outcome}");
    }
    for folder in [side.project.root().to_path_buf(), side.home.path().to_path_buf()] {
        assert!(!holds(&folder, TOKEN), "{}", folder.display());
    }
}

/// Whether some file below `folder` holds `text`.
fn holds(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds(&path, text);
        }
        std::fs::read(&path).is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    })
}

/// A provider of the user's own; `answer` is what it prints for the question, `$HOME/asked` what it was asked.
fn use_provider(side: &Side, answer: &str) {
    let program = side.home.path().join("provider");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> $HOME/asked\nenv >> $HOME/asked\necho '{{\"v\":[1]}}'\nread -r question\n\
         printf '%s\\n' \"$question\" >> $HOME/asked\n{answer}\n"
    );
    write_private(&program, &script, 0o755);
    let config = side.home.cargo_home().join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let mine = format!("[\"cargo:token\", \"{} --account me\"]", program.display());
    std::fs::write(&config, text.replace("[\"cargo:token\"]", &mine)).unwrap();
}

#[test]
fn providers_are_asked_by_the_protocol_of_cargo() {
    let shops = shops();
    let good = format!(
        "echo '{{\"Ok\":{{\"kind\":\"get\",\"token\":\"{TOKEN}\",\"cache\":\"session\",\"operation_independent\":true}}}}'"
    );
    for side in [&shops.cargo, &shops.bulkhead] {
        use_provider(side, &good);
    }
    shops.same(&["fetch"], &[("CARGO_REGISTRIES_OTHER_TOKEN", "another")]);
    let question = |side: &Side| {
        let asked = std::fs::read_to_string(side.home.path().join("asked")).unwrap();
        let line = asked.lines().find(|line| line.starts_with('{')).unwrap();
        let mut question: serde_json::Value = serde_json::from_str(line).unwrap();
        // Cargo passes on every header of the refusal.
        let headers = question["registry"]["headers"].as_array_mut().unwrap();
        headers.retain(|header| header.as_str().unwrap().to_lowercase().starts_with("www-authenticate"));
        assert!(asked.starts_with("--cargo-plugin\n"));
        (question, asked)
    };
    let ((theirs, _), (ours, asked)) = (question(&shops.cargo), question(&shops.bulkhead));
    assert_eq!(ours, theirs);
    assert!(asked.contains("\nHOME=") && !asked.contains("another"), "other tokens are none of its business");
    // Where it has nothing, the next one is asked; what it says is said.
    for side in [&shops.cargo, &shops.bulkhead] {
        let program = side.home.path().join("provider");
        let script = std::fs::read_to_string(&program).unwrap();
        write_private(&program, &script.replace(&good, "echo '{\"Err\":{\"kind\":\"not-found\"}}'"), 0o755);
    }
    shops.same(&["update", "--dry-run"], &[("CARGO_REGISTRIES_MINE_TOKEN", TOKEN)]);
}

/// A helper that pokes about: what it could read and write is in `$HOME/found`.
const POKES: &str = r#"#!/bin/sh
echo '{"v":[1]}'; read -r question
{
    cat "$PROJECT/Cargo.toml" && echo READS-PROJECT
    cat "$BULKHEAD/credentials/tokens.json" && echo READS-TOKENS
    cat "$CARGO_HOME/credentials.toml" && echo READS-CARGO
    echo x > "$PROJECT/planted" && echo WRITES-PROJECT
    echo x > "$BULKHEAD/planted" && echo WRITES-STORE
    echo x > /etc/bulkhead-test-planted && echo WRITES-SYSTEM
    [ "$(pwd)" = "$PROJECT" ] && echo STARTS-IN-PROJECT
    [ -n "$MY_SECRET_NUMBER" ] && echo READS-ENVIRONMENT
    cat "$HOME/mine" && [ -n "$VAULT_ADDR" ] && echo x > "$HOME/kept" && echo WORKS
} > "$HOME/found" 2>/dev/null
echo '{"Ok":{"kind":"get","token":"TOKEN","cache":"session","operation_independent":true}}'
"#;

/// Attack 157: a credential helper needs the user's files and network. The project, what Bulkhead keeps (the tokens of other
/// registries among it), the system and the rest of the environment are none of its business.
#[test]
fn a_credential_helper_sees_nothing_of_the_project_and_of_other_tokens() {
    let shops = shops();
    let (project, bulkhead) = (shops.bulkhead.project.root().to_path_buf(), shops.bulkhead.home.bulkhead_home());
    for side in [&shops.cargo, &shops.bulkhead] {
        use_provider(side, "");
        let script = POKES.replace("TOKEN\",\"cache", &format!("{TOKEN}\",\"cache"));
        let script = script.replace("$PROJECT", &side.project.root().display().to_string());
        let script = script.replace("$BULKHEAD", &bulkhead.display().to_string());
        write_private(&side.home.path().join("provider"), &script, 0o755);
        std::fs::write(side.home.path().join("mine"), "mine").unwrap();
        write_private(&credentials(side), "[registries.elsewhere]\ntoken = \"another\"\n", 0o600);
    }
    std::fs::create_dir_all(bulkhead.join("credentials")).unwrap();
    std::fs::set_permissions(bulkhead.join("credentials"), std::fs::Permissions::from_mode(0o700)).unwrap();
    write_private(&bulkhead.join("credentials/tokens.json"), "{}", 0o600);
    let variables = [("MY_SECRET_NUMBER", "7"), ("VAULT_ADDR", "x")];
    let found = |side: &Side, more: &[(&str, &str)]| {
        side.run_with(&["update"], &[&variables[..], more].concat()).assert_success();
        let found = std::fs::read_to_string(side.home.path().join("found")).unwrap();
        for place in [&project.join("planted"), &bulkhead.join("planted"), Path::new("/etc/bulkhead-test-planted")] {
            let _ = std::fs::remove_file(place);
        }
        found
    };
    let bites = |found: &str| {
        ["READS-PROJECT", "READS-TOKENS", "READS-CARGO", "WRITES-PROJECT", "STARTS-IN-PROJECT", "READS-ENVIRONMENT"]
            .iter()
            .all(|what| found.contains(what))
    };
    let theirs = found(&shops.cargo, &[]);
    assert!(bites(&theirs), "under cargo it does all of it: {theirs}");
    let ours = found(&shops.bulkhead, &[]);
    assert_eq!(ours, "mineWORKS\n");
    // What the user says counts: a variable more, or no confinement at all.
    let more = found(&shops.bulkhead, &[("BULKHEAD_CREDENTIAL_ENV", "OTHER, MY_SECRET_NUMBER")]);
    assert!(more.contains("READS-ENVIRONMENT") && !more.contains("READS-PROJECT"), "{more}");
    let free = found(&shops.bulkhead, &[("BULKHEAD_CREDENTIAL_CONFINED", "false")]);
    assert!(free.contains("READS-PROJECT") && !free.contains("READS-ENVIRONMENT"), "{free}");
    // It is not looked for in the project either.
    let inside = project.join("provider");
    std::fs::copy(shops.bulkhead.home.path().join("provider"), &inside).unwrap();
    let config = shops.bulkhead.home.cargo_home().join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let outside = shops.bulkhead.home.path().join("provider").display().to_string();
    std::fs::write(&config, text.replace(&outside, &inside.display().to_string())).unwrap();
    let refused = shops.bulkhead.run(&["update"]);
    refused.assert_code(101);
    assert!(refused.stderr.contains("lies in the project"), "{refused}");
}

#[test]
fn a_program_may_print_the_token() {
    let shops = shops();
    for side in [&shops.cargo, &shops.bulkhead] {
        let program = side.home.path().join("print-token");
        let script = format!(
            "#!/bin/sh\nprintf '%s %s' \"$CARGO_REGISTRY_INDEX_URL\" \"$CARGO_REGISTRY_NAME_OPT\" > $HOME/asked\necho {TOKEN}\n"
        );
        write_private(&program, &script, 0o755);
        side.home.configure(&format!(
            "credential-provider = [\"cargo:token-from-stdout\", {:?}]\n",
            program.to_string_lossy()
        ));
    }
    shops.same(&["fetch"], &[]);
    let asked = |side: &Side| std::fs::read_to_string(side.home.path().join("asked")).unwrap();
    assert_eq!(asked(&shops.bulkhead), asked(&shops.cargo));
    let (theirs, ours) = shops.both(&["logout", "--registry", "mine"], &[]);
    for outcome in [theirs, ours] {
        assert!(outcome.stderr.contains("requested operation not supported"), "{outcome}");
    }
}

/// Attack 157: cargo puts whatever a helper answers into the header, a line break and another header too.
#[test]
fn the_answer_of_a_helper_is_no_header_text() {
    let forged = format!(
        "echo '{{\"Ok\":{{\"kind\":\"get\",\"token\":\"{TOKEN}\\\\r\\\\nX-Forged: yes\",\"cache\":\"session\",\"operation_independent\":true}}}}'"
    );
    let shops = shops();
    for side in [&shops.cargo, &shops.bulkhead] {
        use_provider(side, &forged);
    }
    shops.cargo.run(&["fetch"]);
    let forged = |shops: &Shops| shops.mine.requests().iter().any(|request| request.header("x-forged").is_some());
    assert!(forged(&shops), "cargo sends the forged header");
    shops.mine.clear_requests();
    let refused = shops.bulkhead.run(&["fetch"]);
    refused.assert_code(101);
    assert!(!forged(&shops) && shops.mine.tokens().is_empty());
    assert!(refused.stderr.contains("breaks the protocol") && !refused.output().contains(TOKEN), "{refused}");
    use_provider(&shops.bulkhead, "sleep 60");
    let late = shops.bulkhead.run_with(&["fetch"], &[("BULKHEAD_CREDENTIAL_TIMEOUT", "1")]);
    late.assert_code(101);
    assert!(late.stderr.contains("did not answer within 1 second") && late.elapsed < Duration::from_secs(30), "{late}");
}

/// A stand-in for `secret-tool`: one item per file, named by the attributes.
const SECRET_TOOL: &str = r#"#!/bin/sh
verb=$1; shift
case $1 in --label=*) label=$1; shift;; esac
[ "$1" = url ] && [ "$3" = xdg:schema ] && [ "$4" = org.rust-lang.cargo.registry ] || exit 2
item=$HOME/keyring-$(printf %s "$2" | tr -c 'a-z0-9' _)
echo "$verb $label $*" >> $HOME/asked
case $verb in
lookup) [ -f $item ] && cat $item;;
store) cat > $item;;
clear) rm -f $item;;
esac
"#;

#[test]
fn the_keyring_keeps_a_token_for_one_address() {
    let shops = shops_with(APP, |mine, other| defined(mine, other).replace("cargo:token", "cargo:libsecret"));
    let side = &shops.bulkhead;
    let folder = side.home.path().join("bin");
    std::fs::create_dir(&folder).unwrap();
    write_private(&folder.join("secret-tool"), SECRET_TOOL, 0o755);
    let run = |arguments: &[&str], input: &str| {
        let path =
            format!("{}:{}:/usr/bin:/bin", bulkhead_test_support::sysroot().join("bin").display(), folder.display());
        let command = side.home.command(BULKHEAD).args(arguments).current_dir(side.project.root());
        command.env("PATH", path).stdin(input).run()
    };
    let without = run(&["fetch"], "");
    without.assert_code(101);
    assert!(without.stderr.contains("no token found for `mine`"), "{without}");
    run(&["login", "--registry", "mine"], &format!("{TOKEN}\n")).assert_success();
    assert!(!side.home.bulkhead_home().join("credentials").exists(), "it is in the keyring alone");
    run(&["fetch"], "").assert_success();
    run(&["logout", "--registry", "mine"], "").assert_success();
    assert!(run(&["logout", "--registry", "mine"], "").stderr.contains("not currently logged in"));
    run(&["update"], "").assert_code(101);
    let asked = std::fs::read_to_string(side.home.path().join("asked")).unwrap();
    assert!(asked.contains(&format!("store --label=cargo-registry:{}", shops.mine.index_url())), "{asked}");
    assert!(!asked.contains(TOKEN), "a token is on no command line");
}

/// The real programs: a keyring that lives as long as a session bus of the test's own.
#[test]
fn a_real_keyring_keeps_a_token() {
    for program in ["dbus-run-session", "gnome-keyring-daemon", "secret-tool"] {
        if !Path::new("/usr/bin").join(program).exists() {
            return skipped(&format!("`{program}` is not installed"));
        }
    }
    let shops = shops_with(APP, |mine, other| defined(mine, other).replace("cargo:token", "cargo:libsecret"));
    let side = &shops.bulkhead;
    let runtime = side.home.path().join("runtime");
    std::fs::create_dir(&runtime).unwrap();
    std::fs::set_permissions(&runtime, std::fs::Permissions::from_mode(0o700)).unwrap();
    let script = r#"printf keyring | gnome-keyring-daemon --unlock --components=secrets >&2 || exit 90
        "$1" fetch && exit 91
        printf '%s\n' "$2" | "$1" login --registry mine || exit 92
        "$1" fetch || exit 93
        "$1" logout --registry mine || exit 94
        "$1" update && exit 95
        exit 0"#;
    let session = side.home.command("/usr/bin/dbus-run-session").current_dir(side.project.root());
    let session = session.args(["--", "/bin/sh", "-c", script, "sh", BULKHEAD, TOKEN]).env("XDG_RUNTIME_DIR", runtime);
    let outcome = session.run();
    outcome.assert_success();
    assert!(!outcome.output().contains(TOKEN), "{outcome}");
    assert!(!side.home.bulkhead_home().join("credentials").exists(), "it is in the keyring alone");
}

#[test]
fn a_provider_is_asked_once_per_run() {
    let shops = shops();
    let good = format!(
        "echo '{{\"Ok\":{{\"kind\":\"get\",\"token\":\"{TOKEN}\",\"cache\":\"session\",\"operation_independent\":true}}}}'"
    );
    use_provider(&shops.bulkhead, &good);
    shops.bulkhead.run(&["fetch"]).assert_success();
    let asked = std::fs::read_to_string(shops.bulkhead.home.path().join("asked")).unwrap();
    assert_eq!(asked.matches("--cargo-plugin").count(), 1, "{asked}");
}

#[test]
fn a_signed_token_is_sent_and_its_key_is_not() {
    let shops =
        shops_with(APP, |mine, other| format!("{}credential-provider = [\"cargo:paseto\"]\n", defined(mine, other)));
    let side = &shops.bulkhead;
    let key = format!("k3.secret.{}", "AQEB".repeat(16));
    write_private(
        &credentials(side),
        &format!("[registries.mine]\nsecret-key = {key:?}\nsecret-key-subject = \"me\"\n"),
        0o600,
    );
    // The registry of the test knows one fixed token.
    let refused = side.run(&["fetch"]);
    refused.assert_code(101);
    let tokens = shops.mine.tokens();
    assert!(!tokens.is_empty() && tokens.iter().all(|(_, token)| token.starts_with("v3.public.")), "{tokens:?}");
    assert!(tokens.iter().all(|(_, token)| !token.contains("AQEBAQEB")) && !refused.output().contains("AQEBAQEB"));
    assert!(shops.public.tokens().is_empty() && shops.other.tokens().is_empty());
    let login = side.run(&["logout", "--registry", "mine"]);
    assert!(login.stderr.contains("requested operation not supported"), "{login}");
}
