//! Git repositories that were made to cost much (attack 95): cargo takes them as they are.

use std::fmt::Write as _;
use std::path::Path;

use bulkhead_test_support::{GitRepository, GitServer, Pack, PackObject};

use crate::git::{REPOSITORY, app, index_repository, manifest, refused};
use crate::stage::{Stage, Twins, skipped};

/// Bytes that nothing compresses.
fn noise(length: usize) -> Vec<u8> {
    let numbers = (0..length as u64 / 8).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(n as u32 % 61));
    numbers.flat_map(u64::to_le_bytes).collect()
}

fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { files_below(&entry.path()) } else { 1 }).sum()
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| if entry.path().is_dir() { bytes_below(&entry.path()) } else { entry.metadata().unwrap().len() })
        .sum()
}

/// Checks the project with this `[limits.git]`.
fn limited(stage: &Stage, limits: &str) -> bulkhead_test_support::Outcome {
    stage.project.write("bulkhead.toml", format!("[limits.git]\n{limits}\n"));
    stage.bulkhead(&["check"])
}

/// The packages of [`REPOSITORY`] and files that double from one to the next, as a pack of deltas of a few bytes each.
fn delta_bomb() -> GitRepository {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let mut content = noise(64 << 10);
    let (mut blobs, mut files) = (Vec::new(), String::new());
    for step in 1..11 {
        blobs.extend_from_slice(format!("blob\nmark :{step}\ndata {}\n", content.len()).as_bytes());
        blobs.extend_from_slice(&content);
        blobs.push(b'\n');
        let _ = writeln!(files, "M 100644 :{step} big{step}");
        content.extend_from_within(..);
    }
    let commit =
        "commit refs/heads/main\ncommitter test <test@example.org> 1700000000 +0000\ndata 0\nfrom refs/heads/main^0\n";
    let stream = [&blobs[..], commit.as_bytes(), files.as_bytes()].concat();
    // It makes each blob a delta against the one before.
    repository.git_with_input(&["-c", "fastimport.unpackLimit=0", "fast-import", "--quiet"], &stream);
    assert!(bytes_below(&repository.root().join(".git/objects")) < 1 << 20, "a small pack");
    repository
}

/// Attack 95: deltas of a few bytes that stand for many.
#[test]
fn a_small_pack_of_large_objects_is_refused() {
    let repository = delta_bomb();
    let twins = Twins::new(&app(&repository.url(), ""));
    twins.cargo.cargo(&["check"]).assert_success();
    assert!(bytes_below(&twins.cargo.home.path().join(".cargo/git/checkouts")) > 60 << 20, "cargo takes all of it");
    let stage = &twins.bulkhead;
    let outcome = limited(stage, "object-mib = 16");
    refused(&outcome, 102, &["error[git-limit]", "an object of more than 16 MiB", "raise `limits.git.object-mib`"]);
    assert!(bytes_below(&stage.home.bulkhead_home().join("git")) < 1 << 20, "nothing of it is kept");
    let outcome = limited(stage, "checkout-mib = 20");
    refused(&outcome, 102, &["error[git-limit]", "its files have more than 20 MiB", "limits.git.checkout-mib"]);
    assert!(bytes_below(&stage.home.bulkhead_home().join("store")) < 1 << 20, "nothing of it is kept");
    limited(stage, "object-mib = 40\ncheckout-mib = 80").assert_success();
}

/// Attack 95: more than a fetch may bring.
#[test]
fn a_fetch_ends_when_more_is_announced_than_is_allowed() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let stage = Stage::new(&app(&repository.url(), ""));
    refused(&limited(&stage, "objects = 5"), 102, &["error[git-limit]", "more than 5 objects", "limits.git.objects"]);
    limited(&stage, "objects = 50").assert_success();
    std::fs::write(repository.root().join("noise"), noise(3 << 20)).unwrap();
    repository.commit("");
    let stage = Stage::new(&app(&repository.url(), ""));
    refused(&limited(&stage, "pack-mib = 1"), 102, &["error[git-limit]", "more than 1 MiB", "limits.git.pack-mib"]);
    limited(&stage, "pack-mib = 4").assert_success();
}

/// A `rev`, which might be any reference, and more branches than anybody has.
fn with_branches(count: usize) -> (GitRepository, String) {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let head = repository.head();
    let mut packed = "# pack-refs with: peeled fully-peeled sorted \n".to_owned();
    for branch in 0..count {
        let _ = writeln!(packed, "{head} refs/heads/b{branch:07}");
    }
    std::fs::write(repository.root().join(".git/packed-refs"), packed).unwrap();
    let rev = format!(", rev = \"{}\"", &head[..10]);
    (repository, rev)
}

