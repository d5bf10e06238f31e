//! What an exit leaves, of whatever kind.

use castmq::{config::FlushDiskType, protocol::codes::ResponseCode};

use crate::harness::Running;

#[test]
fn topics_and_messages_are_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3i64 {
        let broker = Running::start(dir.path());
        let mut client = broker.connect();
        if round == 0 {
            client.create_topic("T", 2);
        }
        for number in 0..10 {
            let receipt = client.send("T", 1, format!("{round}.{number}").as_bytes()).unwrap();
            assert_eq!(receipt.queue_offset, round * 10 + number);
        }
        let all = client.drain("T", 1, (round as usize + 1) * 10);
        let expected: Vec<_> = (0..=round)
            .flat_map(|round| (0..10).map(move |number| format!("{round}.{number}").into_bytes()))
            .collect();
        assert_eq!(all.into_iter().map(|got| got.body).collect::<Vec<_>>(), expected);
        drop(client);
        drop(broker);
        assert!(!dir.path().join("abort").exists(), "an orderly exit leaves no mark");
    }
}

#[test]
fn a_store_in_use_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let _broker = Running::start(dir.path());
    let config = castmq::config::BrokerConfig {
        listen_port: 0,
        broker_ip1: "127.0.0.1".into(),
        store_path_root_dir: dir.path().to_owned(),
        ..Default::default()
    };
    let error = castmq::actors::broker::OpenBroker::open(config).err().unwrap().to_string();
    assert!(error.contains("already open"), "{error}");
}

#[test]
fn synchronous_flush_acknowledges_what_is_on_the_device() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start_with(dir.path(), |config| config.flush_disk_type = FlushDiskType::SyncFlush);
    let mut client = broker.connect();
    client.create_topic("T", 1);
    for number in 0..20 {
        assert_eq!(client.send("T", 0, b"x").unwrap().queue_offset, number);
    }
    assert_eq!(client.drain("T", 0, 20).len(), 20);
    let flush = broker.snapshot().find("broker/store/flush").unwrap().says.clone();
    let log = broker.snapshot().find("broker/store/commit-log").unwrap().says.clone();
    let end = |text: &str| text.rsplit(' ').next().unwrap().to_owned();
    assert_eq!(end(&flush), end(&log), "{flush}; {log}");
    assert_eq!(client.pull("T", 0, 20).0, ResponseCode::PULL_NOT_FOUND);
}

#[test]
fn a_message_whose_bytes_flipped_on_the_device_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let small = |config: &mut castmq::config::BrokerConfig| {
        config.mapped_file_size_commit_log = castmq::config::Bytes(16 << 10);
    };
    let broker = Running::start_with(dir.path(), small);
    let mut client = broker.connect();
    client.create_topic("T", 1);
    for number in 0..60u8 {
        client.send("T", 0, &[number; 1000]).unwrap();
    }
    drop(client);
    drop(broker);
    // In a file that a start after an orderly end has no reason to read.
    let file = dir.path().join("commitlog").join(format!("{:020}", 0));
    let mut bytes = std::fs::read(&file).unwrap();
    let body = bytes.windows(1000).position(|window| window == [3; 1000]).unwrap();
    bytes[body + 500] ^= 0x10;
    std::fs::write(&file, bytes).unwrap();
    let broker = Running::start_with(dir.path(), small);
    let got = broker.connect().drain("T", 0, 59);
    let offsets: Vec<i64> = got.iter().map(|got| got.queue_offset).collect();
    assert_eq!(offsets, (0..60).filter(|offset| *offset != 3).collect::<Vec<_>>());
}
