//! A group that consumes in order while its actor crashes: everything comes, nothing is skipped, and no queue has two
//! members at a time.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use castmq::{
    actors::supervision::chaos::Fault,
    protocol::{
        codes::{RequestCode, ResponseCode},
        connection::ConsumerList,
        fields::Emit,
        frame::Frame,
        heartbeat::{ConsumerData, HeartbeatData},
        json,
        lock::{LockBatchRequest, LockBatchResponse},
        message::MessageQueue,
        requests::{
            client::ConsumerGroupRequest,
            offset::{OffsetResponse, QueryConsumerOffsetRequest, UpdateConsumerOffsetRequest},
        },
    },
};

use crate::{
    crashes::panics,
    harness::{Client, Running, pull, pulled},
};

const QUEUES: i32 = 4;
const MEMBERS: usize = 3;

/// Who consumes which queue now, and up to where each was consumed.
#[derive(Default)]
struct Ledger {
    inside: HashMap<i32, usize>,
    consumed: HashMap<i32, i64>,
}

struct Member {
    client: Client,
    id: usize,
    ledger: Arc<Mutex<Ledger>>,
}

impl Member {
    /// Asks until it is not told to try again; passes over what the broker tells meanwhile.
    fn ask(&mut self, code: RequestCode, fields: &impl Emit, body: &[u8]) -> Frame {
        loop {
            let opaque = self.client.tell(code, fields, body);
            let answer = loop {
                let frame = self.client.read().expect("an answer");
                if frame.header.is_response() && frame.header.opaque == opaque {
                    break frame;
                }
            };
            if answer.header.response_code() != ResponseCode::SYSTEM_BUSY {
                return answer;
            }
        }
    }

    fn locks(&mut self, code: RequestCode, queues: &[i32]) -> Vec<i32> {
        let queue = |id: &i32| MessageQueue { broker_name: "b".into(), queue_id: *id, topic: "T".into() };
        let body = LockBatchRequest {
            client_id: self.id.to_string(),
            consumer_group: "g".into(),
            mq_set: queues.iter().map(queue).collect(),
            only_this_broker: false,
        };
        let answer = self.ask(code, &(), &json::to_vec(&body).unwrap());
        let locked = json::from_slice::<LockBatchResponse>(&answer.body).unwrap_or_default();
        locked.lock_ok_mq_set.iter().map(|queue| queue.queue_id).collect()
    }

    /// One round as a client makes it: heartbeat, members, share, locks, a pull of each queue, and all given back.
    fn round(&mut self) {
        let beat = HeartbeatData {
            client_id: self.id.to_string(),
            consumer_data_set: vec![ConsumerData { group_name: "g".into(), ..ConsumerData::default() }],
            ..HeartbeatData::default()
        };
        self.ask(RequestCode::HEART_BEAT, &(), &json::to_vec(&beat).unwrap());
        let group = ConsumerGroupRequest { consumer_group: "g".into() };
        let members = self.ask(RequestCode::GET_CONSUMER_LIST_BY_GROUP, &group, b"");
        let ids = json::from_slice::<ConsumerList>(&members.body).unwrap().consumer_id_list;
        let own = ids.iter().position(|id| *id == self.id.to_string()).expect("it has just told");
        let share: Vec<i32> = (0..QUEUES).filter(|queue| *queue as usize % ids.len() == own).collect();
        let locked = self.locks(RequestCode::LOCK_BATCH_MQ, &share);
        for queue in &locked {
            self.consume(*queue);
        }
        self.locks(RequestCode::UNLOCK_BATCH_MQ, &locked);
    }

    fn consume(&mut self, queue_id: i32) {
        let other = self.ledger.lock().unwrap().inside.insert(queue_id, self.id);
        assert_eq!(other, None, "queue {queue_id} has two members");
        let asked = QueryConsumerOffsetRequest {
            consumer_group: "g".into(),
            topic: "T".into(),
            queue_id,
            set_zero_if_not_found: None,
        };
        let answer = self.ask(RequestCode::QUERY_CONSUMER_OFFSET, &asked, b"");
        let from = OffsetResponse::from_fields(&answer.header.fields).map_or(0, |found| found.offset);
        let answer = self.ask(RequestCode::PULL_MESSAGE, &pull("T", queue_id, from, "*", 0), b"");
        for got in pulled(&answer).2 {
            let mut ledger = self.ledger.lock().unwrap();
            let next = ledger.consumed.entry(queue_id).or_default();
            assert!(got.queue_offset <= *next, "queue {queue_id}: {next} is skipped");
            *next = (*next).max(got.queue_offset + 1);
            let commit_offset = got.queue_offset + 1;
            drop(ledger);
            let done = UpdateConsumerOffsetRequest {
                consumer_group: "g".into(),
                topic: "T".into(),
                queue_id,
                commit_offset,
            };
            self.ask(RequestCode::UPDATE_CONSUMER_OFFSET, &done, b"");
        }
        self.ledger.lock().unwrap().inside.remove(&queue_id);
    }
}

#[test]
fn a_group_that_crashes_gives_no_queue_to_two_members_and_skips_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Arc::new(Running::start(dir.path()));
    let mut producer = broker.connect();
    producer.create_topic("T", QUEUES);
    let (end, ledger) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Ledger::default())));
    let members: Vec<_> = (0..MEMBERS)
        .map(|id| {
            let (broker, end, ledger) = (broker.clone(), end.clone(), ledger.clone());
            thread::spawn(move || {
                while !end.load(Ordering::Relaxed) {
                    // Each leaves now and then, and its queues go to the others.
                    let mut member = Member { client: broker.connect(), id, ledger: ledger.clone() };
                    (0..10 + 5 * id).for_each(|_| member.round());
                }
            })
        })
        .collect();
    let (mut sent, mut faults) = (0i64, panics());
    faults.push(Fault::PanicBefore(Some("Lock".into())));
    for fault in &faults {
        for _ in 0..25 {
            (0..QUEUES).for_each(|queue| drop(producer.send("T", queue, b"x").unwrap()));
        }
        sent += 25;
        broker.strike("groups/consumers/g", fault);
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while (0..QUEUES).any(|queue| ledger.lock().unwrap().consumed.get(&queue) != Some(&sent)) {
        let dead = members.iter().any(|member| member.is_finished());
        assert!(!dead && Instant::now() < deadline, "{:?} of {sent}", ledger.lock().unwrap().consumed);
        thread::sleep(Duration::from_millis(10));
    }
    end.store(true, Ordering::Relaxed);
    members.into_iter().for_each(|member| member.join().unwrap());
}
