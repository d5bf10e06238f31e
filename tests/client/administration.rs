use castmq::client::{Message, MessageQueue, Start, Topic};

use crate::harness::{Cluster, eventually, send_numbers, text};

#[tokio::test(flavor = "multi_thread")]
async fn topics_come_show_their_extent_and_go() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T25", 2).await;
    let admin = client.admin();
    let producer = client.producer("p").await.unwrap();
    send_numbers(&producer, "T25", 4).await;
    assert!(admin.topics().await.unwrap().contains("T25"));
    eventually("the stats", async || {
        let stats = admin.topic_stats("T25").await.unwrap();
        stats.offset_table.len() == 2 && stats.offset_table.values().all(|it| it.max_offset == 2)
    })
    .await;
    admin.create_topic(Topic::new("short").queues(1)).await.unwrap();
    eventually("the topic", async || admin.route("short").await.is_ok()).await;
    admin.delete_topic("short").await.unwrap();
    eventually("the topic to go", async || admin.route("short").await.is_err()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_are_seen_asked_and_set_back() {
    let cluster = Cluster::start();
    let client = cluster.client_with_topic("T26", 1).await;
    let admin = client.admin();
    let producer = client.producer("p").await.unwrap();
    let receipt = producer.send(Message::new("T26", "one")).await.unwrap();
    let consumer = client.push_consumer("c26").subscribe("T26", "*").start_from(Start::First).await.unwrap();
    consumer.recv().await.unwrap().ack();
    let broker = admin.route("T26").await.unwrap().broker_datas[0].broker_addrs[&0].clone();
    let online = admin.consumers(&broker, "c26").await.unwrap();
    assert_eq!((online.connection_set.len(), &online.connection_set[0].client_id[..]), (1, client.id()));
    assert_eq!(online.connection_set[0].language, "RUST");
    assert!(online.subscription_table.contains_key("T26"));

    let info = admin.running_info(&broker, "c26", client.id()).await.unwrap();
    assert!(info.contains(r#""PROP_CONSUMEORDERLY":"false""#) && info.contains(r#""queueId":0"#), "{info}");

    let asked = {
        let (admin, id) = (admin.clone(), client.id().to_owned());
        tokio::spawn(async move { admin.consume_directly("c26", &id, &receipt.offset_message_id).await })
    };
    let delivery = consumer.recv().await.unwrap();
    assert_eq!(text(delivery.body()), "one");
    delivery.ack();
    let result = asked.await.unwrap().unwrap();
    assert!(result.contains(r#""consumeResult":"CR_SUCCESS""#), "{result}");

    let queue = MessageQueue { broker_name: "broker-a".into(), queue_id: 0, topic: "T26".into() };
    assert_eq!(admin.reset_offsets("c26", "T26", 0, true).await.unwrap(), [(queue, 0)]);
    // The pull that is held wakes with the next message, and learns of the reset.
    producer.send(Message::new("T26", "two")).await.unwrap();
    let mut again = Vec::new();
    while again.len() < 2 {
        let delivery = consumer.recv().await.unwrap();
        again.push(text(delivery.body()));
        delivery.ack();
    }
    assert!(again.contains(&"one".to_owned()), "{again:?}");
}
