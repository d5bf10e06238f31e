//! A nameserver and broker that does what a test says: for answers and questions that a real one gives rarely.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use castmq::{
    client::{Client, Message, Receipt, ReceivedMessage, Start, TransactionListener, TransactionState},
    protocol::{
        codes::{RequestCode, ResponseCode},
        fields::Fields,
        frame::Frame,
        header::Header,
        json::Style,
        properties,
        record::{PropertyText, RecordDraft, RecordFields},
        requests::{
            message::SendBackRequest,
            send::SendMessageRequest,
            transaction::{EndTransactionRequest, Outcome},
        },
        route::{BrokerData, QueueData, TopicRouteData},
        sys_flag::SysFlag,
        topic::Perm,
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::harness::{eventually, text};

/// What a script does with a request: answers, and asks back.
type Script = Arc<dyn Fn(&Frame) -> Vec<Frame> + Send + Sync>;

/// The requests that came, in order.
pub(crate) type Log = Arc<Mutex<Vec<Frame>>>;

pub(crate) async fn start(
    script: impl Fn(&Frame) -> Vec<Frame> + Send + Sync + 'static,
) -> (SocketAddr, Log) {
    listen(script, |stream| async { Ok(stream) }).await
}

/// As [`start`], behind a handshake.
pub(crate) async fn listen<S, F>(
    script: impl Fn(&Frame) -> Vec<Frame> + Send + Sync + 'static,
    handshake: impl Fn(TcpStream) -> F + Send + 'static,
) -> (SocketAddr, Log)
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
    F: Future<Output = std::io::Result<S>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (script, log): (Script, Log) = (Arc::new(script), Log::default());
    let kept = log.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (script, log, shaken) = (script.clone(), kept.clone(), handshake(stream));
            tokio::spawn(async move {
                let Ok(mut stream) = shaken.await else { return };
                let (mut buffer, mut out) = (BytesMut::new(), BytesMut::new());
                loop {
                    while let Some(frame) = Frame::decode(&mut buffer).unwrap() {
                        log.lock().unwrap().push(frame.clone());
                        for frame in respond(&script, &frame, address) {
                            frame.encode(&mut out).unwrap();
                        }
                    }
                    stream.write_all_buf(&mut out).await.unwrap();
                    if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
            });
        }
    });
    (address, log)
}

fn respond(script: &Script, request: &Frame, address: SocketAddr) -> Vec<Frame> {
    if request.header.is_response() {
        return vec![];
    }
    match request.header.request_code() {
        RequestCode::GET_ROUTEINFO_BY_TOPIC => {
            let broker = BrokerData {
                broker_addrs: [(0, address.to_string())].into(),
                broker_name: "b".into(),
                cluster: "c".into(),
                ..BrokerData::default()
            };
            let queue = QueueData {
                broker_name: "b".into(),
                perm: Perm::READ_WRITE,
                read_queue_nums: 1,
                write_queue_nums: 1,
                ..QueueData::default()
            };
            let route =
                TopicRouteData { broker_datas: vec![broker], queue_datas: vec![queue], ..Default::default() };
            vec![Frame { body: route.encode(Style::Standard).unwrap().into(), ..ok(request) }]
        }
        RequestCode::HEART_BEAT | RequestCode::UNREGISTER_CLIENT => vec![ok(request)],
        _ => script(request),
    }
}

pub(crate) fn ok(request: &Frame) -> Frame {
    Frame::response(&request.header, ResponseCode::SUCCESS)
}

pub(crate) fn stored(request: &Frame) -> Frame {
    let mut answer = ok(request);
    let id = "7F000001000055970000000000000040";
    answer.header.fields = Fields::new().with("msgId", id).with("queueId", 0).with("queueOffset", 5);
    answer
}

pub(crate) fn sent(request: &Frame) -> SendMessageRequest {
    SendMessageRequest::of(request.header.request_code(), &request.header.fields).unwrap()
}

pub(crate) fn property(request: &Frame, name: &str) -> Option<String> {
    let text = sent(request).properties.unwrap();
    properties::get_str(text.as_bytes(), name).map(str::to_owned)
}

pub(crate) fn of_code(log: &Log, code: RequestCode) -> Vec<Frame> {
    log.lock().unwrap().iter().filter(|frame| frame.header.request_code() == code).cloned().collect()
}

