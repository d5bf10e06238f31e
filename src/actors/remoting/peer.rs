//! The other side of a connection, as everyone but the connection itself sees it.

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::sync::{Notify, mpsc, oneshot};

use super::outbox::Outgoing;
use crate::{
    actors::supervision::Millis,
    protocol::{fields::Emit, frame::Frame, header::Header},
};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A connected client or broker. It stays a valid thing to talk to after the connection ended; nothing
/// reaches it then.
pub struct Peer {
    id: u64,
    remote: SocketAddr,
    local: SocketAddr,
    outbox: mpsc::UnboundedSender<Outgoing>,
    closed: AtomicBool,
    /// Requests that are not answered yet; their bytes; and answers that are not written yet, in bytes.
    unanswered: AtomicUsize,
    unanswered_bytes: AtomicUsize,
    unwritten: AtomicUsize,
    eased: Notify,
    active: AtomicI64,
    opaque: AtomicI32,
    calls: Mutex<HashMap<i32, oneshot::Sender<Frame>>>,
}

/// Why a request to the other side has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The connection ended.
    #[error("the connection ended: the client will reconnect")]
    Closed,
    /// It did not answer in time.
    #[error("the client did not answer in time")]
    TimedOut,
}

/// Above these a connection reads no further until what it owes is less.
const MAX_UNWRITTEN: usize = 8 << 20;
const MAX_UNANSWERED: usize = 16_384;
const MAX_UNANSWERED_BYTES: usize = 32 << 20;

impl Peer {
    pub(super) fn new(
        remote: SocketAddr,
        local: SocketAddr,
        now: Millis,
    ) -> (Self, mpsc::UnboundedReceiver<Outgoing>) {
        let (outbox, outgoing) = mpsc::unbounded_channel();
        let peer = Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            remote,
            local,
            outbox,
            closed: AtomicBool::new(false),
            unanswered: AtomicUsize::new(0),
            unanswered_bytes: AtomicUsize::new(0),
            unwritten: AtomicUsize::new(0),
            eased: Notify::new(),
            active: AtomicI64::new(now),
            opaque: AtomicI32::new(0),
            calls: Mutex::default(),
        };
        (peer, outgoing)
    }

    /// A number that no other connection of this process has had.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its address.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Our address on this connection.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Ends the connection once everything that waits is written.
    pub fn close(&self) {
        self.push(Outgoing::Close);
    }

    /// Sends a request that wants no answer.
    pub fn tell(&self, header: Header, body: Bytes) {
        let opaque = self.opaque.fetch_add(1, Ordering::Relaxed);
        self.write(&Frame { header: header.oneway().with_opaque(opaque), body });
    }

    /// Sends a request and waits for its answer.
    pub async fn call(&self, header: Header, body: Bytes, patience: Duration) -> Result<Frame, CallError> {
        let opaque = self.opaque.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.calls().insert(opaque, sender);
        if self.is_closed() {
            self.calls().clear();
        }
        self.write(&Frame { header: header.with_opaque(opaque), body });
        let result = tokio::time::timeout(patience, answer).await;
        self.calls().remove(&opaque);
        result.map_err(|_| CallError::TimedOut)?.map_err(|_| CallError::Closed)
    }

    fn write(&self, frame: &Frame) {
        let mut head = BytesMut::new();
        match frame.encode_head(frame.body.len(), &mut head) {
            Ok(()) => self.push(Outgoing::Frame { head: head.freeze(), body: vec![frame.body.clone()] }),
            Err(error) => tracing::error!(peer = %self.remote, %error, "cannot send a request"),
        }
    }

    pub(super) fn push(&self, thing: Outgoing) {
        self.unwritten.fetch_add(thing.cost(), Ordering::Relaxed);
        // Nobody takes it any more: the connection has ended.
        let _ = self.outbox.send(thing);
    }

    /// Hands an answer to whoever waits for it; one that nobody waits for is dropped.
    pub(super) fn answered(&self, frame: Frame) {
        if let Some(caller) = self.calls().remove(&frame.header.opaque) {
            let _ = caller.send(frame);
        }
    }

    pub(super) fn end(&self) {
        self.closed.store(true, Ordering::Release);
        self.calls().clear();
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<i32, oneshot::Sender<Frame>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // What is owed.

    pub(super) fn request_came(&self, bytes: usize) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        self.unanswered_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn request_done(&self, bytes: usize) {
        let count = self.unanswered.fetch_sub(1, Ordering::Relaxed);
        let before = self.unanswered_bytes.fetch_sub(bytes, Ordering::Relaxed);
        let eases = before >= MAX_UNANSWERED_BYTES && before - bytes < MAX_UNANSWERED_BYTES;
        if count == MAX_UNANSWERED || eases {
            self.eased.notify_one();
        }
    }

    pub(super) fn written(&self, bytes: usize) {
        let before = self.unwritten.fetch_sub(bytes, Ordering::Relaxed);
        if before >= MAX_UNWRITTEN && before - bytes < MAX_UNWRITTEN {
            self.eased.notify_one();
        }
    }

    /// Waits until less is owed than a connection may owe.
    pub(super) async fn eased(&self) {
        while self.unanswered.load(Ordering::Relaxed) >= MAX_UNANSWERED
            || self.unanswered_bytes.load(Ordering::Relaxed) >= MAX_UNANSWERED_BYTES
            || self.unwritten.load(Ordering::Relaxed) >= MAX_UNWRITTEN
        {
            self.eased.notified().await;
        }
    }

    // Activity, for the idle sweep.

    pub(super) fn active(&self, now: Millis) {
        self.active.store(now, Ordering::Relaxed);
    }

    pub(super) fn last_active(&self) -> Millis {
        self.active.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({}, {})", self.id, self.remote)
    }
}

/// A header of a request of ours with these fields.
pub fn request(code: crate::protocol::codes::RequestCode, fields: &impl Emit) -> Header {
    Header::request(code).with_fields(crate::protocol::fields::Fields::of(fields))
}
