use std::{collections::BTreeSet, time::Duration};

use castmq::client::{LiteConsumer, Message, Seek, Start};

use crate::harness::{Cluster, eventually, send_numbers, text};

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

#[tokio::test(flavor = "multi_thread")]
async fn what_was_polled_is_not_committed_when_its_queue_is_lost() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T50", 2).await;
    let other = cluster.client().await;
    let producer = client.producer("p").await.unwrap();
    send_numbers(&producer, "T50", 10).await;
    let subscribe = |client: &castmq::client::Client| {
        client.lite_consumer("c50").subscribe("T50", "*").start_from(Start::First).auto_commit(false)
    };
    let first = subscribe(&client).await.unwrap();
    assert_eq!(poll(&first, 10).await.len(), 10);
    let all = first.queues();
    let second = subscribe(&other).await.unwrap();
    eventually("halves", async || first.queues().len() == 1 && second.queues().len() == 1).await;
    // All that was not committed comes again; the broker answers 0 for a group that it does not know.
    assert_eq!(poll(&second, 5).await.len(), 5);
    for queue in &all {
        assert_eq!(second.committed(queue).await.unwrap().unwrap_or(0), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_was_assigned_no_more_is_read_from_what_was_committed() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T51", 1).await;
    let producer = client.producer("p").await.unwrap();
    send_numbers(&producer, "T51", 5).await;
    let consumer = client.lite_consumer("c51").start_from(Start::First).auto_commit(false).await.unwrap();
    let queues = consumer.queues_of("T51").await.unwrap();
    consumer.assign(queues.clone()).await.unwrap();
    assert_eq!(poll(&consumer, 5).await.len(), 5);
    consumer.assign([]).await.unwrap();
    assert_eq!(consumer.position(&queues[0]), None);
    consumer.commit().await.unwrap();
    consumer.assign(queues.clone()).await.unwrap();
    assert_eq!(poll(&consumer, 5).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_counts_as_consumed_once_more_is_polled() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T52", 1).await;
    let producer = client.producer("p").await.unwrap();
    send_numbers(&producer, "T52", 5).await;
    let start = || client.lite_consumer("c52").start_from(Start::First).poll_batch(3);
    let consumer = start().await.unwrap();
    let queues = consumer.queues_of("T52").await.unwrap();
    consumer.assign(queues.clone()).await.unwrap();
    let mut polled = 0;
    while polled == 0 {
        polled = consumer.poll(Duration::from_secs(5)).await.unwrap().len();
    }
    // Whoever works on the batch is gone before it is done with.
    drop(consumer);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let consumer = start().assign(queues.clone()).await.unwrap();
    assert_eq!(poll(&consumer, 5).await, ["0", "1", "2", "3", "4"]);
    consumer.shutdown().await;
    let consumer = start().await.unwrap();
    assert_eq!(consumer.committed(&queues[0]).await.unwrap(), Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_outlives_a_seek_and_a_shutdown_ends_a_poll() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T53", 1).await;
    let producer = client.producer("p").await.unwrap();
    send_numbers(&producer, "T53", 1).await;
    let consumer = client.lite_consumer("c53").start_from(Start::First).await.unwrap();
    let queues = consumer.queues_of("T53").await.unwrap();
    consumer.assign(queues.clone()).await.unwrap();
    assert_eq!(poll(&consumer, 1).await, ["0"]);
    consumer.pause(&queues);
    consumer.seek(&queues[0], Seek::Begin).await.unwrap();
    assert_eq!(consumer.poll(Duration::from_millis(500)).await.unwrap().len(), 0);
    consumer.resume(&queues);
    assert_eq!(poll(&consumer, 1).await, ["0"]);
    let polling = tokio::spawn({
        let consumer = consumer.clone();
        async move { consumer.poll(Duration::MAX).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    consumer.shutdown().await;
    let polled = tokio::time::timeout(Duration::from_secs(5), polling).await.unwrap().unwrap();
    assert!(polled.is_err(), "{polled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_come_and_go_and_given_offsets_are_committed() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T54", 1).await;
    let producer = client.producer("p").await.unwrap();
    send_numbers(&producer, "T54", 3).await;
    let consumer = client.lite_consumer("c54").start_from(Start::First).auto_commit(false).await.unwrap();
    consumer.subscribe("T54", "*").await.unwrap();
    assert_eq!(poll(&consumer, 3).await, ["0", "1", "2"]);
    let queues = consumer.queues();
    assert!(consumer.assign(queues.clone()).await.is_err(), "it subscribes");
    consumer.commit_to([(queues[0].clone(), 2)]).await.unwrap();
    assert_eq!(consumer.committed(&queues[0]).await.unwrap(), Some(2));
    consumer.unsubscribe("T54").await.unwrap();
    eventually("nothing to be read", async || consumer.queues().is_empty()).await;
    assert!(consumer.commit_to([(queues[0].clone(), 3)]).await.is_err(), "it is not read");
    consumer.subscribe("T54", "*").await.unwrap();
    assert_eq!(poll(&consumer, 1).await, ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_is_polled_by_all() {
    let cluster = Cluster::start();
    let one = cluster.client_with_topic("T55", 2).await;
    let two = cluster.client().await;
    let producer = one.producer("p").await.unwrap();
    send_numbers(&producer, "T55", 6).await;
    let folder = tempfile::tempdir().unwrap();
    let start = |client: &castmq::client::Client, name: &str| {
        let builder = client.lite_consumer("c55").subscribe("T55", "*").start_from(Start::First);
        builder.broadcast().offsets_file(folder.path().join(name))
    };
    let (first, second) = (start(&one, "1.json").await.unwrap(), start(&two, "2.json").await.unwrap());
    assert_eq!(poll(&first, 6).await.len(), 6);
    assert_eq!(poll(&second, 6).await.len(), 6);
    first.shutdown().await;
    // What was polled before the shutdown does not come again.
    send_numbers(&producer, "T55", 1).await;
    assert_eq!(poll(&start(&one, "1.json").await.unwrap(), 1).await, ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_an_operator_sends_moves_nothing() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T59", 1).await;
    let producer = client.producer("p").await.unwrap();
    let receipt = producer.send(Message::new("T59", "0")).await.unwrap();
    let start = || client.lite_consumer("c59").start_from(Start::First);
    let consumer = start().await.unwrap();
    let queues = consumer.queues_of("T59").await.unwrap();
    consumer.assign(queues.clone()).await.unwrap();
    assert_eq!(poll(&consumer, 1).await, ["0"]);
    consumer.shutdown().await;
    let consumer = start().assign(queues.clone()).await.unwrap();
    let sent = client.admin().consume_directly("c59", client.id(), &receipt.offset_message_id).await;
    assert!(sent.is_err(), "{sent:?}");
    assert!(consumer.poll(Duration::from_millis(200)).await.unwrap().is_empty());
    consumer.shutdown().await;
    let consumer = start().await.unwrap();
    assert_eq!(consumer.committed(&queues[0]).await.unwrap(), Some(1));
}
