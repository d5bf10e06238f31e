//! The pull loop of one queue: one request in flight (fact sheet: client 4.3).

use std::{sync::Arc, time::Duration};

use tracing::{debug, warn};

use super::{filter, group::Group, process::ProcessQueue, settings::Mode};
use crate::{
    client::{Result, calls::Pulled},
    protocol::{
        codes::{RequestCode, ResponseCode},
        requests::pull::{PullFlags, PullMessageRequest},
        subscription::{EXPRESSION_TAG, SUBSCRIBE_ALL, SubscriptionData},
    },
};

/// How long the broker may hold a pull of a push consumer.
const SUSPEND_PUSH: Duration = Duration::from_secs(15);
/// How long the broker may hold a pull of a lite consumer.
const SUSPEND_LITE: Duration = Duration::from_secs(20);
/// How long a pull may take.
const PULL: Duration = Duration::from_secs(30);
/// Rest after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Rest when the broker asks to slow down.
const AFTER_FLOW_CONTROL: Duration = Duration::from_millis(20);
/// Rest while somebody else has the lock.
const UNLOCKED: Duration = Duration::from_millis(100);

/// Pulls until the queue is given up; ends when it starts the queue anew elsewhere.
pub(super) async fn run(group: Arc<Group>, process: Arc<ProcessQueue>, mut offset: i64) {
    let counts_span = group.settings.mode != Mode::Ordered;
    let queue = &process.queue;
    // Where to pull next, as the last answer said.
    let mut broker_id = 0;
    loop {
        process.room(&group.settings.limits, counts_span).await;
        if process.is_abandoned() {
            return;
        }
        if group.settings.locks() && !process.is_locked() {
            tokio::time::sleep(UNLOCKED).await;
            continue;
        }
        let subscription = group.subscription(&queue.topic);
        match pull(&group, &process, offset, broker_id, subscription.as_ref()).await {
            Ok(Pulled::Found(messages, header)) => {
                offset = header.next_begin_offset;
                broker_id = header.suggest_which_broker_id;
                let wanted = messages.into_iter().filter(|message| {
                    subscription.as_ref().is_none_or(|subscription| filter::passes(subscription, message))
                });
                process.put(wanted);
                skip_to(&group, &process, offset);
            }
            Ok(Pulled::Nothing(header)) => {
                offset = header.next_begin_offset;
                broker_id = header.suggest_which_broker_id;
                skip_to(&group, &process, offset);
            }
            Ok(Pulled::Moved(header)) => {
                let next = header.next_begin_offset;
                warn!(
                    group = group.name,
                    ?queue,
                    offset,
                    next,
                    "the queue has no such offset: it is read from elsewhere"
                );
                // The next pull stores it too. One that was given up says nothing about how the queue is read now.
                if !process.is_abandoned() {
                    group.go_on(queue, next);
                }
                return;
            }
            Err(error) => {
                debug!(group = group.name, ?queue, %error, "pull failed");
                broker_id = 0;
                let is_flow_control = error.code() == Some(ResponseCode::FLOW_CONTROL);
                tokio::time::sleep(if is_flow_control { AFTER_FLOW_CONTROL } else { AFTER_FAILURE }).await;
            }
        }
    }
}

/// With nothing in hand, the group has reached the place where the pull goes on.
fn skip_to(group: &Group, process: &ProcessQueue, offset: i64) {
    if process.is_empty() && !process.is_abandoned() && group.settings.mode != Mode::Lite {
        group.offsets.raise(&process.queue, offset);
    }
}

async fn pull(
    group: &Group,
    process: &ProcessQueue,
    offset: i64,
    broker_id: i64,
    subscription: Option<&SubscriptionData>,
) -> Result<Pulled> {
    let queue = &process.queue;
    let is_lite = group.settings.mode == Mode::Lite;
    let address = group.core.routes.address(&queue.broker_name, broker_id)?;
    let commit = group
        .offsets
        .get(queue)
        .filter(|offset| *offset > 0 && !is_lite && !group.settings.is_broadcast() && broker_id == 0);
    let (expression, kind, version) = match subscription {
        Some(it) => (it.sub_string.as_str(), it.expression_type.as_str(), it.sub_version),
        None => (SUBSCRIBE_ALL, EXPRESSION_TAG, 0),
    };
    // Tags go along, so that a broker need not know the group yet; SQL is compiled at the heartbeat.
    let carries_filter = is_lite || kind == EXPRESSION_TAG;
    let flag = |on: bool, bit: i32| if on { bit } else { 0 };
    let suspend = if is_lite { SUSPEND_LITE } else { SUSPEND_PUSH };
    let request = PullMessageRequest {
        consumer_group: group.name.as_str().into(),
        topic: queue.topic.as_str().into(),
        queue_id: queue.queue_id,
        queue_offset: offset,
        max_msg_nums: group.settings.batch,
        sys_flag: PullFlags(
            PullFlags::SUSPEND
                | flag(commit.is_some(), PullFlags::COMMIT_OFFSET)
                | flag(carries_filter, PullFlags::SUBSCRIPTION)
                | flag(is_lite, PullFlags::LITE_PULL),
        ),
        commit_offset: commit.unwrap_or(0),
        suspend_timeout_millis: i64::try_from(suspend.as_millis()).unwrap_or(i64::MAX),
        subscription: carries_filter.then(|| expression.into()),
        sub_version: version,
        expression_type: Some(kind.into()),
        max_msg_bytes: Some(group.settings.batch_bytes),
        request_source: None,
        proxy_forward_client_id: None,
        broker_name: Some(queue.broker_name.as_str().into()),
    };
    let code = if is_lite { RequestCode::LITE_PULL_MESSAGE } else { RequestCode::PULL_MESSAGE };
    group.core.pull(&address, &queue.broker_name, code, &request, PULL).await
}
