//! What a hostile build script or macro tries.

use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

use bulkhead_sandbox::{DenialKind, Level, Network, Output, Process, Target, spawn};

use crate::{Place, at_both_levels, confined, has, levels, plain, text};

fn denied(output: &Output, kind: DenialKind, target: &Target) -> bool {
    output.exit.denials.iter().any(|denial| denial.kind == kind && denial.target == *target)
}

/// Attack 98.
#[test]
fn reading_a_secret() {
    let place = Place::new();
    let attack = place.shell("cat \"$SECRET\"");
    assert_eq!(text(&plain(&attack).stdout), "canary-secret");
    at_both_levels(&attack, |output| {
        assert!(!text(&output.stdout).contains("canary"));
        assert!(!output.exit.status.success());
        let target = Target::Path(place.path("home/.ssh/id_x"));
        assert!(denied(&output, DenialKind::Read, &target), "{:?}", output.exit.denials);
    });
}

#[test]
fn a_swallowed_refusal_is_reported_and_a_search_is_not() {
    let place = Place::new();
    let attack =
        place.shell("test -e \"$OTHER/file\"; test -e \"$OTHER/missing\"; test -e /usr/missing; cd / && ls; true");
    let output = confined(&attack);
    assert!(output.exit.status.success());
    let targets: Vec<_> = output.exit.denials.iter().map(|denial| (denial.kind, denial.target.clone())).collect();
    assert_eq!(targets, [(DenialKind::Read, Target::Path(place.path("other/file")))]);
}

/// Attacks 98 and 113.
#[test]
fn reading_a_secret_through_a_link_in_the_output_folder() {
    let place = Place::new();
    let attack = place.shell(
        "ln -sf \"$SECRET\" \"$OUT/link\"; cat \"$OUT/link\"; ln -f \"$SECRET\" \"$OUT/hard\"; cat \"$OUT/hard\"",
    );
    assert!(text(&plain(&attack).stdout).contains("canary"));
    for name in ["link", "hard"] {
        std::fs::remove_file(place.path("out").join(name)).unwrap();
    }
    at_both_levels(&attack, |output| assert!(!text(&output.stdout).contains("canary")));
    assert!(!place.path("out/hard").exists());
}

/// Attack 103.
#[test]
fn writing_outside() {
    let place = Place::new();
    let attack = place.shell(
        "echo x > \"$OTHER/file\"; echo x > \"$OTHER/new\"; echo x > lib.rs; rm \"$OTHER/file\"; mkdir \"$OTHER/d\"",
    );
    at_both_levels(&attack, |output| {
        assert!(!output.exit.status.success());
        assert_eq!(std::fs::read_to_string(place.path("other/file")).unwrap(), "theirs");
        assert_eq!(std::fs::read_to_string(place.path("package/lib.rs")).unwrap(), "pub fn one() -> u32 { 1 }");
        assert!(!place.path("other/new").exists() && !place.path("other/d").exists());
        for path in ["other/new", "package/lib.rs", "other/d"] {
            assert!(
                denied(&output, DenialKind::Write, &Target::Path(place.path(path))),
                "{path}: {:?}",
                output.exit.denials
            );
        }
    });
    plain(&attack);
    assert!(place.path("other/new").exists());
    assert_eq!(std::fs::read_to_string(place.path("package/lib.rs")).unwrap(), "x\n");
}

/// Attack 104.
#[test]
fn changing_metadata_outside() {
    let place = Place::new();
    let attack = place
        .shell("chmod 777 lib.rs \"$OTHER/file\"; touch -d 2001-01-01 lib.rs \"$OTHER/file\"; mv lib.rs moved; true");
    let state = || {
        let of =
            |path: &str| std::fs::metadata(place.path(path)).map(|data| (data.mode(), data.mtime(), data.ino())).ok();
        (of("package/lib.rs"), of("other/file"))
    };
    let before = state();
    confined(&attack);
    assert_eq!(before, state());
    plain(&attack);
    assert_ne!(before, state());
}