/// Attack 95: a million references, each of which would become a file.
#[test]
fn too_many_references_are_refused_before_any_is_written() {
    let (repository, rev) = with_branches(300_000);
    let stage = Stage::new(&app(&repository.url(), &rev));
    let outcome = stage.bulkhead(&["check"]);
    refused(&outcome, 102, &["error[git-limit]", "more than 250000 branches and tags", "limits.git.references"]);
    assert!(files_below(&stage.home.bulkhead_home().join("git")) < 50, "none of them is kept");
    // A branch by its name asks for nothing else.
    Stage::new(&app(&repository.url(), ", branch = \"main\"")).bulkhead(&["check"]).assert_success();
    // What cargo does with fewer, for the time that it takes.
    let (repository, rev) = with_branches(3000);
    let twins = Twins::new(&app(&repository.url(), &rev));
    twins.cargo.cargo(&["check"]).assert_success();
    let refs = std::fs::read_dir(twins.cargo.home.path().join(".cargo/git/db")).unwrap().next().unwrap().unwrap();
    assert!(files_below(&refs.path().join("refs")) + bytes_below(&refs.path().join("packed-refs")) as usize > 3000);
    refused(&limited(&twins.bulkhead, "references = 3000"), 102, &["error[git-limit]", "more than 3000 branches"]);
    limited(&twins.bulkhead, "references = 3100").assert_success();
}

#[test]
fn a_branch_may_become_the_folder_of_another() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    repository.git(&["branch", "side"]);
    let fixture = |commit: &str| app(&repository.url(), &format!(", rev = \"{}\"", &commit[..10]));
    let stage = Stage::new(&fixture(&repository.head()));
    stage.bulkhead(&["check"]).assert_success();
    repository.git(&["branch", "-D", "-q", "side"]);
    repository.git(&["checkout", "-q", "-b", "side/way"]);
    let commit = repository.commit("//- /pear/src/lib.rs\npub fn taste() -> String { \"pear 2\".to_owned() }\n");
    let manifest = fixture(&commit).split("//- /src").next().unwrap().replace("//- /Cargo.toml\n", "");
    stage.project.write("Cargo.toml", manifest);
    assert_eq!(stage.bulkhead(&["run"]).stdout, "apple 1 and pear 2\n");
}

/// A tree of `width` entries that are all the same tree, `depth` times.
fn tree_bomb(repository: &GitRepository, branch: &str, width: usize, depth: usize) {
    let apple = repository.git(&["rev-parse", "HEAD:apple"]);
    let (pear, root) = (repository.git(&["rev-parse", "HEAD:pear"]), repository.git(&["rev-parse", "HEAD:Cargo.toml"]));
    let mut id = repository.blob("boom\n");
    for level in 0..depth {
        let (mode, kind) = if level == 0 { ("100644", "blob") } else { ("040000", "tree") };
        let entries: String = (0..width).map(|n| format!("{mode} {kind} {id}\te{n}\n")).collect();
        id = repository.git_with_input(&["mktree"], entries.as_bytes());
    }
    let top =
        [("100644", "Cargo.toml", &root), ("40000", "apple", &apple), ("40000", "bomb", &id), ("40000", "pear", &pear)];
    repository.commit_tree(branch, &top.map(|(mode, name, id)| (mode, name, id.as_str())));
}

/// Attack 95: a few trees that name each other again and again.
#[test]
fn a_small_commit_of_endless_files_is_refused() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    tree_bomb(&repository, "endless", 10, 10);
    let stage = Stage::new(&app(&repository.url(), ", branch = \"endless\""));
    let outcome = stage.bulkhead(&["check"]);
    refused(&outcome, 102, &["error[git-limit]", "more than 200000 files and folders", "limits.git.checkout-entries"]);
    assert!(files_below(&stage.home.bulkhead_home().join("store")) < 50, "nothing of it is kept");
    tree_bomb(&repository, "large", 10, 3);
    let twins = Twins::new(&app(&repository.url(), ", branch = \"large\""));
    twins.cargo.cargo(&["check"]).assert_success();
    assert!(files_below(&twins.cargo.home.path().join(".cargo/git/checkouts")) > 1000, "cargo writes them all");
    refused(&limited(&twins.bulkhead, "checkout-entries = 1000"), 102, &["error[git-limit]", "more than 1000 files"]);
    limited(&twins.bulkhead, "checkout-entries = 2000").assert_success();
}

