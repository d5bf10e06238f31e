//! A topic that is deleted while messages come is gone at once, and begins anew when it is made again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use castmq::protocol::{
    codes::{RequestCode, ResponseCode},
    requests::topic::TopicRequest,
};

use crate::harness::Running;

#[test]
fn a_topic_that_is_deleted_under_load_leaves_nothing_and_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let mut admin = broker.connect();
    admin.create_topic("T", 4);
    let end = Arc::new(AtomicBool::new(false));
    let producers: Vec<_> = (0..4)
        .map(|queue| {
            let (mut client, end) = (broker.connect(), end.clone());
            thread::spawn(move || {
                let mut stored = 0u64;
                while !end.load(Ordering::Relaxed) {
                    match client.send("T", queue, b"x") {
                        Ok(_) => stored += 1,
                        Err(ResponseCode::SYSTEM_BUSY) => {}
                        Err(code) => panic!("a producer makes the topic again, or tries again: {code}"),
                    }
                }
                stored
            })
        })
        .collect();
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(50));
        let before = broker.broker.store.queues().get("T", 0).unwrap().next_offset().0;
        let began = Instant::now();
        let asked = TopicRequest { topic: "T".into() };
        let answer = admin.ask(RequestCode::DELETE_TOPIC_IN_BROKER, &asked, b"");
        assert_eq!(answer.header.response_code(), ResponseCode::SUCCESS, "{:?}", answer.header.remark);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert!(before > 0, "there was something to delete");
        // Whoever sends first makes it again, after the answer or while it was on its way.
        let deadline = Instant::now() + Duration::from_secs(5);
        let first = loop {
            let (code, _, got) = admin.pull("T", 0, 0);
            match got.first() {
                Some(first) if code == ResponseCode::SUCCESS => break first.clone(),
                _ => assert!(Instant::now() < deadline, "no first message: {code}"),
            }
        };
        assert_eq!(first.queue_offset, 0);
    }
    end.store(true, Ordering::Relaxed);
    assert!(producers.into_iter().map(|producer| producer.join().unwrap()).sum::<u64>() > 100);
    for queue in 0..4 {
        let all = admin.drain("T", queue, 1);
        assert!(all.iter().enumerate().all(|(number, got)| got.queue_offset == number as i64));
    }
}
