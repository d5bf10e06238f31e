//! Peers that mean no good, or do no good.

use std::io::{Read, Write};

use castmq::protocol::codes::{RequestCode, ResponseCode};

use crate::harness::Running;

#[test]
fn an_unknown_code_is_answered_with_not_supported() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let answer = broker.connect().ask(RequestCode::from(31_999), &(), b"");
    assert_eq!(answer.header.response_code(), ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
    assert_eq!(answer.header.remark.as_deref(), Some(" request type 31999 not supported"));
}

#[test]
fn what_is_no_frame_closes_its_own_connection_only() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let mut good = broker.connect();
    good.create_topic("T", 1);
    let bad: [&[u8]; 5] = [
        b"\x7f\xff\xff\xff\0\0\0\0",
        b"\0\0\0\x02\0\0\0\0",
        b"\0\0\0\x08\x09\0\0\0abcd",
        b"\0\0\0\x08\0\0\0\x64abcd",
        b"\0\0\0\x08\0\0\0\x04nope",
    ];
    for bytes in bad {
        let mut culprit = broker.connect();
        culprit.stream.write_all(bytes).unwrap();
        assert_eq!(culprit.stream.read(&mut [0; 16]).unwrap_or(0), 0, "{bytes:?} is answered by closing");
    }
    good.send("T", 0, b"still here").unwrap();
}

#[test]
fn a_frame_may_arrive_byte_by_byte() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let mut client = broker.connect();
    let header = br#"{"code":31999,"opaque":5}"#;
    let mut frame = Vec::new();
    frame.extend((4 + header.len() as u32).to_be_bytes());
    frame.extend((header.len() as u32).to_be_bytes());
    frame.extend(header);
    for byte in frame {
        client.stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(client.read().unwrap().header.opaque, 5);
}

#[test]
fn who_asks_without_reading_is_read_no_further() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let mut flood = broker.connect();
    flood.stream.set_nonblocking(true).unwrap();
    let header = br#"{"code":31999,"opaque":5}"#;
    let mut frame = Vec::new();
    frame.extend((4 + header.len() as u32).to_be_bytes());
    frame.extend((header.len() as u32).to_be_bytes());
    frame.extend(header);
    let frames = frame.repeat(1_000);
    let (mut written, mut refused) = (0, 0);
    // Both sockets' buffers and what a connection may owe take some 20 MiB; without a limit this never ends.
    while refused < 50 && written < 300 << 20 {
        match flood.stream.write(&frames) {
            Ok(count) => (written, refused) = (written + count, 0),
            Err(_) => {
                refused += 1;
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    }
    assert!(written < 100 << 20, "{written} bytes were taken");
    broker.connect().create_topic("T", 1);
}

#[test]
fn a_busy_connection_lets_others_have_their_turn() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let busy = broker.connect();
    let (mut reads, mut writes) = (busy.stream.try_clone().unwrap(), busy.stream);
    let end = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let ended = end.clone();
    let flood = std::thread::spawn(move || {
        let header = br#"{"code":31999,"opaque":5}"#;
        let mut frame = Vec::new();
        frame.extend((4 + header.len() as u32).to_be_bytes());
        frame.extend((header.len() as u32).to_be_bytes());
        frame.extend(header);
        let frames = frame.repeat(1_000);
        while !ended.load(std::sync::atomic::Ordering::Relaxed) && writes.write_all(&frames).is_ok() {}
        let _ = writes.shutdown(std::net::Shutdown::Both);
    });
    let drain =
        std::thread::spawn(move || while reads.read(&mut [0; 1 << 16]).is_ok_and(|count| count > 0) {});
    let mut other = broker.connect();
    other.create_topic("T", 1);
    let began = std::time::Instant::now();
    for _ in 0..20 {
        other.send("T", 0, b"x").unwrap();
    }
    let took = began.elapsed();
    end.store(true, std::sync::atomic::Ordering::Relaxed);
    flood.join().unwrap();
    drain.join().unwrap();
    assert!(took < std::time::Duration::from_secs(5), "20 sends beside a busy connection took {took:?}");
}

#[test]
fn connections_over_the_limit_are_closed_and_the_others_live() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start_with(dir.path(), |config| config.max_connections = 2);
    let (mut first, mut second) = (broker.connect(), broker.connect());
    first.create_topic("T", 1);
    second.send("T", 0, b"x").unwrap();
    let mut third = broker.connect();
    assert_eq!(third.stream.read(&mut [0; 16]).unwrap_or(0), 0);
    first.send("T", 0, b"x").unwrap();
}
