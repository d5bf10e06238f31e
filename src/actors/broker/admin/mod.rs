//! What operators and clients ask beside messages.
//!
//! One file per subject. A request is answered on its connection's thread from tables that anybody may read;
//! what has to wait, for a file, a queue or a client, is answered later and holds up nobody.

mod answer;
mod ask;
mod cleaning;
mod clients;
mod configuration;
mod groups;
mod locks;
mod offsets;
mod progress;
mod queues;
mod relay;
mod replication;
mod reset;
mod runtime;
mod subscriptions;
mod topics;

use std::sync::Arc;

use self::answer::{Answered, respond};
use super::Broker;
use crate::{actors::remoting::Request, protocol::codes::RequestCode};

/// Serves a request, or gives it back when its code is of no concern here.
pub(super) fn serve(broker: &Arc<Broker>, request: Request) -> Option<Request> {
    match at_once(request.header.request_code()) {
        Some(answer) => {
            let answered = answer(broker, &request);
            respond(request.reply, answered);
            None
        }
        None => later(broker, request),
    }
}

/// What is answered at once.
fn at_once(code: RequestCode) -> Option<fn(&Broker, &Request) -> Answered> {
    use RequestCode as Code;
    Some(match code {
        Code::GET_CONSUMER_LIST_BY_GROUP => clients::member_ids,
        Code::GET_CONSUMER_CONNECTION_LIST => clients::consumers,
        Code::GET_PRODUCER_CONNECTION_LIST => clients::producers,
        Code::GET_ALL_PRODUCER_INFO => clients::all_producers,
        Code::CHECK_CLIENT_CONFIG => clients::check,

        Code::QUERY_CONSUMER_OFFSET => offsets::query,
        Code::UPDATE_CONSUMER_OFFSET => offsets::update,
        Code::GET_ALL_CONSUMER_OFFSET => offsets::all,
        Code::QUERY_CORRECTION_OFFSET => offsets::correction,
        Code::CLONE_GROUP_OFFSET => offsets::clone,

        Code::GET_ALL_DELAY_OFFSET => offsets::all_delays,

        Code::GET_MAX_OFFSET => queues::max_offset,
        Code::GET_MIN_OFFSET => queues::min_offset,

        Code::GET_TOPIC_CONFIG => topics::one,
        Code::GET_ALL_TOPIC_CONFIG => topics::all,
        Code::GET_SYSTEM_TOPIC_LIST_FROM_BROKER => topics::of_system,

        Code::GET_SUBSCRIPTIONGROUP_CONFIG => groups::one,
        Code::GET_ALL_SUBSCRIPTIONGROUP_CONFIG => groups::all,

        Code::QUERY_TOPIC_CONSUME_BY_WHO => subscriptions::groups_of_topic,
        Code::QUERY_TOPICS_BY_CONSUMER => subscriptions::topics_of_group,
        Code::QUERY_SUBSCRIPTION_BY_CONSUMER => subscriptions::one,

        Code::UPDATE_BROKER_CONFIG => configuration::change,
        Code::GET_BROKER_CONFIG => configuration::text,
        Code::GET_BROKER_RUNTIME_INFO => runtime::info,
        Code::VIEW_BROKER_STATS_DATA => progress::figures,
        Code::GET_TIMER_CHECK_POINT => replication::timer_checkpoint,
        Code::GET_TIMER_METRICS => replication::timer_metrics,
        Code::EXCHANGE_BROKER_HA_INFO => replication::exchange,
        Code::GET_BROKER_HA_STATUS => replication::status,
        _ => return None,
    })
}

/// What is answered when something else has happened.
fn later(broker: &Arc<Broker>, request: Request) -> Option<Request> {
    use RequestCode as Code;
    let serve: fn(&Arc<Broker>, Request) = match request.header.request_code() {
        Code::HEART_BEAT => clients::heartbeat,
        Code::UNREGISTER_CLIENT => clients::unregister,
        Code::LOCK_BATCH_MQ => locks::lock,
        Code::UNLOCK_BATCH_MQ => locks::unlock,

        Code::UPDATE_AND_CREATE_TOPIC => topics::update,
        Code::UPDATE_AND_CREATE_TOPIC_LIST => topics::update_list,
        Code::DELETE_TOPIC_IN_BROKER => topics::delete,
        Code::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP => groups::update,
        Code::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST => groups::update_list,
        Code::DELETE_SUBSCRIPTIONGROUP => groups::delete,
        Code::UPDATE_AND_GET_GROUP_FORBIDDEN => subscriptions::forbid,

        Code::SEARCH_OFFSET_BY_TIMESTAMP => {
            |broker, asked| ask::answer(broker, asked, queues::offset_by_time)
        }
        Code::VIEW_MESSAGE_BY_ID => |broker, asked| ask::answer(broker, asked, queues::message),
        Code::GET_EARLIEST_MSG_STORETIME => |broker, asked| ask::answer(broker, asked, queues::earliest),
        Code::GET_TOPIC_STATS_INFO => |broker, asked| ask::answer(broker, asked, progress::topic),
        Code::GET_CONSUME_STATS => |broker, asked| ask::answer(broker, asked, progress::group),
        Code::GET_BROKER_CONSUME_STATS => |broker, asked| ask::answer(broker, asked, progress::all),
        Code::QUERY_CONSUME_QUEUE => |broker, asked| ask::answer(broker, asked, queues::units),
        Code::QUERY_CONSUME_TIME_SPAN => |broker, asked| ask::answer(broker, asked, progress::time_span),
        Code::INVOKE_BROKER_TO_RESET_OFFSET => |broker, asked| ask::answer(broker, asked, reset::reset),

        Code::DELETE_EXPIRED_COMMITLOG => cleaning::delete_expired_log,
        Code::CLEAN_EXPIRED_CONSUMEQUEUE | Code::CLEAN_UNUSED_TOPIC => cleaning::remove_expired_queues,

        Code::GET_CONSUMER_RUNNING_INFO => relay::running_info,
        Code::CONSUME_MESSAGE_DIRECTLY => relay::consume_directly,
        Code::INVOKE_BROKER_TO_GET_CONSUMER_STATUS => relay::consumer_status,
        _ => return Some(request),
    };
    serve(broker, request);
    None
}

#[cfg(test)]
mod tests;
