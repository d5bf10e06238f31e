//! The actor that makes files and pages ready ahead of the log's writer.

use std::{ops::Range, sync::Arc, time::Duration};

use crate::{
    actors::supervision::{Behaviour, Cx, Readiness},
    store::{PhysicalOffset, commit_log::CommitLog, mapped_file::MappedFile},
};

crate::messages! {
    /// What the allocator is told.
    pub(super) enum AllocatorMessage {
        /// Touch these pages, and see that a next file is there.
        Warm { file: Arc<MappedFile>, range: Range<usize> },
        /// See that a next file is there.
        Prepare,
        /// Try again to make it.
        Retry,
        /// Touch the pages of a whole new file from here on.
        WarmWhole { file: Arc<MappedFile>, from: usize },
    }
}

/// How much of the log stays mapped behind its writer.
const MAPPED_BEHIND: usize = 128 << 20;
/// How long to wait before a full disk is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// How much of a new file is touched before others on this thread have their turn.
const WARM_AT_ONCE: usize = 16 << 20;

/// How a whole new file is warmed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Warming {
    /// With synchronous flush: so many bytes are touched and forced to the device at a time, so that the first
    /// sync of the log need not write the whole file.
    pub(super) sync_each: Option<usize>,
}

pub(super) struct Allocator {
    log: Arc<CommitLog>,
    /// `warmMapedFileEnable`: touch all pages of a new file as soon as it is there.
    warming: Option<Warming>,
    /// The file whose pages were touched last.
    warmed: Option<PhysicalOffset>,
    /// A retry is under way.
    retries: bool,
}

impl Allocator {
    pub(super) fn new(log: Arc<CommitLog>, warming: Option<Warming>) -> Self {
        Self { log, warming, warmed: None, retries: false }
    }

    fn prepare(&mut self, cx: &mut Cx<'_, Self>) {
        match self.log.files().prepare_next() {
            Ok(file) if self.warming.is_some() && self.warmed.replace(file.base()) != Some(file.base()) => {
                cx.address().complete(AllocatorMessage::WarmWhole { file, from: 0 });
            }
            Ok(_) => {}
            Err(error) => {
                // The writer meets the same error when it needs the file, and answers its senders.
                tracing::warn!(%error, "no next file for the log yet");
                if !std::mem::replace(&mut self.retries, true) {
                    cx.after(RETRY, AllocatorMessage::Retry);
                }
            }
        }
    }
}

impl Behaviour for Allocator {
    type Message = AllocatorMessage;
    const KIND: &'static str = "allocator";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        self.prepare(cx);
        Readiness::Ready
    }

    fn handle(&mut self, message: AllocatorMessage, cx: &mut Cx<'_, Self>) {
        match message {
            AllocatorMessage::Warm { file, range } => {
                let near_end = range.end == file.len();
                file.warm(range.clone());
                let behind = |at: usize| at.saturating_sub(MAPPED_BEHIND);
                file.unmap(behind(range.start)..behind(range.end));
                if near_end && !self.retries {
                    self.prepare(cx);
                }
            }
            AllocatorMessage::Prepare if self.retries => {}
            AllocatorMessage::Prepare => self.prepare(cx),
            AllocatorMessage::Retry => {
                self.retries = false;
                self.prepare(cx);
            }
            AllocatorMessage::WarmWhole { file, from } => {
                let sync_each = self.warming.and_then(|warming| warming.sync_each);
                let to = from.saturating_add(sync_each.unwrap_or(WARM_AT_ONCE));
                file.warm(from..to);
                if sync_each.is_some() {
                    self.log.sync_warmed(&file, from..to);
                }
                if to < file.len() {
                    cx.address().complete(AllocatorMessage::WarmWhole { file, from: to });
                }
            }
        }
    }
}
