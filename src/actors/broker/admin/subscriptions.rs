//! Which group reads which topic, and which may.

use std::sync::Arc;

use serde::Serialize;

use super::answer::{Answer, Answered, error, refuse, respond};
use crate::{
    actors::{broker::Broker, remoting::Request},
    protocol::{
        cluster::{GroupList, TopicList},
        codes::ResponseCode,
        requests::{
            group::{GroupForbiddenRequest, GroupRequest, GroupTopicRequest},
            topic::TopicRequest,
        },
        subscription::SubscriptionData,
    },
};

/// QUERY_TOPIC_CONSUME_BY_WHO 300: groups that are subscribed now, or have consumed.
pub(super) fn groups_of_topic(broker: &Broker, request: &Request) -> Answered {
    let topic = TopicRequest::from_fields(&request.header.fields)?.topic;
    let mut groups = broker.groups.subscribed_to(&topic);
    groups.extend(broker.groups.consumers_of(&topic));
    Answer::json(&GroupList { group_list: groups })
}

/// QUERY_TOPICS_BY_CONSUMER 343: topics that the group has consumed.
pub(super) fn topics_of_group(broker: &Broker, request: &Request) -> Answered {
    let group = GroupRequest::from_fields(&request.header.fields)?.group;
    Answer::json(&TopicList {
        broker_addr: Some(broker.identity.address.to_string()),
        topic_list: broker.groups.topics_consumed_by(&group),
    })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SubscriptionBody<'a> {
    group: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription_data: Option<&'a SubscriptionData>,
    topic: &'a str,
}

/// QUERY_SUBSCRIPTION_BY_CONSUMER 345.
pub(super) fn one(broker: &Broker, request: &Request) -> Answered {
    let asked = GroupTopicRequest::from_fields(&request.header.fields)?;
    let topic = asked.topic.as_deref().unwrap_or_default();
    let subscription = broker.groups.subscription(&asked.group, topic);
    Answer::json(&SubscriptionBody { group: &asked.group, subscription_data: subscription.as_deref(), topic })
}

#[derive(Debug, Serialize)]
struct ForbiddenBody<'a> {
    group: &'a str,
    readable: bool,
    topic: &'a str,
}

/// UPDATE_AND_GET_GROUP_FORBIDDEN 353: sets, if it is asked to, whether a group may read a topic, and says so.
pub(super) fn forbid(broker: &Arc<Broker>, request: Request) {
    let asked = match GroupForbiddenRequest::from_fields(&request.header.fields) {
        Ok(asked) => asked,
        Err(cause) => return respond(request.reply, Err(error(cause))),
    };
    if broker.topics.get(&asked.topic).is_none() {
        let refused = refuse(ResponseCode::TOPIC_NOT_EXIST, format!("the topic {} not exist", asked.topic));
        return respond(request.reply, refused);
    }
    if let Some(readable) = asked.readable {
        broker.topics.forbid(&asked.group, &asked.topic, !readable);
    }
    let readable = !broker.topics.is_forbidden(&asked.group, &asked.topic);
    let shown = Answer::json(&ForbiddenBody { group: &asked.group, readable, topic: &asked.topic });
    match asked.readable {
        Some(_) => {
            broker.topics.saved(move |saved| respond(request.reply, saved.map_err(error).and(shown)));
        }
        None => respond(request.reply, shown),
    }
}
