//! The actor of one connection: a reading and a writing future, which end together.

use std::{future::poll_fn, io, net::SocketAddr, pin::pin, sync::Arc, task::Poll};

use bytes::{BufMut, BytesMut};
use tokio::{
    io::AsyncReadExt,
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{SemaphorePermit, mpsc::UnboundedReceiver},
};

use super::{
    Request, Responder, Service,
    listener::Seat,
    outbox::{Outgoing, Unwritten},
    peer::Peer,
};
use crate::{
    actors::supervision::{Behaviour, Clock, Cx, Readiness},
    protocol::frame::{Frame, FrameError},
};

crate::messages! {
    /// What a connection is told, by its own futures.
    pub(super) enum ConnectionMessage {
        /// One of its futures came to its end.
        Ended(Result<(), Ending>),
    }
}

/// Why a connection ended, other than by the other side's closing it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ending {
    /// What arrived is no frame: there is no next one to find.
    #[error("not a frame: {0}")]
    Frame(#[from] FrameError),
    /// The other side is silent, or does not read, for too long.
    #[error("idle")]
    Idle,
    /// The network said no.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The first read of a connection is offered this much; reads that fill what they are offered are offered
/// twice as much next time.
const SMALLEST_READ: usize = 4 << 10;
const LARGEST_READ: usize = 256 << 10;
/// Requests after which a connection lets others have their turn.
const A_TURN: usize = 256;
/// Answers that are encoded before a write.
const MOST_ANSWERS: usize = 1_024;
/// Bytes that are encoded before a write.
const ENOUGH_BYTES: usize = 256 << 10;

pub(super) struct Connection<S: Service> {
    service: Arc<S>,
    peer: Arc<Peer>,
    halves: Option<(OwnedReadHalf, OwnedWriteHalf, UnboundedReceiver<Outgoing>)>,
    /// Its place among the connections that are allowed at a time.
    _seat: Seat,
}

impl<S: Service> Connection<S> {
    pub(super) fn new(
        service: Arc<S>,
        stream: TcpStream,
        peer: Arc<Peer>,
        outgoing: UnboundedReceiver<Outgoing>,
        seat: Seat,
    ) -> Self {
        let (read, write) = stream.into_split();
        Self { service, peer, halves: Some((read, write, outgoing)), _seat: seat }
    }
}

impl<S: Service> Behaviour for Connection<S> {
    type Message = ConnectionMessage;
    const KIND: &'static str = "connection";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        if let Some((read, write, outgoing)) = self.halves.take() {
            let (service, peer, clock) = (self.service.clone(), self.peer.clone(), cx.clock().clone());
            cx.spawn(async move { ConnectionMessage::Ended(serve(read, &*service, &peer, &clock).await) });
            let (peer, clock) = (self.peer.clone(), cx.clock().clone());
            cx.spawn(
                async move { ConnectionMessage::Ended(write_all(write, outgoing, &peer, &clock).await) },
            );
        }
        Readiness::Ready
    }

    fn handle(&mut self, ConnectionMessage::Ended(how): ConnectionMessage, cx: &mut Cx<'_, Self>) {
        match how {
            Ok(()) => {}
            Err(error @ (Ending::Io(_) | Ending::Idle)) => {
                tracing::debug!(peer = %self.peer.remote(), %error, "connection ended");
            }
            Err(error) => tracing::warn!(peer = %self.peer.remote(), %error, "connection closed"),
        }
        cx.stop();
    }

    fn stop(&mut self, _cx: &mut Cx<'_, Self>) -> Readiness {
        self.peer.close();
        Readiness::Later
    }

    fn observe(&self) -> String {
        self.peer.remote().to_string()
    }
}

impl<S: Service> Drop for Connection<S> {
    fn drop(&mut self) {
        self.peer.end();
        self.service.closed(&self.peer);
    }
}

