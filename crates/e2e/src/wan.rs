//! A wide area network on loopback: every byte comes late, and so does every handshake.
//!
//! In front of a registry stands a server with TLS, which counts requests and may want a token, and
//! in front of that a link of a given round trip. The link knows nothing of TLS or HTTP. What a
//! client sends is held back for half a round trip, and so is what it gets; and since the kernel
//! accepts its connection at once, what it sends first is held back for a whole one more. A client
//! that opens a connection with TLS 1.3 and makes one request so takes three round trips, as over a
//! real network. Bandwidth is not limited.

use crate::http;
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use testkit::certificates;
use testkit::{Answer, Request, Server};

/// The name under which its registries are reached: one that is not this machine's, so that nobody
/// speaks plain http to it. It has to be in /etc/hosts.
pub const HOST: &str = "registry.test";

/// Who gives out tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// Nobody: the registry is open.
    None,
    /// The registry itself, as at GHCR, Quay and Harbor.
    Here,
    /// A server at another address, as at Docker Hub.
    Elsewhere,
}

/// A registry behind the network. Ends with the value.
pub struct Wan {
    link: Link,
    server: Server,
    /// The token service, where it has an address of its own.
    _service: Option<(Server, Link)>,
}

impl Wan {
    /// Puts the registry at this address (`127.0.0.1:PORT`) behind the network.
    pub fn before(upstream: &str, tokens: Tokens, delay: &Delay) -> Self {
        let given: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let service = (tokens == Tokens::Elsewhere).then(|| {
            let given = Arc::clone(&given);
            let server =
                Server::start_tls(certificates::good(), move |request| give(&given, request));
            let link = Link::before(server.address(), delay);
            (server, link)
        });
        let realm = service.as_ref().map(|(_, link)| link.port);
        let upstream = upstream.to_owned();
        let server = Server::start_tls(certificates::good(), move |request| {
            let own = request.header("host").unwrap_or_default();
            if request.path() == "/token" {
                return give(&given, request);
            }
            let shown = request.header("authorization").unwrap_or_default();
            let known = shown
                .strip_prefix("Bearer ")
                .is_some_and(|token| given.lock().expect("no panic").contains(token));
            if tokens != Tokens::None && !known {
                let realm = realm.map_or_else(|| own.to_owned(), |port| format!("{HOST}:{port}"));
                let challenge = format!(
                    "Bearer realm=\"https://{realm}/token\",service=\"wan\",scope=\"repository:x:pull\""
                );
                return Answer::error(401, "UNAUTHORIZED").header("WWW-Authenticate", &challenge);
            }
            let scheme = [("x-forwarded-proto", "https")];
            http::forward(&upstream, request, &request.target, &["authorization"], &scheme)
        });
        Self { link: Link::before(server.address(), delay), server, _service: service }
    }

    /// Returns `registry.test:PORT`.
    pub fn address(&self) -> String {
        format!("{HOST}:{}", self.link.port)
    }

    /// Returns how many connections were made, and how many requests, those to a token service
    /// included.
    pub fn counted(&self) -> (usize, usize) {
        let service = self._service.as_ref();
        let (connections, requests) = service.map_or((0, 0), |(server, link)| {
            (link.connections.load(Ordering::SeqCst), server.requests().len())
        });
        (
            self.link.connections.load(Ordering::SeqCst) + connections,
            self.server.requests().len() + requests,
        )
    }

    /// Returns what was asked of the registry, as `METHOD path?query`, from the given one on.
    pub fn lines(&self, from: usize) -> Vec<String> {
        let made = self.server.requests();
        let line = |request: &Request| format!("{} {}", request.method, request.target);
        made.iter().skip(from).map(line).collect()
    }
}

/// The round trip of a network, which may be changed at any time.
#[derive(Clone, Debug, Default)]
pub struct Delay(Arc<AtomicU64>);

impl Delay {
    pub fn set(&self, round_trip: Duration) {
        let micros = u64::try_from(round_trip.as_micros()).expect("a short time");
        self.0.store(micros, Ordering::SeqCst);
    }

    fn round_trip(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// A listener whose connections are late.
struct Link {
    port: u16,
    connections: Arc<AtomicUsize>,
    address: SocketAddr,
    over: Arc<AtomicUsize>,
}

impl Link {
    fn before(upstream: SocketAddr, delay: &Delay) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let link = Self {
            port: address.port(),
            connections: Arc::default(),
            address,
            over: Arc::default(),
        };
        let (delay, connections, over) =
            (delay.clone(), Arc::clone(&link.connections), Arc::clone(&link.over));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if over.load(Ordering::SeqCst) > 0 {
                    break;
                }
                connections.fetch_add(1, Ordering::SeqCst);
                carry(client, upstream, &delay);
            }
        });
        link
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.over.store(1, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// Carries one connection, both ways, until both have ended.
fn carry(client: TcpStream, upstream: SocketAddr, delay: &Delay) {
    let Ok(server) = TcpStream::connect(upstream) else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ends = |stream: &TcpStream| stream.try_clone().expect("a socket");
    // Until then the client, were it far away, would not have sent anything.
    let open = Instant::now() + delay.round_trip();
    for (from, to) in [(ends(&client), ends(&server)), (server, client)] {
        let (sender, late) = channel();
        let delay = delay.clone();
        std::thread::spawn(move || {
            let mut from = from;
            let mut bytes = vec![0; 64 << 10];
            loop {
                let length = from.read(&mut bytes).unwrap_or(0);
                let due = Instant::now().max(open) + delay.round_trip() / 2;
                let _ = sender.send((due, bytes[..length].to_vec()));
                if length == 0 {
                    break;
                }
            }
        });
        std::thread::spawn(move || deliver(&late, to));
    }
}

/// Delivers what is due; nothing means that there is no more.
fn deliver(late: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
    for (due, bytes) in late {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if bytes.is_empty() || to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn give(given: &Mutex<BTreeSet<String>>, request: &Request) -> Answer {
    let mut given = given.lock().expect("no panic");
    let token = format!("token-{}", given.len());
    given.insert(token.clone());
    let _ = request;
    Answer::new(200).json(&format!(r#"{{"token":"{token}","expires_in":300}}"#))
}
