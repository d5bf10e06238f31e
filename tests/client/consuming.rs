use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use castmq::client::{Filter, Message, MessageQueue, Outcome, PushConsumer, Start};

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
    let client = cluster.client_with_topic("T10", 4).await;
    let producer = client.producer("p").await.unwrap();
    let consumer = client.push_consumer("c10").subscribe("T10", "*").start_from(Start::First).await.unwrap();
    let seen = Seen::default();
    let running = collect(&consumer, &seen);
    send_numbers(&producer, "T10", 100).await;
    eventually("all messages", async || seen.lock().unwrap().len() == 100).await;
    consumer.shutdown(WAIT).await;
    running.await.unwrap();
    assert_eq!(*seen.lock().unwrap(), once_each(100));
    // The next one goes on where this one stopped.
    producer.send(Message::new("T10", "next")).await.unwrap();
    let consumer = client.push_consumer("c10").subscribe("T10", "*").start_from(Start::First).await.unwrap();
    let delivery = consumer.recv().await.unwrap();
    assert_eq!(text(delivery.body()), "next");
    delivery.ack();
    consumer.shutdown(WAIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_the_queues_and_take_over_from_each_other() {
    let cluster = Cluster::start();
    let one = cluster.client_with_topic("T11", 4).await;
    let two = cluster.client().await;
    let subscribe = |client: &castmq::client::Client| {
        client
            .push_consumer("c11")
            .subscribe("T11", "*")
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
    send_numbers(&producer, "T11", 40).await;
    eventually("all messages", async || seen.lock().unwrap().len() == 40).await;
    second.shutdown(WAIT).await;
    eventually("all queues again", async || own(&first).len() == 4).await;
    send_numbers(&producer, "T11", 60).await;
    eventually("the rest", async || seen.lock().unwrap().len() == 60).await;
    first.shutdown(WAIT).await;
    also_running.await.unwrap();
    for running in running {
        running.await.unwrap();
    }
    assert_eq!(seen.lock().unwrap().values().sum::<usize>(), 100);
}

/// The queues of its topic that a consumer reads.
fn own(consumer: &PushConsumer) -> BTreeSet<i32> {
    consumer
        .queues()
        .iter()
        .filter(|queue| queue.topic.starts_with('T'))
        .map(|queue| queue.queue_id)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_filtered_exactly() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T12", 1).await;
    let producer = client.producer("p").await.unwrap();
    // Two tags with the same hash.
    for (tag, body) in [("AaAa", "one"), ("BBBB", "two"), ("e", "three"), ("d", "four")] {
        producer.send(Message::new("T12", body).tag(tag)).await.unwrap();
    }
    let filter = Filter::tags(["BBBB", "d"]);
    let consumer =
        client.push_consumer("c12").subscribe("T12", filter).start_from(Start::First).await.unwrap();
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
    let client = cluster.client_with_topic("T13", 1).await;
    let producer = client.producer("p").await.unwrap();
    let body = "castmq ".repeat(10_000);
    producer.send(Message::new("T13", body.clone())).await.unwrap();
    let consumer = client.push_consumer("c13").subscribe("T13", "*").start_from(Start::First).await.unwrap();
    let delivery = consumer.recv().await.unwrap();
    assert_eq!(text(delivery.body()), body);
    assert!(!delivery.is_compressed());
    delivery.ack();
}

#[tokio::test(flavor = "multi_thread")]
async fn broadcast_gives_everybody_everything_and_remembers_in_a_file() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T14", 2).await;
    let other = cluster.client().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).join("offsets.json");
    let subscribe = |client: &castmq::client::Client, name: &str| {
        let builder = client.push_consumer("c14").subscribe("T14", "*").start_from(Start::First);
        builder.broadcast().offsets_file(file(name))
    };
    let (one, two) = (subscribe(&client, "1").await.unwrap(), subscribe(&other, "2").await.unwrap());
    let seen = [Seen::default(), Seen::default()];
    let running = [collect(&one, &seen[0]), collect(&two, &seen[1])];
    let producer = client.producer("p").await.unwrap();
    send_numbers(&producer, "T14", 10).await;
    for seen in &seen {
        eventually("everything", async || *seen.lock().unwrap() == once_each(10)).await;
    }
    one.shutdown(WAIT).await;
    two.shutdown(WAIT).await;
    for running in running {
        running.await.unwrap();
    }
    assert!(std::fs::read_to_string(file("1")).unwrap().contains("\"topic\":\"T14\""));
    let again = subscribe(&client, "1").await.unwrap();
    producer.send(Message::new("T14", "next")).await.unwrap();
    let delivery = again.recv().await.unwrap();
    assert_eq!(text(delivery.body()), "next");
    delivery.ack();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_handler_is_a_failed_message_not_a_dead_consumer() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T15", 1).await;
    let producer = client.producer("p").await.unwrap();
    let consumer = client.push_consumer("c15").subscribe("T15", "*").start_from(Start::First).await.unwrap();
    let seen = Seen::default();
    let running = tokio::spawn({
        let (consumer, seen) = (consumer.clone(), seen.clone());
        async move {
            consumer
                .run(|message| {
                    *seen.lock().unwrap().entry(text(message.body())).or_default() += 1;
                    assert_ne!(text(message.body()), "0", "so is this, before there is a future");
                    async move {
                        assert_ne!(text(message.body()), "1", "this is the panic of the test");
                        Outcome::Done
                    }
                })
                .await;
        }
    });
    send_numbers(&producer, "T15", 3).await;
    eventually("the others", async || seen.lock().unwrap().len() == 3).await;
    assert!(!running.is_finished());
    consumer.shutdown(WAIT).await;
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_comes_again_however_the_broker_takes_it_back() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T17", 1).await;
    let producer = client.producer("p").await.unwrap();
    let receipt = producer.send(Message::new("T17", "again").tag("a").key("k")).await.unwrap();
    let builder = client.push_consumer("c17").subscribe("T17", "*").start_from(Start::First);
    let consumer = builder.rebalance_interval(Duration::from_millis(500)).await.unwrap();
    let first = consumer.recv().await.unwrap();
    assert_eq!((first.id(), first.reconsume_times()), (receipt.message_id, 0));
    first.retry_after_level(1);
    let again = tokio::time::timeout(Duration::from_secs(30), consumer.recv()).await.unwrap().unwrap();
    assert_eq!((again.topic(), text(again.body()), again.reconsume_times()), ("T17", "again".to_owned(), 1));
    assert_eq!((again.tag(), again.keys().collect::<Vec<_>>()), (Some("a"), vec!["k"]));
    again.ack();
    consumer.shutdown(WAIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_dropped_leaves_its_queues_to_others() {
    let cluster = Cluster::start();
    let one = cluster.client_with_topic("T18", 2).await;
    let two = cluster.client().await;
    let first = one.push_consumer("c18").subscribe("T18", "*").await.unwrap();
    eventually("all queues", async || own(&first).len() == 2).await;
    let second = two.push_consumer("c18").subscribe("T18", "*").await.unwrap();
    eventually("one queue each", async || own(&first).len() == 1 && own(&second).len() == 1).await;
    drop(first);
    eventually("both queues", async || own(&second).len() == 2).await;
    // The name is free again.
    one.push_consumer("c18").subscribe("T18", "*").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_are_filtered_by_sql() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T19", 1).await;
    let producer = client.producer("p").await.unwrap();
    for price in [5, 50, 500] {
        producer
            .send(Message::new("T19", price.to_string()).property("price", price.to_string()))
            .await
            .unwrap();
    }
    let filter = Filter::sql("price > 10 AND price IS NOT NULL");
    let consumer =
        client.push_consumer("c19").subscribe("T19", filter).start_from(Start::First).await.unwrap();
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
    let client = cluster.client_with_topic("T20", 1).await;
    let producer = client.producer("p").await.unwrap();
    for _ in 0..50 {
        producer.send(Message::new("T20", vec![b'x'; 1000])).await.unwrap();
    }
    let mut limits = [castmq::client::Limits::default(); 3];
    (limits[0].messages, limits[1].bytes, limits[2].span) = (8, 8000, 6);
    for (number, limits) in limits.into_iter().enumerate() {
        let builder = client.push_consumer(format!("c20-{number}")).subscribe("T20", "*");
        let consumer =
            builder.start_from(Start::First).limits(limits).pull_batch(4).concurrency(50).await.unwrap();
        let mut held = Vec::new();
        while held.len() < 8 {
            held.push(consumer.recv().await.unwrap());
        }
        while let Ok(delivery) = tokio::time::timeout(Duration::from_millis(500), consumer.recv()).await {
            held.push(delivery.unwrap());
        }
        // The last pull may begin with room for one.
        assert!(held.len() < 8 + 4, "{limits:?}: {}", held.len());
        held.into_iter().for_each(|delivery| delivery.ack());
        for _ in 0..8 {
            consumer.recv().await.unwrap().ack();
        }
        consumer.shutdown(WAIT).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hopeless_message_ends_among_the_dead_letters() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T41", 1).await;
    client.producer("p").await.unwrap().send(Message::new("T41", "hopeless")).await.unwrap();
    let consumer = client.push_consumer("c41").subscribe("T41", "*").start_from(Start::First).await.unwrap();
    let mut stream = consumer.stream();
    let next =
        std::future::poll_fn(|cx| futures_core::Stream::poll_next(std::pin::Pin::new(&mut stream), cx));
    next.await.unwrap().dead_letter();
    let dead = MessageQueue { broker_name: "broker-a".into(), queue_id: 0, topic: "%DLQ%c41".into() };
    eventually("the dead letter", async || client.admin().extent(&dead).await.is_ok_and(|it| it == (0..1)))
        .await;
    consumer.shutdown(WAIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_read_from_a_time_on() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T42", 1).await;
    let producer = client.producer("p").await.unwrap();
    send_numbers(&producer, "T42", 3).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let since = std::time::SystemTime::now();
    producer.send(Message::new("T42", "late")).await.unwrap();
    let queue = MessageQueue { broker_name: "broker-a".into(), queue_id: 0, topic: "T42".into() };
    eventually("all", async || client.admin().extent(&queue).await.is_ok_and(|it| it == (0..4))).await;
    // A broker answers 0 for a group that it does not know, on a queue as young as this: so it is told where to go.
    let consumer = client.lite_consumer("c42").assign([queue.clone()]).await.unwrap();
    consumer.seek(&queue, castmq::client::Seek::Time(since)).await.unwrap();
    let polled = consumer.poll(WAIT).await.unwrap();
    assert_eq!(polled.iter().map(|message| text(message.body())).collect::<Vec<_>>(), ["late"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_ends_leaves_its_successor_alone() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T60", 1).await;
    let start = || client.push_consumer("c60").subscribe("T60", "*").start_from(Start::First);
    drop(start().await.unwrap());
    let successor = start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(start().await.is_err(), "the successor is still there");
    client.producer("p").await.unwrap().send(Message::new("T60", "x")).await.unwrap();
    successor.recv().await.unwrap().ack();
}

/// Begins and drops a future; gives whether that was half-way.
async fn is_cancelled(future: impl Future) -> bool {
    let mut future = Box::pin(future);
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_or_shutdown_that_is_cancelled_leaves_nobody_behind() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T61", 1).await;
    let push = || client.push_consumer("c61").subscribe("T61", "*").start();
    let lite = || client.lite_consumer("c61").subscribe("T61", "*").start();
    assert!(is_cancelled(push()).await);
    assert!(is_cancelled(lite()).await);
    let consumer = push().await.unwrap();
    assert!(push().await.is_err(), "one that is refused does not end the other");
    client.producer("p").await.unwrap().send(Message::new("T61", "x")).await.unwrap();
    let held = consumer.recv().await.unwrap();
    assert!(is_cancelled(consumer.shutdown(Duration::from_secs(1))).await);
    held.ack();
    consumer.shutdown(WAIT).await;
    push().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_may_be_dropped_where_no_runtime_is() {
    let cluster = Cluster::start();
    let one = cluster.client_with_topic("T45", 2).await;
    let two = cluster.client().await;
    let first = one.push_consumer("c45").subscribe("T45", "*").await.unwrap();
    let second = two.push_consumer("c45").subscribe("T45", "*").await.unwrap();
    eventually("one queue each", async || own(&first).len() == 1 && own(&second).len() == 1).await;
    std::thread::spawn(move || drop(first)).join().unwrap();
    eventually("both queues", async || own(&second).len() == 2).await;
}
