//! One connection: requests of many callers, answers by number in any order (fact sheet: remoting 1.4).

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter},
    sync::{mpsc, oneshot, watch},
};
use tracing::{debug, warn};

use crate::{
    client::Error,
    protocol::{codes::ResponseCode, frame::Frame},
};

/// Requests that may wait for the socket before callers do.
const OUTBOX: usize = 1024;
/// Frames that are written together at most.
const BURST: usize = 256;
/// Room for what has arrived and what leaves.
const BUFFER: usize = 64 << 10;

/// A request or notice from the server.
#[derive(Debug)]
pub(in crate::client) struct Inbound {
    pub(in crate::client) address: Arc<str>,
    pub(in crate::client) frame: Frame,
    outbox: mpsc::WeakSender<Bytes>,
}

impl Inbound {
    /// Answers without fields, unless the sender wants no answer. It is lost when the socket takes nothing for so
    /// long that the outbox is full: the sender gives up then, and others are not held up.
    pub(in crate::client) fn answer(&self, code: ResponseCode, body: &[u8]) {
        if self.frame.header.is_oneway() {
            return;
        }
        let mut out = BytesMut::new();
        if self.frame.header.reply_to().answer(code).encode(body, &mut out).is_ok()
            && let Some(outbox) = self.outbox.upgrade()
        {
            // A connection that has ended needs no answer.
            let _ = outbox.try_send(out.freeze());
        }
    }
}

/// A handle on a live connection; when the last one is gone the connection closes.
#[derive(Clone, Debug)]
pub(in crate::client) struct Connection(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    address: Arc<str>,
    local: SocketAddr,
    outbox: mpsc::Sender<Bytes>,
    pending: Arc<Pending>,
    opaque: AtomicI32,
    close: watch::Sender<bool>,
}

/// Callers that wait, by the number of their request; none once the connection has ended.
#[derive(Debug)]
struct Pending(Mutex<Option<HashMap<i32, oneshot::Sender<Frame>>>>);

impl Pending {
    fn with<R>(&self, act: impl FnOnce(&mut Option<HashMap<i32, oneshot::Sender<Frame>>>) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn settle(&self, frame: Frame) {
        let waiting = self.with(|pending| pending.as_mut()?.remove(&frame.header.opaque));
        if let Some(waiting) = waiting {
            // The caller may have gone; then nobody misses the answer.
            let _ = waiting.send(frame);
        }
    }
}

/// Forgets a request when its caller is done with it, whatever the reason.
struct Waiting<'a> {
    pending: &'a Pending,
    opaque: i32,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pending.with(|pending| pending.as_mut().map(|pending| pending.remove(&self.opaque)));
    }
}

impl Connection {
    /// Takes over a connected socket; what the server asks goes to `inbound`.
    pub(super) fn over(
        read: impl AsyncRead + Send + Unpin + 'static,
        write: impl AsyncWrite + Send + Unpin + 'static,
        local: SocketAddr,
        address: Arc<str>,
        inbound: mpsc::Sender<Inbound>,
    ) -> Self {
        let (outbox, outgoing) = mpsc::channel(OUTBOX);
        let (close, mut closed) = watch::channel(false);
        let pending = Arc::new(Pending(Mutex::new(Some(HashMap::new()))));
        let reader = Reader {
            address: address.clone(),
            pending: pending.clone(),
            outbox: outbox.downgrade(),
            inbound,
        };
        let shared = Shared { address, local, outbox, pending, opaque: AtomicI32::new(0), close };
        tokio::spawn(async move {
            let address = reader.address.clone();
            let pending = reader.pending.clone();
            let end = tokio::select! {
                end = reader.run(read) => end,
                end = write_all(write, outgoing) => end,
                // Told to, or nobody holds the connection any more.
                _ = closed.wait_for(|close| *close) => Ok(()),
            };
            debug!(%address, ?end, "connection ended");
            pending.with(Option::take);
        });
        Self(Arc::new(shared))
    }

    /// Whether requests can still be sent.
    pub(super) fn is_open(&self) -> bool {
        !self.0.outbox.is_closed()
    }

    /// Ends the connection for all who share it: its server no longer answers.
    pub(in crate::client) fn close(&self) {
        self.0.close.send_replace(true);
    }

    /// Our end.
    pub(in crate::client) fn local(&self) -> SocketAddr {
        self.0.local
    }

    /// Sends a request and waits for its answer, whatever its code; dropping the future forgets the request.
    pub(in crate::client) async fn call(&self, mut frame: Frame, timeout: Duration) -> Result<Frame, Error> {
        let Shared { address, outbox, pending, opaque, .. } = &*self.0;
        frame.header.opaque = opaque.fetch_add(1, Ordering::Relaxed);
        let (answered, answer) = oneshot::channel();
        let waiting = Waiting { pending, opaque: frame.header.opaque };
        let disconnected = || Error::Disconnected { address: address.to_string() };
        pending
            .with(|pending| pending.as_mut().map(|pending| pending.insert(waiting.opaque, answered)))
            .ok_or_else(disconnected)?;
        let bytes = encode(&frame)?;
        let exchange = async {
            outbox.send(bytes).await.map_err(|_| disconnected())?;
            answer.await.map_err(|_| disconnected())
        };
        let expired = |_| Error::Timeout { address: address.to_string(), after: timeout };
        tokio::time::timeout(timeout, exchange).await.map_err(expired)?
    }

    /// Hands a request to the socket and expects no answer.
    pub(in crate::client) async fn tell(&self, mut frame: Frame) -> Result<(), Error> {
        frame.header.opaque = self.0.opaque.fetch_add(1, Ordering::Relaxed);
        frame.header = frame.header.oneway();
        let disconnected = |_| Error::Disconnected { address: self.0.address.to_string() };
        self.0.outbox.send(encode(&frame)?).await.map_err(disconnected)
    }
}

fn encode(frame: &Frame) -> Result<Bytes, Error> {
    let mut out = BytesMut::with_capacity(frame.body.len() + 1024);
    frame.encode(&mut out)?;
    Ok(out.freeze())
}

struct Reader {
    address: Arc<str>,
    pending: Arc<Pending>,
    outbox: mpsc::WeakSender<Bytes>,
    inbound: mpsc::Sender<Inbound>,
}

impl Reader {
    async fn run(self, mut read: impl AsyncRead + Unpin) -> std::io::Result<()> {
        let mut buffer = BytesMut::with_capacity(BUFFER);
        loop {
            while let Some(frame) = Frame::decode(&mut buffer).map_err(std::io::Error::other)? {
                if frame.header.is_response() {
                    self.pending.settle(frame);
                } else {
                    self.receive(frame);
                }
            }
            if read.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Passes on what the server asks; it asks again if that is lost.
    fn receive(&self, frame: Frame) {
        let inbound = Inbound { address: self.address.clone(), frame, outbox: self.outbox.clone() };
        if self.inbound.try_send(inbound).is_err() {
            warn!(address = %self.address, "too many requests from the server, one is dropped");
        }
    }
}

/// Writes what waits, as many frames at a time as there are.
async fn write_all(
    write: impl AsyncWrite + Unpin,
    mut outgoing: mpsc::Receiver<Bytes>,
) -> std::io::Result<()> {
    let mut write = BufWriter::with_capacity(BUFFER, write);
    let mut frames = Vec::with_capacity(BURST);
    while outgoing.recv_many(&mut frames, BURST).await > 0 {
        for frame in frames.drain(..) {
            write.write_all(&frame).await?;
        }
        write.flush().await?;
    }
    Ok(())
}
