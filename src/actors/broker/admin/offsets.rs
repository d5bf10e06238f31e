//! How far groups have consumed (fact sheet: remoting 6.2).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    answer::{Answer, Answered, refuse},
    ask::extent,
};
use crate::{
    actors::{broker::Broker, groups::QueueOffsets, remoting::Request},
    protocol::{
        codes::ResponseCode,
        requests::offset::{
            CloneGroupOffsetRequest, OffsetResponse, QueryConsumerOffsetRequest,
            QueryCorrectionOffsetRequest, UpdateConsumerOffsetRequest,
        },
        topic::RETRY_PREFIX,
    },
};

/// QUERY_CONSUMER_OFFSET 14. A new group begins a queue that still has its first message there, whatever its
/// client would choose.
pub(super) fn query(broker: &Broker, request: &Request) -> Answered {
    let asked = QueryConsumerOffsetRequest::from_fields(&request.header.fields)?;
    let (min, _) = extent(broker, &asked.topic, asked.queue_id);
    let committed = broker.groups.offset(&asked.consumer_group, &asked.topic, asked.queue_id);
    match committed.filter(|offset| *offset >= 0) {
        Some(offset) => Ok(Answer::fields(OffsetResponse { offset })),
        None if asked.set_zero_if_not_found == Some(false) => refuse(
            ResponseCode::QUERY_NOT_FOUND,
            "Not found, do not set to zero, maybe this group boot first",
        ),
        None if min <= 0 => Ok(Answer::fields(OffsetResponse { offset: 0 })),
        None => refuse(
            ResponseCode::QUERY_NOT_FOUND,
            "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first",
        ),
    }
}

/// UPDATE_CONSUMER_OFFSET 15.
pub(super) fn update(broker: &Broker, request: &Request) -> Answered {
    let fields = &request.header.fields;
    let named = |key: &str| fields.get(key).unwrap_or_default();
    let (group, topic) = (named("consumerGroup"), named("topic"));
    if broker.topics.group(group).is_none() {
        return refuse(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, format!("Group {group} not exist!"));
    }
    if broker.topics.get(topic).is_none() {
        return refuse(ResponseCode::TOPIC_NOT_EXIST, format!("Topic {topic} not exist!"));
    }
    let Ok(asked) = UpdateConsumerOffsetRequest::from_fields(fields) else {
        return refuse(
            ResponseCode::INVALID_PARAMETER,
            format!("QueueId or Offset is null, topic is {topic}"),
        );
    };
    if broker.groups.commit_offset(group, topic, asked.queue_id, asked.commit_offset) {
        Ok(Answer::ok())
    } else {
        Ok(Answer::ok().remark("Offset has been previously reset"))
    }
}

/// GET_ALL_CONSUMER_OFFSET 43.
pub(super) fn all(broker: &Broker, _request: &Request) -> Answered {
    Answer::json(&broker.groups.offset_table())
}

/// GET_ALL_DELAY_OFFSET 45.
pub(super) fn all_delays(broker: &Broker, _request: &Request) -> Answered {
    Answer::json(&broker.delivery.offset_table())
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CorrectionBody {
    correction_offsets: QueueOffsets,
}

/// QUERY_CORRECTION_OFFSET 308: per queue, the lowest offset among the groups of a topic.
pub(super) fn correction(broker: &Broker, request: &Request) -> Answered {
    let asked = QueryCorrectionOffsetRequest::from_fields(&request.header.fields)?;
    let left_out: BTreeSet<&str> = asked.filter_groups.as_deref().unwrap_or_default().split(',').collect();
    let groups = broker.groups.consumers_of(&asked.topic);
    let others = groups.iter().filter(|group| !left_out.contains(group.as_str()));
    let all = others.map(|group| broker.groups.offsets(group, &asked.topic));
    let lowest = lowest(all, |queue_id| extent(broker, &asked.topic, queue_id).0);
    let compared = broker.groups.offsets(&asked.compare_group, &asked.topic);
    Answer::json(&CorrectionBody { correction_offsets: corrected(lowest, &compared) })
}

/// The lowest offset of each queue, apart from those whose messages are deleted.
fn lowest(groups: impl Iterator<Item = QueueOffsets>, min: impl Fn(i32) -> i64) -> QueueOffsets {
    let mut lowest = QueueOffsets::new();
    for (queue_id, offset) in groups.flatten().filter(|(queue_id, offset)| *offset >= min(*queue_id)) {
        let known = lowest.entry(queue_id).or_insert(offset);
        *known = offset.min(*known);
    }
    lowest
}

/// A queue in which the compared group is behind the lowest needs no correction, which the largest number
/// says.
fn corrected(mut lowest: QueueOffsets, compared: &BTreeMap<i32, i64>) -> QueueOffsets {
    for (queue_id, offset) in &mut lowest {
        if compared.get(queue_id).is_some_and(|compared| *offset > *compared) {
            *offset = i64::MAX;
        }
    }
    lowest
}

/// CLONE_GROUP_OFFSET 314.
pub(super) fn clone(broker: &Broker, request: &Request) -> Answered {
    let asked = CloneGroupOffsetRequest::from_fields(&request.header.fields)?;
    let topics = match asked.topic.as_deref().map(str::trim).filter(|topic| !topic.is_empty()) {
        Some(topic) => BTreeSet::from([topic.to_owned()]),
        None => broker.groups.topics_consumed_by(&asked.src_group),
    };
    for topic in topics.iter().filter(|topic| broker.topics.get(topic).is_some()) {
        // A group whose members are there gets only what they are subscribed to.
        let wanted = asked.offline
            || topic.starts_with(RETRY_PREFIX)
            || broker.groups.subscription(&asked.dest_group, topic).is_some();
        if wanted {
            broker.groups.copy_offsets(&asked.src_group, &asked.dest_group, topic);
        }
    }
    Ok(Answer::ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_offset_that_still_has_its_message_counts() {
        let groups = [QueueOffsets::from([(0, 5), (1, 9)]), QueueOffsets::from([(0, 3), (1, 1)])];
        let lowest = lowest(groups.into_iter(), |queue_id| if queue_id == 1 { 2 } else { 0 });
        assert_eq!(lowest, QueueOffsets::from([(0, 3), (1, 9)]));
        let compared = QueueOffsets::from([(0, 4), (1, 8), (2, 1)]);
        assert_eq!(corrected(lowest, &compared), QueueOffsets::from([(0, 3), (1, i64::MAX)]));
    }
}
