use bulkhead_schema::{PackageId, PackageName, SourceId};
use bulkhead_store::archive::{Limits, check};

use crate::tar::{Tar, gzip, header};

pub(crate) fn id() -> PackageId {
    PackageId::new(PackageName::registry("aa").unwrap(), semver::Version::new(1, 0, 0), SourceId::crates_io())
}

const SMALL: Limits = Limits { entries: 20, unpacked: 4 << 20, ratio: 20, free: 1 << 20, helper: 64 << 10 };

/// What is wrong, a part of the message, the archive, and the nearest archive that is right.
type Row = (&'static str, &'static str, Vec<u8>, Vec<u8>);

#[track_caller]
fn check_rows(rows: Vec<Row>) {
    for (what, expected, bad, good) in rows {
        if let Err(error) = check(id(), &good, &SMALL) {
            panic!("{what}: the harmless twin is refused: {error}");
        }
        let Err(error) = check(id(), &bad, &SMALL) else { panic!("{what}: accepted") };
        assert!(error.message.contains(expected), "{what}: {error}");
        assert!(!error.message.chars().any(char::is_control), "{what}: {error:?}");
    }
}

fn named(name: &str) -> Vec<u8> {
    Tar::new().file(name, b"x").gz()
}

fn kind(kind: u8) -> Vec<u8> {
    Tar::new().entry(kind, b"aa-1.0.0/x", b"").gz()
}

/// Attacks 56 and 57.
#[test]
fn paths_stay_below_the_top_folder() {
    let plain = || named("aa-1.0.0/src/lib.rs");
    check_rows(vec![
        ("absolute", "not inside", named("/aa-1.0.0/x"), plain()),
        ("other top folder", "not inside", named("bb-1.0.0/x"), plain()),
        ("longer top folder", "not inside", named("aa-1.0.01/x"), plain()),
        ("no name", "not inside", named(""), plain()),
        ("dot", "not inside", named("./aa-1.0.0/x"), plain()),
        ("top folder as a file", "top folder is a file", named("aa-1.0.0"), plain()),
        ("parent", "part `..`", named("aa-1.0.0/../evil-1.0.0/x"), named("aa-1.0.0/..x/x")),
        ("inner parent", "part `..`", named("aa-1.0.0/a/../../x"), plain()),
        ("inner dot", "part `.`", named("aa-1.0.0/./x"), named("aa-1.0.0/.x")),
        ("double slash", "empty part", named("aa-1.0.0/a//x"), named("aa-1.0.0/a/x")),
        ("file ends in slash", "empty part", named("aa-1.0.0/a/"), Tar::new().entry(b'5', b"aa-1.0.0/a/", b"").gz()),
        (
            "parent in a long name",
            "part `..`",
            Tar::new().long_name(b"aa-1.0.0/../x").file("aa-1.0.0/y", b"").gz(),
            Tar::new().long_name(b"aa-1.0.0/z/x").file("aa-1.0.0/y", b"").gz(),
        ),
        (
            "parent in a PAX name",
            "part `..`",
            Tar::new().pax(&[("path", "aa-1.0.0/../x")]).file("aa-1.0.0/y", b"").gz(),
            Tar::new().pax(&[("path", "aa-1.0.0/z/x")]).file("aa-1.0.0/y", b"").gz(),
        ),
        ("too long", "longer than 1024", long(1100), long(900)),
        ("too deep", "deeper", deep(70), deep(60)),
        ("no manifest", "Cargo.toml", Tar(Vec::new()).file("aa-1.0.0/x", b"").gz(), plain()),
    ]);
}

fn long(length: usize) -> Vec<u8> {
    let name = format!("aa-1.0.0/{}x", "abcdefghi/".repeat(length / 10).get(..).unwrap_or_default());
    // Long, but not deep.
    let name = name.replacen("abcdefghi/abcdefghi/", "abcdefghiabcdefghi/", 100);
    Tar::new().long_name(name.as_bytes()).file("aa-1.0.0/y", b"").gz()
}

