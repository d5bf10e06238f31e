//! The Rust client as a program of its own, for tests/interop: beside Java in a group, under load, over minutes.
//!
//!     member NAMESERVERS consume TOPIC GROUP STRATEGY   says what it gets, until its input ends
//!     member NAMESERVERS echo TOPIC GROUP BACK          traced; sends it to topic BACK too, compressed in every way
//!     member NAMESERVERS send TOPIC COUNT               256 bytes each, 256 under way
//!     member NAMESERVERS drain TOPIC GROUP COUNT        receives as many, from the first on
//!     member NAMESERVERS soak TOPIC SECONDS             sends and receives, and says how much memory it holds

#![allow(clippy::unwrap_used, clippy::expect_used)] // This is a test.

use std::{
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use castmq::client::{
    Allocation, Client, ClientBuilder, Compression, Message, PushConsumer, PushConsumerBuilder, Start,
    TRACE_TOPIC,
};

const IN_FLIGHT: usize = 256;
const BODY: &[u8] = &[b'x'; 256];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let [nameservers, rest @ ..] = &args[..] else { panic!("see the first comment") };
    // A broker that comes back is found within a second.
    let second = Duration::from_secs(1);
    let client = Client::builder().nameserver(nameservers).route_interval(second).heartbeat_interval(second);
    match rest {
        ["consume", topic, group, strategy] => consume(client, topic, group, strategy).await,
        ["echo", topic, group, back] => echo(client, topic, group, back).await,
        ["send", topic, count] => send(client, topic, count.parse().unwrap()).await,
        ["drain", topic, group, count] => drain(client, topic, group, count.parse().unwrap()).await,
        ["soak", topic, seconds] => soak(client, topic, seconds.parse().unwrap()).await,
        other => panic!("unknown: {other:?}"),
    }
}

fn say(words: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{words}").and_then(|()| out.flush()).expect("somebody listens");
}

fn consumer(client: &Client, topic: &str, group: &str) -> PushConsumerBuilder {
    let builder = client.push_consumer(group).subscribe(topic, "*").start_from(Start::First);
    builder.persist_interval(Duration::from_millis(200))
}

/// Says which queues of the topic the consumer reads, whenever that changes; leaves the group when the input ends.
async fn watch(consumer: PushConsumer, topic: String) {
    let (input, mut ended) = tokio::sync::mpsc::channel::<()>(1);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(input);
    });
    let mut known = None;
    while tokio::time::timeout(Duration::from_millis(20), ended.recv()).await.is_err() {
        let queues = consumer.queues().into_iter().filter(|queue| queue.topic == topic);
        let ids = queues.map(|queue| queue.queue_id.to_string()).collect::<Vec<_>>().join(" ");
        if known.as_ref() != Some(&ids) {
            say(format_args!("queues {ids}"));
            known = Some(ids);
        }
    }
    consumer.shutdown(Duration::from_secs(5)).await;
}

async fn consume(client: ClientBuilder, topic: &str, group: &str, strategy: &str) {
    let client = client.await.unwrap();
    let consumer = consumer(&client, topic, group).allocation(match strategy {
        "circle" => Allocation::Circle,
        "consistent-hash" => Allocation::ConsistentHash,
        "machine-room" => Allocation::MachineRoom(["room".to_owned()].into()),
        _ => Allocation::Average,
    });
    let consumer = if strategy == "ordered" { consumer.ordered().await } else { consumer.await }.unwrap();
    let watching = tokio::spawn(watch(consumer.clone(), topic.to_owned()));
    while let Some(delivery) = consumer.recv().await {
        say(format_args!("got {}", String::from_utf8_lossy(delivery.body())));
        delivery.ack();
    }
    watching.await.unwrap();
}

async fn echo(client: ClientBuilder, topic: &str, group: &str, back: &str) {
    let client = client.trace(TRACE_TOPIC).await.unwrap();
    let consumer = consumer(&client, topic, group).await.unwrap();
    let mut answers = Vec::new();
    for (name, how) in [("z", Compression::Zlib(9)), ("l", Compression::Lz4), ("s", Compression::Zstd)] {
        answers.push(client.producer(format!("{group}-{name}")).compression(how).await.unwrap());
    }
    let watching = tokio::spawn(watch(consumer.clone(), topic.to_owned()));
    while let Some(delivery) = consumer.recv().await {
        for answer in &answers {
            let message = Message::new(back, delivery.body().clone()).tag("back").key("echo");
            let receipt = answer.send(message).await.unwrap();
            say(format_args!("sent {}", receipt.message_id));
        }
        delivery.ack();
    }
    watching.await.unwrap();
}

async fn send(client: ClientBuilder, topic: &str, count: usize) {
    let producer = client.await.unwrap().producer("load").await.unwrap();
    let left = Arc::new(AtomicUsize::new(count));
    let sending = (0..IN_FLIGHT).map(|_| {
        let (producer, left, topic) = (producer.clone(), left.clone(), topic.to_owned());
        tokio::spawn(async move {
            while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                producer.send(Message::new(&topic, BODY)).await.unwrap();
            }
        })
    });
    for one in sending.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    producer.shutdown().await;
}

/// Receives until `enough` says so.
async fn receive(consumer: &PushConsumer, received: Arc<AtomicUsize>, enough: impl Fn(usize) -> bool) {
    let ends = consumer.clone();
    let counted = received.clone();
    let run = consumer.run(move |_| {
        counted.fetch_add(1, Relaxed);
        std::future::ready(())
    });
    let wait = async {
        while !enough(received.load(Relaxed)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        ends.shutdown(Duration::from_secs(5)).await;
    };
    tokio::join!(run, wait);
}

async fn drain(client: ClientBuilder, topic: &str, group: &str, count: usize) {
    let consumer = consumer(&client.await.unwrap(), topic, group).await.unwrap();
    receive(&consumer, Arc::default(), |received| received >= count).await;
}

/// Some 2,000 messages a second.
async fn soak(client: ClientBuilder, topic: &str, seconds: u64) {
    let client = client.await.unwrap();
    let (producer, consumer) =
        (client.producer("soak").await.unwrap(), consumer(&client, topic, "soak").await.unwrap());
    let (received, begun) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let is_over = move || begun.elapsed() > Duration::from_secs(seconds);
    let counted = received.clone();
    let sending = async {
        let (mut sent, mut said) = (0, 0);
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        while !is_over() {
            tick.tick().await;
            producer.send_batch((0..20).map(|_| Message::new(topic, BODY))).await.unwrap();
            sent += 20;
            if begun.elapsed().as_secs() > said {
                said = begun.elapsed().as_secs();
                let status = std::fs::read_to_string("/proc/self/status").unwrap();
                let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
                let rss = rss.split_whitespace().next().unwrap();
                say(format_args!("{said} s: sent {sent}, received {}, {rss} KiB", counted.load(Relaxed)));
            }
        }
    };
    let receiving = receive(&consumer, received.clone(), |_| is_over());
    tokio::join!(sending, receiving);
    producer.shutdown().await;
}