/// Reads, decodes and serves until the other side closes.
pub(super) async fn serve<S: Service>(
    mut read: OwnedReadHalf,
    service: &S,
    peer: &Arc<Peer>,
    clock: &Clock,
) -> Result<(), Ending> {
    let mut buffer = BytesMut::new();
    let mut offer = SMALLEST_READ;
    loop {
        peer.eased().await;
        read.readable().await?;
        let turn = peer.turn().await;
        let share = peer.share().max(SMALLEST_READ);
        offer = offer.min(share);
        buffer.reserve(offer);
        let room = (buffer.capacity() - buffer.len()).min(share);
        // Unlike `try_read_buf`, this knows that a read which did not fill its window has emptied the socket.
        let polled = {
            let mut window = (&mut buffer).limit(room);
            let mut reading = pin!(read.read_buf(&mut window));
            poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await
        };
        let count = match polled {
            Poll::Ready(Ok(0)) => return Ok(()),
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(error)) => return Err(error.into()),
            Poll::Pending => {
                peer.is_busy(false);
                continue;
            }
        };
        let is_filled = count >= room.min(offer);
        peer.is_busy(is_filled);
        if is_filled {
            offer = (offer * 2).min(LARGEST_READ);
        } else if count < offer / 4 {
            offer = (offer / 2).max(SMALLEST_READ);
        }
        let now = clock.now();
        peer.active(now);
        let arrived = buffer.len();
        let mut turn = turn;
        while serve_some(&mut buffer, service, peer, turn.take()).await? {
            // Others live on this thread.
            tokio::task::yield_now().await;
            peer.eased().await;
        }
        peer.unfinished(buffer.len(), buffer.len() < arrived, now);
        if buffer.is_empty() {
            // An idle connection holds no buffer.
            buffer = BytesMut::new();
        }
    }
}

/// Serves what has arrived whole, as far as one round goes; whether the turn ended before the buffer did.
async fn serve_some<S: Service>(
    buffer: &mut BytesMut,
    service: &S,
    peer: &Arc<Peer>,
    turn: Option<SemaphorePermit<'_>>,
) -> Result<bool, FrameError> {
    let mut requests = Vec::new();
    let outcome = loop {
        match Frame::decode(buffer) {
            Ok(Some(frame)) if frame.header.is_response() => peer.answered(frame),
            Ok(Some(frame)) => {
                let reply = Responder::new(peer, &frame.header, frame.body.len());
                requests.push(Request { header: frame.header, body: frame.body, peer: peer.clone(), reply });
            }
            Ok(None) => break Ok(false),
            Err(error) => break Err(error),
        }
        if requests.len() == A_TURN {
            break Ok(true);
        }
    };
    // What arrived whole before a broken frame is served all the same.
    if !requests.is_empty() {
        // Boxed, since it is large, and a connection that is idle is to be small.
        let mut serving = Box::pin(service.serve(requests));
        let at_once = poll_fn(|cx| Poll::Ready(serving.as_mut().poll(cx))).await;
        // Whoever waits for room in a mailbox is in nobody's way.
        drop(turn);
        if at_once.is_pending() {
            serving.await;
        }
    }
    outcome
}

/// Writes what the outbox holds, as much as possible at once, until it says to close.
pub(super) async fn write_all(
    write: OwnedWriteHalf,
    mut outgoing: UnboundedReceiver<Outgoing>,
    peer: &Peer,
    clock: &Clock,
) -> Result<(), Ending> {
    let mut unwritten = Unwritten::default();
    let mut things = Vec::new();
    // What of the outbox is in `unwritten`: it counts until it has left.
    let mut waiting = 0;
    let mut open = true;
    while open || !unwritten.is_empty() {
        if unwritten.is_empty() {
            peer.written(std::mem::take(&mut waiting));
            unwritten.shrink();
            if outgoing.recv_many(&mut things, MOST_ANSWERS).await == 0 {
                return Ok(());
            }
            unwritten.reserve(things.len());
        }
        loop {
            for thing in things.drain(..) {
                waiting += thing.cost();
                open &= unwritten.push(thing);
            }
            match outgoing.try_recv() {
                Ok(thing) if open && unwritten.len() < ENOUGH_BYTES => things.push(thing),
                Ok(thing) => {
                    things.push(thing);
                    break;
                }
                Err(_) => break,
            }
        }
        writable(&write, peer).await?;
        let written = unwritten.write(|slices| match slices {
            [one] => write.try_write(one),
            several => write.try_write_vectored(several),
        });
        match written {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            Ok(_) => peer.active(clock.now()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits until more can be written, or the connection is abandoned.
async fn writable(write: &OwnedWriteHalf, peer: &Peer) -> Result<(), Ending> {
    let (mut ready, mut abandoned) = (pin!(write.writable()), pin!(peer.abandoned()));
    poll_fn(|cx| match ready.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(outcome.map_err(Ending::from)),
        Poll::Pending => abandoned.as_mut().poll(cx).map(|()| Err(Ending::Idle)),
    })
    .await
}

/// Sets what RocketMQ's servers set on a socket (fact sheet: remoting 1.1), and makes it a tokio one of the
/// calling thread.
pub(super) fn adopt(stream: std::net::TcpStream) -> io::Result<(TcpStream, SocketAddr, SocketAddr)> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let (remote, local) = (stream.peer_addr()?, stream.local_addr()?);
    Ok((TcpStream::from_std(stream)?, remote, local))
}
