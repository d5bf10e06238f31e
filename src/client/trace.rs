//! What became of each message, as records in a topic of their own, for `mqadmin queryMsgTraceById` and consoles
//! (fact sheets: client 3.6, store 12).

use std::{collections::BTreeSet, fmt::Display, sync::Weak, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tracing::{debug, warn};

use super::{
    Message, Producer, Receipt, ReceivedMessage, SendStatus, TransactionState, core::Core, now_millis,
};
use crate::protocol::{
    message_id::OffsetMessageId, properties::name, sys_flag::TransactionType, topic::TRACE,
};

/// The topic of [`ClientBuilder::trace`](super::ClientBuilder::trace) that RocketMQ's tools look into.
///
/// ```no_run
/// # async fn f() -> Result<(), castmq::client::Error> {
/// use castmq::client::{Client, TRACE_TOPIC};
/// let client = Client::builder().nameserver("ns-a:9876").trace(TRACE_TOPIC).await?;
/// # Ok(()) }
/// ```
pub const TRACE_TOPIC: &str = TRACE;

/// Records that may wait to be sent; what is more is lost.
const WAITING: usize = 2048;
/// Records of one message, unless it waits too long for them.
const BATCH: usize = 10;
/// How long a record may wait for others.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Bytes of one message.
const MAX_BODY: usize = 128_000;
/// Region of brokers that do not say theirs.
const DEFAULT_REGION: &str = "DefaultRegion";

/// Takes records and sends them behind the application's back.
#[derive(Debug)]
pub(super) struct Tracer {
    topic: String,
    told: mpsc::Sender<Told>,
}

#[derive(Debug)]
enum Told {
    Record {
        text: String,
        keys: String,
    },
    /// Sends what has come so far; dropped when that is done.
    Flush(oneshot::Sender<()>),
}

/// A message that is being consumed.
#[derive(Debug)]
pub(super) struct Consuming {
    request_id: String,
    since: Instant,
}

impl Tracer {
    /// A tracer, and the end of it that [`run`] takes.
    pub(super) fn new(topic: String) -> (Self, Records) {
        let (told, records) = mpsc::channel(WAITING);
        (Self { topic: topic.clone(), told }, Records { topic, records })
    }

    fn tell(&self, keys: String, kind: &str, fields: &[&dyn Display]) {
        let mut text = kind.to_owned();
        for field in fields {
            text.push_str(&format!("\u{1}{field}"));
        }
        text.push('\u{2}');
        if self.told.try_send(Told::Record { text, keys }).is_err() {
            debug!(topic = self.topic, "a trace record is lost: too many wait");
        }
    }

    /// Waits until what was told so far is sent or has failed, but not for long: traces hold nobody up.
    pub(super) async fn flush(&self) {
        let (done, is_done) = oneshot::channel();
        let flushed = async {
            self.told.send(Told::Flush(done)).await.ok()?;
            // Dropped, not sent.
            is_done.await.ok()
        };
        let _ = tokio::time::timeout(LONGEST_WAIT, flushed).await;
    }

    /// A message was stored; `took` with all tries.
    pub(super) fn published(
        &self,
        group: &str,
        message: &Message,
        receipt: &Receipt,
        transaction: TransactionType,
        took: Duration,
    ) {
        if receipt.untraced || message.topic() == self.topic {
            return;
        }
        let kind = match transaction {
            TransactionType::None if message.is_delayed() => 3,
            TransactionType::None => 0,
            _ => 1,
        };
        let took = took.as_millis();
        let fields: [&dyn Display; 13] = [
            &(now_millis() - i64::try_from(took).unwrap_or(0)),
            &receipt.region.as_deref().unwrap_or(DEFAULT_REGION),
            &group,
            &message.topic(),
            &receipt.message_id,
            &or_null(message.get(name::TAGS)),
            &or_null(Some(message.keys())),
            &store_host(&receipt.offset_message_id),
            &message.body().len(),
            &took,
            &kind,
            &receipt.offset_message_id,
            &(receipt.status == SendStatus::Ok),
        ];
        self.tell(format!("{} {}", receipt.message_id, message.keys()), "Pub", &fields);
    }

    /// A local transaction has ended.
    pub(super) fn ended(&self, group: &str, half: &Half<'_>, state: TransactionState, from_check: bool) {
        let state = match state {
            TransactionState::Commit => "COMMIT_MESSAGE",
            TransactionState::Rollback => "ROLLBACK_MESSAGE",
            TransactionState::Unknown => "UNKNOW",
        };
        let Half { topic, id, tags, keys, store_host } = half;
        let fields: [&dyn Display; 12] = [
            &now_millis(),
            &DEFAULT_REGION,
            &group,
            topic,
            id,
            &or_null(Some(tags)),
            &or_null(Some(keys)),
            store_host,
            &2,
            id,
            &state,
            &from_check,
        ];
        self.tell(format!("{id} {keys}"), "EndTransaction", &fields);
    }

    /// A delayed message was taken back.
    pub(super) fn recalled(&self, group: &str, topic: &str, id: &str) {
        let fields: [&dyn Display; 6] = [&now_millis(), &DEFAULT_REGION, &group, &topic, &id, &true];
        self.tell(id.to_owned(), "Recall", &fields);
    }

    /// A message is handed to the application; none when its broker wants no traces, or it is one itself.
    pub(super) fn consuming(&self, core: &Core, group: &str, message: &ReceivedMessage) -> Option<Consuming> {
        if message.property(name::TRACE_ON) == Some("false") || message.topic() == self.topic {
            return None;
        }
        let request_id = core.unique_id().as_str().to_owned();
        let fields: [&dyn Display; 7] = [
            &now_millis(),
            &message.property(name::MSG_REGION).unwrap_or(DEFAULT_REGION),
            &group,
            &request_id,
            &message.id(),
            &message.reconsume_times(),
            &or_null(Some(keys_of(message))),
        ];
        self.tell(format!("{} {}", message.id(), keys_of(message)), "SubBefore", &fields);
        Some(Consuming { request_id, since: Instant::now() })
    }

    /// The application has said what became of it.
    pub(super) fn consumed(&self, it: Consuming, group: &str, message: &ReceivedMessage, is_done: bool) {
        // Success, or failed.
        let code = if is_done { 0 } else { 4 };
        let fields: [&dyn Display; 8] = [
            &it.request_id,
            &message.id(),
            &it.since.elapsed().as_millis(),
            &is_done,
            &or_null(Some(keys_of(message))),
            &code,
            &now_millis(),
            &group,
        ];
        self.tell(format!("{} {}", message.id(), keys_of(message)), "SubAfter", &fields);
    }
}

/// The message of a transaction that ends.
pub(super) struct Half<'a> {
    pub(super) topic: &'a str,
    pub(super) id: &'a str,
    pub(super) tags: &'a str,
    pub(super) keys: &'a str,
    pub(super) store_host: String,
}

