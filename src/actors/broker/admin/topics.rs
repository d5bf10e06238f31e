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
/// Queues that are deleted are freed by their actors; this often, and with these pauses, their files are tried for.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

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
    if let Some(topic) = topics.iter().find(|topic| broker.topics.is_leaving(&topic.topic_name)) {
        let remark = format!("[CASTMQ]the topic {} is being deleted, try again", topic.topic_name);
        return refuse(ResponseCode::SYSTEM_BUSY, remark);
    }
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
    broker.topics.begin_removal(&topic);
    broker.groups.remove_topic(&topic);
    broker.store.traffic().forget(|of, _| of == topic);
    let (broker, reply) = (broker.clone(), request.reply);
    actix_rt::spawn(async move {
        let removed = remove_queues(&broker, &topic).await;
        broker.topics.end_removal(&topic);
        when_saved(&broker, reply, removed);
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

/// Removes the files of a topic. It takes no messages from now on, and what is on its way to its queues comes to
/// them first: afterwards it would be taken for messages of a new topic of that name.
async fn remove_queues(broker: &Broker, topic: &str) -> Result<(), Refusal> {
    let queues = broker.store.queues();
    let close = |is_closed| {
        queues.of_topic(topic).iter().for_each(|(_, queue)| queue.set_closed(is_closed));
    };
    for tries_left in (0..TRIES).rev() {
        close(true);
        // The log's writer ends what it is at.
        tokio::time::sleep(PAUSE).await;
        let (log, marks) = (broker.store.log(), broker.store.watermarks());
        // A disk that is full stops the queues, and is no reason to keep them.
        let is_quiet = marks.dispatched.get() >= log.written() || tries_left < TRIES / 2;
        broker.queues.forget(topic);
        if is_quiet {
            match remove_files(&broker.store, topic).await {
                Ok(()) => return Ok(()),
                // Their actors let go of them when they have come to that.
                Err(StoreError::InUse { .. }) => {}
                Err(cause) => {
                    close(false);
                    return Err(error(cause));
                }
            }
        }
    }
    close(false);
    tracing::error!(topic, "queues of a deleted topic stay: their actors do not let go of them");
    Err(error("the topic is deleted, but not all of its queues: delete it again"))
}

async fn remove_files(store: &Arc<Store>, topic: &str) -> Result<(), StoreError> {
    for (queue_id, _) in store.queues().of_topic(topic) {
        let (store, own) = (store.clone(), topic.to_owned());
        let removed = tokio::task::spawn_blocking(move || store.remove_queue(&own, queue_id)).await;
        removed.unwrap_or_else(|_| Err(StoreError::InUse { what: format!("{topic}:{queue_id}") }))?;
    }
    Ok(())
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