fn deep(depth: usize) -> Vec<u8> {
    Tar::new().long_name(format!("aa-1.0.0/{}x", "a/".repeat(depth)).as_bytes()).file("aa-1.0.0/y", b"").gz()
}

/// Attacks 58, 60 and 63.
#[test]
fn only_regular_files_and_folders() {
    let mut rows = vec![
        ("hard link", "links", kind(b'1'), kind(b'0')),
        ("symbolic link", "links", kind(b'2'), kind(b'5')),
        ("character device", "kind `3`", kind(b'3'), kind(0)),
        ("block device", "kind `4`", kind(b'4'), kind(b'0')),
        ("named pipe", "kind `6`", kind(b'6'), kind(b'0')),
        ("contiguous file", "kind `7`", kind(b'7'), kind(b'0')),
        ("sparse file", "sparse", kind(b'S'), kind(b'0')),
        ("multi-volume", "kind `M`", kind(b'M'), kind(b'0')),
        ("long link name", "links", Tar::new().entry(b'K', b"x", b"y\0").file("aa-1.0.0/x", b"").gz(), kind(b'0')),
    ];
    let pax = |pairs: &[(&str, &str)]| Tar::new().pax(pairs).file("aa-1.0.0/x", b"abc").gz();
    let harmless = || pax(&[("mtime", "4070908800.5"), ("SCHILY.xattr.user.x", "y"), ("comment", "c")]);
    rows.extend([
        ("PAX link", "link", pax(&[("linkpath", "/etc/passwd")]), harmless()),
        ("PAX sparse", "sparse", pax(&[("GNU.sparse.major", "1")]), harmless()),
        (
            "PAX charset",
            "character set",
            pax(&[("hdrcharset", "BINARY")]),
            pax(&[("hdrcharset", "ISO-IR 10646 2000 UTF-8")]),
        ),
        (
            "link name on a file",
            "name of a link",
            Tar::new().edited(b"", |block| block[157] = b'x').gz(),
            Tar::new().edited(b"", |_| {}).gz(),
        ),
        (
            "folder with content",
            "folder has content",
            Tar::new().entry(b'5', b"aa-1.0.0/d/", b"x").gz(),
            Tar::new().entry(b'5', b"aa-1.0.0/d/", b"").gz(),
        ),
    ]);
    check_rows(rows);
}

/// Attacks 64 and 67.
#[test]
fn sizes_have_one_meaning() {
    let pax_size = |size: &str| Tar::new().pax(&[("size", size)]).file("aa-1.0.0/x", b"abc").gz();
    let header_size = |text: &'static [u8]| {
        Tar::new().edited(b"abc", |block| block[124..124 + text.len()].copy_from_slice(text)).gz()
    };
    let good = || header_size(b"00000000003\0");
    // The smuggled file lies in what the PAX record says is content, and the header says is the next entry.
    let inner = Tar(Vec::new()).file("aa-1.0.0/smuggled", b"").0;
    let smuggling = Tar::new().pax(&[("size", "512")]).block(header(b'0', b"aa-1.0.0/x", 0), &[]).padded(&inner).gz();
    check_rows(vec![
        ("PAX size differs", "different sizes", smuggling, pax_size("3")),
        ("PAX size zero", "different sizes", pax_size("0"), pax_size("3")),
        ("PAX size signed", "plain number", pax_size("+3"), pax_size("3")),
        ("PAX size spaced", "plain number", pax_size(" 3"), pax_size("3")),
        ("PAX size with zeros", "plain number", pax_size("03"), pax_size("3")),
        ("PAX size empty", "plain number", pax_size(""), pax_size("3")),
        ("PAX size overflows", "plain number", pax_size("99999999999999999999999"), pax_size("3")),
        (
            "PAX size twice",
            "twice",
            Tar::new().pax(&[("size", "3"), ("size", "3")]).file("aa-1.0.0/x", b"abc").gz(),
            pax_size("3"),
        ),
        ("base 256", "octal", header_size(b"\x80\0\0\0\0\0\0\0\0\0\0\x03"), good()),
        ("negative base 256", "octal", header_size(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), good()),
        ("leading spaces", "octal", header_size(b"         3 \0"), good()),
        ("letters", "octal", header_size(b"0000000000x\0"), good()),
        ("digit 8", "octal", header_size(b"00000000008\0"), good()),
        ("no terminator", "octal", header_size(b"000000000003"), good()),
        ("beyond the end", "ends inside", header_size(b"77777777777\0"), good()),
    ]);
}