/// Attack 104: a program that runs with the rights of whoever builds, for everybody who can reach the folder.
#[test]
fn leaving_a_program_with_the_rights_of_the_user() {
    let place = Place::new();
    let script = "umask 0; cp /bin/true \"$OUT/u\"; chmod 4755 \"$OUT/u\"; cp /bin/true \"$OUT/g\"; chmod g+xs \"$OUT/g\"; \
        install -m 6755 /bin/true \"$OUT/i\"; mkdir -p \"$OUT/d\"; chmod 4777 \"$OUT/d\"; cp /bin/true \"$OUT/benign\"; \
        chmod 1755 \"$OUT/benign\"; \
        python3 -c 'import os, ctypes; out = os.environ[\"OUT\"]; libc = ctypes.CDLL(None); \
        [os.close(fd) for fd in [libc.open((out + \"/o\").encode(), 0o101, 0o4755), libc.creat((out + \"/c\").encode(), 0o4755)] if fd >= 0]; \
        libc.mknod((out + \"/m\").encode(), 0o104755, 0); how = (ctypes.c_uint64 * 3)(0o101, 0o4755, 0); \
        libc.syscall(437, -100, (out + \"/2\").encode(), how, 24); libc.syscall(452, -100, (out + \"/benign\").encode(), 0o4755, 0)'; true";
    let left = || {
        let entries = std::fs::read_dir(place.path("out")).unwrap().map(|entry| entry.unwrap());
        let mut names: Vec<_> = entries
            .filter(|entry| entry.metadata().unwrap().mode() & 0o6000 != 0)
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    at_both_levels(&place.shell(script), |output| {
        assert_eq!(left(), Vec::<String>::new(), "{}", text(&output.stderr));
        assert_eq!(place.path("out/benign").metadata().unwrap().mode() & 0o7777, 0o1755, "{}", text(&output.stderr));
    });
    std::fs::remove_dir_all(place.path("out")).unwrap();
    std::fs::create_dir(place.path("out")).unwrap();
    plain(&place.shell(script));
    if has("/usr/bin/python3") {
        // Before Linux 6.6 there is no `fchmodat2`.
        assert_eq!(
            left().iter().filter(|name| *name != "benign").collect::<Vec<_>>(),
            ["2", "c", "d", "g", "i", "m", "o", "u"]
        );
    }
}

/// Attack 101.
#[test]
fn the_environment_is_what_was_described() {
    let mut process = Process::new("/usr/bin/env");
    process.environment = vec![("ONLY".into(), "this".into())];
    assert_eq!(text(&confined(&process).stdout), "ONLY=this\n");
}

const CONNECT: &str = r#"
import socket, sys
for family, kind, address in [
    (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", int(sys.argv[1]))),
    (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", int(sys.argv[2]))),
    (socket.AF_UNIX, socket.SOCK_STREAM, "\0" + sys.argv[3]),
    (socket.AF_UNIX, socket.SOCK_STREAM, sys.argv[4]),
]:
    try:
        s = socket.socket(family, kind)
        s.settimeout(2)
        s.sendto(b"x", address) if kind == socket.SOCK_DGRAM else s.connect(address)
        print("reached", family, kind)
    except OSError as error:
        print("refused [", error)
"#;

/// Attack 99.
#[test]
fn connecting() {
    if !has("/usr/bin/python3") {
        return;
    }
    let place = Place::new();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let name = format!("bulkhead-test-{}", tcp.local_addr().unwrap().port());
    let abstract_socket = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let named = UnixListener::bind(place.path("other/socket")).unwrap();
    tcp.set_nonblocking(true).unwrap();
    abstract_socket.set_nonblocking(true).unwrap();
    named.set_nonblocking(true).unwrap();
    udp.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let heard = || {
        let mut byte = [0];
        [tcp.accept().is_ok(), udp.recv(&mut byte).is_ok(), abstract_socket.accept().is_ok(), named.accept().is_ok()]
    };
    let ports = [tcp.local_addr().unwrap().port().to_string(), udp.local_addr().unwrap().port().to_string()];
    let path = place.path("other/socket").display().to_string();
    let attack = place.run("/usr/bin/python3", &["-c", CONNECT, &ports[0], &ports[1], &name, &path]);
    assert_eq!(text(&plain(&attack).stdout).matches("reached").count(), 4);
    assert_eq!(heard(), [true; 4]);
    at_both_levels(&attack, |output| {
        assert_eq!(
            text(&output.stdout).matches("refused [").count(),
            4,
            "{}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        assert_eq!(heard(), [false; 4]);
    });
    let output = confined(&attack);
    let tcp_and_udp = ports.map(|port| format!("127.0.0.1:{port}"));
    for address in tcp_and_udp.into_iter().chain([format!("unix:@{name}"), format!("unix:{path}")]) {
        let target = Target::Address(address);
        assert!(denied(&output, DenialKind::Connect, &target), "{target:?} {:?}", output.exit.denials);
    }
}

#[test]
fn a_granted_network_is_reached_and_abstract_sockets_are_not() {
    if !has("/usr/bin/python3") {
        return;
    }
    let place = Place::new();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let name = format!("bulkhead-granted-{}", tcp.local_addr().unwrap().port());
    let _abstract_socket = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let ports = [tcp.local_addr().unwrap().port().to_string(), udp.local_addr().unwrap().port().to_string()];
    let mut granted =
        place.run("/usr/bin/python3", &["-c", CONNECT, &ports[0], &ports[1], &name, "/nonexistent/socket"]);
    granted.network = Network::Host;
    at_both_levels(&granted, |output| {
        let stdout = text(&output.stdout);
        assert_eq!((stdout.matches("reached").count(), stdout.matches("refused [").count()), (2, 2), "{stdout}");
        let internet = output
            .exit
            .denials
            .iter()
            .any(|denial| matches!(&denial.target, Target::Address(address) if address.starts_with("127.")));
        assert!(!internet, "{:?}", output.exit.denials);
    });
}

/// Attack 105.
#[test]
fn leaving_a_process_behind() {
    let place = Place::new();
    let attack = place.shell("(setsid sh -c 'sleep 0.4; echo x > \"$OUT/mark\"' >/dev/null 2>&1 &) ; (sh -c 'sleep 0.4; echo x > \"$OUT/mark\"' >/dev/null 2>&1 &)");
    at_both_levels(&attack, |_| {
        std::thread::sleep(Duration::from_millis(700));
        assert!(!place.path("out/mark").exists());
    });
    plain(&attack);
    std::thread::sleep(Duration::from_millis(900));
    assert!(place.path("out/mark").exists());
}

#[test]
fn a_child_dies_with_its_value() {
    let place = Place::new();
    let process = place.shell("sleep 0.4; echo x > \"$OUT/mark\"");
    drop(spawn(&process).unwrap());
    std::thread::sleep(Duration::from_millis(700));
    assert!(!place.path("out/mark").exists());
    assert!(confined(&process).exit.status.success());
    assert!(place.path("out/mark").exists());
}

/// Attack 120.
#[test]
fn sharing_state_between_runs() {
    let place = Place::new();
    let attack = place.shell("cat /tmp/bulkhead-state \"$HOME/state\" 2>/dev/null; echo seen > /tmp/bulkhead-state; echo seen > \"$HOME/state\"");
    assert_eq!(text(&confined(&attack).stdout), "");
    assert_eq!(text(&confined(&attack).stdout), "");
    assert!(!place.path("home/state").exists());
    let visible = place.shell("cat \"$OUT/state\" 2>/dev/null; echo seen > \"$OUT/state\"");
    confined(&visible);
    assert_eq!(text(&confined(&visible).stdout), "seen\n");
}

/// Attack 120: what one run puts into shared memory, another or the host would find there.
#[test]
fn shared_memory_is_nobody_elses() {
    if !has("/usr/bin/perl") {
        return;
    }
    let place = Place::new();
    let perl = |script: &str| {
        let key = 0x4200_0000 | std::process::id();
        place.run(
            "/usr/bin/perl",
            &["-e", &format!("sub said {{ print defined $_[0] ? 'had' : $! }} my $key = {key}; {script}")],
        )
    };
    let (made, found) = (perl("said(shmget($key, 64, 01600))"), perl("said(shmget($key, 64, 0600))"));
    let with = |process: &Process, level| Process { ipc: true, level, ..process.clone() };
    let (absent, unknown) = ("No such file or directory", "Function not implemented");
    for level in levels() {
        assert_eq!(text(&confined(&Process { level, ..made.clone() }).stdout), unknown, "they are not needed");
    }
    assert_eq!(text(&confined(&with(&made, Level::Full)).stdout), "had");
    assert_eq!(text(&confined(&with(&found, Level::Full)).stdout), absent, "it went with the one that made it");
    assert_eq!(text(&plain(&made).stdout), "had");
    assert_eq!(text(&plain(&found).stdout), "had", "it bites");
    for level in levels() {
        let seen = text(&confined(&with(&found, level)).stdout);
        assert_eq!(seen, if level == Level::Full { absent } else { unknown });
    }
    plain(&perl("shmctl(shmget($key, 64, 0600), 0, 0)"));
    assert_eq!(text(&plain(&found).stdout), absent, "nothing is left of this test");
}

/// Attack 114.
#[test]
fn terminal_and_standard_input() {
    let place = Place::new();
    let attack = place.shell("read line && echo \"got $line\"; (exec 3<>/dev/tty) 2>/dev/null && echo tty; ls -l /proc/self/fd | wc -l; ps -o sid= 2>/dev/null; true");
    at_both_levels(&attack, |output| {
        let stdout = text(&output.stdout);
        assert!(!stdout.contains("got") && !stdout.contains("tty"), "{stdout}");
    });
}

#[test]
fn other_processes_are_out_of_sight() {
    let place = Place::new();
    let attack = place.shell(&format!("test -e /proc/{} && echo seen", std::process::id()));
    assert_eq!(text(&plain(&attack).stdout), "seen\n");
    assert_eq!(text(&confined(&attack).stdout), "");
}

#[test]
fn gaining_privileges_and_namespaces() {
    let place = Place::new();
    let script = "grep -E '^(Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status; \
        unshare -Ur true 2>/dev/null && echo user; unshare -m true 2>/dev/null && echo mount; \
        mount -t tmpfs none /tmp 2>/dev/null && echo mounted; umount /usr 2>/dev/null && echo unmounted; \
        mount -o remount,rw,bind /usr 2>/dev/null && echo remounted; \
        (echo x > /proc/sys/kernel/core_pattern) 2>/dev/null && echo core; \
        (echo 1 > /proc/sys/kernel/pid_max) 2>/dev/null && echo pids; hostname; true";
    let output = text(&confined(&place.shell(script)).stdout);
    let none = "0000000000000000";
    let expected = format!(
        "CapPrm:\t{none}\nCapEff:\t{none}\nCapBnd:\t{none}\nCapAmb:\t{none}\nNoNewPrivs:\t1\nSeccomp:\t2\nlocalhost\n"
    );
    assert_eq!(output, expected);
}

#[test]
fn no_capability_is_left_at_the_weaker_level() {
    let place = Place::new();
    at_both_levels(&place.shell("grep -E '^Cap(Inh|Prm|Eff|Amb):' /proc/self/status | sort -u -k2"), |output| {
        assert_eq!(text(&output.stdout), "CapInh:\t0000000000000000\n");
    });
}

#[test]
fn refused_system_calls() {
    if !has("/usr/bin/python3") {
        return;
    }
    let script = r#"
import ctypes, errno, fcntl, os, socket, platform
libc = ctypes.CDLL(None, use_errno=True)
arm = platform.machine() == "aarch64"
def call(name, *numbers):
    result = libc.syscall(*numbers)
    print(name, "done" if result >= 0 else errno.errorcode[ctypes.get_errno()])
call("ptrace", 117 if arm else 101, 0, 0, 0, 0)
call("bpf", 280 if arm else 321, 0, 0, 0)
call("keyctl", 219 if arm else 250, 0, 0, 0)
call("io_uring_setup", 425, 1, 0)
call("userfaultfd", 282 if arm else 323, 0)
call("unshare", 97 if arm else 272, 0x10000000)
call("clone", 220 if arm else 56, 0x10000000 | 17, 0, 0, 0, 0)
call("perf_event_open", 241 if arm else 298, 0, 0, 0, 0, 0)
call("future", 500)
for family in [38, 40, 17, 31]:
    try:
        socket.socket(family, socket.SOCK_SEQPACKET if family == 38 else socket.SOCK_DGRAM)
        print(family, "made")
    except OSError as error:
        print(family, errno.errorcode[error.errno])
try:
    fcntl.ioctl(0, 0x5412, b"x")
except OSError as error:
    print("TIOCSTI", errno.errorcode[error.errno])
"#;
    let place = Place::new();
    at_both_levels(&place.run("/usr/bin/python3", &["-c", script]), |output| {
        assert_eq!(
            text(&output.stdout),
            "ptrace EPERM\nbpf EPERM\nkeyctl EPERM\nio_uring_setup ENOSYS\nuserfaultfd EPERM\nunshare EPERM\nclone EPERM\n\
             perf_event_open EPERM\nfuture ENOSYS\n38 EAFNOSUPPORT\n40 EAFNOSUPPORT\n17 EAFNOSUPPORT\n31 EAFNOSUPPORT\n\
             TIOCSTI EPERM\n",
            "{}",
            text(&output.stderr)
        );
    });
}

#[test]
fn descriptors_of_the_parent_are_closed() {
    if !has("/bin/bash") {
        return;
    }
    let place = Place::new();
    let secret = std::fs::File::open(place.path("home/.ssh/id_x")).unwrap();
    let (mut read, write) = std::io::pipe().unwrap();
    // SAFETY: numbers only; makes the descriptors ones that a careless exec would leak.
    unsafe {
        use std::os::fd::AsRawFd;
        libc::fcntl(secret.as_raw_fd(), libc::F_SETFD, 0);
        let script = format!("cat <&{}; echo kept >&{}", secret.as_raw_fd(), write.as_raw_fd());
        // dash knows no descriptors above 9.
        let mut attack = place.run("/bin/bash", &["-c", &script]);
        assert!(text(&plain(&attack).stdout).contains("canary"));
        attack.inherit = vec![write.as_raw_fd()];
        let output = confined(&attack);
        assert_eq!(text(&output.stdout), "", "{}", text(&output.stderr));
    }
    drop(write);
    let mut kept = String::new();
    read.read_to_string(&mut kept).unwrap();
    assert_eq!(kept, "kept\n");
}

#[test]
fn unusable_descriptions_are_refused() {
    let place = Place::new();
    let fails = |change: &dyn Fn(&mut Process)| {
        let mut process = place.shell("true");
        change(&mut process);
        spawn(&process).map(|_| ()).unwrap_err().to_string()
    };
    assert!(fails(&|process| process.read.push("/".into())).contains("whole file system"));
    assert!(fails(&|process| process.read.push("relative".into())).contains("not absolute"));
    assert!(fails(&|process| process.read.push("/proc/1".into())).contains("made afresh"));
    assert!(fails(&|process| process.write.push("/nonexistent/x".into())).contains("cannot make"));
    std::os::unix::fs::symlink(place.path("home"), place.path("link")).unwrap();
    assert!(fails(&|process| process.write.push(place.path("link"))).contains("symbolic link"));
    assert!(fails(&|process| process.program = "/nonexistent/x".into()).contains("cannot execute"));
    assert!(fails(&|process| process.program = place.path("home/.ssh/id_x")).contains("cannot execute"));
}

/// What is hidden is out of sight in a folder that may be written: not to be read, filled, moved or taken away, whichever
/// name leads to it. What lies beside it is there.
#[test]
fn what_is_hidden_is_out_of_sight() {
    let place = Place::new();
    std::fs::write(place.path("home/beside"), "beside").unwrap();
    std::fs::write(place.path("home/tokens"), "canary-secret").unwrap();
    std::os::unix::fs::symlink(place.path("home/.ssh"), place.path("home/link")).unwrap();
    let script = r#"cat $SECRET; cat $HOME/link/id_x; cat $HOME/tokens; cat $HOME/.ssh/../.ssh/id_x
        echo x > $HOME/.ssh/planted; echo x >> $HOME/tokens; mv $HOME/.ssh $HOME/moved; rm -rf $HOME/.ssh $HOME/tokens
        umount $HOME/.ssh; cat $SECRET; echo "left: $(ls -A $HOME/.ssh)"; cat $HOME/beside; echo new > $HOME/new"#;
    let mut process = place.shell(script);
    process.write = vec![place.path("home")];
    process.observe = false;
    assert!(text(&plain(&process).stdout).contains("canary-secret"), "it bites");
    assert!(!place.path("home/tokens").exists());
    std::fs::remove_dir_all(place.path("home/moved")).unwrap();
    std::fs::remove_file(place.path("home/new")).unwrap();
    std::fs::create_dir_all(place.path("home/.ssh")).unwrap();
    for path in [place.path("home/.ssh/id_x"), place.path("home/tokens")] {
        std::fs::write(path, "canary-secret").unwrap();
    }
    process.hidden = vec![place.path("home/.ssh"), place.path("home/tokens"), place.path("home/absent")];
    let output = confined(&process);
    let said = text(&output.stdout);
    assert!(!said.contains("canary-secret") && said.contains("left: \n") && said.contains("beside"), "{said}");
    assert_eq!(std::fs::read_dir(place.path("home/.ssh")).unwrap().count(), 1);
    assert_eq!(std::fs::read_to_string(place.path("home/tokens")).unwrap(), "canary-secret");
    assert!(place.path("home/new").exists() && !place.path("home/moved").exists());
    // By the name of a link as well; and nothing is promised that cannot be held.
    process.hidden = vec![place.path("home/link"), place.path("home/tokens")];
    assert!(!text(&confined(&process).stdout).contains("canary-secret"));
    let weaker = spawn(&Process { level: Level::LandlockOnly, ..process });
    assert!(weaker.unwrap_err().to_string().contains("hidden"));
}

/// Whoever asks people something keeps the session, and so the terminal; everybody else has none.
#[test]
fn only_those_who_ask_people_keep_the_terminal() {
    let place = Place::new();
    let mut process =
        place.shell("read -r a b c d e session rest < /proc/self/stat; echo $session; [ -e /dev/tty ] && echo tty");
    assert_eq!(text(&confined(&process).stdout), "1\n");
    process.terminal = true;
    assert_eq!(text(&confined(&process).stdout), "0\ntty\n", "a session from outside the namespace");
}
