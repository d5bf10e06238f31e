//! What operators ask a consumer, by way of a broker (fact sheets: client 4.8, remoting 4.2).

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::sync::oneshot;

use super::{Outcome, delivery::Item, group::Group, process::ProcessQueue, settings::Mode};
use crate::{
    client::{ReceivedMessage, core::Questions},
    protocol::{json, message::MessageQueue, offsets::ConsumerStatusBody, subscription::SubscriptionData},
};

/// How long an operator waits for a handler; brokers wait 10 s.
const DIRECTLY: Duration = Duration::from_secs(9);

/// Answer to code 307.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunningInfo {
    mq_pop_table: BTreeMap<String, String>,
    mq_table: BTreeMap<MessageQueue, QueueInfo>,
    properties: BTreeMap<&'static str, String>,
    status_table: BTreeMap<String, String>,
    subscription_set: Vec<SubscriptionData>,
    user_consumer_info: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueueInfo {
    cached_msg_count: usize,
    cached_msg_size_in_mi_b: usize,
    commit_offset: i64,
    /// Spelled so.
    droped: bool,
    locked: bool,
}

/// Answer to code 309.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DirectResult {
    auto_commit: bool,
    consume_result: &'static str,
    order: bool,
    /// Spelled so.
    spent_time_mills: u64,
}

impl Group {
    fn running_info(&self) -> RunningInfo {
        let flag = |on: bool| on.to_string();
        let mq_table = self
            .reading()
            .iter()
            .map(|(queue, reading)| {
                let (cached_msg_count, bytes) = reading.process.load();
                let info = QueueInfo {
                    cached_msg_count,
                    cached_msg_size_in_mi_b: bytes >> 20,
                    commit_offset: self.offsets.get(queue).unwrap_or(-1),
                    droped: reading.process.is_abandoned(),
                    locked: reading.process.is_locked(),
                };
                (queue.clone(), info)
            })
            .collect();
        let kind = if self.settings.mode == Mode::Lite { "CONSUME_ACTIVELY" } else { "CONSUME_PASSIVELY" };
        RunningInfo {
            mq_pop_table: BTreeMap::new(),
            mq_table,
            properties: BTreeMap::from([
                ("PROP_CLIENT_VERSION", "V5_4_0".to_owned()),
                ("PROP_CONSUMEORDERLY", flag(self.settings.mode == Mode::Ordered)),
                ("PROP_CONSUME_TYPE", kind.to_owned()),
                ("PROP_CONSUMER_START_TIMESTAMP", self.started.to_string()),
                ("PROP_NAMESERVER_ADDR", self.core.routes.nameservers().join(";")),
            ]),
            status_table: BTreeMap::new(),
            subscription_set: self.topics().iter().filter_map(|topic| self.subscription(topic)).collect(),
            user_consumer_info: BTreeMap::new(),
        }
    }
}

impl Questions for Group {
    fn running(&self) -> Option<Vec<u8>> {
        json::to_vec(&self.running_info()).ok()
    }

    fn offsets(&self, topic: &str) -> Option<Vec<u8>> {
        let queues = self.reading();
        let of_topic = queues.keys().filter(|queue| queue.topic == topic);
        let message_queue_table =
            of_topic.filter_map(|queue| Some((queue.clone(), self.offsets.get(queue)?))).collect();
        json::to_vec(&ConsumerStatusBody { message_queue_table, ..ConsumerStatusBody::default() }).ok()
    }

    fn reset(self: Arc<Self>, offsets: BTreeMap<MessageQueue, i64>) {
        tokio::spawn(async move {
            for (queue, offset) in offsets {
                if self.go_on(&queue, offset) {
                    if self.settings.mode == Mode::Lite {
                        self.offsets.set(&queue, offset);
                    }
                    // What fails is stored at the next interval.
                    let _ = self.offsets.persist(&self.core, &self.name, Some(&queue)).await;
                }
            }
        });
    }

    fn consume(self: Arc<Self>, message: ReceivedMessage, answer: oneshot::Sender<Vec<u8>>) {
        if self.settings.mode == Mode::Lite {
            // It has no handler, and polls in the order of its queues: who asks gets no result.
            return;
        }
        tokio::spawn(async move {
            let started = Instant::now();
            let (settled, outcome) = oneshot::channel();
            let process = Arc::new(ProcessQueue::new(message.queue().clone()));
            let consume = async {
                self.items.send(Item { message, process, settled: Some(settled) }).await.ok()?;
                outcome.await.ok().map(|(outcome, _)| outcome)
            };
            let consume_result = match tokio::time::timeout(DIRECTLY, consume).await {
                Ok(Some(Outcome::Done)) => "CR_SUCCESS",
                Ok(Some(_)) => "CR_LATER",
                Ok(None) | Err(_) => "CR_RETURN_NULL",
            };
            let result = DirectResult {
                auto_commit: true,
                consume_result,
                order: self.settings.mode == Mode::Ordered,
                spent_time_mills: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            };
            if let Ok(body) = json::to_vec(&result) {
                let _ = answer.send(body);
            }
        });
    }
}