/// Attack 66.
#[test]
fn helper_records_are_small_and_belong_to_something() {
    let comment = |length: usize| Tar::new().pax(&[("comment", &"c".repeat(length))]).file("aa-1.0.0/x", b"").gz();
    let global = |key: &str| Tar(Vec::new()).pax_of_kind(b'g', &[(key, "x")]).file("aa-1.0.0/Cargo.toml", b"").gz();
    let raw_pax = |record: &[u8]| Tar::new().entry(b'x', b"p", record).file("aa-1.0.0/x", b"").gz();
    let plain = || named("aa-1.0.0/x");
    check_rows(vec![
        ("huge PAX record", "helper record", comment(70 << 10), comment(60 << 10)),
        (
            "huge long name",
            "helper record",
            Tar::new().long_name(&[b'a'; 70 << 10]).file("aa-1.0.0/x", b"").gz(),
            plain(),
        ),
        (
            "two PAX records",
            "two PAX",
            Tar::new().pax(&[("a", "b")]).pax(&[("a", "b")]).file("aa-1.0.0/x", b"").gz(),
            comment(1),
        ),
        (
            "named twice",
            "named twice",
            Tar::new().long_name(b"aa-1.0.0/y").pax(&[("path", "aa-1.0.0/z")]).file("aa-1.0.0/x", b"").gz(),
            Tar::new().long_name(b"aa-1.0.0/y").pax(&[("mtime", "1")]).file("aa-1.0.0/x", b"").gz(),
        ),
        (
            "zero byte in a long name",
            "zero byte",
            Tar::new().long_name(b"aa-1.0.0/y\0z").file("aa-1.0.0/x", b"").gz(),
            plain(),
        ),
        ("record without entry", "announces", Tar::new().long_name(b"aa-1.0.0/y").gz(), plain()),
        ("global path", "global", global("path"), global("comment")),
        (
            "late global record",
            "kind `g`",
            Tar::new().pax_of_kind(b'g', &[("comment", "x")]).file("aa-1.0.0/x", b"").gz(),
            plain(),
        ),
        ("wrong length", "malformed", raw_pax(b"99 a=b\n"), raw_pax(b"6 a=b\n")),
        ("no newline", "malformed", raw_pax(b"6 a=bc"), raw_pax(b"6 a=b\n")),
        ("no key", "malformed", raw_pax(b"5 =b\n"), raw_pax(b"6 a=b\n")),
        ("no number", "malformed", raw_pax(b"a=b\n"), raw_pax(b"6 a=b\n")),
        ("length zero", "malformed", raw_pax(b"0 a=b\n"), raw_pax(b"6 a=b\n")),
        (
            "header checksum",
            "checksum of the header",
            {
                let mut tar = Tar::new().file("aa-1.0.0/x", b"").end();
                tar[1024] = b'b';
                gzip(&tar)
            },
            plain(),
        ),
        ("old header", "unknown format", Tar::new().edited(b"", |block| block[257..265].fill(0)).gz(), plain()),
        (
            "mode in letters",
            "mode",
            Tar::new().edited(b"", |block| block[100] = b'x').gz(),
            Tar::new().edited(b"", |block| block[100..108].copy_from_slice(b"0006777\0")).gz(),
        ),
    ]);
}

