//! Sending a group elsewhere in its topic (fact sheet: remoting 6.6).

use std::{collections::BTreeMap, sync::Arc};

use super::{
    answer::{Answer, Answered, error, refuse},
    ask::{extent, offset_by_time},
};
use crate::{
    actors::{broker::Broker, store::Refusal, supervision::Millis},
    protocol::{
        codes::ResponseCode, fields::Fields, message::MessageQueue, offsets::ResetOffsetBody,
        requests::offset::ResetOffsetRequest,
    },
    store::offset_by_time::Boundary,
};

/// INVOKE_BROKER_TO_RESET_OFFSET 222: the next pull of each queue is told where to go on.
pub(super) async fn reset(broker: Arc<Broker>, fields: Fields) -> Answered {
    let asked = ResetOffsetRequest::from_fields(&fields)?;
    let Some(config) = broker.topics.get(&asked.topic) else {
        return refuse(ResponseCode::TOPIC_NOT_EXIST, format!("Topic {} does not exist", asked.topic));
    };
    if broker.topics.group(&asked.group).is_none() {
        let remark = format!("Group {} does not exist", asked.group);
        return refuse(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, remark);
    }
    let mut targets = BTreeMap::new();
    if asked.queue_id >= 0 {
        targets.insert(asked.queue_id, target(&broker, &asked, asked.queue_id).await?);
    } else {
        for queue_id in 0..config.read_queue_nums {
            targets.insert(queue_id, by_time(&broker, &asked.topic, queue_id, asked.timestamp).await?);
        }
    }
    let mut body = ResetOffsetBody::default();
    for (queue_id, offset) in targets {
        broker.groups.reset_offset(&asked.group, &asked.topic, queue_id, offset);
        let (broker_name, topic) = (broker.identity.name.clone(), asked.topic.to_string());
        body.offset_table.insert(MessageQueue { broker_name, queue_id, topic }, offset);
    }
    tracing::info!(
        group = &*asked.group,
        topic = &*asked.topic,
        queues = body.offset_table.len(),
        "offsets are reset on request"
    );
    Answer::json(&body)
}

async fn target(broker: &Broker, asked: &ResetOffsetRequest, queue_id: i32) -> Result<i64, Refusal> {
    let Some(offset) = asked.offset.filter(|offset| *offset != -1) else {
        return by_time(broker, &asked.topic, queue_id, asked.timestamp).await;
    };
    let (min, max) = extent(broker, &asked.topic, queue_id);
    if (min..=max + 1).contains(&offset) {
        return Ok(offset);
    }
    Err(error(format!("Target offset {offset} not in consume queue range [{min}-{max}]")))
}

/// A negative time stands for the end.
async fn by_time(broker: &Broker, topic: &str, queue_id: i32, timestamp: Millis) -> Result<i64, Refusal> {
    if timestamp < 0 {
        return Ok(extent(broker, topic, queue_id).1);
    }
    offset_by_time(broker, topic, queue_id, timestamp, Boundary::Lower).await
}
