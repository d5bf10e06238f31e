//! What a producer promises about time, names and memory, against a broker that gives little.

use std::time::{Duration, Instant};

use castmq::{
    client::{Client, Error, Message, Start},
    protocol::{
        codes::{RequestCode, ResponseCode},
        fields::Fields,
        frame::Frame,
        heartbeat::HeartbeatData,
        json,
    },
};

use crate::{
    harness::eventually,
    scripted::{check, of_code, ok, property, sent, start, stored},
};

#[tokio::test]
async fn a_producer_that_is_gone_does_not_take_its_successor_along() {
    let (address, _log) = start(|request| vec![stored(request)]).await;
    let client = Client::connect(address.to_string()).await.unwrap();
    let first = client.producer("p").await.unwrap();
    first.shutdown().await;
    let second = client.producer("p").await.unwrap();
    drop(first);
    assert!(client.producer("p").await.is_err(), "the second is listed");
    drop(second);
    client.producer("p").await.unwrap();
}

#[tokio::test]
async fn the_time_of_a_send_includes_its_wait_for_room() {
    // Sends are not answered.
    let (address, log) = start(|_| vec![]).await;
    let client = Client::connect(address.to_string()).await.unwrap();
    let patience = Duration::from_millis(100);
    let producer = client.producer("p").max_in_flight(1).send_timeout(patience).await.unwrap();
    let (busy, message) = (producer.clone(), Message::new("T", "holds the room"));
    let holder = tokio::spawn(async move { busy.send(message).timeout(Duration::from_secs(60)).await });
    eventually("the first", async || of_code(&log, RequestCode::SEND_MESSAGE_V2).len() == 1).await;
    let began = Instant::now();
    let two = || [Message::new("T", "x"), Message::new("T", "y")];
    for outcome in [
        producer.send(Message::new("T", "x")).timeout(patience).await.map(drop),
        producer.send(Message::new("T", "x")).timeout(patience).oneway().await,
        producer.send_batch(two()).await.map(drop),
        producer.request(Message::new("T", "x"), patience).await.map(drop),
    ] {
        assert!(matches!(outcome, Err(Error::Timeout { after, .. }) if after == patience), "{outcome:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    holder.abort();
}

#[tokio::test]
async fn a_send_may_have_all_the_time_there_is() {
    let (address, log) = start(|request| vec![stored(request)]).await;
    let client = Client::connect(address.to_string()).await.unwrap();
    let producer = client.producer("p").send_timeout(Duration::MAX).await.unwrap();
    producer.send(Message::new("T", "x")).await.unwrap();
    producer.send(Message::new("T", "x")).oneway().await.unwrap();
    producer.send_batch([Message::new("T", "x"), Message::new("T", "y")]).await.unwrap();
    let question = producer.request(Message::new("T", "?"), Duration::MAX);
    assert!(tokio::time::timeout(Duration::from_millis(200), question).await.is_err(), "nobody replies");
    let sends = of_code(&log, RequestCode::SEND_MESSAGE_V2);
    let ttl = property(sends.last().unwrap(), "TTL").unwrap();
    assert!(ttl.parse::<i64>().is_ok(), "{ttl} is a number to brokers");
    producer.shutdown().await;
}

#[tokio::test]
async fn brokers_learn_at_once_of_a_producer_that_starts_later() {
    let (address, log) = start(|request| vec![stored(request)]).await;
    let client = Client::connect(address.to_string()).await.unwrap();
    let early = client.producer("early").await.unwrap();
    early.send(Message::new("T", "x")).await.unwrap();
    let knows = |group: &str| {
        of_code(&log, RequestCode::HEART_BEAT).iter().any(|beat| {
            let beat: HeartbeatData = json::from_slice(&beat.body).unwrap();
            beat.producer_data_set.iter().any(|producer| producer.group_name == group)
        })
    };
    eventually("a heartbeat of the connection", async || !of_code(&log, RequestCode::HEART_BEAT).is_empty())
        .await;
    let _late = client.producer("late").await.unwrap();
    eventually("a heartbeat with the late one", async || knows("late")).await;
}

/// A broker with one message, which takes nothing back.
fn takes_nothing_back(request: &Frame) -> Vec<Frame> {
    match request.header.request_code() {
        RequestCode::GET_CONSUMER_LIST_BY_GROUP => {
            vec![Frame { body: br#"{"consumerIdList":["127.0.0.1@me"]}"#[..].into(), ..ok(request) }]
        }
        RequestCode::QUERY_CONSUMER_OFFSET => {
            let mut answer = ok(request);
            answer.header.fields = Fields::new().with("offset", 5);
            vec![answer]
        }
        RequestCode::PULL_MESSAGE
            if request.header.fields.get("queueOffset") == Some("5")
                && request.header.fields.get("topic") == Some("T") =>
        {
            let mut answer = ok(request);
            answer.header.fields = Fields::new()
                .with("suggestWhichBrokerId", 0)
                .with("nextBeginOffset", 6)
                .with("minOffset", 0)
                .with("maxOffset", 6);
            vec![Frame { body: check(b"fails").body, ..answer }]
        }
        // Others are held.
        RequestCode::PULL_MESSAGE => vec![],
        RequestCode::SEND_MESSAGE_V2 => vec![stored(request)],
        RequestCode::CONSUMER_SEND_MSG_BACK => {
            vec![Frame::response(&request.header, ResponseCode::SYSTEM_ERROR)]
        }
        _ => vec![ok(request)],
    }
}

#[tokio::test]
async fn what_cannot_be_handed_back_is_sent_again_as_it_was_wanted() {
    // Reconsume times, how many are allowed, and the delay level.
    for (is_hopeless, expected) in [(true, (Some(1), Some(0), None)), (false, (Some(1), Some(16), Some("5")))]
    {
        let (address, log) = start(takes_nothing_back).await;
        let client = Client::builder().nameserver(address.to_string()).instance_name("me").await.unwrap();
        let consumer = client.push_consumer("g").subscribe("T", "*").start_from(Start::First).await.unwrap();
        let delivery = consumer.recv().await.unwrap();
        match is_hopeless {
            true => delivery.dead_letter(),
            false => delivery.retry_after_level(5),
        }
        eventually("the copy", async || !of_code(&log, RequestCode::SEND_MESSAGE_V2).is_empty()).await;
        let copy = &of_code(&log, RequestCode::SEND_MESSAGE_V2)[0];
        let header = sent(copy);
        assert_eq!(header.topic.as_str(), "%RETRY%g");
        assert_eq!((header.reconsume_times, header.max_reconsume_times), (expected.0, expected.1));
        assert_eq!(property(copy, "UNIQ_KEY").as_deref(), Some("ID"), "it is the same message");
        if expected.2.is_some() {
            assert_eq!(property(copy, "DELAY").as_deref(), expected.2);
        }
        consumer.shutdown(Duration::from_secs(1)).await;
    }
}