/// Attack 70.
#[test]
fn no_two_names_that_a_file_system_confuses() {
    let two =
        |a: &str, b: &str| Tar::new().file(&format!("aa-1.0.0/{a}"), b"1").file(&format!("aa-1.0.0/{b}"), b"2").gz();
    let fine = || two("a", "b");
    check_rows(vec![
        ("twice", "twice", two("src/lib.rs", "src/lib.rs"), two("src/lib.rs", "src/main.rs")),
        ("case", "for `Cargo.toml`", two("CARGO.TOML", "x"), fine()),
        ("case of a folder", "for `src`", two("src/a", "SRC/b"), two("src/a", "src2/b")),
        ("sharp s", "take the path", two("straße", "STRASSE"), two("straße", "strase")),
        ("composed", "take the path", two("\u{e9}", "e\u{301}"), two("\u{e9}", "\u{e8}")),
        ("ligature", "take the path", two("ﬁ", "fi"), fine()),
        ("Kelvin", "take the path", two("\u{212a}", "k"), fine()),
        ("file, then folder", "twice", two("a", "a/b"), two("a", "b/b")),
        ("folder, then file", "twice", two("a/b", "a"), two("a/b", "ab")),
        ("composed, in a folder", "take the path", two("x/\u{e9}/a", "x/e\u{301}/b"), two("x/\u{e9}/a", "x/\u{e9}/b")),
        (
            "folder named twice",
            "twice",
            Tar::new().entry(b'5', b"aa-1.0.0/d/", b"").entry(b'5', b"aa-1.0.0/d", b"").gz(),
            Tar::new().file("aa-1.0.0/d/x", b"").entry(b'5', b"aa-1.0.0/d/", b"").gz(),
        ),
    ]);
}

/// Attack 70.
#[test]
fn files_that_a_file_system_confuses_may_be_there_if_they_are_equal() {
    let files = |contents: [&[u8]; 3]| {
        let paths = ["aa-1.0.0/README.md", "aa-1.0.0/src/lib.rs", "aa-1.0.0/readme.md"];
        paths.into_iter().zip(contents).fold(Tar::new(), |tar, (path, content)| tar.file(path, content)).gz()
    };
    let executable =
        Tar::new().edited(b"run", |block| block[100..108].copy_from_slice(b"0000755\0")).file("aa-1.0.0/X", b"run");
    let plain = || Tar::new().file("aa-1.0.0/x", b"run").file("aa-1.0.0/X", b"run");
    let third = |content: &[u8]| plain().file("aa-1.0.0/\u{fa}", b"").file("aa-1.0.0/\u{da}", content).gz();
    check_rows(vec![
        ("other content", "for `README.md`, and the two are not", files([b"a", b"", b"b"]), files([b"a", b"", b"a"])),
        ("longer", "not the same", files([b"a", b"", b"aa"]), files([b"aa", b"x", b"aa"])),
        ("empty", "not the same", files([b"", b"", b"aa"]), files([b"", b"x", b""])),
        ("executable", "for `x`, and the two are not the same", executable.gz(), plain().gz()),
        ("a second pair", "not the same", third(b"x"), third(b"")),
    ]);
}

