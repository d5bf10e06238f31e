//! CONSUMER_SEND_MSG_BACK 36: a message that a consumer could not consume comes again later, or goes to the dead
//! letters (fact sheet: remoting 5.4).

use std::sync::Arc;

use super::Broker;
use crate::{
    actors::{
        delivery::redirect,
        remoting::Request,
        store::{Acknowledgement, Refusal},
    },
    protocol::{
        codes::ResponseCode,
        properties::name,
        record::{RecordFields, RecordView},
        requests::message::SendBackRequest,
        subscription::SubscriptionGroupConfig,
        topic::{Perm, TopicConfig},
    },
    store::PhysicalOffset,
};

/// The first version whose requests say how often to retry, V3_4_9.
const SAYS_HOW_OFTEN_SINCE: i32 = 121;
/// The level of the first retry when the client leaves it to the broker; each further one takes the next.
const FIRST_LEVEL: i32 = 3;

/// How often a message is retried: what the client says, or else its group's configuration.
pub(super) fn most_retries(group: &SubscriptionGroupConfig, version: i32, asked: Option<i32>) -> i32 {
    asked.filter(|_| version >= SAYS_HOW_OFTEN_SINCE).unwrap_or(group.retry_max_times)
}

/// Serves the request; answered when the message is stored again.
pub(super) fn serve(broker: &Arc<Broker>, request: Request) {
    let reply = request.reply;
    match again(broker, &SendBackRequest::from_fields(&request.header.fields), request.header.version) {
        Ok(Some(Again { fields, topic, group })) => {
            let traffic = broker.store.traffic().clone();
            let told = move |stored| match stored {
                Ok(_) => {
                    traffic.sent_back(&topic, &group);
                    reply.ok();
                }
                Err(Refusal { code, remark }) => reply.refuse(code, &remark),
            };
            broker.queues.put(fields, Acknowledgement::inner(told));
        }
        Ok(None) => reply.ok(),
        Err(Refusal { code, remark }) => reply.refuse(code, &remark),
    }
}

/// A message that is stored again: where it came from, and who could not consume it.
struct Again {
    fields: RecordFields,
    topic: String,
    group: String,
}

/// The message as it is stored again; `None` for a group that retries nothing.
fn again(
    broker: &Broker,
    asked: &Result<SendBackRequest, crate::protocol::requests::FieldError>,
    version: i32,
) -> Result<Option<Again>, Refusal> {
    let refusal = |code, remark| Err(Refusal { code, remark });
    let asked = match asked {
        Ok(asked) => asked,
        Err(error) => return refusal(ResponseCode::SYSTEM_ERROR, error.to_string()),
    };
    let Some(group) = broker.topics.group(&asked.group) else {
        let remark = format!("subscription group not exist, {}", asked.group);
        return refusal(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, remark);
    };
    if !Perm(broker.config.get().broker_permission as i32).is_writable() {
        let remark = format!("the broker[{}] sending message is forbidden", broker.identity.address);
        return refusal(ResponseCode::NO_PERMISSION, remark);
    }
    if group.retry_queue_nums <= 0 {
        return Ok(None);
    }
    let Some(record) = broker.store.record_at(PhysicalOffset(asked.offset)) else {
        let remark = format!("look message by offset failed, {}", asked.offset);
        return refusal(ResponseCode::SYSTEM_ERROR, remark);
    };
    let Ok(view) = RecordView::parse(&record) else {
        return refusal(ResponseCode::SYSTEM_ERROR, format!("no message at {}", asked.offset));
    };
    let most = most_retries(&group, version, asked.max_reconsume_times);
    let (topic, level) = if view.reconsume_times >= most || asked.delay_level < 0 {
        (broker.topics.create_dead_letters(&asked.group), None)
    } else {
        let level = match asked.delay_level {
            0 => FIRST_LEVEL.saturating_add(view.reconsume_times),
            level => level,
        };
        (broker.topics.create_retry(&asked.group, group.retry_queue_nums), Some(level))
    };
    if !topic.perm.is_writable() {
        let remark = format!("the topic[{}] sending message is forbidden", topic.topic_name);
        return refusal(ResponseCode::NO_PERMISSION, remark);
    }
    let fields = returned(&view, view.fields_in(&record), &topic, level);
    let fields = RecordFields { store_host: broker.identity.address, ..fields };
    let origin = fields.properties.get(name::RETRY_TOPIC).unwrap_or(view.topic);
    let topic = String::from_utf8_lossy(origin).into_owned();
    let fields = redirect::by_delay_level(fields, broker.delivery.levels());
    Ok(Some(Again { fields, topic, group: asked.group.to_string() }))
}

/// What a message becomes that comes back, for the retries or, without a level, the dead letters.
fn returned(
    view: &RecordView<'_>,
    fields: RecordFields,
    topic: &TopicConfig,
    level: Option<i32>,
) -> RecordFields {
    let mut properties = fields.properties.without(&[name::DELAY]);
    let origin_topic = properties.get(name::RETRY_TOPIC).map_or(view.topic.to_vec(), <[u8]>::to_vec);
    let origin_id = properties.get(name::ORIGIN_MESSAGE_ID).map(<[u8]>::to_vec);
    let origin_id = origin_id.unwrap_or_else(|| view.message_id().to_string().into_bytes());
    for (name, value) in [(name::RETRY_TOPIC, &origin_topic), (name::ORIGIN_MESSAGE_ID, &origin_id)] {
        if properties.get(name).is_none() {
            properties.push(redirect::property(name, value));
        }
    }
    properties.push(redirect::property(name::DELAY, level.unwrap_or(0).to_string()));
    if level.is_none() {
        properties = properties.without(&[name::DLQ_ORIGIN_TOPIC, name::DLQ_ORIGIN_MESSAGE_ID]);
        properties.push(redirect::property(name::DLQ_ORIGIN_TOPIC, &origin_topic));
        properties.push(redirect::property(name::DLQ_ORIGIN_MESSAGE_ID, &origin_id));
    }
    RecordFields {
        topic: topic.topic_name.clone().into(),
        queue_id: fastrand::i32(0..topic.write_queue_nums.max(1)),
        reconsume_times: fields.reconsume_times.saturating_add(1),
        prepared_transaction_offset: 0,
        properties,
        ..fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_clients_say_nothing_of_how_often() {
        let group = SubscriptionGroupConfig { retry_max_times: 5, ..SubscriptionGroupConfig::new("g") };
        assert_eq!(most_retries(&group, 493, Some(2)), 2);
        assert_eq!(most_retries(&group, 120, Some(2)), 5);
        assert_eq!(most_retries(&group, 493, None), 5);
    }
}
