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