/// Attacks 71 and 76.
#[test]
fn names_are_portable_and_printable() {
    let rows = [
        ("aux.rs", "device", "aux_.rs"),
        ("src/AUX", "device", "src/auxiliary"),
        ("con", "device", "con1"),
        ("nul.tar.gz", "device", "null.tar.gz"),
        ("com1.txt", "device", "com10.txt"),
        ("COM¹", "device", "COM¹¹"),
        ("lpt9/x", "device", "lpt/x"),
        ("CONOUT$", "device", "CONOUT"),
        ("aux .rs", "device", "aux x.rs"),
        ("a:b", "':'", "a-b"),
        ("a\\..\\x", "'\\\\'", "a..x"),
        ("a*b", "'*'", "a+b"),
        ("a?", "'?'", "a!"),
        ("a|b", "'|'", "a&b"),
        ("trail.", "end with a dot", "trail.x"),
        ("trail ", "space", "tra il"),
        ("dots.../x", "end with a dot", "...dots/x"),
        (".git/config", "git repository", ".github/config"),
        (".GIT/config", "git repository", ".gitignore"),
        ("GIT~1", "git repository", "GIT~x"),
        ("src/.git", "git repository", "src/.gitattributes"),
        ("\u{1b}]0;PWN\u{7}.rs", "character", "]0;PWN.rs"),
        ("a\nb", "character", "a b"),
        ("a\u{202e}b", "character", "a\u{3b1}b"),
        ("a\u{200b}b", "character", "ab"),
        ("a\u{85}b", "character", "aéb"),
        ("a\u{61c}b", "character", "a\u{627}b"),
        ("a\u{ad}b", "character", "a-b"),
        ("a\u{2028}b", "character", "a\u{2764}\u{fe0f}b"),
        ("a\u{3164}b", "character", "a\u{3147}b"),
        ("a\u{e0041}b", "character", "aAb"),
        ("a\u{7f}b", "character", "a~b"),
    ];
    for (bad, expected, good) in rows {
        check_rows(vec![("name", expected, named(&format!("aa-1.0.0/{bad}")), named(&format!("aa-1.0.0/{good}")))]);
    }
    let raw = |name: &[u8]| Tar::new().entry(b'0', name, b"").gz();
    check_rows(vec![
        ("not UTF-8", "UTF-8", raw(b"aa-1.0.0/\xff\xfe"), raw("aa-1.0.0/ÿþ".as_bytes())),
        // What careless decoders take for `../`; spelt out as a URL would, it is a name like others.
        ("overlong", "UTF-8", raw(b"aa-1.0.0/\xc0\xae\xc0\xae\xc0\xafx"), raw(b"aa-1.0.0/%2e%2e%2fx")),
        ("surrogates", "UTF-8", raw(b"aa-1.0.0/\xed\xa0\xaf"), raw("aa-1.0.0/．．／x".as_bytes())),
    ]);
}

/// Attack 72.
#[test]
fn exactly_one_gzip_member_and_one_end() {
    let good = || named("aa-1.0.0/x");
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good();
        change(&mut bytes);
        bytes
    };
    let tar = || Tar::new().file("aa-1.0.0/x", b"");
    let with_header = |flags: u8, extra: &[u8]| {
        changed(&|bytes| {
            bytes[3] = flags;
            bytes.splice(10..10, extra.iter().copied());
        })
    };
    let last = good().len() - 1;
    check_rows(vec![
        ("second member", "after its compressed", [good(), good()].concat(), good()),
        ("split in two members", "after its compressed", [gzip(&tar().0), gzip(&[0; 1024])].concat(), good()),
        ("trailing byte", "after its compressed", [good(), vec![0]].concat(), good()),
        (
            "data after the end",
            "after the archive's end",
            gzip(&[tar().end(), b"x".to_vec()].concat()),
            gzip(&[tar().end(), vec![0; 8192]].concat()),
        ),
        ("entry after the end", "after the archive's end", gzip(&[tar().end(), tar().end()].concat()), good()),
        ("no end", "no end mark", gzip(&tar().0), good()),
        ("half an end", "complete end", gzip(&[tar().0, vec![0; 512]].concat()), good()),
        ("truncated", "ends early", changed(&|bytes| bytes.truncate(60)), good()),
        ("truncated trailer", "ends early", changed(&|bytes| bytes.truncate(last - 3)), good()),
        ("wrong checksum", "checksum of its compressed", changed(&|bytes| bytes[last - 7] ^= 1), good()),
        ("wrong length", "length of its compressed", changed(&|bytes| bytes[last] ^= 1), good()),
        ("reserved flag", "reserved", with_header(0x20, b""), good()),
        (
            "endless file name",
            "ends early or is too long",
            with_header(8, &[b'a'; 70 << 10]),
            with_header(8, b"name\0"),
        ),
        ("wrong header checksum", "gzip header", with_header(2, b"xx"), with_header(16, b"comment\0")),
        ("short extra field", "ends early", with_header(4, b"\xff\x00"), with_header(4, b"\x02\x00ab")),
        ("not gzip", "not a gzip", b"PK\x03\x04 and so on".to_vec(), good()),
        ("zstd", "not a gzip", b"\x28\xb5\x2f\xfd........".to_vec(), good()),
        ("empty", "not a gzip", Vec::new(), good()),
        ("empty tar", "no end mark", gzip(b""), good()),
        ("damaged", "", changed(&|bytes| bytes[10..40].fill(0xff)), good()),
    ]);
}