/// Attack 95, by a server, through a submodule, and as the index of a registry.
#[test]
fn limits_hold_wherever_a_repository_is_named() {
    let folder = delta_bomb();
    let Some(server) = GitServer::start(folder.outside(), None) else {
        return skipped("no git http-backend");
    };
    let stage = Stage::new(&app(&server.url("fruit"), ""));
    stage.home.configure("");
    let served = stage.command(&["check"]).env("BULKHEAD_ALLOW_HTTP_LOOPBACK", "1");
    stage.project.write("bulkhead.toml", "[limits.git]\nobject-mib = 16\n");
    refused(&served.run(), 102, &["error[git-limit]", "an object of more than 16 MiB"]);

    let outer = GitRepository::new(
        "outer",
        "//- /Cargo.toml\n[package]\nname = \"apple\"\nversion = \"1.0.0\"\n//- /src/lib.rs\n",
    );
    outer.git(&["-c", "protocol.allow=always", "submodule", "add", "--quiet", &server.url("fruit"), "inner"]);
    outer.commit("");
    let stage = Stage::new(&app(&outer.url(), ""));
    stage.project.write("bulkhead.toml", "[limits.git]\nobject-mib = 16\n");
    let through = stage.command(&["check"]).env("BULKHEAD_ALLOW_HTTP_LOOPBACK", "1").run();
    refused(
        &through,
        102,
        &["error[git-limit]", "failed to update submodule `inner`", "an object of more than 16 MiB"],
    );

    let wish = manifest("plain = { version = \"1\", registry = \"mine\" }");
    let stage = Stage::new(&format!("{wish}//- /src/lib.rs\n"));
    let index = index_repository(&stage);
    stage.home.configure(&format!("[registries.mine]\nindex = \"{}\"\n", index.url()));
    refused(&limited(&stage, "objects = 3"), 102, &["error[git-limit]", "more than 3 objects"]);
    limited(&stage, "objects = 30").assert_success();
}

/// Attack 95: packs whose deltas build on each other in a circle, or on nothing, and packs that are not what their checksum
/// says. The same server with a whole pack, and with one more object than was asked for, is the benign twin.
#[test]
fn a_hostile_pack_is_a_clean_error() {
    let repository = GitRepository::new("fruit", REPOSITORY);
    let Some(server) = GitServer::start(repository.outside(), None) else {
        skipped("this git has no http-backend");
        return;
    };
    // A delta (gitformat-pack) that makes four bytes of four: it inserts them.
    const DELTA: &[u8] = b"\x04\x04\x04abcd";
    let delta = |base: u8| PackObject { kind: 7, base: vec![base; 20], content: DELTA.to_vec() };
    let of_later = PackObject { kind: 6, base: vec![0x7f], content: DELTA.to_vec() };
    let pack = Pack::of(&repository);
    let whole = pack.bytes();
    let mut unsealed = whole.clone();
    *unsealed.last_mut().unwrap() ^= 0xff;
    let mut announced = pack.clone();
    announced.announced += 1;
    let mut flipped = pack.clone();
    let middle = flipped.objects.len() / 2;
    flipped.objects[middle] ^= 0xff;
    let hostile = [
        ("two deltas on each other", pack.with(&[delta(1), delta(2)]).bytes()),
        ("a delta on itself", pack.with(&[delta(1), delta(1)]).bytes()),
        ("a delta on what is none", pack.with(&[of_later]).bytes()),
        ("another byte", flipped.bytes()),
        ("another checksum", unsealed),
        ("cut off", whole[..whole.len() / 2].to_vec()),
        ("more announced than there is", announced.bytes()),
        ("nothing", Vec::new()),
    ];
    let project = app(&server.url("fruit/.git"), "");
    for (what, bytes) in hostile {
        server.send_pack(Some(bytes));
        let stage = Stage::new(&project);
        let outcome = stage.bulkhead(&["generate-lockfile"]);
        assert!(matches!(outcome.code(), Some(101 | 104)), "{what}: {outcome}");
        assert!(outcome.stderr.contains("fruit") && !outcome.stderr.contains("panicked"), "{what}: {outcome}");
        assert!(!stage.project.path("Cargo.lock").exists(), "{what}");
        // Nothing of it stays: the next answer is a good one.
        server.send_pack(Some(whole.clone()));
        stage.bulkhead(&["generate-lockfile"]).assert_success();
    }
    let unasked = PackObject { kind: 3, base: Vec::new(), content: b"unasked for".to_vec() };
    server.send_pack(Some(pack.with(&[unasked]).bytes()));
    Stage::new(&project).bulkhead(&["generate-lockfile"]).assert_success();
}
