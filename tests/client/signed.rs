//! Requests with a signature, before servers that look at it and before those that do not.

use castmq::client::{Client, Credentials, Message, Start, Topic};

use crate::harness::{Cluster, await_broker, make_topic, text};

/// The user that the servers know.
const USER: (&str, &str) = ("alice", "secret");

async fn client(cluster: &Cluster, (access_key, secret_key): (&str, &str)) -> Client {
    let credentials = Credentials::new(access_key, secret_key);
    let client = Client::builder().nameserver(cluster.nameserver()).credentials(credentials).await.unwrap();
    await_broker(&client).await;
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_with_the_right_secret_is_served() {
    let cluster = Cluster::start();
    let client = client(&cluster, USER).await;
    make_topic(&client, "T62", 1).await;
    let producer = client.producer("p62").await.unwrap();
    producer.send(Message::new("T62", "one").key("k").tag("a")).await.unwrap();
    producer.send_batch(["two", "three"].map(|body| Message::new("T62", body))).await.unwrap();
    producer.send(Message::new("T62", "four")).oneway().await.unwrap();
    let consumer = client.push_consumer("c62").subscribe("T62", "*").start_from(Start::First).await.unwrap();
    for expected in ["one", "two", "three", "four"] {
        let delivery = consumer.recv().await.unwrap();
        assert_eq!(text(delivery.body()), expected);
        delivery.ack();
    }
}

/// Only where the servers are said to look at signatures.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_with_a_wrong_secret_is_refused_where_it_matters() {
    let cluster = Cluster::start();
    let client = client(&cluster, (USER.0, "guessed")).await;
    let outcome = client.admin().create_topic(Topic::new("T63").queues(1)).await;
    println!("{outcome:?}");
    if std::env::var_os("CASTMQ_NAMESRV_AUTHENTICATES").is_some() {
        assert!(outcome.unwrap_err().to_string().contains("check signature failed"));
    }
}
