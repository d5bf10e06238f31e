//! The road of a send up to its queue: checks, and what the broker adds (fact sheet: remoting 5.1).

mod admission;
mod wishes;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use self::{admission::Place, wishes::Wishes};
use super::Broker;
use crate::{
    actors::{
        delivery::redirect,
        remoting::{Request, Responder},
        store::{
            Acknowledgement, ClientAck, Refusal,
            queue::{Payload, QueueMessage, SendJob},
        },
        supervision::Millis,
    },
    protocol::{
        codes::{RequestCode, ResponseCode},
        properties::{self, name},
        recall::RecallHandle,
        record::{PropertyText, RecordFields},
        requests::send::SendMessageRequest,
        sys_flag::SysFlag,
        topic::{RETRY_PREFIX, TIMER_WHEEL, TopicConfig},
    },
};

/// How long a connection waits for a full queue before its requests are answered that the system is busy.
const PATIENCE: Duration = Duration::from_millis(200);

/// Room for the first jobs of a queue.
const FEW: usize = 4;

/// The sends that arrived together on one connection, by queue: each queue is told once.
pub(super) struct Sends<'a> {
    broker: &'a Arc<Broker>,
    queues: Vec<QueueSends>,
}

struct QueueSends {
    topic: Bytes,
    queue_id: i32,
    jobs: Vec<SendJob>,
}

/// A request that was read, on its way to a queue.
struct Incoming {
    code: RequestCode,
    /// The client's.
    version: i32,
    header: SendMessageRequest,
    body: Bytes,
    reply: Responder,
}

impl Incoming {
    fn is_batch(&self) -> bool {
        self.code == RequestCode::SEND_BATCH_MESSAGE || self.header.batch
    }
}

impl<'a> Sends<'a> {
    pub(super) fn new(broker: &'a Arc<Broker>) -> Self {
        Self { broker, queues: Vec::new() }
    }

    /// Checks a request and puts it to its queue's; refuses it, or leaves it to the creation of its topic.
    pub(super) fn add(&mut self, request: Request) {
        let (code, version) = (request.header.request_code(), request.header.version);
        let Request { header, body, reply, .. } = request;
        match SendMessageRequest::of(code, &header.fields) {
            Ok(header) => self.add_incoming(Incoming { code, version, header, body, reply }),
            Err(error) => self.refuse(reply, ResponseCode::SYSTEM_ERROR, error.to_string()),
        }
    }

    fn add_incoming(&mut self, incoming: Incoming) {
        if let Err(refusal) = admission::check(self.broker, &incoming) {
            return self.refuse(incoming.reply, refusal.code, refusal.remark);
        }
        match self.broker.topics.get(&incoming.header.topic) {
            Some(topic) => self.add_to(&topic, incoming),
            None => create_topic(self.broker.clone(), incoming),
        }
    }

    fn add_to(&mut self, topic: &TopicConfig, incoming: Incoming) {
        let text = incoming.header.properties.clone().unwrap_or_default().into_bytes();
        let wishes = Wishes::of(&text);
        let place = match admission::place(self.broker, topic, &incoming, &wishes) {
            Ok(place) => place,
            Err(refusal) => return self.refuse(incoming.reply, refusal.code, refusal.remark),
        };
        let is_batch = incoming.is_batch();
        let Incoming { header, body, reply, .. } = incoming;
        let Place { topic, queue_id, is_dead } = place;
        let Wishes { waits, is_half, is_levelled, is_timed, .. } = wishes;
        let (properties, unique_key) =
            if is_batch { (PropertyText::new(), wishes.unique_key) } else { self.properties(text, wishes) };
        let fields = RecordFields {
            topic,
            queue_id,
            flag: header.flag,
            sys_flag: SysFlag(header.sys_flag),
            born_timestamp: header.born_timestamp,
            born_host: reply.peer().remote(),
            store_host: self.broker.identity.address,
            reconsume_times: header.reconsume_times.unwrap_or(0),
            prepared_transaction_offset: 0,
            body,
            properties,
        };
        let (later, now) = (&self.broker.delivery.later, self.broker.clock.now());
        let placed = if is_batch || !(is_dead || is_half || is_levelled || is_timed) {
            Ok(fields)
        } else if is_dead {
            Ok(redirect::undelayed(fields))
        } else if is_half && redirect::is_half(&fields) {
            later.check(&fields.properties, now).map(|()| redirect::as_half(fields, &header.producer_group))
        } else {
            later.place(fields, now)
        };
        let fields = match placed {
            Ok(fields) => Box::new(fields),
            Err(Refusal { code, remark }) => return self.refuse(reply, code, remark),
        };
        let recall_handle = if is_timed { self.recall_handle(&fields, &unique_key) } else { None };
        let payload = if is_batch { Payload::Batch(fields) } else { Payload::One(fields) };
        let origin = self.broker.origin.clone();
        let ack = Acknowledgement::Client(ClientAck { reply, queue_id, unique_key, recall_handle, origin });
        self.push(SendJob { payload, waits, ack });
    }

