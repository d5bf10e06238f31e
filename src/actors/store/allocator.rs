//! The actor that makes files and pages ready ahead of the log's writer.

use std::{ops::Range, sync::Arc};

use crate::{
    actors::supervision::{Behaviour, Cx, Readiness},
    store::{commit_log::CommitLog, mapped_file::MappedFile},
};

crate::messages! {
    /// What the allocator is told.
    pub(super) enum AllocatorMessage {
        /// Touch these pages, and see that a next file is there.
        Warm { file: Arc<MappedFile>, range: Range<usize> },
    }
}

pub(super) struct Allocator {
    pub(super) log: Arc<CommitLog>,
}

impl Allocator {
    fn prepare(&self) {
        if let Err(error) = self.log.files().prepare_next() {
            // The writer will meet the same error when it needs the file, and answer its senders.
            tracing::warn!(%error, "no next file for the log yet");
        }
    }
}

impl Behaviour for Allocator {
    type Message = AllocatorMessage;
    const KIND: &'static str = "allocator";

    fn started(&mut self, _cx: &mut Cx<'_, Self>) -> Readiness {
        self.prepare();
        Readiness::Ready
    }

    fn handle(&mut self, message: AllocatorMessage, _cx: &mut Cx<'_, Self>) {
        let AllocatorMessage::Warm { file, range } = message;
        let near_end = range.end == file.len();
        file.warm(range);
        if near_end {
            self.prepare();
        }
    }
}
