//! Which sends are stored, and where (fact sheet: remoting 5.1).

use bytes::Bytes;

use super::{Incoming, wishes::Wishes};
use crate::{
    actors::{
        broker::{Broker, send_back},
        store::Refusal,
    },
    protocol::{
        codes::ResponseCode,
        properties,
        sys_flag::SysFlag,
        topic::{RETRY_PREFIX, TopicConfig, is_send_forbidden, validate_topic},
    },
};

/// Where a send is stored.
pub(super) struct Place {
    pub(super) topic: Bytes,
    pub(super) queue_id: i32,
    /// It was retried often enough.
    pub(super) is_dead: bool,
}

fn refusal<T>(code: ResponseCode, remark: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, remark: remark.into() })
}

/// What can be said of a send whatever its topic is.
pub(super) fn check(broker: &Broker, incoming: &Incoming) -> Result<(), Refusal> {
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
    if incoming.body.is_empty() {
        return refusal(ResponseCode::SYSTEM_ERROR, "a message needs a body");
    }
    let limit = broker.config.get().max_message_size.len();
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

/// Where the send goes, if its topic takes it.
pub(super) fn place(
    broker: &Broker,
    topic: &TopicConfig,
    incoming: &Incoming,
    wishes: &Wishes,
) -> Result<Place, Refusal> {
    let header = &incoming.header;
    let queues = topic.write_queue_nums.max(topic.read_queue_nums);
    if header.queue_id >= queues {
        let remark = format!("request queueId[{}] is illegal, {:?}", header.queue_id, topic.topic_name);
        return refusal(ResponseCode::INVALID_PARAMETER, remark);
    }
    let is_inner_batch = wishes.is_inner_batch || SysFlag(header.sys_flag).has(SysFlag::INNER_BATCH);
    if let Some(remark) = not_served(wishes, is_inner_batch, incoming.is_batch()) {
        return refusal(ResponseCode::MESSAGE_ILLEGAL, remark);
    }
    if wishes.is_half && broker.config.get().reject_transaction_message {
        let remark =
            format!("the broker[{}] sending transaction message is forbidden", broker.identity.address);
        return refusal(ResponseCode::NO_PERMISSION, remark);
    }
    if let Some(group) = topic.topic_name.strip_prefix(RETRY_PREFIX) {
        if incoming.is_batch() {
            return refusal(
                ResponseCode::MESSAGE_ILLEGAL,
                "the message is illegal: a batch cannot be retried",
            );
        }
        if let Some(dead) = dead_letter(broker, group, incoming)? {
            return Ok(dead);
        }
    }
    if topic.write_queue_nums < 1 {
        let remark = format!("topic[{}] has no queue to write to", topic.topic_name);
        return refusal(ResponseCode::SYSTEM_ERROR, remark);
    }
    let queue_id = match header.queue_id {
        chosen @ 0.. => chosen,
        _ => fastrand::i32(0..topic.write_queue_nums),
    };
    Ok(Place { topic: header.topic.clone().into_bytes(), queue_id, is_dead: false })
}

/// What is not served is refused: to store it as an ordinary message would deliver it wrongly.
fn not_served(wishes: &Wishes, is_inner_batch: bool, is_batch: bool) -> Option<&'static str> {
    if is_inner_batch {
        Some(
            "the message is illegal: an inner batch needs a topic with queue.type=BatchCQ, which is not served",
        )
    } else if is_batch && (wishes.is_levelled || wishes.is_timed || wishes.is_half) {
        Some("the message is illegal: a batch has neither a delay nor a transaction")
    } else {
        None
    }
}

/// Where a client's own retry of a message goes that has been retried often enough.
fn dead_letter(broker: &Broker, group: &str, incoming: &Incoming) -> Result<Option<Place>, Refusal> {
    let Some(config) = broker.topics.group_or_create(group) else {
        let remark = format!("subscription group not exist, {group}");
        return refusal(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, remark);
    };
    let header = &incoming.header;
    let most = send_back::most_retries(&config, incoming.version, header.max_reconsume_times);
    // A group that consumes in order has retried the message itself.
    let is_dead = header.reconsume_times.unwrap_or(0) > most || broker.groups.holds_locks(group);
    Ok(is_dead.then(|| {
        let dead = broker.topics.create_dead_letters(group);
        Place { topic: dead.topic_name.clone().into(), queue_id: 0, is_dead: true }
    }))
}
