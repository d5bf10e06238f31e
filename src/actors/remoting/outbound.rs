//! Connections that we make: the same frames, requests and answers, from the other end.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::BytesMut;
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::mpsc::UnboundedReceiver, time::timeout};

use super::{
    Request, Service,
    connection::{serve, write_all},
    outbox::Outgoing,
    peer::{Owed, Peer},
};
use crate::{
    actors::supervision::Clock,
    protocol::{codes::ResponseCode, frame::Frame, header::Header},
};

/// A connection that was made and is not served yet.
#[derive(Debug)]
pub struct Outbound {
    stream: TcpStream,
    peer: Arc<Peer>,
    outgoing: UnboundedReceiver<Outgoing>,
}

impl Outbound {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// What the network says, or that it took longer than `patience`.
    pub async fn connect(address: &str, clock: &Clock, patience: Duration) -> io::Result<Self> {
        let stream = dial(address, patience).await?;
        let (peer, outgoing) =
            Peer::new(stream.peer_addr()?, stream.local_addr()?, clock.now(), Owed::up_to(usize::MAX, 1));
        Ok(Self { stream, peer: Arc::new(peer), outgoing })
    }

    /// The other side: [`Peer::call`] asks it, while [`Outbound::run`] runs.
    pub fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Reads and writes until the connection ends; `service` serves what the other side asks. Dropped, it
    /// ends the connection.
    pub async fn run<S: Service>(self, service: &S, clock: &Clock) {
        let Self { stream, peer, outgoing } = self;
        let _end = End { peer: peer.clone(), service };
        let (read, write) = stream.into_split();
        let mut reading = pin!(serve(read, service, &peer, clock));
        let mut writing = pin!(write_all(write, outgoing, &peer, clock));
        let ended = poll_fn(|cx| match reading.as_mut().poll(cx) {
            Poll::Pending => writing.as_mut().poll(cx),
            ended => ended,
        });
        if let Err(error) = ended.await {
            tracing::debug!(peer = %peer.remote(), %error, "connection ended");
        }
    }
}

struct End<'a, S: Service> {
    peer: Arc<Peer>,
    service: &'a S,
}

impl<S: Service> Drop for End<'_, S> {
    fn drop(&mut self) {
        self.peer.end();
        self.service.closed(&self.peer);
    }
}

/// The service of a connection on which the other side has nothing to ask.
#[derive(Clone, Copy, Debug)]
pub struct NothingServed;

impl Service for NothingServed {
    async fn serve(&self, requests: Vec<Request>) {
        for request in requests {
            let remark = format!(" request type {} not supported", request.header.code);
            request.reply.refuse(ResponseCode::REQUEST_CODE_NOT_SUPPORTED, &remark);
        }
    }

    fn closed(&self, _peer: &Arc<Peer>) {}
}

/// Connects, sends a request that wants no answer, and leaves.
///
/// # Errors
/// What the network says, or that it took longer than `patience`.
pub async fn tell_once(address: &str, header: Header, patience: Duration) -> io::Result<()> {
    let mut bytes = BytesMut::new();
    Frame::from(header.oneway()).encode(&mut bytes).map_err(io::Error::other)?;
    let mut stream = dial(address, patience).await?;
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}

async fn dial(address: &str, patience: Duration) -> io::Result<TcpStream> {
    let stream = timeout(patience, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}