#[tokio::test]
async fn a_busy_broker_is_tried_again_and_a_refusal_is_not() {
    let tries = Arc::new(Mutex::new(0));
    let (address, log) = start(move |request| {
        let mut tries = tries.lock().unwrap();
        *tries += 1;
        match *tries {
            1 => vec![Frame::response(&request.header, ResponseCode::SYSTEM_BUSY)],
            2 => vec![stored(request)],
            _ => vec![Frame::response(&request.header, ResponseCode::MESSAGE_ILLEGAL)],
        }
    })
    .await;
    let client = Client::connect(address.to_string()).await.unwrap();
    let producer = client.producer("p").avoid_latency(true).await.unwrap();
    producer.send(Message::new("T", "x")).await.unwrap();
    let error = producer.send(Message::new("T", "y")).await.unwrap_err();
    assert_eq!(error.code(), Some(ResponseCode::MESSAGE_ILLEGAL));
    let sends = of_code(&log, RequestCode::SEND_MESSAGE_V2);
    assert_eq!(sends.len(), 3);
    assert_eq!(property(&sends[0], "UNIQ_KEY"), property(&sends[1], "UNIQ_KEY"));
}

struct Books;

impl TransactionListener for Books {
    async fn execute(&self, message: &Message, _receipt: &Receipt) -> TransactionState {
        if message.body() == "good" { TransactionState::Commit } else { TransactionState::Rollback }
    }

    async fn check(&self, half: &ReceivedMessage) -> TransactionState {
        assert_ne!(text(half.body()), "panic", "this is the panic of the test");
        TransactionState::Commit
    }
}

