use std::{collections::BTreeSet, time::Duration};

use castmq::client::{Client, Delay, Error, Message, Request, SendStatus, Start};

use crate::harness::{Cluster, eventually, text};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_is_found_where_the_receipt_says() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T1", 4).await;
    let producer = client.producer("p").await.unwrap();
    let message = Message::new("T1", "hello").tag("a").key("k1").key("k2").property("shop", "berlin").flag(7);
    let receipt = producer.send(message).await.unwrap();
    assert_eq!((receipt.status, receipt.queue_offset), (SendStatus::Ok, 0));
    assert_eq!(receipt.message_id.len(), 32);
    let admin = client.admin();
    eventually("the message to be visible", async || admin.message(&receipt.offset_message_id).await.is_ok())
        .await;
    let found = admin.message(&receipt.offset_message_id).await.unwrap();
    assert_eq!((text(found.body()), found.tag(), found.flag()), ("hello".to_owned(), Some("a"), 7));
    assert_eq!((found.id(), found.property("shop")), (receipt.message_id, Some("berlin")));
    assert_eq!(found.keys().collect::<Vec<_>>(), ["k1", "k2"]);
    eventually("the index", async || admin.find("T1", "k2").await.is_ok_and(|found| found.len() == 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_take_turns_and_a_key_keeps_its_queue() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T2", 4).await;
    let producer = client.producer("p").await.unwrap();
    let mut turns = BTreeSet::new();
    let mut keyed = BTreeSet::new();
    for _ in 0..4 {
        turns.insert(producer.send(Message::new("T2", "x")).await.unwrap().queue.queue_id);
        keyed.insert(producer.send(Message::new("T2", "x")).ordered_by("TagA").await.unwrap().queue.queue_id);
    }
    assert_eq!(turns, BTreeSet::from([0, 1, 2, 3]));
    // "TagA".hashCode() % 4
    assert_eq!(keyed, BTreeSet::from([2_598_919 % 4]));
    let last = producer.send(Message::new("T2", "x")).select(|queues| queues.len() - 1).await.unwrap();
    assert_eq!(last.queue.queue_id, 3);
    assert_eq!(producer.send(Message::new("T2", "x")).to(&last.queue).await.unwrap().queue, last.queue);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_does_not_exist_is_made_by_the_first_message() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T3", 1).await;
    let producer = client.producer("p").default_queues(2).await.unwrap();
    producer.send(Message::new("fresh", "x")).await.unwrap();
    eventually("the new topic", async || client.admin().route("fresh").await.is_ok()).await;
    assert_eq!(client.admin().route("fresh").await.unwrap().queue_datas[0].write_queue_nums, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_lie_together_and_oneway_messages_arrive() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T4", 2).await;
    let producer = client.producer("p").await.unwrap();
    let receipt = producer.send_batch((0..3).map(|n| Message::new("T4", n.to_string()))).await.unwrap();
    assert_eq!(receipt.message_id.split(',').count(), 3);
    assert_eq!(receipt.offset_message_id.split(',').count(), 3);
    let admin = client.admin();
    eventually("the batch", async || admin.extent(&receipt.queue).await.is_ok_and(|it| it == (0..3))).await;
    producer.send(Message::new("T4", "x")).to(&receipt.queue).oneway().await.unwrap();
    eventually("the oneway message", async || {
        admin.extent(&receipt.queue).await.is_ok_and(|it| it == (0..4))
    })
    .await;
    let mixed = producer.send_batch([Message::new("T4", "a"), Message::new("U", "b")]).await.unwrap_err();
    assert!(mixed.to_string().contains("a batch has one topic"), "{mixed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_what_to_do_and_nothing_waits_for_ever() {
    let unreachable = Client::builder().nameserver("127.0.0.1:1").await.unwrap_err();
    assert!(unreachable.is_retryable() && unreachable.to_string().contains("127.0.0.1:1"), "{unreachable}");
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T5", 1).await;
    let producer = client.producer("p").await.unwrap();
    assert!(matches!(client.producer("p").await.unwrap_err(), Error::Config { .. }));
    assert!(matches!(client.producer("a b").await.unwrap_err(), Error::Config { .. }));
    assert!(matches!(producer.send(Message::new("T5", "")).await, Err(Error::Message { .. })));
    producer.shutdown().await;
    assert!(matches!(producer.send(Message::new("T5", "x")).await, Err(Error::Closed)));
    client.producer("p").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nameserver_that_is_gone_is_passed_over() {
    let cluster = Cluster::start();
    cluster.client_with_topic("T6", 1).await;
    let client = Client::builder().nameservers(["127.0.0.1:1", &cluster.nameserver()]).await.unwrap();
    let producer = client.producer("p").await.unwrap();
    producer.send(Message::new("T6", "x")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_senders_share_a_connection_within_bounds() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T8", 2).await;
    let producer = client.producer("p").max_in_flight(8).max_in_flight_bytes(100).await.unwrap();
    let sends = (0..200).map(|n| {
        let producer = producer.clone();
        tokio::spawn(async move { producer.send(Message::new("T8", format!("body {n}"))).await.unwrap() })
    });
    let mut offsets = BTreeSet::new();
    for send in sends.collect::<Vec<_>>() {
        let receipt = send.await.unwrap();
        offsets.insert((receipt.queue.queue_id, receipt.queue_offset));
    }
    assert_eq!(offsets.len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_is_dropped_half_way_harms_nobody() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T9", 1).await;
    let producer = client.producer("p").max_in_flight(1).await.unwrap();
    for micros in 0..50 {
        let send = async { producer.send(Message::new("T9", "x")).await };
        let _ = tokio::time::timeout(Duration::from_micros(micros * 20), send).await;
    }
    producer.send(Message::new("T9", "last")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_by_whoever_consumes_it() {
    let cluster = Cluster::start();
    let asking = cluster.client_with_topic("T43", 1).await;
    let answering = cluster.client().await;
    let consumer =
        answering.push_consumer("c43").subscribe("T43", "*").start_from(Start::First).await.unwrap();
    let answers = answering.producer("p43").await.unwrap();
    tokio::spawn(async move {
        while let Some(delivery) = consumer.recv().await {
            let question = Request::of(&delivery).unwrap();
            answers.reply(&question, format!("{} and 42", text(delivery.body()))).await.unwrap();
            delivery.ack();
        }
    });
    // The heartbeat that follows a new connection is over, and knew of no producer.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let producer = asking.producer("p").await.unwrap();
    for question in ["6 times 7", "again"] {
        let reply = producer.request(Message::new("T43", question), Duration::from_secs(15)).await.unwrap();
        assert_eq!(text(&reply), format!("{question} and 42"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_message_comes_when_it_is_due_and_not_before() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T44", 1).await;
    let producer = client.producer("p").await.unwrap();
    let begun = std::time::SystemTime::now();
    producer.send(Message::new("T44", "later").delay(Delay::Level(1))).await.unwrap();
    let consumer = client.push_consumer("c44").subscribe("T44", "*").start_from(Start::First).await.unwrap();
    let delivery = consumer.recv().await.unwrap();
    assert!(delivery.stored_at() >= begun + Duration::from_millis(990), "{:?}", delivery.stored_at());
    delivery.ack();
}
