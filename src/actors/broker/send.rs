//! The road of a send up to its queue: checks, and what the broker adds (fact sheet: remoting 5.1).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::Broker;
use crate::{
    actors::{
        remoting::{Request, Responder},
        store::{
            Acknowledgement, ClientAck, Refusal,
            queue::{Payload, QueueMessage, SendJob},
        },
    },
    protocol::{
        codes::{RequestCode, ResponseCode},
        fields::Text,
        properties::{self, name},
        record::{PropertyText, RecordFields},
        requests::send::SendMessageRequest,
        sys_flag::SysFlag,
        topic::{RETRY_PREFIX, TopicConfig, is_send_forbidden, validate_topic},
    },
};

/// How long a connection waits for a full queue before its requests are answered that the system is busy.
const PATIENCE: Duration = Duration::from_millis(200);

/// The sends that arrived together on one connection, by queue: each queue is told once.
pub(super) struct Sends<'a> {
    broker: &'a Arc<Broker>,
    queues: Vec<QueueSends>,
}

struct QueueSends {
    topic: Text,
    queue_id: i32,
    jobs: Vec<SendJob>,
}

/// A request that was read, on its way to a queue.
struct Incoming {
    code: RequestCode,
    header: SendMessageRequest,
    body: Bytes,
    reply: Responder,
}

/// What a client's properties say to the broker.
#[derive(Debug, Default)]
struct Wishes {
    unique_key: Bytes,
    /// Property `WAIT` is not `false`.
    waits: bool,
    /// The half of a transaction.
    is_half: bool,
    /// By level or by timer.
    is_delayed: bool,
    is_inner_batch: bool,
    has_pop_handle: bool,
}

impl Wishes {
    fn of(text: &Bytes) -> Self {
        let mut wishes = Self { waits: true, ..Self::default() };
        for (key, value) in properties::iter(text) {
            match std::str::from_utf8(key).unwrap_or_default() {
                name::UNIQ_KEY => wishes.unique_key = text.slice_ref(value),
                name::WAIT => wishes.waits = value != b"false",
                name::TRAN_MSG => wishes.is_half = value == b"true",
                name::DELAY => wishes.is_delayed |= value != b"0",
                name::TIMER_DELAY_SEC | name::TIMER_DELAY_MS | name::TIMER_DELIVER_MS => {
                    wishes.is_delayed = true;
                }
                name::INNER_NUM => wishes.is_inner_batch = true,
                name::POP_CK => wishes.has_pop_handle = true,
                _ => {}
            }
        }
        wishes
    }
}

impl<'a> Sends<'a> {
    pub(super) fn new(broker: &'a Arc<Broker>) -> Self {
        Self { broker, queues: Vec::new() }
    }

    /// Checks a request and puts it to its queue's; refuses it, or leaves it to the creation of its topic.
    pub(super) fn add(&mut self, request: Request) {
        let code = request.header.request_code();
        let Request { header, body, reply, .. } = request;
        match SendMessageRequest::of(code, &header.fields) {
            Ok(header) => self.add_incoming(Incoming { code, header, body, reply }),
            Err(error) => self.refuse(reply, ResponseCode::SYSTEM_ERROR, error.to_string()),
        }
    }

    fn add_incoming(&mut self, incoming: Incoming) {
        if let Err(refusal) = self.check(&incoming) {
            return self.refuse(incoming.reply, refusal.code, refusal.remark);
        }
        match self.broker.topics.get(&incoming.header.topic) {
            Some(topic) => self.add_to(&topic, incoming),
            None => create_topic(self.broker.clone(), incoming),
        }
    }

    fn check(&self, incoming: &Incoming) -> Result<(), Refusal> {
        let refusal = |code, remark: String| Err(Refusal { code, remark });
        let topic = incoming.header.topic.as_str();
        if let Err(error) = validate_topic(topic) {
            return refusal(
                ResponseCode::INVALID_PARAMETER,
                format!("The specified topic is not valid: {error}"),
            );
        }
        if is_send_forbidden(topic) {
            return refusal(
                ResponseCode::NO_PERMISSION,
                format!("Sending message to topic[{topic}] is forbidden."),
            );
        }
        if incoming.code == RequestCode::SEND_BATCH_MESSAGE && topic.starts_with(RETRY_PREFIX) {
            let remark = "batch request does not support retry group";
            return refusal(ResponseCode::MESSAGE_ILLEGAL, remark.into());
        }
        if incoming.body.is_empty() {
            return refusal(ResponseCode::SYSTEM_ERROR, "a message needs a body".into());
        }
        let limit = self.broker.config.get().max_message_size.len();
        let properties = incoming.header.properties.as_ref().map_or(0, |text| text.as_bytes().len());
        if incoming.body.len() > limit || properties > properties::MAX_LEN {
            return refusal(
                ResponseCode::MESSAGE_ILLEGAL,
                format!(
                    "the message is illegal, maybe msg body or properties length not matched. msg body length \
                     limit {limit}B, msg properties length limit 32KB."
                ),
            );
        }
        Ok(())
    }

