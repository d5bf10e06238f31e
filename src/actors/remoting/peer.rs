//! The other side of a connection, as everyone but the connection itself sees it.

use std::{
    collections::HashMap,
    fmt,
    future::poll_fn,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::sync::{Notify, Semaphore, SemaphorePermit, mpsc, oneshot};

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
    /// Bytes of a frame that has not arrived whole, and since when it has been arriving; 0: there is none.
    unfinished: AtomicUsize,
    unfinished_since: AtomicI64,
    /// All bytes that it keeps: those of requests, answers, unfinished frames.
    kept: AtomicUsize,
    eased: Notify,
    /// What all connections of its listener owe.
    all: Arc<Owed>,
    abandoned: Notify,
    busy: AtomicBool,
    active: AtomicI64,
    opaque: AtomicI32,
    calls: Mutex<HashMap<i32, oneshot::Sender<Frame>>>,
}

/// What all connections of a listener keep in memory: requests, answers, unfinished frames.
#[derive(Debug)]
pub(super) struct Owed {
    bytes: AtomicUsize,
    limit: usize,
    eased: Notify,
    /// Connections that always have more to read.
    busy: AtomicUsize,
    turns: Semaphore,
    /// Bytes of requests with a body that are not answered yet.
    unanswered: AtomicUsize,
    answered: Notify,
}

impl Owed {
    /// Connections that keep more than a little are read no further while all keep more than `limit` bytes.
    ///
    /// Those that always have more to read do so `at_once` at a time.
    pub(super) fn up_to(limit: usize, at_once: usize) -> Arc<Self> {
        let [bytes, busy, unanswered] = [0; 3].map(AtomicUsize::new);
        let [eased, answered] = [(); 2].map(|()| Notify::new());
        Arc::new(Self { bytes, limit, eased, busy, turns: Semaphore::new(at_once), unanswered, answered })
    }

    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn sub(&self, bytes: usize) {
        let before = self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        // Well below the limit: at the limit itself every answer would wake up all who wait.
        let low = self.limit - self.limit / 4;
        if before >= low && before - bytes < low {
            self.eased.notify_waiters();
        }
    }

    /// A request came that carries something: it is under way, while one that carries nothing may well be parked.
    fn request_came(&self, bytes: usize) {
        if bytes > 0 {
            self.unanswered.fetch_add(bytes + REQUEST, Ordering::Relaxed);
        }
    }

    fn request_done(&self, bytes: usize) {
        if bytes > 0 {
            let before = self.unanswered.fetch_sub(bytes + REQUEST, Ordering::Relaxed);
            if before >= READ_AT_ONCE && before - bytes - REQUEST < READ_AT_ONCE {
                self.answered.notify_waiters();
            }
        }
    }

    /// Waits until what busy connections have asked for before is nearly done: whoever asks little waits behind no
    /// more than that.
    async fn caught_up(&self) {
        while self.unanswered.load(Ordering::Relaxed) >= READ_AT_ONCE {
            let mut answered = pin!(self.answered.notified());
            answered.as_mut().enable();
            // It may have become less before anybody listened.
            if self.unanswered.load(Ordering::Relaxed) >= READ_AT_ONCE {
                answered.await;
            }
        }
    }

    fn is_too_much(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= self.limit
    }
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
/// What a connection may keep when all together keep too much, so that everybody gets on.
const A_LITTLE: usize = 16 << 10;
/// What busy connections read together, before each has its next turn, and what may be under way before one has.
const READ_AT_ONCE: usize = 4 << 20;
/// What a request costs beside its body.
const REQUEST: usize = 512;

impl Peer {
    pub(super) fn new(
        remote: SocketAddr,
        local: SocketAddr,
        now: Millis,
        all: Arc<Owed>,
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
            unfinished: AtomicUsize::new(0),
            unfinished_since: AtomicI64::new(0),
            kept: AtomicUsize::new(0),
            eased: Notify::new(),
            all,
            abandoned: Notify::new(),
            busy: AtomicBool::new(false),
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
        let cost = thing.cost();
        self.unwritten.fetch_add(cost, Ordering::Relaxed);
        self.keeps(cost);
        if self.outbox.send(thing).is_err() {
            // Nobody takes it any more: the connection has ended.
            self.written(cost);
        }
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
        self.unfinished(0, false, 0);
        self.is_busy(false);
    }

    /// Ends the connection though the other side takes nothing of what waits for it.
    pub(super) fn abandon(&self) {
        self.close();
        self.abandoned.notify_one();
    }

    /// Completes when the connection is abandoned.
    pub(super) async fn abandoned(&self) {
        self.abandoned.notified().await;
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<i32, oneshot::Sender<Frame>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // What is owed.

    fn keeps(&self, bytes: usize) {
        self.kept.fetch_add(bytes, Ordering::Relaxed);
        self.all.add(bytes);
    }

    fn lets_go(&self, bytes: usize) {
        let before = self.kept.fetch_sub(bytes, Ordering::Relaxed);
        if before > A_LITTLE && before - bytes <= A_LITTLE {
            self.eased.notify_one();
        }
        self.all.sub(bytes);
    }

    pub(super) fn request_came(&self, bytes: usize) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        self.unanswered_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.all.request_came(bytes);
        self.keeps(bytes + REQUEST);
    }

    pub(super) fn request_done(&self, bytes: usize) {
        let count = self.unanswered.fetch_sub(1, Ordering::Relaxed);
        let before = self.unanswered_bytes.fetch_sub(bytes, Ordering::Relaxed);
        let eases = before >= MAX_UNANSWERED_BYTES && before - bytes < MAX_UNANSWERED_BYTES;
        if count == MAX_UNANSWERED || eases {
            self.eased.notify_one();
        }
        self.all.request_done(bytes);
        self.lets_go(bytes + REQUEST);
    }

