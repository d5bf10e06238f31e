//! Where messages are sent to: valid for as long as the actor's place in the tree, over all its restarts.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    Message,
    cell::{Cell, Phase},
};

/// The way into a mailbox.
pub(super) trait Door<M>: Send + Sync {
    /// Queues the message, or gives it back when the actor is gone for good.
    fn push(&self, message: M) -> Result<(), M>;
}

/// A handle to an actor that takes messages of type `M`. Cheap to clone.
pub struct Address<M: Message> {
    pub(super) cell: Arc<Cell>,
    pub(super) door: Arc<dyn Door<M>>,
}

impl<M: Message> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self { cell: self.cell.clone(), door: self.door.clone() }
    }
}

impl<M: Message> fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.cell.path()).finish()
    }
}

/// Why a message was not taken; it comes back with the refusal.
#[derive(thiserror::Error)]
pub enum SendError<M> {
    /// The mailbox is full: wait, or answer the requester that the system is busy.
    #[error("the mailbox is full: try again later")]
    Full(M),
    /// The actor left the tree.
    #[error("the actor has ended")]
    Closed(M),
}

impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full",
            Self::Closed(_) => "Closed",
        })
    }
}

impl<M> SendError<M> {
    /// The message that was not sent.
    pub fn into_message(self) -> M {
        match self {
            Self::Full(message) | Self::Closed(message) => message,
        }
    }
}

impl<M: Message> Address<M> {
    /// Tells the actor, unless its mailbox is full or it has ended.
    pub fn send(&self, message: M) -> Result<(), SendError<M>> {
        if !self.cell.admit() {
            return Err(SendError::Full(message));
        }
        self.door.push(message).map_err(|message| {
            self.cell.taken();
            SendError::Closed(message)
        })?;
        #[cfg(feature = "chaos")]
        super::chaos::step();
        Ok(())
    }

    /// Tells the actor even when its mailbox is full: for answers and completions, whose number is bounded
    /// by the requests that caused them. A message to an actor that has ended is dropped.
    pub fn complete(&self, message: M) {
        self.cell.admit_always();
        if self.door.push(message).is_err() {
            self.cell.taken();
        }
        #[cfg(feature = "chaos")]
        super::chaos::step();
    }

    /// [`Address::complete`] with the message on which the actor ends: should it fail before it comes to that, it is
    /// not started again.
    pub fn finish(&self, message: M) {
        self.cell.ends();
        self.complete(message);
    }

    /// Like [`Address::send`], but waits for room up to `patience`.
    pub async fn send_within(&self, message: M, patience: Duration) -> Result<(), SendError<M>> {
        let deadline = tokio::time::Instant::now() + patience;
        let mut message = message;
        loop {
            let room = self.cell.room();
            match self.send(message) {
                Err(SendError::Full(back)) => message = back,
                other => return other,
            }
            if tokio::time::timeout_at(deadline, room).await.is_err() {
                return Err(SendError::Full(message));
            }
        }
    }

    /// Messages that wait in the mailbox.
    pub fn depth(&self) -> usize {
        self.cell.depth()
    }

    /// The actor's path in the tree.
    pub fn path(&self) -> &str {
        self.cell.path()
    }

    /// Whether the actor has left the tree for good.
    pub fn is_closed(&self) -> bool {
        self.cell.phase() == Phase::Stopped
    }
}