/// Attack 68.
#[test]
fn bombs_are_stopped_while_they_inflate() {
    let zeros = |length: usize| Tar::new().file("aa-1.0.0/x", &vec![0; length]).gz();
    let files = |count: usize| (0..count).fold(Tar::new(), |tar, n| tar.file(&format!("aa-1.0.0/{n}"), b"")).gz();
    let noise: Vec<u8> = (0..100_000u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as u8).collect();
    let mixed = |length: usize| Tar::new().file("aa-1.0.0/n", &noise).file("aa-1.0.0/x", &vec![0; length]).gz();
    let fits = mixed(0).len() * 20 - (110 << 10);
    check_rows(vec![
        ("ratio", "unpacks to more than", zeros(2 << 20), zeros(900 << 10)),
        ("ratio with noise", "unpacks to more than", mixed(fits + (1500 << 10)), mixed(fits)),
        ("entries", "more than 20 entries", files(20), files(19)),
    ]);
}

/// Attack 62.
#[test]
fn content_and_modes_come_out_right() {
    let bytes = Tar::new()
        .file("aa-1.0.0/src/lib.rs", b"lib")
        .edited(b"run", |block| block[100..108].copy_from_slice(b"0000755\0"))
        .pax(&[("path", "aa-1.0.0/päx"), ("size", "2")])
        .file("short", b"px")
        .block(
            {
                let mut block = header(b'0', b"b.rs", 1);
                block[257..265].copy_from_slice(b"ustar\x0000");
                block[345..359].copy_from_slice(b"aa-1.0.0/deep/");
                block[358] = 0;
                block
            },
            b"b",
        )
        .entry(b'5', b"aa-1.0.0/empty/", b"")
        .gz();
    let archive = check(id(), &bytes, &SMALL).unwrap();
    let files: Vec<_> =
        archive.files().iter().map(|file| (&*file.path, file.executable, archive.content(file))).collect();
    assert_eq!(
        files[1..],
        [("src/lib.rs", false, &b"lib"[..]), ("x", true, b"run"), ("päx", false, b"px"), ("deep/b.rs", false, b"b")]
    );
    assert_eq!(archive.folders(), ["empty"]);
}

#[test]
fn no_flipped_byte_makes_it_panic_or_leave_its_folder() {
    let whole = Tar::new()
        .pax(&[("path", "aa-1.0.0/long/name"), ("size", "3")])
        .file("short", b"abc")
        .long_name(b"aa-1.0.0/other")
        .edited(b"run", |_| {})
        .entry(b'5', b"aa-1.0.0/d/", b"")
        .end();
    let mut accepted = 0;
    for at in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            // So that the walk gets past the header's checksum.
            let start = at / 512 * 512;
            let mut block = damaged[start..start + 512].to_vec();
            if !(148..156).contains(&(at - start)) && block[257..262] == *b"ustar" {
                block[148..156].fill(b' ');
                let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
                damaged[start + 148..start + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
            if let Ok(archive) = check(id(), &stored(&damaged), &SMALL) {
                accepted += 1;
                for file in archive.files() {
                    assert!(!file.path.starts_with('/') && !file.path.split('/').any(|part| part == ".."), "{at}");
                    assert!(archive.content(file).len() < whole.len(), "{at}");
                }
            }
        }
    }
    assert!(accepted > 100, "{accepted}");
}

/// A gzip file without compression, which is quick to make.
fn stored(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
