//! A network of one's own: loopback alone, or the proxy that leads to a list of hosts.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bulkhead_sandbox::{DenialKind, Endpoint, Level, Network, Process, Target, spawn};

use crate::{Place, confined, text};

/// A server of this machine that answers every request with `hello`, and how often it was reached.
fn server() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, reached) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&reached);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nhello\n");
        }
    });
    (port, reached)
}

fn bash(place: &Place, script: &str, hosts: &[(&str, u16)]) -> Process {
    let mut process = place.shell("");
    process.program = "/usr/bin/bash".into();
    process.arguments = vec!["-c".into(), script.into()];
    process.network = Network::Hosts;
    process.hosts = hosts.iter().map(|&(host, port)| Endpoint { host: host.to_owned(), port }).collect();
    process
}

const ASK: &str = "ask() { exec 3<>/dev/tcp/127.0.0.1/3128; printf \"$1\" >&3; cat <&3; exec 3>&-; };";

/// A host of the list that has no address just now was not denied: nobody should be led to grant it again.
#[test]
fn a_host_without_an_address_is_no_denial() {
    let place = Place::new();
    let script = format!(
        "{ASK} ask 'CONNECT nowhere.invalid:443 HTTP/1.1\\r\\n\\r\\n'; ask 'CONNECT other.invalid:443 HTTP/1.1\\r\\n\\r\\n'"
    );
    let output = confined(&bash(&place, &script, &[("nowhere.invalid", 443)]));
    let said = text(&output.stdout);
    assert!(said.contains("502 Bad Gateway") && said.contains("403 Forbidden"), "{said}");
    let denied: Vec<_> = output.exit.denials.iter().map(|denial| denial.target.clone()).collect();
    assert_eq!(denied, [Target::Host("other.invalid:443".to_owned())]);
}

/// Attack 99.
#[test]
fn only_the_hosts_of_the_list_are_reached() {
    let place = Place::new();
    let ((port, reached), (other, never)) = (server(), server());
    let script = format!(
        "{ASK} ask 'GET http://127.0.0.1:{port}/ HTTP/1.1\\r\\n\\r\\n'; \
         ask 'CONNECT 127.0.0.1:{port} HTTP/1.1\\r\\n\\r\\nGET / HTTP/1.1\\r\\n\\r\\n'; \
         ask 'GET http://127.0.0.1:{other}/ HTTP/1.1\\r\\n\\r\\n'; \
         ask 'CONNECT 127.0.0.1:{other} HTTP/1.1\\r\\n\\r\\n'; \
         ask 'CONNECT 127.0.0.1:{port}@127.0.0.1:{other} HTTP/1.1\\r\\n\\r\\n'; \
         exec 3<>/dev/tcp/127.0.0.1/{other} && echo past the proxy"
    );
    let output = confined(&bash(&place, &script, &[("127.0.0.1", port)]));
    let said = text(&output.stdout);
    assert_eq!(said.matches("hello").count(), 2, "{said}");
    assert_eq!(said.matches("403 Forbidden").count(), 2, "{said}");
    assert_eq!(said.matches("400 Bad Request").count(), 1, "{said}");
    assert!(!said.contains("past the proxy"), "{said}");
    assert_eq!((reached.load(Ordering::SeqCst), never.load(Ordering::SeqCst)), (2, 0));
    let denial = output.exit.denials.iter().find(|denial| denial.target == Target::Host(format!("127.0.0.1:{other}")));
    assert_eq!(denial.map(|denial| (denial.kind, denial.count)), Some((DenialKind::Connect, 2)));
}

#[test]
fn a_name_does_not_lead_to_this_machine() {
    let place = Place::new();
    let (port, reached) = server();
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_lowercase();
    let script = format!(
        "{ASK} ask 'CONNECT {name}:{port} HTTP/1.1\\r\\n\\r\\n'; ask 'GET http://localhost:{port}/ HTTP/1.1\\r\\n\\r\\n'"
    );
    let output = confined(&bash(&place, &script, &[(&name, port), ("localhost", port)]));
    let said = text(&output.stdout);
    // The list names `localhost` itself; the name of the machine merely leads there.
    assert!(said.contains("403 Forbidden") && said.contains("hello"), "{said}");
    assert_eq!(reached.load(Ordering::SeqCst), 1);
}

#[test]
fn loopback_is_the_process_own() {
    let place = Place::new();
    let (port, reached) = server();
    let script = format!(
        "import socket\ns = socket.create_server(('127.0.0.1', 0))\n\
         c = socket.create_connection(s.getsockname())\nprint('own')\n\
         try:\n    socket.create_connection(('127.0.0.1', {port}), 1); print('others')\nexcept OSError: pass\n"
    );
    let mut process = bash(&place, "", &[]);
    process.program = "/usr/bin/python3".into();
    process.arguments = vec!["-c".into(), script.into()];
    process.network = Network::Loopback;
    assert_eq!(text(&confined(&process).stdout), "own\n");
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[test]
fn a_list_of_hosts_needs_namespaces() {
    let place = Place::new();
    let mut process = bash(&place, "true", &[]);
    process.level = Level::LandlockOnly;
    assert!(spawn(&process).unwrap_err().to_string().contains("namespaces"));
}