/// Java writes the word, and cannot read a record that ends with nothing.
fn or_null(text: Option<&str>) -> &str {
    text.filter(|text| !text.is_empty()).unwrap_or("null")
}

fn keys_of(message: &ReceivedMessage) -> &str {
    message.property(name::KEYS).unwrap_or_default()
}

/// The broker that the (first) offset message id names.
pub(super) fn store_host(offset_message_id: &str) -> String {
    let first = offset_message_id.split(',').next().unwrap_or_default();
    first.parse().map(|id: OffsetMessageId| id.host.to_string()).unwrap_or_default()
}

/// What was told a [`Tracer`].
pub(super) struct Records {
    topic: String,
    records: mpsc::Receiver<Told>,
}

/// Sends records, some at a time, until the client ends.
pub(super) async fn run(core: Weak<Core>, from: Records) {
    let Records { topic, mut records } = from;
    let (mut body, mut keys, mut count) = (String::new(), BTreeSet::new(), 0);
    let mut deadline = Instant::now();
    loop {
        let told = match count {
            0 => records.recv().await,
            _ => tokio::time::timeout_at(deadline, records.recv())
                .await
                .unwrap_or(Some(Told::Flush(oneshot::channel().0))),
        };
        let flushed = match told {
            None => return,
            Some(Told::Flush(done)) => Some(done),
            Some(Told::Record { text, keys: more }) => {
                if count == 0 {
                    deadline = Instant::now() + LONGEST_WAIT;
                }
                body.push_str(&text);
                keys.extend(more.split_whitespace().map(str::to_owned));
                count += 1;
                None
            }
        };
        if count > 0 && (flushed.is_some() || count >= BATCH || body.len() >= MAX_BODY) {
            let Some(core) = core.upgrade() else { return };
            let message = Message::new(&topic, std::mem::take(&mut body));
            let message = std::mem::take(&mut keys).into_iter().fold(message, Message::key);
            if let Err(error) = Producer::internal(core).send_plain(message, None).await {
                warn!(topic, count, %error, "trace records are lost");
            }
            count = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_fields_apart_by_one_and_end_with_two() {
        let (tracer, mut records) = Tracer::new("T".to_owned());
        tracer.recalled("g", "orders", "ID");
        let Ok(Told::Record { text, keys }) = records.records.try_recv() else { panic!("no record") };
        let fields: Vec<&str> = text.trim_end_matches('\u{2}').split('\u{1}').collect();
        assert_eq!((fields.len(), fields[0], keys.as_str()), (7, "Recall", "ID"));
        assert_eq!(fields[2..], ["DefaultRegion", "g", "orders", "ID", "true"]);
    }

    #[test]
    fn what_is_too_much_is_lost_and_nobody_waits() {
        let (tracer, records) = Tracer::new("T".to_owned());
        (0..WAITING + 10).for_each(|_| tracer.recalled("g", "orders", "ID"));
        assert_eq!(records.records.len(), WAITING);
    }

    #[test]
    fn the_store_host_is_read_from_the_first_id() {
        assert_eq!(store_host("7F000001000055970000000000000040,00"), "127.0.0.1:21911");
        assert_eq!(store_host(""), "");
    }
}