    pub(super) fn written(&self, bytes: usize) {
        let before = self.unwritten.fetch_sub(bytes, Ordering::Relaxed);
        if before >= MAX_UNWRITTEN && before - bytes < MAX_UNWRITTEN {
            self.eased.notify_one();
        }
        self.lets_go(bytes);
    }

    /// So many bytes of a frame have arrived; `anew` when it is another frame than before.
    pub(super) fn unfinished(&self, bytes: usize, anew: bool, now: Millis) {
        let before = self.unfinished.swap(bytes, Ordering::Relaxed);
        self.keeps(bytes);
        self.lets_go(before);
        if bytes == 0 {
            self.unfinished_since.store(0, Ordering::Relaxed);
        } else if anew || before == 0 {
            self.unfinished_since.store(now, Ordering::Relaxed);
        }
    }

    fn owes_too_much(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) >= MAX_UNANSWERED
            || self.unanswered_bytes.load(Ordering::Relaxed) >= MAX_UNANSWERED_BYTES
            || self.unwritten.load(Ordering::Relaxed) >= MAX_UNWRITTEN
            || (self.all.is_too_much() && self.kept.load(Ordering::Relaxed) > A_LITTLE)
    }

    /// Waits until less is owed than a connection, and all together, may owe.
    pub(super) async fn eased(&self) {
        while self.owes_too_much() {
            let (mut own, mut all) = (pin!(self.eased.notified()), pin!(self.all.eased.notified()));
            // It may have become less before anybody listened.
            if self.owes_too_much() {
                poll_fn(|cx| match own.as_mut().poll(cx) {
                    Poll::Pending => all.as_mut().poll(cx),
                    ready => ready,
                })
                .await;
            }
        }
    }

    /// Notes whether its last read took all that it was offered, so that there is more.
    pub(super) fn is_busy(&self, busy: bool) {
        if self.busy.swap(busy, Ordering::Relaxed) != busy {
            match busy {
                true => self.all.busy.fetch_add(1, Ordering::Relaxed),
                false => self.all.busy.fetch_sub(1, Ordering::Relaxed),
            };
        }
    }

    /// Waits for its turn, if it always has more to read: few such have theirs at a time, and whoever asks little
    /// gets between them.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        match self.busy.load(Ordering::Relaxed) {
            true => {
                // It is never closed.
                let turn = self.all.turns.acquire().await.ok();
                self.all.caught_up().await;
                // Whatever else is ready runs, and the sockets are looked at, before a busy one is read again: by
                // itself the runtime looks only after 61 tasks.
                tokio::task::yield_now().await;
                turn
            }
            false => None,
        }
    }

    /// The most that is to be offered to a read: the more connections are busy, the shorter is a turn.
    pub(super) fn share(&self) -> usize {
        if self.all.is_too_much() { 0 } else { READ_AT_ONCE / self.all.busy.load(Ordering::Relaxed).max(1) }
    }

    // Activity, for the idle sweep.

    pub(super) fn active(&self, now: Millis) {
        self.active.store(now, Ordering::Relaxed);
    }

    /// Whether nothing came or went since then, or a frame has been arriving since before.
    pub(super) fn is_stuck_since(&self, then: Millis) -> bool {
        let unfinished = self.unfinished_since.load(Ordering::Relaxed);
        self.active.load(Ordering::Relaxed) < then || (unfinished != 0 && unfinished < then)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // What its ended connection has not written.
        self.all.sub(*self.kept.get_mut());
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_read(peer: &Peer) -> bool {
        tokio::time::timeout(Duration::from_millis(20), peer.eased()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_keep_too_much_who_keeps_little_is_read_on() {
        let all = Owed::up_to(100_000, 1);
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let [(greedy, _sent), (modest, _)] = [0; 2].map(|now| Peer::new(nowhere, nowhere, now, all.clone()));
        greedy.request_came(100_000);
        assert!(!is_read(&greedy).await && is_read(&modest).await);
        modest.unfinished(20_000, true, 1);
        assert!(!is_read(&modest).await);
        let waits = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            modest.unfinished(0, false, 2);
        };
        let (read, ()) = tokio::join!(is_read(&modest), waits);
        assert!(read, "it is told when it keeps little again");
        greedy.request_done(100_000);
        assert!(is_read(&greedy).await);
        greedy.request_came(100_000);
        modest.unfinished(20_000, true, 3);
        drop(greedy);
        assert!(is_read(&modest).await, "what an ended connection kept is nobody's");
    }

    #[tokio::test(start_paused = true)]
    async fn busy_connections_take_turns_and_the_others_wait_for_nobody() {
        let all = Owed::up_to(usize::MAX, 1);
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let [(one, _a), (two, _b), (quiet, _c)] =
            [0; 3].map(|now| Peer::new(nowhere, nowhere, now, all.clone()));
        one.is_busy(true);
        let alone = one.share();
        two.is_busy(true);
        assert_eq!(one.share(), alone / 2);
        let turn = one.turn().await;
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, two.turn()).await.is_err() && quiet.turn().await.is_none());
        drop(turn);
        assert!(two.turn().await.is_some());
        quiet.request_came(0);
        one.request_came(READ_AT_ONCE);
        assert!(tokio::time::timeout(soon, two.turn()).await.is_err() && quiet.turn().await.is_none());
        let (turn, ()) = tokio::join!(two.turn(), async { one.request_done(READ_AT_ONCE) });
        assert!(turn.is_some(), "what was under way is done");
        two.end();
        assert_eq!(one.share(), alone);
    }
}
