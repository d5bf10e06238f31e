use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use castmq::client::{Filter, Message, Outcome, PushConsumer, Start};

use crate::harness::{Cluster, eventually, send_numbers, text};

const WAIT: Duration = Duration::from_secs(5);

/// How often each body came.
type Seen = Arc<Mutex<BTreeMap<String, usize>>>;

fn collect(consumer: &PushConsumer, seen: &Seen) -> tokio::task::JoinHandle<()> {
    let (consumer, seen) = (consumer.clone(), seen.clone());
    tokio::spawn(async move {
        consumer
            .run(|message| {
                *seen.lock().unwrap().entry(text(message.body())).or_default() += 1;
                async {}
            })
            .await;
    })
}

fn once_each(count: usize) -> BTreeMap<String, usize> {
    (0..count).map(|number| (number.to_string(), 1)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_comes_once_and_progress_survives() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T", 4).await;
    let producer = client.producer("p").await.unwrap();
    let consumer = client.push_consumer("c").subscribe("T", "*").start_from(Start::First).await.unwrap();
    let seen = Seen::default();
    let running = collect(&consumer, &seen);
    send_numbers(&producer, "T", 100).await;
    eventually("all messages", async || seen.lock().unwrap().len() == 100).await;
    consumer.shutdown(WAIT).await;
    running.await.unwrap();
    assert_eq!(*seen.lock().unwrap(), once_each(100));
    // The next one goes on where this one stopped.
    producer.send(Message::new("T", "next")).await.unwrap();
    let consumer = client.push_consumer("c").subscribe("T", "*").start_from(Start::First).await.unwrap();
    let delivery = consumer.recv().await.unwrap();
    assert_eq!(text(delivery.body()), "next");
    delivery.ack();
    consumer.shutdown(WAIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_the_queues_and_take_over_from_each_other() {
    let cluster = Cluster::start();
    let one = cluster.client_with_topic("T", 4).await;
    let two = cluster.client().await;
    let subscribe = |client: &castmq::client::Client| {
        client
            .push_consumer("c")
            .subscribe("T", "*")
            .start_from(Start::First)
            .persist_interval(Duration::from_millis(100))
    };
    let seen = Seen::default();
    let first = subscribe(&one).await.unwrap();
    let running = [collect(&first, &seen)];
    eventually("all queues", async || own(&first).len() == 4).await;
    let second = subscribe(&two).await.unwrap();
    let also_running = collect(&second, &seen);
    eventually("half of the queues", async || own(&first).len() == 2 && own(&second).len() == 2).await;
    assert!(own(&first).is_disjoint(&own(&second)));
    let producer = one.producer("p").await.unwrap();
    send_numbers(&producer, "T", 40).await;
    eventually("all messages", async || seen.lock().unwrap().len() == 40).await;
    second.shutdown(WAIT).await;
    eventually("all queues again", async || own(&first).len() == 4).await;
    send_numbers(&producer, "T", 60).await;
    eventually("the rest", async || seen.lock().unwrap().len() == 60).await;
    first.shutdown(WAIT).await;
    also_running.await.unwrap();
    for running in running {
        running.await.unwrap();
    }
    assert_eq!(seen.lock().unwrap().values().sum::<usize>(), 100);
}

/// The queues of T that a consumer reads.
fn own(consumer: &PushConsumer) -> BTreeSet<i32> {
    consumer.queues().iter().filter(|queue| queue.topic == "T").map(|queue| queue.queue_id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_filtered_exactly() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T", 1).await;
    let producer = client.producer("p").await.unwrap();
    // Two tags with the same hash.
    for (tag, body) in [("AaAa", "one"), ("BBBB", "two"), ("c", "three"), ("d", "four")] {
        producer.send(Message::new("T", body).tag(tag)).await.unwrap();
    }
    let filter = Filter::tags(["BBBB", "d"]);
    let consumer = client.push_consumer("c").subscribe("T", filter).start_from(Start::First).await.unwrap();
    let mut got = Vec::new();
    while got.len() < 2 {
        let delivery = consumer.recv().await.unwrap();
        got.push(text(delivery.body()));
        delivery.ack();
    }
    assert_eq!(got, ["two", "four"]);
    consumer.shutdown(WAIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_are_compressed_on_the_way() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T", 1).await;
    let producer = client.producer("p").await.unwrap();
    let body = "castmq ".repeat(10_000);
    producer.send(Message::new("T", body.clone())).await.unwrap();
    let consumer = client.push_consumer("c").subscribe("T", "*").start_from(Start::First).await.unwrap();
    let delivery = consumer.recv().await.unwrap();
    assert_eq!(text(delivery.body()), body);
    assert!(!delivery.is_compressed());
    delivery.ack();
}

#[tokio::test(flavor = "multi_thread")]
async fn broadcast_gives_everybody_everything_and_remembers_in_a_file() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T", 2).await;
    let other = cluster.client().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).join("offsets.json");
    let subscribe = |client: &castmq::client::Client, name: &str| {
        let builder = client.push_consumer("c").subscribe("T", "*").start_from(Start::First);
        builder.broadcast().offsets_file(file(name))
    };
    let (one, two) = (subscribe(&client, "1").await.unwrap(), subscribe(&other, "2").await.unwrap());
    let seen = [Seen::default(), Seen::default()];
    let running = [collect(&one, &seen[0]), collect(&two, &seen[1])];
    let producer = client.producer("p").await.unwrap();
    send_numbers(&producer, "T", 10).await;
    for seen in &seen {
        eventually("everything", async || *seen.lock().unwrap() == once_each(10)).await;
    }
    one.shutdown(WAIT).await;
    two.shutdown(WAIT).await;
    for running in running {
        running.await.unwrap();
    }
    assert!(std::fs::read_to_string(file("1")).unwrap().contains("\"topic\":\"T\""));
    let again = subscribe(&client, "1").await.unwrap();
    producer.send(Message::new("T", "next")).await.unwrap();
    let delivery = again.recv().await.unwrap();
    assert_eq!(text(delivery.body()), "next");
    delivery.ack();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_handler_is_a_failed_message_not_a_dead_consumer() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T", 1).await;
    let producer = client.producer("p").await.unwrap();
    let consumer = client.push_consumer("c").subscribe("T", "*").start_from(Start::First).await.unwrap();
    let seen = Seen::default();
    let running = tokio::spawn({
        let (consumer, seen) = (consumer.clone(), seen.clone());
        async move {
            consumer
                .run(|message| {
                    *seen.lock().unwrap().entry(text(message.body())).or_default() += 1;
                    async move {
                        assert_ne!(text(message.body()), "1", "this is the panic of the test");
                        Outcome::Done
                    }
                })
                .await;
        }
    });
    send_numbers(&producer, "T", 3).await;
    eventually("the others", async || seen.lock().unwrap().len() == 3).await;
    assert!(!running.is_finished());
    consumer.shutdown(WAIT).await;
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_goes_on_after_its_broker_came_back() {
    let mut cluster = Cluster::start();
    let client = cluster.client_with_topic("T", 1).await;
    let consumer = client.push_consumer("c").subscribe("T", "*").start_from(Start::First).await.unwrap();
    let producer = client.producer("p").await.unwrap();
    send_numbers(&producer, "T", 1).await;
    consumer.recv().await.unwrap().ack();
    cluster.stop_broker();
    cluster.restart_broker();
    eventually("a send", async || producer.send(Message::new("T", "after")).await.is_ok()).await;
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
async fn what_failed_comes_again_however_the_broker_takes_it_back() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T", 1).await;
    let producer = client.producer("p").await.unwrap();
    let receipt = producer.send(Message::new("T", "again").tag("a").key("k")).await.unwrap();
    let builder = client.push_consumer("c").subscribe("T", "*").start_from(Start::First);
    let consumer = builder.rebalance_interval(Duration::from_millis(500)).await.unwrap();
    let first = consumer.recv().await.unwrap();
    assert_eq!((first.id(), first.reconsume_times()), (receipt.message_id, 0));
    first.retry_after_level(1);
    let again = tokio::time::timeout(Duration::from_secs(30), consumer.recv()).await.unwrap().unwrap();
    assert_eq!((again.topic(), text(again.body()), again.reconsume_times()), ("T", "again".to_owned(), 1));
    assert_eq!((again.tag(), again.keys().collect::<Vec<_>>()), (Some("a"), vec!["k"]));
    again.ack();
    consumer.shutdown(WAIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_dropped_leaves_its_queues_to_others() {
    let cluster = Cluster::start();
    let one = cluster.client_with_topic("T", 2).await;
    let two = cluster.client().await;
    let first = one.push_consumer("c").subscribe("T", "*").await.unwrap();
    eventually("all queues", async || own(&first).len() == 2).await;
    let second = two.push_consumer("c").subscribe("T", "*").await.unwrap();
    eventually("one queue each", async || own(&first).len() == 1 && own(&second).len() == 1).await;
    drop(first);
    eventually("both queues", async || own(&second).len() == 2).await;
    // The name is free again.
    one.push_consumer("c").subscribe("T", "*").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_are_filtered_by_sql() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T", 1).await;
    let producer = client.producer("p").await.unwrap();
    for price in [5, 50, 500] {
        producer
            .send(Message::new("T", price.to_string()).property("price", price.to_string()))
            .await
            .unwrap();
    }
    let filter = Filter::sql("price > 10 AND price IS NOT NULL");
    let consumer = client.push_consumer("c").subscribe("T", filter).start_from(Start::First).await.unwrap();
    for expected in ["50", "500"] {
        let delivery = consumer.recv().await.unwrap();
        assert_eq!(text(delivery.body()), expected);
        delivery.ack();
    }
    consumer.shutdown(WAIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_holds_no_more_than_its_limits() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T", 1).await;
    let producer = client.producer("p").await.unwrap();
    send_numbers(&producer, "T", 100).await;
    let mut limits = castmq::client::Limits::default();
    limits.messages = 8;
    let builder = client.push_consumer("c").subscribe("T", "*").start_from(Start::First).limits(limits);
    let consumer = builder.pull_batch(4).concurrency(50).await.unwrap();
    let mut held = Vec::new();
    while let Ok(delivery) = tokio::time::timeout(Duration::from_millis(500), consumer.recv()).await {
        held.push(delivery.unwrap());
    }
    // The last pull may begin with room for one.
    assert!((8..8 + 4).contains(&held.len()), "{}", held.len());
    held.into_iter().for_each(|delivery| delivery.ack());
    for _ in 0..8 {
        consumer.recv().await.unwrap().ack();
    }
    consumer.shutdown(WAIT).await;
}
