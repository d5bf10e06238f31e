//! Subscription groups: make, change, delete, show.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    answer::{Answer, Answered, error, refuse, respond},
    topics::when_saved,
};
use crate::{
    actors::{broker::Broker, remoting::Request, store::Refusal},
    protocol::{
        codes::ResponseCode,
        json,
        requests::group::{AllSubscriptionGroupResponse, DeleteSubscriptionGroupRequest, GroupRequest},
        subscription::SubscriptionGroupConfig,
        topic::validate_group,
    },
};

/// UPDATE_AND_CREATE_SUBSCRIPTIONGROUP 200.
pub(super) fn update(broker: &Arc<Broker>, request: Request) {
    let group = json::from_slice(&request.body).map_err(error);
    let changed = group.and_then(|group| change(broker, vec![group]));
    when_saved(broker, request.reply, changed);
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct GroupConfigList {
    group_config_list: Vec<SubscriptionGroupConfig>,
}

/// UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST 225.
pub(super) fn update_list(broker: &Arc<Broker>, request: Request) {
    let list: Result<GroupConfigList, _> = json::from_slice(&request.body).map_err(error);
    let changed = list.and_then(|list| change(broker, list.group_config_list));
    when_saved(broker, request.reply, changed);
}

/// Makes or changes groups; all names are checked before the first is changed.
fn change(broker: &Broker, groups: Vec<SubscriptionGroupConfig>) -> Result<(), Refusal> {
    for group in &groups {
        validate_group(&group.group_name)
            .map_err(|cause| Refusal { code: ResponseCode::INVALID_PARAMETER, remark: cause.to_string() })?;
    }
    for group in groups {
        let name = group.group_name.clone();
        broker.topics.update_group(group).map_err(error)?;
        tracing::info!(group = name, "a group is made or changed on request");
    }
    Ok(())
}

/// DELETE_SUBSCRIPTIONGROUP 207.
pub(super) fn delete(broker: &Arc<Broker>, request: Request) {
    let asked = match DeleteSubscriptionGroupRequest::from_fields(&request.header.fields) {
        Ok(asked) => asked,
        Err(cause) => return respond(request.reply, Err(error(cause))),
    };
    tracing::info!(group = &*asked.group_name, offsets = asked.clean_offset, "a group is deleted on request");
    broker.topics.remove_group(&asked.group_name);
    broker.groups.remove_group(&asked.group_name, asked.clean_offset);
    broker.store.traffic().forget(|_, of| of == &*asked.group_name);
    when_saved(broker, request.reply, Ok(()));
}

/// GET_SUBSCRIPTIONGROUP_CONFIG 352; as in RocketMQ it makes the group that it shows.
pub(super) fn one(broker: &Broker, request: &Request) -> Answered {
    let group = GroupRequest::from_fields(&request.header.fields)?.group;
    match broker.topics.group_or_create(&group) {
        Some(config) => Answer::json(&*config),
        None => {
            let remark = format!("No group in this broker. group: {group}");
            refuse(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, remark)
        }
    }
}

/// GET_ALL_SUBSCRIPTIONGROUP_CONFIG 201; in one page, as a broker without `enableSplitMetadata` does.
pub(super) fn all(broker: &Broker, _request: &Request) -> Answered {
    let table = broker.topics.group_table();
    let total_group_num = i32::try_from(table.subscription_group_table.len()).unwrap_or(i32::MAX);
    Ok(Answer::fields(AllSubscriptionGroupResponse { total_group_num }).body(json::to_vec(&table)?))
}
