//! What honest builds do has to work unchanged.

use std::path::PathBuf;
use std::process::Command;

use bulkhead_sandbox::Process;

use crate::{Place, at_both_levels, confined, has, text};

fn succeeds(process: &Process, stdout: &str) {
    at_both_levels(process, |output| {
        assert!(output.exit.status.success(), "{:?} {}", output.exit, text(&output.stderr));
        assert_eq!(text(&output.stdout), stdout);
        assert_eq!(output.exit.denials, []);
    });
}

#[test]
fn shell_pipelines() {
    let place = Place::new();
    succeeds(
        &place.shell("printf 'b\\na\\n' | sort | tr a-z A-Z > \"$OUT/x\"; cat \"$OUT/x\"; cat lib.rs | wc -l"),
        "A\nB\n0\n",
    );
    succeeds(
        &place.shell("mktemp >/dev/null && echo x > \"${TMPDIR:-/tmp}/x\" && mkdir -p \"$HOME/.cache/x\" && echo done"),
        "done\n",
    );
    succeeds(
        &place.shell("echo x > /dev/null; head -c 3 /dev/zero | wc -c; test -e /dev/urandom && nproc > /dev/null"),
        "3\n",
    );
}

#[test]
fn a_name_that_another_uses_in_the_hosts_tmp_is_free() {
    let taken = tempfile::NamedTempFile::new_in("/tmp").unwrap();
    let name = taken.path().display();
    let place = Place::new();
    for write in [format!("echo mine > {name}"), format!("echo mine > /tmp/new; mv /tmp/new {name}")] {
        let output = confined(&place.shell(&format!("test -e {name}; rm -f {name}; {write}; cat {name}")));
        assert_eq!((text(&output.stdout), output.exit.denials), ("mine\n".into(), vec![]));
    }
    let output = confined(&place.shell(&format!("cat {name}")));
    assert_eq!(output.exit.denials.len(), 1, "{:?}", output.exit.denials);
}

#[test]
fn a_c_compiler_compiles_links_and_runs() {
    if !has("/usr/bin/cc") {
        return;
    }
    let place = Place::new();
    std::fs::write(place.path("package/a.c"), "#include <stdio.h>\nint main(void) { puts(\"from C\"); return 0; }")
        .unwrap();
    let script = "cc -O1 -c a.c -o \"$OUT/a.o\" && ar rcs \"$OUT/liba.a\" \"$OUT/a.o\" && cc \"$OUT/a.o\" -o \"$OUT/a\" && exec \"$OUT/a\"";
    succeeds(&place.shell(script), "from C\n");
}

#[test]
fn python_runs_threads_and_children() {
    if !has("/usr/bin/python3") {
        return;
    }
    let script = "import subprocess, threading, tempfile, multiprocessing as m\n\
        t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()\n\
        tempfile.TemporaryFile().write(b'x')\n\
        print(subprocess.check_output(['echo', 'child']).decode().strip())";
    let place = Place::new();
    let output = confined(&place.run("/usr/bin/python3", &["-I", "-c", script]));
    assert_eq!(text(&output.stdout), "thread\nchild\n", "{}", text(&output.stderr));
}

/// The toolchain's own folder, when this user may read it.
fn sysroot() -> Option<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let sysroot = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    let usable = output.status.success() && sysroot.join("bin/rustc").exists();
    if !usable {
        eprintln!("skipped: no toolchain that this user may read");
    }
    usable.then_some(sysroot)
}

/// Attack 116.
#[test]
fn rustc_compiles_a_crate_with_a_dependency_and_a_hostile_macro() {
    let Some(sysroot) = sysroot() else { return };
    let place = Place::new();
    let source = format!(
        "extern crate proc_macro;\n#[proc_macro] pub fn attack(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{\n\
         let read = std::fs::read({:?}).is_ok();\nlet write = std::fs::write({:?}, \"x\").is_ok();\n\
         let variables = std::env::vars().filter(|(name, _)| name.contains(\"TOKEN\")).count();\n\
         format!(\"({{read}}, {{write}}, {{variables}})\").parse().unwrap() }}",
        place.path("home/.ssh/id_x"),
        place.path("other/file")
    );
    std::fs::write(place.path("package/attack.rs"), source).unwrap();
    std::fs::write(place.path("package/main.rs"), "fn main() { println!(\"{} {:?}\", lib::one(), attack::attack!()) }")
        .unwrap();
    let rustc = |arguments: &[&str]| {
        let mut process = place.run(sysroot.join("bin/rustc").to_str().unwrap(), arguments);
        process.arguments.extend(["--out-dir".into(), place.path("out").into_os_string()]);
        process.arguments.extend(["-L".into(), place.path("out").into_os_string()]);
        process.read.push(sysroot.clone());
        process
    };
    let compile = |arguments: &[&str]| {
        let output = confined(&rustc(arguments));
        assert!(output.exit.status.success(), "{:?} {}", output.exit, text(&output.stderr));
        output.exit.denials
    };
    assert_eq!(compile(&["--crate-type=rlib", "lib.rs"]), []);
    assert_eq!(compile(&["--crate-type=proc-macro", "-Cprefer-dynamic", "attack.rs"]), []);
    let denials = compile(&["--edition=2024", "--extern=lib", "--extern=attack", "main.rs"]);
    assert_eq!(denials.len(), 2, "{denials:?}");
    let output = confined(&place.run(place.path("out/main").to_str().unwrap(), &[]));
    assert_eq!(text(&output.stdout), "1 (false, false, 0)\n");
    // The same macro bites when the compiler runs free.
    assert!(crate::plain(&rustc(&["--edition=2024", "--extern=lib", "--extern=attack", "main.rs"])).status.success());
    assert_eq!(
        text(&confined(&place.run(place.path("out/main").to_str().unwrap(), &[])).stdout),
        "1 (true, true, 0)\n"
    );
}
