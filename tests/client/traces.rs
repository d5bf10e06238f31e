use std::time::Duration;

use castmq::client::{
    Client, Message, Receipt, ReceivedMessage, Start, TRACE_TOPIC, TransactionListener, TransactionState,
};

use crate::harness::{Cluster, eventually, text};

struct Commits;

impl TransactionListener for Commits {
    async fn execute(&self, _: &Message, _: &Receipt) -> TransactionState {
        TransactionState::Commit
    }

    async fn check(&self, _: &ReceivedMessage) -> TransactionState {
        TransactionState::Commit
    }
}

/// The records about a message, fields apart by blanks, without those that differ from run to run.
async fn records(client: &Client, id: &str) -> Vec<String> {
    let found = client.admin().find(TRACE_TOPIC, id).await.unwrap_or_default();
    let bodies: String = found.iter().map(|message| text(message.body())).collect();
    let mut records: Vec<String> = bodies
        .split_terminator('\u{2}')
        .filter(|record| record.contains(id))
        .map(|record| record.replace(id, "ID"))
        .map(|record| {
            record.split('\u{1}').enumerate().map(|(at, field)| masked(&record, at, field)).collect()
        })
        .map(|fields: Vec<_>| fields.join(" "))
        .collect();
    records.sort();
    records
}

/// Times and other ids are of no interest.
fn masked(record: &str, at: usize, field: &str) -> String {
    match field.len() {
        _ if record.starts_with("Pub") && at == 10 || record.starts_with("SubAfter") && at == 3 => "COST",
        13 if field.parse::<u64>().is_ok() => "TIME",
        32 => "OTHER",
        _ if field.starts_with("127.0.0.1:") => "BROKER",
        _ => field,
    }
    .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_a_message_can_be_followed() {
    let cluster = Cluster::start();
    cluster.client_with_topic("T40", 1).await;
    let client = Client::builder().nameserver(cluster.nameserver()).trace(TRACE_TOPIC).await.unwrap();
    let producer = client.producer("p40").transactional(Commits).await.unwrap();
    let message = Message::new("T40", vec![b'x'; 4000]).tag("a").key("k1").key("k2");
    let receipt = producer.producer().send(message).await.unwrap();
    let (half, _) = producer.send(Message::new("T40", vec![b'x'; 4000])).await.unwrap();
    let consumer = client.push_consumer("c40").subscribe("T40", "*").start_from(Start::First).await.unwrap();
    for _ in 0..2 {
        consumer.recv().await.unwrap().ack();
    }
    producer.shutdown().await;
    consumer.shutdown(Duration::from_secs(1)).await;
    eventually("all records", async || {
        records(&client, &receipt.message_id).await.len() == 3
            && records(&client, &half.message_id).await.len() == 4
    })
    .await;
    let mut got = records(&client, &receipt.message_id).await;
    got.extend(records(&client, &half.message_id).await);
    assert_eq!(
        got,
        [
            "Pub TIME DefaultRegion p40 T40 ID a k1 k2 BROKER 4000 COST 0 OTHER true",
            "SubAfter OTHER ID COST true k1 k2 0 TIME c40",
            "SubBefore TIME DefaultRegion c40 OTHER ID 0 k1 k2",
            "EndTransaction TIME DefaultRegion p40 T40 ID null null BROKER 2 ID COMMIT_MESSAGE false",
            "Pub TIME DefaultRegion p40 T40 ID null null BROKER 4000 COST 1 OTHER true",
            "SubAfter OTHER ID COST true null 0 TIME c40",
            "SubBefore TIME DefaultRegion c40 OTHER ID 0 null",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_consumes_traces_leaves_none() {
    let cluster = Cluster::start();
    cluster.client_with_topic("T64", 1).await;
    let client = Client::builder().nameserver(cluster.nameserver()).trace(TRACE_TOPIC).await.unwrap();
    let producer = client.producer("p64").await.unwrap();
    let receipt = producer.send(Message::new("T64", "x")).await.unwrap();
    producer.shutdown().await;
    let consumer =
        client.push_consumer("c64").subscribe(TRACE_TOPIC, "*").start_from(Start::First).await.unwrap();
    loop {
        let delivery = consumer.recv().await.unwrap();
        let is_ours = text(delivery.body()).contains(&receipt.message_id);
        delivery.ack();
        if is_ours {
            break;
        }
    }
    // Sends what is left of the traces.
    consumer.shutdown(Duration::from_secs(1)).await;
    let lite =
        client.lite_consumer("c65").subscribe(TRACE_TOPIC, "*").start_from(Start::First).await.unwrap();
    let mut about_traces = 0;
    loop {
        let messages = lite.poll(Duration::from_secs(1)).await.unwrap();
        if messages.is_empty() {
            break;
        }
        about_traces += messages.iter().filter(|message| text(message.body()).contains("c64")).count();
    }
    assert_eq!(about_traces, 0);
}
