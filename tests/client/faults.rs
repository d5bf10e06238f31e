//! Servers that go away while clients work; only against servers of the tests' own.

use std::time::Duration;

use castmq::client::{Client, Message, Start};
#[cfg(feature = "chaos")]
use castmq::{
    actors::supervision::{Node, chaos},
    testing::Fault,
};

use crate::harness::{Cluster, eventually, send_numbers, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_outlives_its_broker() {
    let mut cluster = Cluster::with_nameservers(1);
    let client = cluster.client_with_topic("T7", 1).await;
    let producer = client.producer("p").send_timeout(Duration::from_millis(500)).await.unwrap();
    producer.send(Message::new("T7", "before")).await.unwrap();
    cluster.stop_broker();
    let error = producer.send(Message::new("T7", "without")).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    cluster.restart_broker();
    eventually("the broker to be found again", async || {
        producer.send(Message::new("T7", "after")).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_goes_on_after_its_broker_came_back() {
    let mut cluster = Cluster::with_nameservers(1);
    let client = cluster.client_with_topic("T16", 1).await;
    let consumer = client.push_consumer("c16").subscribe("T16", "*").start_from(Start::First).await.unwrap();
    let producer = client.producer("p").await.unwrap();
    send_numbers(&producer, "T16", 1).await;
    consumer.recv().await.unwrap().ack();
    cluster.stop_broker();
    cluster.restart_broker();
    eventually("a send", async || producer.send(Message::new("T16", "after")).await.is_ok()).await;
    loop {
        let delivery = consumer.recv().await.unwrap();
        let body = text(delivery.body());
        delivery.ack();
        if body == "after" {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nameserver_that_is_lost_half_way_is_not_missed() {
    let mut cluster = Cluster::with_nameservers(2);
    cluster.client_with_topic("T30", 1).await;
    let client =
        Client::builder().nameservers(&cluster.nameservers).route_interval(Duration::from_millis(100));
    let client = client.await.unwrap();
    let producer = client.producer("p").await.unwrap();
    let consumer = client.push_consumer("c30").subscribe("T30", "*").start_from(Start::First).await.unwrap();
    for lost in 0..2 {
        producer.send(Message::new("T30", format!("{lost}"))).await.unwrap();
        let delivery = consumer.recv().await.unwrap();
        assert_eq!(text(delivery.body()), format!("{lost}"));
        delivery.ack();
        cluster.stop_nameserver(lost);
        if lost == 0 {
            // Routes that are not known yet come from the other one.
            client.admin().create_topic(castmq::client::Topic::new("T31")).await.unwrap();
            eventually("a new topic", async || producer.send(Message::new("T31", "x")).await.is_ok()).await;
        }
    }
    // With none at all, what is known goes on.
    tokio::time::sleep(Duration::from_millis(300)).await;
    producer.send(Message::new("T30", "last")).await.unwrap();
    let delivery = consumer.recv().await.unwrap();
    assert_eq!(text(delivery.body()), "last");
    delivery.ack();
}

#[cfg(feature = "chaos")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_part_of_the_broker_that_crashes_costs_a_retry_at_most() {
    use std::sync::atomic::{AtomicBool, Ordering};

    let cluster = Cluster::with_nameservers(1);
    let client = cluster.client_with_topic("T66", 1).await;
    let consumer = client.push_consumer("c66").subscribe("T66", "*").start_from(Start::First).await.unwrap();
    let producer = client.producer("p").await.unwrap();
    let is_over = std::sync::Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let sending = tokio::spawn(async move {
        let mut sent = 0;
        while !over.load(Ordering::Relaxed) {
            producer.send(Message::new("T66", sent.to_string())).await.unwrap();
            sent += 1;
        }
        sent
    });
    let broker = cluster.broker();
    let connections = || broker.snapshot().find("broker/remoting/connections").unwrap().children.clone();
    tokio::task::block_in_place(|| {
        for _ in 0..3 {
            for part in ["store/commit-log", "store/dispatcher", "store/queues/T66:0", "groups/offsets"] {
                broker.strike(part, &Fault::FailStart);
            }
            let before = connections();
            for connection in &before {
                // It may be gone by now.
                let _ = chaos::inject(&broker.tree, &connection.path, Fault::PanicInFuture);
            }
            let since = std::time::Instant::now();
            let all_live = |now: Vec<Node>| before.iter().all(|it| now.iter().any(|now| now.path == it.path));
            while all_live(connections()) {
                assert!(since.elapsed() < Duration::from_secs(5), "no connection has crashed");
            }
        }
    });
    is_over.store(true, Ordering::Relaxed);
    let sent = sending.await.unwrap();
    let mut missing: std::collections::BTreeSet<usize> = (0..sent).collect();
    while !missing.is_empty() {
        let delivery = tokio::time::timeout(Duration::from_secs(30), consumer.recv()).await.unwrap().unwrap();
        missing.remove(&text(delivery.body()).parse().unwrap());
        delivery.ack();
    }
}
