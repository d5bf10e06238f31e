//! Where the queue actors are found, and how they come to be.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix::ArbiterHandle;
use dashmap::DashMap;
use tokio::sync::Semaphore;

use super::{
    ack::{Acknowledgement, Refusal},
    log::LogMessage,
    queue::{AT_ONCE, Payload, QueueMessage, SendJob, TopicQueue},
};
use crate::{
    actors::supervision::{Address, Branch, Restart, Spec},
    protocol::{codes::ResponseCode, record::RecordFields, topic::is_storable},
    store::{Store, StoreError},
};

/// All topic queues of a broker: one actor each, made when it is first needed. Cheap to clone.
#[derive(Clone)]
pub struct Queues(Arc<Directory>);

/// The queues of a topic by their ids, of which there may be many.
type Addresses = BTreeMap<i32, Address<QueueMessage>>;

struct Directory {
    topics: DashMap<Box<str>, Addresses>,
    branch: Branch,
    arbiter: ArbiterHandle,
    capacity: usize,
    store: Arc<Store>,
    log: OnceLock<Address<LogMessage>>,
    /// For reads from the device.
    places: Arc<Semaphore>,
}

/// How long a queue may take to serve what it has queued when it is stopped.
const SHUTDOWN: Duration = Duration::from_secs(10);

impl Queues {
    pub(super) fn new(branch: Branch, arbiter: &ArbiterHandle, capacity: usize, store: Arc<Store>) -> Self {
        let (topics, log) = (DashMap::new(), OnceLock::new());
        let places = Arc::new(Semaphore::new(AT_ONCE));
        Self(Arc::new(Directory { topics, branch, arbiter: arbiter.clone(), capacity, store, log, places }))
    }

    pub(super) fn connect(&self, log: Address<LogMessage>) {
        // Connected once, while the store's branch is grown.
        let _ = self.0.log.set(log);
    }

    /// The actor of a queue.
    ///
    /// # Errors
    /// [`StoreError::BadTopic`] for a topic that may not become a directory.
    pub(crate) fn address(&self, topic: &str, queue_id: i32) -> Result<Address<QueueMessage>, StoreError> {
        if let Some(queues) = self.0.topics.get(topic)
            && let Some(address) = find(&queues, queue_id)
        {
            return Ok(address.clone());
        }
        if !is_storable(topic) || queue_id < 0 {
            let reason = "no legal topic or queue";
            return Err(StoreError::BadTopic { topic: format!("{topic}:{queue_id}"), reason });
        }
        let mut queues = self.0.topics.entry(topic.into()).or_default();
        if let Some(address) = find(&queues, queue_id) {
            return Ok(address.clone());
        }
        let address = self.start(topic, queue_id);
        queues.insert(queue_id, address.clone());
        Ok(address)
    }

    /// Stores a message of the broker's own; `ack` is told in any case.
    pub(crate) fn put(&self, fields: RecordFields, ack: Acknowledgement) {
        let topic = fields.topic.clone();
        let address = match std::str::from_utf8(&topic) {
            Ok(topic) => self.address(topic, fields.queue_id),
            Err(_) => Err(StoreError::BadTopic { topic: String::new(), reason: "no text" }),
        };
        match address {
            Ok(queue) => {
                let payload = Payload::One(Box::new(fields));
                // Whoever waits for it hears when it is not taken. Without waiting for the device it would not
                // be seen for long either: readers see what is as safe as the policy says.
                let _ = queue.send(QueueMessage::Send(vec![SendJob { payload, waits: true, ack }]));
            }
            Err(error) => {
                ack.refused(&Refusal { code: ResponseCode::MESSAGE_ILLEGAL, remark: error.to_string() })
            }
        }
    }

    fn start(&self, topic: &str, queue_id: i32) -> Address<QueueMessage> {
        let Directory { branch, arbiter, capacity, .. } = &*self.0;
        let spec = Spec::new(format!("{topic}:{queue_id}"), arbiter)
            .restart(Restart::Transient)
            .capacity(*capacity)
            .shutdown(SHUTDOWN);
        let (directory, topic) = (Arc::downgrade(&self.0), topic.to_owned());
        branch.child(spec, move || {
            let directory = directory.upgrade().ok_or("the store is gone")?;
            let log = directory.log.get().ok_or("the log's writer is not known yet")?.clone();
            let places = directory.places.clone();
            Ok(TopicQueue::open(&directory.store, &topic, queue_id, log, places)?)
        })
    }

    /// The actor of a queue, if there is one.
    pub(super) fn live(&self, topic: &str, queue_id: i32) -> Option<Address<QueueMessage>> {
        let queues = self.0.topics.get(topic)?;
        find(&queues, queue_id).cloned()
    }

    /// Stops the actors of a topic and forgets them; for a topic that is deleted.
    pub(crate) fn forget(&self, topic: &str) {
        if let Some((_, queues)) = self.0.topics.remove(topic) {
            for address in queues.into_values() {
                address.finish(QueueMessage::Close);
            }
        }
    }

    /// Actors of queues at this moment.
    pub fn len(&self) -> usize {
        self.0.topics.iter().map(|queues| queues.len()).sum()
    }

    /// Whether there is no queue actor.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn find(queues: &Addresses, queue_id: i32) -> Option<&Address<QueueMessage>> {
    queues.get(&queue_id).filter(|address| !address.is_closed())
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues").field("actors", &self.len()).finish_non_exhaustive()
    }
}
