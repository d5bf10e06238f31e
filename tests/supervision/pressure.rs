//! More than the broker can do: 1,000 connections that send as fast as they can, and 100 that ask and do not read.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use castmq::{
    protocol::{
        codes::{RequestCode, ResponseCode},
        fields::Fields,
        frame::Frame,
        header::Header,
    },
    testing::{Connection, message, pull},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{alone, number, percentile, process::Process};

const SENDERS: usize = 1_000;
const DEAF: usize = 100;
/// What all connections together may keep, MiB.
const ALLOWED: u64 = 64;

#[derive(Default)]
struct Counts {
    end: AtomicBool,
    sent: AtomicU64,
    stored: AtomicU64,
    busy: AtomicU64,
}

fn encoded(code: RequestCode, fields: impl Into<Fields>, body: &[u8], times: usize) -> Bytes {
    let mut bytes = BytesMut::new();
    let header = Header::request(code).with_fields(fields).with_opaque(1);
    for _ in 0..times {
        Frame { header: header.clone(), body: Bytes::copy_from_slice(body) }.encode(&mut bytes).unwrap();
    }
    bytes.freeze()
}

/// Writes without a pause, and reads what is answered.
async fn floods(address: SocketAddr, queue: i32, counts: Arc<Counts>) {
    let fields = Fields::of(&message("Flood", queue, "").compact());
    let sends = encoded(RequestCode::SEND_MESSAGE_V2, fields, &[7; 1024], 16);
    let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    let counted = counts.clone();
    let reading = tokio::spawn(async move {
        let mut buffer = BytesMut::new();
        while read.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
            while let Some(answer) = Frame::decode(&mut buffer).unwrap() {
                let kind = match answer.header.response_code() {
                    ResponseCode::SUCCESS => &counted.stored,
                    ResponseCode::SYSTEM_BUSY => &counted.busy,
                    code => panic!("a sender is answered {code}"),
                };
                kind.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    while !counts.end.load(Ordering::Relaxed) && write.write_all(&sends).await.is_ok() {
        counts.sent.fetch_add(16, Ordering::Relaxed);
    }
    drop(write);
    let _ = reading.await;
}

/// Asks for 256 KiB at a time, and never reads.
async fn asks_without_reading(address: SocketAddr, counts: Arc<Counts>) {
    let pulls = encoded(RequestCode::PULL_MESSAGE, pull("Large", 0, 0, "*", 0), b"", 16);
    let mut stream = TcpStream::connect(address).await.unwrap();
    while !counts.end.load(Ordering::Relaxed) {
        let write = tokio::time::timeout(Duration::from_millis(100), stream.write_all(&pulls)).await;
        if matches!(write, Ok(Err(_))) {
            return;
        }
    }
}

/// How long sends to each of two brokers in turns take, one after the other, microseconds, sorted.
fn sends(clients: &mut [Connection; 2], span: Duration) -> [Vec<u64>; 2] {
    let (began, mut took) = (Instant::now(), [Vec::new(), Vec::new()]);
    while began.elapsed() < span {
        for (client, took) in clients.iter_mut().zip(&mut took) {
            let sent = Instant::now();
            match client.send("Quiet", 0, &[7; 1024]) {
                Ok(_) | Err(ResponseCode::SYSTEM_BUSY) => took.push(sent.elapsed().as_micros() as u64),
                Err(code) => panic!("a client sees {code}"),
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
    took.iter_mut().for_each(|took| took.sort_unstable());
    took
}

#[test]
fn a_flood_costs_no_more_memory_than_is_allowed_and_stops_nobody() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let allowed = (ALLOWED << 20).to_string();
    let settings = [("MAX_CONNECTION_MEMORY", &*allowed), ("MAPPED_FILE_SIZE_COMMIT_LOG", "268435456")];
    // The one beside it has nothing to do: what its client sees in the flood is the machine's, not the broker's.
    let [process, beside] = ["flooded", "beside"].map(|name| {
        let dir = dir.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        Process::start(&dir, &settings)
    });
    let mut clients = [&process, &beside].map(|process| Connection::open(process.broker).unwrap());
    for client in &mut clients {
        client.create_topic("Quiet", 1);
    }
    let [client, _] = &mut clients;
    client.create_topic("Large", 1);
    client.create_topic("Flood", 16);
    for _ in 0..64 {
        client.send("Large", 0, &vec![7; 64 << 10]).unwrap();
    }
    let span = Duration::from_secs(number("CASTMQ_FLOOD_SECONDS", 5));
    // The client is not to wait for the machine, where that is allowed: it is the broker that is measured.
    let _ = rustix::process::nice(-15);
    let quiet = sends(&mut clients, span);
    let before = process.memory();

    let counts = Arc::new(Counts::default());
    // Those who flood are to have what the broker and the client leave of the machine.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.on_thread_start(|| {
        rustix::process::nice(40).unwrap();
    });
    let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
    let address = process.broker;
    for number in 0..SENDERS {
        runtime.spawn(floods(address, number as i32 % 16, counts.clone()));
    }
    for _ in 0..DEAF {
        runtime.spawn(asks_without_reading(address, counts.clone()));
    }
    let watched = counts.clone();
    let (memory, loud) = thread::scope(|scope| {
        let memory = scope.spawn(|| {
            let mut curve = Vec::new();
            while !watched.end.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(500));
                curve.push(process.memory());
            }
            curve
        });
        thread::sleep(Duration::from_secs(1));
        let loud = sends(&mut clients, span);
        counts.end.store(true, Ordering::Relaxed);
        (memory.join().unwrap(), loud)
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    thread::sleep(Duration::from_secs(2));
    let calm = sends(&mut clients, Duration::from_secs(2));
    let of = |[ours, beside]: &[Vec<u64>; 2]| {
        let [p50, p90, p99] = [50, 90, 99].map(|percent| percentile(ours, percent));
        format!("p50 {p50} p90 {p90} p99 {p99} of {}, beside it p99 {}", ours.len(), percentile(beside, 99))
    };
    let [sent, stored, busy] =
        [&counts.sent, &counts.stored, &counts.busy].map(|count| count.load(Ordering::Relaxed));
    println!(
        "flood: {sent} sent, {stored} stored, {busy} answered busy; another client's sends, µs: before {}; in it {}; after {}",
        of(&quiet),
        of(&loud),
        of(&calm)
    );
    println!("memory, MiB: {before} before, every half second {memory:?}, {} after", process.memory());
    let most = memory.iter().max().unwrap();
    assert!(*most < before + ALLOWED + 100, "{most} MiB");
    assert!(loud[0].len() > 20, "the other client was served");
    clients[0].create_topic("After", 1);
}
