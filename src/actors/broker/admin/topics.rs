//! Topics: make, change, delete, show.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::Deserialize;

use super::answer::{Answer, Answered, error, refuse, respond};
use crate::{
    actors::{
        broker::Broker,
        remoting::{Request, Responder},
        store::Refusal,
        topics::parse_attributes,
    },
    protocol::{
        cluster::TopicList,
        codes::ResponseCode,
        json,
        register::TopicConfigSerializeWrapper,
        requests::topic::{AllTopicConfigResponse, CreateTopicRequest, TopicRequest},
        topic::{Perm, TopicConfig, TopicFilterType, validate_topic},
    },
    store::{Store, StoreError},
};

/// Queues of a topic at most: as many as the key `defaultTopicQueueNums` allows.
const MOST_QUEUES: i32 = 65_535;
/// A queue that is deleted is freed by its actor; this often, and with these pauses, its files are tried for.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// UPDATE_AND_CREATE_TOPIC 17.
pub(super) fn update(broker: &Arc<Broker>, request: Request) {
    let changed = read(&request).and_then(|topic| change(broker, vec![topic]));
    when_saved(broker, request.reply, changed);
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TopicConfigList {
    topic_config_list: Vec<TopicConfig>,
}

/// UPDATE_AND_CREATE_TOPIC_LIST 18.
pub(super) fn update_list(broker: &Arc<Broker>, request: Request) {
    let list: Result<TopicConfigList, _> = json::from_slice(&request.body).map_err(error);
    let changed = list.and_then(|list| change(broker, list.topic_config_list));
    when_saved(broker, request.reply, changed);
}

fn read(request: &Request) -> Result<TopicConfig, Refusal> {
    let asked = CreateTopicRequest::from_fields(&request.header.fields)?;
    let filter_type = match asked.topic_filter_type.as_deref() {
        None => TopicFilterType::default(),
        Some(name) => TopicFilterType::from_name(name)
            .ok_or_else(|| error(format!("no such topicFilterType: {name}")))?,
    };
    Ok(TopicConfig {
        attributes: parse_attributes(asked.attributes.as_deref().unwrap_or_default()).map_err(error)?,
        order: asked.order,
        perm: Perm(asked.perm),
        read_queue_nums: asked.read_queue_nums,
        write_queue_nums: asked.write_queue_nums,
        topic_filter_type: filter_type,
        topic_name: asked.topic.to_string(),
        topic_sys_flag: asked.topic_sys_flag,
    })
}

/// Makes or changes topics; all are checked before the first is changed.
fn change(broker: &Broker, topics: Vec<TopicConfig>) -> Result<(), Refusal> {
    topics.iter().try_for_each(|topic| check(broker, topic))?;
    for topic in topics {
        let name = topic.topic_name.clone();
        broker.topics.update(topic).map_err(error)?;
        tracing::info!(topic = name, "a topic is made or changed on request");
    }
    Ok(())
}

fn check(broker: &Broker, topic: &TopicConfig) -> Result<(), Refusal> {
    let illegal = |remark: String| Refusal { code: ResponseCode::INVALID_PARAMETER, remark };
    validate_topic(&topic.topic_name).map_err(|cause| illegal(cause.to_string()))?;
    refuse_system_topic(broker, &topic.topic_name)?;
    let legal = 0..=MOST_QUEUES;
    if !legal.contains(&topic.read_queue_nums) || !legal.contains(&topic.write_queue_nums) {
        return Err(illegal(format!("a topic has 0 to {MOST_QUEUES} queues")));
    }
    Ok(())
}

fn refuse_system_topic(broker: &Broker, topic: &str) -> Result<(), Refusal> {
    if broker.config.get().validate_system_topic_when_update_topic && broker.topics.is_system(topic) {
        let remark = format!("The topic[{topic}] is conflict with system topic.");
        return refuse(ResponseCode::INVALID_PARAMETER, remark);
    }
    Ok(())
}

/// Answers a change once it is in the files.
pub(super) fn when_saved(broker: &Broker, reply: Responder, changed: Result<(), Refusal>) {
    match changed {
        Ok(()) => broker.topics.saved(move |saved| {
            respond(
                reply,
                saved.map(|()| Answer::ok()).map_err(|cause| error(format!("changed, but {cause}"))),
            );
        }),
        Err(refusal) => respond(reply, Err(refusal)),
    }
}

/// DELETE_TOPIC_IN_BROKER 215: the topic goes with its queues and with the offsets of its consumers.
pub(super) fn delete(broker: &Arc<Broker>, request: Request) {
    let topic = match deletable(broker, &request) {
        Ok(topic) => topic,
        Err(refusal) => return respond(request.reply, Err(refusal)),
    };
    tracing::info!(topic, "a topic is deleted on request");
    broker.topics.remove(&topic);
    broker.groups.remove_topic(&topic);
    broker.queues.forget(&topic);
    let (broker, reply) = (broker.clone(), request.reply);
    actix_rt::spawn(async move {
        let queues = broker.store.queues().snapshot();
        for (_, queue_id, _) in queues.into_iter().filter(|(of, ..)| *of == topic) {
            remove_queue(&broker.store, &topic, queue_id).await;
        }
        when_saved(&broker, reply, Ok(()));
    });
}

fn deletable(broker: &Broker, request: &Request) -> Result<String, Refusal> {
    let topic = TopicRequest::from_fields(&request.header.fields)?.topic;
    if topic.trim().is_empty() {
        return refuse(ResponseCode::INVALID_PARAMETER, "The specified topic is blank.");
    }
    refuse_system_topic(broker, &topic)?;
    Ok(topic.to_string())
}

/// Removes the files of a queue once its actor has let go of it.
async fn remove_queue(store: &Arc<Store>, topic: &str, queue_id: i32) {
    for _ in 0..TRIES {
        let (store, own) = (store.clone(), topic.to_owned());
        let removed = tokio::task::spawn_blocking(move || store.remove_queue(&own, queue_id)).await;
        match removed {
            Ok(Ok(())) => return,
            Ok(Err(StoreError::InUse { .. })) => tokio::time::sleep(PAUSE).await,
            Ok(Err(cause)) => return tracing::error!(topic, queue_id, %cause, "cannot remove a queue"),
            Err(_) => break,
        }
    }
    tracing::error!(topic, queue_id, "a queue of a deleted topic stays: its actor does not let go of it");
}

/// GET_TOPIC_CONFIG 351.
pub(super) fn one(broker: &Broker, request: &Request) -> Answered {
    let topic = TopicRequest::from_fields(&request.header.fields)?.topic;
    match broker.topics.get(&topic) {
        Some(config) => Answer::json(&*config),
        None => {
            let remark = format!("No topic in this broker. topic: {topic}");
            refuse(ResponseCode::TOPIC_NOT_EXIST, remark)
        }
    }
}

/// GET_ALL_TOPIC_CONFIG 21; in one page, as a broker without `enableSplitMetadata` does.
pub(super) fn all(broker: &Broker, _request: &Request) -> Answered {
    let table = TopicConfigSerializeWrapper {
        data_version: broker.topics.version(),
        topic_config_table: broker.topics.table(),
        ..TopicConfigSerializeWrapper::default()
    };
    let total_topic_num = i32::try_from(table.topic_config_table.len()).unwrap_or(i32::MAX);
    Ok(Answer::fields(AllTopicConfigResponse { total_topic_num }).body(json::to_vec(&table)?))
}

/// GET_SYSTEM_TOPIC_LIST_FROM_BROKER 305.
pub(super) fn of_system(broker: &Broker, _request: &Request) -> Answered {
    let topics: BTreeSet<String> = broker.topics.system().clone();
    Answer::json(&TopicList { topic_list: topics, ..TopicList::default() })
}
