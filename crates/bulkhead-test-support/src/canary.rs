//! Listeners that nothing confined must reach.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A TCP port, a UDP port and an abstract socket that note who came.
#[derive(Debug)]
pub struct Canaries {
    tcp: u16,
    udp: u16,
    abstract_name: String,
    touched: Arc<Mutex<Vec<String>>>,
}

impl Canaries {
    /// Starts all three on free addresses.
    pub fn start() -> Canaries {
        let touched = Arc::new(Mutex::new(Vec::new()));
        let note = |touched: &Arc<Mutex<Vec<String>>>, what: &str| {
            touched.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(what.to_owned());
        };

        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free TCP port");
        let tcp_port = tcp.local_addr().expect("a bound port").port();
        let log = Arc::clone(&touched);
        std::thread::spawn(move || {
            while tcp.accept().is_ok() {
                note(&log, "tcp");
            }
        });

        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free UDP port");
        let udp_port = udp.local_addr().expect("a bound port").port();
        let log = Arc::clone(&touched);
        std::thread::spawn(move || {
            while udp.recv(&mut [0; 16]).is_ok() {
                note(&log, "udp");
            }
        });

        // The port, unique on this machine, makes the name unique too.
        let abstract_name = format!("bulkhead-canary-{tcp_port}");
        let address = SocketAddr::from_abstract_name(&abstract_name).expect("a short name");
        let unix = UnixListener::bind_addr(&address).expect("a free abstract name");
        let log = Arc::clone(&touched);
        std::thread::spawn(move || {
            while unix.accept().is_ok() {
                note(&log, "abstract");
            }
        });

        Canaries { tcp: tcp_port, udp: udp_port, abstract_name, touched }
    }

    /// The port on 127.0.0.1 that listens for TCP.
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

    /// Which of `tcp`, `udp` and `abstract` were reached, sorted, after a moment in which late arrivals may be noted.
    pub fn touched(&self) -> Vec<String> {
        std::thread::sleep(Duration::from_millis(50));
        let mut touched = self.touched.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        touched.sort();
        touched.dedup();
        touched
    }
}