/// A half message as the broker asks about it.
pub(crate) fn check(body: &'static [u8]) -> Frame {
    let record = RecordFields {
        topic: Bytes::from_static(b"T"),
        queue_id: 0,
        flag: 0,
        sys_flag: SysFlag::default(),
        born_timestamp: 1,
        born_host: "127.0.0.1:1".parse().unwrap(),
        store_host: "127.0.0.1:2".parse().unwrap(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::from_static(body),
        properties: PropertyText::from(Bytes::from_static(b"PGROUP\x01p\x02UNIQ_KEY\x01ID\x02")),
    };
    let draft = RecordDraft::new(record).unwrap();
    let mut bytes = vec![0; draft.total_size()];
    draft.encode_into(&mut bytes, 5, 64, 2).unwrap();
    let fields =
        Fields::new().with("tranStateTableOffset", 5).with("commitLogOffset", 64).with("transactionId", "ID");
    let header = Header::request(RequestCode::CHECK_TRANSACTION_STATE).with_fields(fields).oneway();
    Frame { header, body: bytes.into() }
}

#[tokio::test]
async fn transactions_end_as_the_listener_says_and_checks_are_answered() {
    let (address, log) = start(|request| match request.header.request_code() {
        RequestCode::SEND_MESSAGE_V2 if request.body == "ask" => {
            vec![stored(request), check(b"panic"), check(b"good")]
        }
        RequestCode::SEND_MESSAGE_V2 => vec![stored(request)],
        _ => vec![],
    })
    .await;
    let client = Client::connect(address.to_string()).await.unwrap();
    let producer = client.producer("p").transactional(Books).await.unwrap();
    for body in ["good", "bad", "ask"] {
        producer.send(Message::new("T", body)).await.unwrap();
    }
    eventually("all ends", async || of_code(&log, RequestCode::END_TRANSACTION).len() == 5).await;
    let sends = of_code(&log, RequestCode::SEND_MESSAGE_V2);
    assert_eq!((sent(&sends[0]).sys_flag, property(&sends[0], "PGROUP").as_deref()), (4, Some("p")));
    let ends: Vec<_> = of_code(&log, RequestCode::END_TRANSACTION)
        .iter()
        .map(|frame| {
            assert!(frame.header.is_oneway());
            let end = EndTransactionRequest::from_fields(&frame.header.fields).unwrap();
            assert_eq!((end.commit_log_offset, end.tran_state_table_offset), (64, 5));
            (end.outcome, end.from_transaction_check)
        })
        .collect();
    assert_eq!(ends[..2], [(Outcome::Commit, false), (Outcome::Rollback, false)]);
    for end in [(Outcome::Rollback, false), (Outcome::Unknown, true), (Outcome::Commit, true)] {
        assert!(ends[2..].contains(&end), "{ends:?}");
    }
}

#[tokio::test]
async fn a_reply_finds_its_question() {
    let (address, log) = start(|request| {
        let Some(correlation) = property(request, "CORRELATION_ID") else { return vec![stored(request)] };
        let fields = Fields::new()
            .with("producerGroup", "r")
            .with("topic", "c_REPLY_TOPIC")
            .with("defaultTopic", "TBW102")
            .with("defaultTopicQueueNums", 4)
            .with("queueId", 0)
            .with("sysFlag", 0)
            .with("bornTimestamp", 1)
            .with("flag", 0)
            .with("properties", format!("CORRELATION_ID\u{1}{correlation}\u{2}").as_str())
            .with("bornHost", "127.0.0.1:1")
            .with("storeHost", "127.0.0.1:2");
        let header = Header::request(RequestCode::PUSH_REPLY_MESSAGE_TO_CLIENT).with_fields(fields);
        vec![stored(request), Frame { header, body: Bytes::from_static(b"42") }]
    })
    .await;
    let client = Client::connect(address.to_string()).await.unwrap();
    let producer = client.producer("p").await.unwrap();
    let reply = producer.request(Message::new("T", "?"), Duration::from_secs(5)).await.unwrap();
    assert_eq!(reply, "42");
    let answered = || log.lock().unwrap().iter().filter(|frame| frame.header.is_response()).count();
    eventually("the broker to be told", async || answered() == 1).await;
    assert_eq!(
        property(&of_code(&log, RequestCode::SEND_MESSAGE_V2)[0], "REPLY_TO_CLIENT").as_deref(),
        Some(client.id())
    );
}

#[tokio::test]
async fn what_fails_is_handed_back_and_the_group_is_left_in_order() {
    let (address, log) = start(|request| match request.header.request_code() {
        RequestCode::GET_CONSUMER_LIST_BY_GROUP => {
            // The client id is not known here; the first heartbeat would have told it.
            vec![Frame { body: Bytes::from_static(br#"{"consumerIdList":["127.0.0.1@me"]}"#), ..ok(request) }]
        }
        RequestCode::QUERY_CONSUMER_OFFSET => {
            let mut answer = ok(request);
            answer.header.fields = Fields::new().with("offset", 5);
            vec![answer]
        }
        RequestCode::PULL_MESSAGE => {
            let is_first = request.header.fields.number::<i64>("queueOffset") == Some(5)
                && request.header.fields.get("topic") == Some("T");
            let code = if is_first { ResponseCode::SUCCESS } else { ResponseCode::PULL_NOT_FOUND };
            if !is_first {
                std::thread::sleep(Duration::from_millis(5));
            }
            let mut answer = Frame::response(&request.header, code);
            answer.header.fields = Fields::new()
                .with("suggestWhichBrokerId", 0)
                .with(
                    "nextBeginOffset",
                    if is_first { 6 } else { request.header.fields.number::<i64>("queueOffset").unwrap() },
                )
                .with("minOffset", 0)
                .with("maxOffset", 6);
            answer.body = if is_first { check(b"fails").body } else { Bytes::new() };
            vec![answer]
        }
        RequestCode::CONSUMER_SEND_MSG_BACK | RequestCode::UPDATE_CONSUMER_OFFSET => vec![ok(request)],
        _ => vec![],
    })
    .await;
    let client = Client::builder().nameserver(address.to_string()).instance_name("me").await.unwrap();
    let consumer = client.push_consumer("g").subscribe("T", "*").start_from(Start::First).await.unwrap();
    let delivery = consumer.recv().await.unwrap();
    assert_eq!(text(delivery.body()), "fails");
    delivery.retry_after_level(4);
    eventually("the hand-back", async || of_code(&log, RequestCode::CONSUMER_SEND_MSG_BACK).len() == 1).await;
    let back = &of_code(&log, RequestCode::CONSUMER_SEND_MSG_BACK)[0];
    let back = SendBackRequest::from_fields(&back.header.fields).unwrap();
    assert_eq!((back.offset, back.delay_level, back.max_reconsume_times), (64, 4, Some(16)));
    assert_eq!((back.group.as_str(), back.origin_topic.as_deref()), ("g", Some("T")));
    consumer.shutdown(Duration::from_secs(1)).await;
    let stored = of_code(&log, RequestCode::UPDATE_CONSUMER_OFFSET);
    assert!(stored.iter().any(|frame| frame.header.fields.get("commitOffset") == Some("6")), "{stored:?}");
    assert_eq!(
        of_code(&log, RequestCode::UNREGISTER_CLIENT)[0].header.fields.get("consumerGroup"),
        Some("g")
    );
}

/// A broker with a queue of ten messages, and a group that was never there.
async fn never_read() -> (SocketAddr, Log) {
    start(|request| match request.header.request_code() {
        RequestCode::GET_CONSUMER_LIST_BY_GROUP => {
            vec![Frame { body: Bytes::from_static(br#"{"consumerIdList":["127.0.0.1@me"]}"#), ..ok(request) }]
        }
        RequestCode::QUERY_CONSUMER_OFFSET => {
            vec![Frame::response(&request.header, ResponseCode::QUERY_NOT_FOUND)]
        }
        code @ (RequestCode::GET_MAX_OFFSET | RequestCode::SEARCH_OFFSET_BY_TIMESTAMP) => {
            let offset = if code == RequestCode::GET_MAX_OFFSET { 10 } else { 7 };
            let mut answer = ok(request);
            answer.header.fields = Fields::new().with("offset", offset);
            vec![answer]
        }
        RequestCode::UPDATE_CONSUMER_OFFSET => vec![ok(request)],
        // Pulls are held.
        _ => vec![],
    })
    .await
}

#[tokio::test]
async fn where_a_group_starts_is_stored_before_a_message_is_done_with() {
    for (start, expected) in [(Start::Last, "10"), (Start::At(std::time::SystemTime::now()), "7")] {
        let (address, log) = never_read().await;
        let client = Client::builder().nameserver(address.to_string()).instance_name("me").await.unwrap();
        let consumer = client.push_consumer("g").subscribe("T", "*").start_from(start).await.unwrap();
        let of_topic = |code| {
            let mut frames = of_code(&log, code);
            frames.retain(|frame| frame.header.fields.get("topic") == Some("T"));
            frames
        };
        eventually("a pull", async || !of_topic(RequestCode::PULL_MESSAGE).is_empty()).await;
        let pull = &of_topic(RequestCode::PULL_MESSAGE)[0];
        assert_eq!(pull.header.fields.get("queueOffset"), Some(expected));
        consumer.shutdown(Duration::ZERO).await;
        let stored = of_topic(RequestCode::UPDATE_CONSUMER_OFFSET);
        assert!(
            stored.iter().any(|frame| frame.header.fields.get("commitOffset") == Some(expected)),
            "{stored:?}"
        );
    }
}

#[tokio::test]
async fn a_queue_whose_lock_was_refused_is_read_anew_once_it_is_locked_again() {
    let (locks, reads) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let (address, log) = start(move |request| match request.header.request_code() {
        RequestCode::GET_CONSUMER_LIST_BY_GROUP => {
            vec![Frame { body: Bytes::from_static(br#"{"consumerIdList":["127.0.0.1@me"]}"#), ..ok(request) }]
        }
        RequestCode::LOCK_BATCH_MQ => {
            let queue = r#"{"brokerName":"b","queueId":0,"topic":"T"}"#;
            let is_asked = text(&request.body).contains(r#""topic":"T""#);
            *locks.lock().unwrap() += usize::from(is_asked);
            // Another member has it when it is to be renewed.
            let granted = if is_asked && *locks.lock().unwrap() != 2 { queue } else { "" };
            vec![Frame { body: format!(r#"{{"lockOKMQSet":[{granted}]}}"#).into(), ..ok(request) }]
        }
        RequestCode::QUERY_CONSUMER_OFFSET => {
            let mut answer = ok(request);
            *reads.lock().unwrap() += 1;
            answer.header.fields =
                Fields::new().with("offset", if *reads.lock().unwrap() == 1 { 5 } else { 7 });
            vec![answer]
        }
        RequestCode::UPDATE_CONSUMER_OFFSET => vec![ok(request)],
        // Pulls are held.
        _ => vec![],
    })
    .await;
    let client = Client::builder().nameserver(address.to_string()).instance_name("me").await.unwrap();
    let consumer = client.push_consumer("g").subscribe("T", "*").ordered().await.unwrap();
    let pulled = || -> Vec<_> {
        let pulls = of_code(&log, RequestCode::PULL_MESSAGE);
        pulls.iter().map(|pull| pull.header.fields.number::<i64>("queueOffset").unwrap()).collect()
    };
    eventually("a pull", async || pulled() == [5]).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(20)).await;
    tokio::time::resume();
    eventually("a pull from where the group is by now", async || pulled() == [5, 7]).await;
    drop(consumer);
}
