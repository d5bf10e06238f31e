//! Peers that mean no good: what each costs is bounded, it is closed, and a client beside it does not notice.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use castmq::{
    config::Seconds,
    protocol::{
        codes::{RequestCode, ResponseCode},
        fields::Fields,
    },
    testing::{Connection, RunningBroker},
};

use crate::{alone, process::Process, traffic::FACTOR};

/// A frame with this header, in JSON, and body.
fn frame(header: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + header.len() + body.len());
    bytes.extend((4 + header.len() as u32 + body.len() as u32).to_be_bytes());
    bytes.extend((header.len() as u32).to_be_bytes());
    bytes.extend(header);
    bytes.extend(body);
    bytes
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Whether the other side closes the connection; what it says before is read away.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut chunk = [0; 65536];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}

type Attack = fn(&Process);

/// A client beside them, and the longest of its sends.
struct Beside {
    client: Connection,
    longest: Duration,
}

impl Beside {
    fn at(address: SocketAddr) -> Self {
        let mut client = Connection::open(address).unwrap();
        client.create_topic("T", 1);
        Self { client, longest: Duration::ZERO }
    }

    fn sends(&mut self) {
        for _ in 0..20 {
            let began = Instant::now();
            self.client.send("T", 0, b"still here").unwrap();
            self.longest = self.longest.max(began.elapsed());
        }
    }
}

#[test]
fn who_is_slow_or_says_nothing_or_does_not_read_is_closed_in_time() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    // 20 s are 0.4 s here, and silent peers are looked for every 0.2 s.
    let broker = RunningBroker::start_at(dir.path(), FACTOR, |config| {
        config.server_channel_max_idle_time_seconds = Seconds(20);
    });
    let began = Instant::now();
    let silent = connect(broker.address);
    let mut half_closed = connect(broker.address);
    half_closed.write_all(b"\0\0\0").unwrap();
    half_closed.shutdown(Shutdown::Write).unwrap();
    // More than a second of the broker's clock for each byte.
    let mut slow = connect(broker.address);
    let dripping = {
        let mut slow = slow.try_clone().unwrap();
        thread::spawn(move || {
            let frame = frame(br#"{"code":31999,"opaque":5}"#, &[0; 4096]);
            frame.iter().all(|byte| {
                thread::sleep(Duration::from_millis(25));
                slow.write_all(&[*byte]).is_ok()
            })
        })
    };
    // It asks for more than its socket holds, and takes none of it.
    let deaf = connect(broker.address);
    deaf.set_nonblocking(true).unwrap();
    let questions = frame(br#"{"code":31999,"opaque":5}"#, b"").repeat(1000);
    let mut refused = 0;
    while refused < 50 {
        match (&deaf).write(&questions) {
            Ok(_) => refused = 0,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                thread::sleep(Duration::from_millis(1));
            }
            Err(_) => break,
        }
    }
    assert!(is_closed(&mut half_closed));
    assert!(is_closed(&mut { silent }));
    assert!(is_closed(&mut slow));
    assert!(!dripping.join().unwrap(), "the slow one was cut off before its frame was whole");
    // Closed on the other side, though its answers still lie there.
    let others = || broker.snapshot().find("broker/remoting/connections").unwrap().children.len();
    while others() > 0 {
        assert!(began.elapsed() < Duration::from_secs(10), "{} connections stay", others());
        thread::sleep(Duration::from_millis(10));
    }
    Beside::at(broker.address).sends();
    drop(deaf);
    println!("silent, half closed, slow and deaf peers are gone after {:?}", began.elapsed());
}

#[test]
fn floods_garbage_and_bombs_cost_little_and_nobody_beside_them_notices() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &[("MAX_CONNECTIONS", "200")]);
    let mut beside = Beside::at(process.broker);
    beside.sends();
    let before = process.memory();
    let mut most = before;
    let attacks: [(&str, Attack); 7] = [
        ("connections over the limit", over_the_limit),
        ("garbage", garbage),
        ("large frames that never come", announced),
        ("a million fields", many_fields),
        ("deeply nested JSON", nested),
        ("bombs in registrations", registration_bombs),
        ("bombs in messages", message_bombs),
    ];
    for (name, attack) in attacks {
        let began = Instant::now();
        beside.longest = Duration::ZERO;
        thread::scope(|scope| {
            let under_way = scope.spawn(|| attack(&process));
            while !under_way.is_finished() {
                beside.sends();
                most = most.max(process.memory());
            }
            under_way.join().unwrap();
        });
        let (took, longest) = (began.elapsed(), beside.longest);
        println!(
            "{name}: {took:.1?}; a client's longest send {longest:.1?}; memory {} MiB, {before} before",
            process.memory()
        );
        assert!(took < Duration::from_secs(30), "{name} took {took:?}");
        assert!(longest < Duration::from_secs(3), "a send beside {name} took {longest:?}");
    }
    println!("most memory {most} MiB");
    assert!(most < before + 600, "{most} MiB were used");
}