    fn add_to(&mut self, topic: &TopicConfig, incoming: Incoming) {
        let Incoming { code, header, body, reply } = incoming;
        let queues = topic.write_queue_nums.max(topic.read_queue_nums);
        if header.queue_id >= queues {
            let remark = format!("request queueId[{}] is illegal, {:?}", header.queue_id, topic.topic_name);
            return self.refuse(reply, ResponseCode::INVALID_PARAMETER, remark);
        }
        if topic.write_queue_nums < 1 {
            let remark = format!("topic[{}] has no queue to write to", topic.topic_name);
            return self.refuse(reply, ResponseCode::SYSTEM_ERROR, remark);
        }
        let queue_id = match header.queue_id {
            chosen @ 0.. => chosen,
            _ => fastrand::i32(0..topic.write_queue_nums),
        };
        let text = header.properties.clone().unwrap_or_default().into_bytes();
        let is_batch = code == RequestCode::SEND_BATCH_MESSAGE || header.batch;
        let mut wishes = Wishes::of(&text);
        wishes.is_inner_batch |= SysFlag(header.sys_flag).has(SysFlag::INNER_BATCH);
        if let Some(remark) = not_served(&wishes) {
            return self.refuse(reply, ResponseCode::MESSAGE_ILLEGAL, remark.to_owned());
        }
        let unique_key = wishes.unique_key.clone();
        let waits = wishes.waits;
        let (properties, unique_key) =
            if is_batch { (PropertyText::new(), unique_key) } else { self.properties(text, wishes) };
        let fields = Box::new(RecordFields {
            topic: header.topic.clone().into_bytes(),
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
        });
        let payload = if is_batch { Payload::Batch(fields) } else { Payload::One(fields) };
        let origin = self.broker.origin.clone();
        let ack = Acknowledgement::Client(ClientAck { reply, queue_id, unique_key, origin });
        self.push(header.topic, queue_id, SendJob { payload, waits, ack });
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

    fn push(&mut self, topic: Text, queue_id: i32, job: SendJob) {
        let known = self.queues.iter_mut().find(|sends| sends.queue_id == queue_id && sends.topic == topic);
        match known {
            Some(sends) => sends.jobs.push(job),
            None => self.queues.push(QueueSends { topic, queue_id, jobs: vec![job] }),
        }
    }

    fn refuse(&self, reply: Responder, code: ResponseCode, remark: String) {
        let (unique_key, origin) = (Bytes::new(), self.broker.origin.clone());
        ClientAck { reply, queue_id: 0, unique_key, origin }.refused(&Refusal { code, remark });
    }

    /// Tells the queues. While one is full this waits, and so the connection reads no further; what it does
    /// not take in time is answered that the system is busy.
    pub(super) async fn submit(self) {
        for QueueSends { topic, queue_id, jobs } in self.queues {
            let Ok(queue) = self.broker.queues.address(&topic, queue_id) else { continue };
            if let Err(busy) = queue.send(QueueMessage::Send(jobs)) {
                // Dropped, the jobs say so to their senders.
                let _ = queue.send_within(busy.into_message(), PATIENCE).await;
            }
        }
    }

    /// [`Sends::submit`] for those who cannot wait.
    fn submit_now(self) {
        for QueueSends { topic, queue_id, jobs } in self.queues {
            if let Ok(queue) = self.broker.queues.address(&topic, queue_id) {
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
            None => {
                let remark = format!("topic[{}] not exist, apply first please!", incoming.header.topic);
                sends.refuse(incoming.reply, ResponseCode::TOPIC_NOT_EXIST, remark);
            }
        }
        sends.submit_now();
    };
    topics.create_for_send(&topic, &default_topic, queues, Box::new(then));
}

/// What is not served yet is refused: to store it as an ordinary message would deliver it wrongly.
fn not_served(wishes: &Wishes) -> Option<&'static str> {
    if wishes.is_inner_batch {
        Some(
            "the message is illegal: an inner batch needs a topic with queue.type=BatchCQ, which is not served",
        )
    } else if wishes.is_half {
        Some("transactional messages are not served by this version of CastMQ")
    } else if wishes.is_delayed {
        Some("delayed messages are not served by this version of CastMQ")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(text: &str) -> Wishes {
        Wishes::of(&Bytes::from(text.replace('=', "\u{1}").replace(';', "\u{2}")))
    }

    #[test]
    fn a_senders_wishes_are_read_from_the_properties() {
        let plain = wishes("UNIQ_KEY=AB;WAIT=true;TAGS=x");
        assert_eq!(&plain.unique_key[..], b"AB");
        assert!(plain.waits && !plain.is_half && !plain.is_delayed);
        assert!(wishes("TRAN_MSG=true;").is_half && !wishes("TRAN_MSG=false;").is_half);
        assert!(wishes("DELAY=3;").is_delayed && !wishes("DELAY=0;").is_delayed);
        assert!(wishes("TIMER_DELIVER_MS=5").is_delayed);
        assert!(!wishes("WAIT=false;").waits && wishes("").waits);
        assert!(wishes("POP_CK=1 2;").has_pop_handle);
    }
}
