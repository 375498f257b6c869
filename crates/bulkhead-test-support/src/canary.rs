//! Listeners that nothing confined must reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Listeners for TCP (on both loopback addresses), UDP, an abstract socket and one in the file system, which note who came.
#[derive(Debug)]
pub struct Canaries {
    tcp: u16,
    udp: u16,
    abstract_name: String,
    folder: tempfile::TempDir,
    touched: Touched,
}

/// The names of the listeners that were reached.
type Touched = Arc<Mutex<Vec<&'static str>>>;

impl Canaries {
    /// Starts all of them on free addresses.
    pub fn start() -> Canaries {
        let touched = Touched::default();
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free TCP port");
        let tcp_port = tcp.local_addr().expect("a bound port").port();
        watch("tcp", &touched, move || tcp.accept().is_ok());
        // The same port, so that one number is enough; where it is taken, or there is no such address, nobody listens.
        if let Ok(tcp6) = TcpListener::bind((IpAddr::from(Ipv6Addr::LOCALHOST), tcp_port)) {
            watch("tcp6", &touched, move || tcp6.accept().is_ok());
        }
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free UDP port");
        let udp_port = udp.local_addr().expect("a bound port").port();
        watch("udp", &touched, move || udp.recv(&mut [0; 16]).is_ok());
        // The port, unique on this machine, makes the name unique too.
        let abstract_name = format!("bulkhead-canary-{tcp_port}");
        let address = SocketAddr::from_abstract_name(&abstract_name).expect("a short name");
        let unix = UnixListener::bind_addr(&address).expect("a free abstract name");
        watch("abstract", &touched, move || unix.accept().is_ok());
        // Build code has a folder for temporary files of its own.
        let folder = tempfile::Builder::new().prefix("canary-").tempdir_in("/var/tmp").expect("a temporary folder");
        let unix = UnixListener::bind(folder.path().join("socket")).expect("a free path");
        watch("unix", &touched, move || unix.accept().is_ok());
        Canaries { tcp: tcp_port, udp: udp_port, abstract_name, folder, touched }
    }

    /// The port on 127.0.0.1 (and ::1, where there is such an address) that listens for TCP.
    pub fn tcp_port(&self) -> u16 {
        self.tcp
    }

    /// The port on 127.0.0.1 that listens for UDP.
    pub fn udp_port(&self) -> u16 {
        self.udp
    }

    /// The name of the abstract socket, without its leading NUL.
    pub fn abstract_name(&self) -> &str {
        &self.abstract_name
    }

    /// Where the socket in the file system lies.
    pub fn socket(&self) -> PathBuf {
        self.folder().join("socket")
    }

    /// The folder around that socket.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Forgets who came so far.
    pub fn forget(&self) {
        self.touched.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }

    /// Which of `abstract`, `tcp`, `tcp6`, `udp` and `unix` were reached, sorted, after a moment in which late arrivals may
    /// be noted.
    pub fn touched(&self) -> Vec<String> {
        std::thread::sleep(Duration::from_millis(50));
        let touched = self.touched.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut touched: Vec<String> = touched.iter().map(|&name| name.to_owned()).collect();
        touched.sort();
        touched.dedup();
        touched
    }
}

/// Notes `name` whenever `arrives` says that somebody came.
fn watch(name: &'static str, touched: &Touched, arrives: impl Fn() -> bool + Send + 'static) {
    let touched = Arc::clone(touched);
    std::thread::spawn(move || {
        while arrives() {
            touched.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(name);
        }
    });
}
