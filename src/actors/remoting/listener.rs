//! The actor that accepts connections and makes an actor of each.

use std::{
    io,
    net::TcpListener,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::ArbiterHandle;

use super::{
    Service,
    connection::{Connection, adopt},
    peer::{Owed, Peer},
};
use crate::actors::supervision::{Behaviour, Branch, Cx, Readiness, Restart, Spec, Strategy};

/// Where connections come in, and on which threads they live.
pub struct Doors {
    /// The bound sockets. Bound before the tree starts, so that a port in use is said at once, and kept over
    /// a restart of the listener, so that nobody is refused meanwhile.
    pub sockets: Vec<TcpListener>,
    /// The threads that connections are spread over.
    pub arbiters: Vec<ArbiterHandle>,
    /// Connections beyond this are closed at once.
    pub max_connections: usize,
    /// What all connections together may keep in memory, bytes; beyond it those that keep more than a little are
    /// read no further.
    pub memory: usize,
    /// A connection on which nothing came or went for this long, or a frame has not arrived whole, is closed.
    pub idle: Duration,
}

/// Grows the branch `remoting` below `parent`: the listener, and the connections, which it makes.
///
/// # Errors
/// When a socket cannot be shared with the listener.
pub fn open<S: Service>(parent: &Branch, doors: Doors, service: Arc<S>) -> io::Result<()> {
    let Some(arbiter) = doors.arbiters.first().cloned() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no thread to serve connections on"));
    };
    let remoting = parent.branch(Spec::new("remoting", &arbiter), Strategy::RestForOne);
    let spec = Spec::new("connections", &arbiter).shutdown(Duration::from_secs(3));
    let connections = remoting.branch(spec, Strategy::Dynamic);
    for socket in &doors.sockets {
        socket.set_nonblocking(true)?;
    }
    let gate = Arc::new(Gate {
        owed: Owed::up_to(doors.memory, TURNS * doors.arbiters.len()),
        doors,
        service,
        connections,
        live: Arc::new(AtomicUsize::new(0)),
        peers: Mutex::default(),
    });
    remoting.child(Spec::new("listener", &arbiter), move || {
        let sockets: io::Result<Vec<_>> = gate
            .doors
            .sockets
            .iter()
            .map(|socket| tokio::net::TcpListener::from_std(socket.try_clone()?))
            .collect();
        Ok(Listener { gate: gate.clone(), sockets: sockets? })
    });
    Ok(())
}

/// What outlives a listener.
struct Gate<S: Service> {
    doors: Doors,
    service: Arc<S>,
    connections: Branch,
    live: Arc<AtomicUsize>,
    owed: Arc<Owed>,
    peers: Mutex<Vec<Weak<Peer>>>,
}

struct Listener<S: Service> {
    gate: Arc<Gate<S>>,
    sockets: Vec<tokio::net::TcpListener>,
}

crate::messages! {
    /// What a listener tells itself.
    enum ListenerMessage {
        /// Time to look for idle connections.
        Sweep,
    }
}

/// Connections of one thread that always have more, and read at a time.
const TURNS: usize = 1;
/// How often idle connections are looked for.
const SWEEP: Duration = Duration::from_secs(10);
/// The wait after an accept that failed, mostly for want of descriptors.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

impl<S: Service> Behaviour for Listener<S> {
    type Message = ListenerMessage;
    const KIND: &'static str = "listener";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        for socket in self.sockets.drain(..) {
            let gate = self.gate.clone();
            let clock = cx.clock().clone();
            cx.run(async move {
                loop {
                    match socket.accept().await.and_then(|(stream, _)| stream.into_std()) {
                        Ok(stream) => gate.admit(stream),
                        Err(error) => {
                            tracing::warn!(%error, "cannot accept a connection");
                            clock.sleep(AFTER_FAILURE).await;
                        }
                    }
                }
            });
        }
        cx.after(SWEEP, ListenerMessage::Sweep);
        Readiness::Ready
    }

    fn handle(&mut self, ListenerMessage::Sweep: ListenerMessage, cx: &mut Cx<'_, Self>) {
        let idle = i64::try_from(self.gate.doors.idle.as_millis()).unwrap_or(i64::MAX);
        let since = cx.clock().now().saturating_sub(idle);
        let mut peers = self.gate.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.retain(|peer| match peer.upgrade() {
            Some(peer) if peer.is_stuck_since(since) => {
                tracing::debug!(peer = %peer.remote(), "idle: closed");
                peer.abandon();
                false
            }
            Some(peer) => !peer.is_closed(),
            None => false,
        });
        cx.after(SWEEP, ListenerMessage::Sweep);
    }

    fn observe(&self) -> String {
        format!("{} connections", self.gate.live.load(Ordering::Relaxed))
    }
}

/// Counts one connection for as long as it lives.
pub(super) struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S: Service> Gate<S> {
    fn admit(self: &Arc<Self>, stream: std::net::TcpStream) {
        let number = self.live.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(self.live.clone());
        let name = match stream.peer_addr() {
            Ok(remote) => remote.to_string(),
            Err(_) => return,
        };
        if number >= self.doors.max_connections {
            tracing::warn!(peer = name, limit = self.doors.max_connections, "too many connections: closed");
            return;
        }
        let Some(arbiter) = self.doors.arbiters.get(number % self.doors.arbiters.len()) else { return };
        let spec = Spec::new(name, arbiter).restart(Restart::Temporary).shutdown(Duration::from_secs(1));
        let slot = Mutex::new(Some((stream, seat)));
        let gate = self.clone();
        self.connections.child(spec, move || {
            let taken = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            let (stream, seat) = taken.ok_or("a connection starts once")?;
            gate.connect(stream, seat).map_err(Into::into)
        });
    }

    fn connect(&self, stream: std::net::TcpStream, seat: Seat) -> io::Result<Connection<S>> {
        let (stream, remote, local) = adopt(stream)?;
        let (peer, outgoing) = Peer::new(remote, local, self.connections.clock().now(), self.owed.clone());
        let peer = Arc::new(peer);
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&peer));
        Ok(Connection::new(self.service.clone(), stream, peer, outgoing, seat))
    }
}
