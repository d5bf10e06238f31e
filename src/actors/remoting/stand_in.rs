//! Peers without a socket, for tests of those who talk to them.

use std::{net::SocketAddr, sync::Arc};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    Request, Responder,
    outbox::{Outgoing, Unwritten},
    peer::{Owed, Peer},
};
use crate::protocol::{frame::Frame, header::Header};

/// What a [`Peer`] was sent.
pub(crate) struct Sent(UnboundedReceiver<Outgoing>);

impl Peer {
    /// A peer that nobody is connected to.
    pub(crate) fn unconnected() -> (Arc<Self>, Sent) {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let (peer, outgoing) = Peer::new(nowhere, nowhere, 0, Owed::up_to(usize::MAX, 1));
        (Arc::new(peer), Sent(outgoing))
    }

    /// Ends the connection that is not there.
    pub(crate) fn disconnect(&self) {
        self.end();
    }

    /// An answer of the other side.
    pub(crate) fn answers(&self, frame: Frame) {
        self.answered(frame);
    }
}

impl Request {
    /// A request of this peer.
    pub(crate) fn of(peer: &Arc<Peer>, header: Header, body: impl Into<Bytes>) -> Self {
        let reply = Responder::new(peer, &header, 0);
        Self { header, body: body.into(), peer: peer.clone(), reply }
    }
}

impl Sent {
    /// Waits for the next frame.
    pub(crate) async fn next(&mut self) -> Frame {
        let thing = self.0.recv().await.unwrap();
        Self::frame(thing)
    }

    /// The next frame, if one is there.
    pub(crate) fn try_next(&mut self) -> Option<Frame> {
        self.0.try_recv().ok().map(Self::frame)
    }

    fn frame(thing: Outgoing) -> Frame {
        let mut unwritten = Unwritten::default();
        let mut bytes = BytesMut::new();
        unwritten.push(thing);
        while !unwritten.is_empty() {
            let write = |slices: &[std::io::IoSlice<'_>]| {
                slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
                Ok(slices.iter().map(|slice| slice.len()).sum())
            };
            unwritten.write(write).unwrap();
        }
        Frame::decode(&mut bytes).unwrap().unwrap()
    }
}
