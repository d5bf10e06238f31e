use std::time::Duration;

use castmq::client::{Message, Start};

use crate::harness::{Cluster, eventually, send_numbers, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_consumed_in_order_and_a_failure_comes_again_first() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T23", 1).await;
    let producer = client.producer("p").await.unwrap();
    send_numbers(&producer, "T23", 4).await;
    let builder = client.push_consumer("c23").subscribe("T23", "*").start_from(Start::First);
    let consumer = builder.ordered().suspend(Duration::from_millis(20)).await.unwrap();
    let mut got = Vec::new();
    while got.len() < 6 {
        let delivery = consumer.recv().await.unwrap();
        let body = text(delivery.body());
        got.push((body.clone(), delivery.reconsume_times()));
        if body == "1" && delivery.reconsume_times() < 2 {
            drop(delivery);
        } else {
            delivery.ack();
        }
    }
    let got: Vec<_> = got.iter().map(|(body, times)| (body.as_str(), *times)).collect();
    assert_eq!(got, [("0", 0), ("1", 0), ("1", 1), ("1", 2), ("2", 0), ("3", 0)]);
    consumer.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_changes_hands_only_after_its_current_message() {
    let cluster = Cluster::start();
    let one = cluster.client_with_topic("T24", 2).await;
    let two = cluster.client().await;
    let subscribe = |client: &castmq::client::Client| {
        client.push_consumer("c24").subscribe("T24", "*").start_from(Start::First).ordered()
    };
    let first = subscribe(&one).await.unwrap();
    eventually("both queues", async || {
        first.queues().iter().filter(|it| it.topic.starts_with('T')).count() == 2
    })
    .await;
    let producer = one.producer("p").await.unwrap();
    let queue = |id: i32| castmq::client::MessageQueue {
        broker_name: "broker-a".into(),
        queue_id: id,
        topic: "T24".into(),
    };
    for id in 0..2 {
        for n in 0..2 {
            producer.send(Message::new("T24", format!("{id}-{n}"))).to(&queue(id)).await.unwrap();
        }
    }
    let held = [first.recv().await.unwrap(), first.recv().await.unwrap()];
    let second = subscribe(&two).await.unwrap();
    eventually("one queue to be given up", async || {
        first.queues().iter().filter(|it| it.topic.starts_with('T')).count() == 1
    })
    .await;
    // Its message is still being consumed: nobody else may have the queue.
    let early = tokio::time::timeout(Duration::from_millis(1500), second.recv()).await;
    assert!(early.is_err(), "{early:?}");
    held.into_iter().for_each(|delivery| delivery.ack());
    let delivery = second.recv().await.unwrap();
    assert!(text(delivery.body()).ends_with("-1"), "what was acknowledged does not come again");
    delivery.ack();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_comes_back_waits_for_its_current_message() {
    let cluster = Cluster::start();
    let one = cluster.client_with_topic("T56", 2).await;
    let two = cluster.client().await;
    let producer = one.producer("p").await.unwrap();
    send_numbers(&producer, "T56", 4).await;
    let subscribe = |client: &castmq::client::Client| {
        client.push_consumer("c56").subscribe("T56", "*").start_from(Start::First).ordered()
    };
    let own = |consumer: &castmq::client::PushConsumer| {
        consumer.queues().iter().filter(|it| it.topic.starts_with('T')).count()
    };
    let first = subscribe(&one).await.unwrap();
    let held = [first.recv().await.unwrap(), first.recv().await.unwrap()];
    let second = subscribe(&two).await.unwrap();
    eventually("one queue to be given up", async || own(&first) == 1).await;
    second.shutdown(Duration::ZERO).await;
    let early = tokio::time::timeout(Duration::from_millis(1500), first.recv()).await;
    assert!(early.is_err(), "{early:?}");
    held.into_iter().for_each(|delivery| delivery.ack());
    let mut rest = [text(first.recv().await.unwrap().body()), String::new()];
    rest[1] = text(first.recv().await.unwrap().body());
    rest.sort();
    assert_eq!(rest, ["2", "3"], "what was acknowledged does not come again");
    eventually("both queues again", async || own(&first) == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_waits_for_the_current_message() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T57", 1).await;
    let producer = client.producer("p").await.unwrap();
    send_numbers(&producer, "T57", 3).await;
    let builder = client.push_consumer("c57").subscribe("T57", "*").start_from(Start::First);
    let consumer = builder.ordered().await.unwrap();
    consumer.recv().await.unwrap().ack();
    let held = consumer.recv().await.unwrap();
    assert_eq!(text(held.body()), "1");
    client.admin().reset_offsets("c57", "T57", 0, true).await.unwrap();
    // The next pull is told; the one that is held ends with this message.
    producer.send(Message::new("T57", "3")).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(1500), consumer.recv()).await;
    assert!(early.is_err(), "{early:?}");
    held.ack();
    for expected in ["0", "1", "2", "3"] {
        let delivery = consumer.recv().await.unwrap();
        assert_eq!(text(delivery.body()), expected);
        delivery.ack();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_a_broadcast_comes_again_in_order_too() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T58", 1).await;
    let producer = client.producer("p").await.unwrap();
    send_numbers(&producer, "T58", 2).await;
    let folder = tempfile::tempdir().unwrap();
    let builder = client.push_consumer("c58").subscribe("T58", "*").start_from(Start::First).ordered();
    let builder = builder.broadcast().offsets_file(folder.path().join("offsets.json"));
    let consumer = builder.suspend(Duration::from_millis(20)).await.unwrap();
    consumer.recv().await.unwrap().retry_later();
    for expected in [("0", 1), ("1", 0)] {
        let delivery = consumer.recv().await.unwrap();
        assert_eq!((text(delivery.body()).as_str(), delivery.reconsume_times()), expected);
        delivery.ack();
    }
}