fn over_the_limit(process: &Process) {
    let mut all: Vec<_> = (0..500).map(|_| connect(process.broker)).collect();
    let closed = all.split_off(250).iter_mut().map(is_closed).filter(|closed| *closed).count();
    assert_eq!(closed, 250, "those over the limit are closed");
}

fn garbage(process: &Process) {
    let mut random = fastrand::Rng::with_seed(5);
    for address in [process.broker, process.nameserver] {
        for _ in 0..200 {
            let mut stream = connect(address);
            let bytes: Vec<u8> = (0..random.usize(1..5_000)).map(|_| random.u8(..)).collect();
            // It may be closed before all of it is written.
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(Shutdown::Write);
            assert!(is_closed(&mut stream));
        }
    }
}

/// Lengths of 16 MiB and nothing behind them, and lengths beyond that.
fn announced(process: &Process) {
    let open: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = connect(process.broker);
            stream.write_all(&(16_000_000u32).to_be_bytes()).unwrap();
            stream.write_all(&[0; 100]).unwrap();
            stream
        })
        .collect();
    for length in [u32::MAX, 1 << 31, 17 << 20] {
        let mut stream = connect(process.broker);
        stream.write_all(&length.to_be_bytes()).unwrap();
        stream.write_all(&[0; 100]).unwrap();
        assert!(is_closed(&mut stream), "{length} is no length");
    }
    drop(open);
}

/// Answered or closed: one of them, and soon.
fn is_dealt_with(address: SocketAddr, bytes: &[u8]) {
    let mut stream = connect(address);
    if stream.write_all(bytes).is_ok() {
        let mut first = [0; 1];
        let heard = stream.read(&mut first);
        let is_silent =
            heard.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        assert!(!is_silent, "neither answered nor closed");
    }
}

fn many_fields(process: &Process) {
    let fields = (0..1_000_000).map(|number| format!(r#""{number:x}":"""#)).collect::<Vec<_>>().join(",");
    let header = format!(r#"{{"code":310,"opaque":5,"extFields":{{{fields}}}}}"#);
    for address in [process.broker, process.nameserver] {
        is_dealt_with(address, &frame(header.as_bytes(), b""));
    }
    // The same in binary: each field has two lengths.
    let fields: Vec<u8> =
        (0..1_000_000u32).flat_map(|number| [&[0, 4][..], &number.to_be_bytes(), &[0; 4]].concat()).collect();
    let mut header = Vec::new();
    header.extend([0, 105, 0, 1, 0xed, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0]);
    header.extend((fields.len() as u32).to_be_bytes());
    header.extend(fields);
    let mut bytes = frame(&header, b"");
    bytes[4] = 1;
    is_dealt_with(process.nameserver, &bytes);
}

fn nested(process: &Process) {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let deep = open.repeat(1_000_000) + "1" + &close.repeat(1_000_000);
        let header = format!(r#"{{"code":34,"opaque":5,"extFields":{deep}}}"#);
        is_dealt_with(process.broker, &frame(header.as_bytes(), b""));
        for (address, code) in
            [(process.broker, 34), (process.broker, 41), (process.nameserver, 217), (process.nameserver, 103)]
        {
            let header = format!(
                r#"{{"code":{code},"opaque":5,"extFields":{{"topic":"t","brokerName":"b","brokerAddr":"a","clusterName":"c","brokerId":"0"}}}}"#
            );
            is_dealt_with(address, &frame(header.as_bytes(), deep.as_bytes()));
        }
    }
}

/// Ten times a gigabyte, folded to a megabyte; refused without being unfolded.
fn registration_bombs(process: &Process) {
    let mut folded = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    let zeros = vec![0; 1 << 20];
    (0..256).for_each(|_| folded.write_all(&zeros).unwrap());
    let bomb = folded.finish().unwrap();
    for _ in 0..10 {
        let mut client = Connection::open(process.nameserver).unwrap();
        let fields = [
            ("brokerName", "b"),
            ("brokerAddr", "1.1.1.1:1"),
            ("clusterName", "c"),
            ("brokerId", "0"),
            ("compressed", "true"),
        ];
        let fields = fields.into_iter().fold(Fields::new(), |fields, (key, value)| fields.with(key, value));
        let answer = client.try_ask(RequestCode::REGISTER_BROKER, fields, &bomb).unwrap();
        assert_ne!(answer.header.response_code(), ResponseCode::SUCCESS);
    }
}

/// Messages are stored as they come, whatever they would unfold to.
fn message_bombs(process: &Process) {
    let mut folded = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    let zeros = vec![0; 1 << 20];
    (0..64).for_each(|_| folded.write_all(&zeros).unwrap());
    let bomb = folded.finish().unwrap();
    let mut client = Connection::open(process.broker).unwrap();
    client.create_topic("Bombs", 1);
    for _ in 0..10 {
        let request = castmq::protocol::requests::send::SendMessageRequest {
            sys_flag: 1,
            ..castmq::testing::message("Bombs", 0, "")
        };
        let answer = client.ask(RequestCode::SEND_MESSAGE_V2, &request.compact(), &bomb);
        assert_eq!(answer.header.response_code(), ResponseCode::SUCCESS);
    }
    assert_eq!(client.drain("Bombs", 0, 10).len(), 10);
}