    /// With what a message can be taken back that has come into the wheel's queue.
    fn recall_handle(&self, fields: &RecordFields, unique_key: &[u8]) -> Option<Box<str>> {
        if fields.topic != TIMER_WHEEL.as_bytes() {
            return None;
        }
        let out: Millis = redirect::number(&fields.properties, name::TIMER_OUT_MS)?;
        let (topic, _) = redirect::real_place(&fields.properties)?;
        let topic = std::str::from_utf8(&topic).ok().filter(|topic| !topic.starts_with(RETRY_PREFIX))?;
        let handle = RecallHandle {
            topic: topic.to_owned(),
            broker: self.broker.identity.name.clone(),
            // Within the slot, as whoever takes the message back asks for it.
            time: (out + 1).to_string(),
            unique_key: std::str::from_utf8(unique_key).ok()?.to_owned(),
        };
        Some(handle.encode().into())
    }

    /// The properties as stored, and the message's unique key.
    fn properties(&self, text: Bytes, wishes: Wishes) -> (PropertyText, Bytes) {
        let text = if wishes.has_pop_handle {
            properties::without(&text, &[name::POP_CK]).into_owned().into()
        } else {
            text
        };
        let mut stored = PropertyText::from(text);
        let mut unique_key = wishes.unique_key;
        if unique_key.is_empty() {
            let id = self.broker.unique_ids.next_id(self.broker.clock.now());
            let property = format!("{}\u{1}{}\u{2}", name::UNIQ_KEY, id.as_str());
            unique_key = Bytes::copy_from_slice(id.as_str().as_bytes());
            stored.push(property.into());
        }
        stored.push(self.broker.added_properties.clone());
        (stored, unique_key)
    }

    fn push(&mut self, job: SendJob) {
        let fields = job.payload.fields();
        let (topic, queue_id) = (&fields.topic, fields.queue_id);
        let known = self.queues.iter_mut().find(|sends| sends.queue_id == queue_id && sends.topic == *topic);
        match known {
            Some(sends) => sends.jobs.push(job),
            None => {
                let mut jobs = Vec::with_capacity(FEW);
                let topic = topic.clone();
                jobs.push(job);
                self.queues.push(QueueSends { topic, queue_id, jobs });
            }
        }
    }

    fn refuse(&self, reply: Responder, code: ResponseCode, remark: String) {
        let (unique_key, origin) = (Bytes::new(), self.broker.origin.clone());
        ClientAck { reply, queue_id: 0, unique_key, recall_handle: None, origin }
            .refused(&Refusal { code, remark });
    }

    /// Tells the queues. While one is full this waits, and so the connection reads no further; what it does
    /// not take in time is answered that the system is busy.
    pub(super) async fn submit(self) {
        for QueueSends { topic, queue_id, jobs } in self.queues {
            let Some(queue) = self.broker.queue(&topic, queue_id) else { continue };
            if let Err(busy) = queue.send(QueueMessage::Send(jobs)) {
                // Dropped, the jobs say so to their senders.
                let _ = queue.send_within(busy.into_message(), PATIENCE).await;
            }
        }
    }

    /// [`Sends::submit`] for those who cannot wait.
    fn submit_now(self) {
        for QueueSends { topic, queue_id, jobs } in self.queues {
            if let Some(queue) = self.broker.queue(&topic, queue_id) {
                let _ = queue.send(QueueMessage::Send(jobs));
            }
        }
    }
}

/// Has the topic made of its default topic, and goes on from there.
fn create_topic(broker: Arc<Broker>, incoming: Incoming) {
    let topics = broker.topics.clone();
    let (topic, default_topic) = (incoming.header.topic.clone(), incoming.header.default_topic.clone());
    let queues = incoming.header.default_topic_queue_nums;
    let then = move |created: Option<Arc<TopicConfig>>| {
        let mut sends = Sends::new(&broker);
        match created {
            Some(created) => sends.add_to(&created, incoming),
            None if broker.topics.is_leaving(&incoming.header.topic) => {
                let remark = "[CASTMQ]the topic is being deleted, try again".to_owned();
                sends.refuse(incoming.reply, ResponseCode::SYSTEM_BUSY, remark);
            }
            None => {
                let remark = format!("topic[{}] not exist, apply first please!", incoming.header.topic);
                sends.refuse(incoming.reply, ResponseCode::TOPIC_NOT_EXIST, remark);
            }
        }
        sends.submit_now();
    };
    topics.create_for_send(&topic, &default_topic, queues, Box::new(then));
}
