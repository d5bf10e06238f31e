use std::{collections::BTreeSet, time::Duration};

use castmq::client::{LiteConsumer, Message, Seek, Start};

use crate::harness::{Cluster, send_numbers, text};

async fn poll(consumer: &LiteConsumer, count: usize) -> Vec<String> {
    let mut got = Vec::new();
    while got.len() < count {
        let polled = consumer.poll(Duration::from_secs(10)).await.unwrap();
        assert!(!polled.is_empty(), "{got:?} and no more");
        got.extend(polled.iter().map(|message| text(message.body())));
    }
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn assigned_queues_are_read_sought_paused_and_committed() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T21", 1).await;
    let producer = client.producer("p").await.unwrap();
    send_numbers(&producer, "T21", 5).await;
    let consumer = client.lite_consumer("c21").start_from(Start::First).auto_commit(false).await.unwrap();
    let queues = consumer.queues_of("T21").await.unwrap();
    let [queue] = &queues[..] else { panic!("one queue, not {queues:?}") };
    consumer.assign(queues.clone()).await.unwrap();
    assert_eq!(poll(&consumer, 5).await, ["0", "1", "2", "3", "4"]);
    assert_eq!(consumer.position(queue), Some(5));
    consumer.seek(queue, Seek::Offset(3)).await.unwrap();
    assert_eq!(poll(&consumer, 2).await, ["3", "4"]);
    assert!(consumer.seek(queue, Seek::Offset(6)).await.unwrap_err().to_string().contains("within 0 to 5"));
    consumer.seek(queue, Seek::End).await.unwrap();
    assert!(consumer.poll(Duration::from_millis(200)).await.unwrap().is_empty());
    consumer.pause([queue]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    consumer.resume([queue]);
    producer.send(Message::new("T21", "5")).await.unwrap();
    assert_eq!(poll(&consumer, 1).await, ["5"]);
    consumer.commit().await.unwrap();
    assert_eq!(consumer.committed(queue).await.unwrap(), Some(6));
    consumer.shutdown().await;
    assert!(consumer.poll(Duration::ZERO).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribed_queues_are_shared() {
    let cluster = Cluster::start();
    let one = cluster.client_with_topic("T22", 4).await;
    let two = cluster.client().await;
    let producer = one.producer("p").await.unwrap();
    let subscribe = |client: &castmq::client::Client| {
        client.lite_consumer("c22").subscribe("T22", "*").start_from(Start::First)
    };
    let consumers = [subscribe(&one).await.unwrap(), subscribe(&two).await.unwrap()];
    crate::harness::eventually("halves", async || consumers.iter().all(|it| it.queues().len() == 2)).await;
    send_numbers(&producer, "T22", 40).await;
    let (first, second) = tokio::join!(poll(&consumers[0], 20), poll(&consumers[1], 20));
    let all: BTreeSet<String> = first.into_iter().chain(second).collect();
    assert_eq!(all.len(), 40);
}
