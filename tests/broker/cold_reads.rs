//! Who reads what is not in memory holds up nobody: the threads of queues and connections never wait for the disk.

use std::{collections::HashMap, fs, fs::File, path::Path};

use castmq::protocol::codes::ResponseCode;
use rustix::fs::{Advice, fadvise};

use crate::harness::Running;

const MESSAGES: i64 = 400;
const BODY: usize = 64 << 10;
/// Pages of the program itself may come from the disk as well, for these threads and those of other tests; the
/// messages are ten times as much.
const PROGRAM: u64 = 2 << 20;

/// Page faults and reads that threads of this name have waited for the disk for, by thread.
fn waits(name: &str) -> HashMap<String, u64> {
    let mut waits = HashMap::new();
    for task in fs::read_dir("/proc/self/task").unwrap().flatten() {
        let read = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if read("comm").trim() == name {
            // Behind the name in brackets: state, nine numbers, and the twelfth field of all, major faults.
            let stat = read("stat");
            let faults =
                stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(9)?.parse::<u64>().ok());
            let io = read("io");
            let bytes = io.lines().find_map(|line| line.strip_prefix("read_bytes: ")?.parse::<u64>().ok());
            let id = task.file_name().to_string_lossy().into_owned();
            waits.insert(id, faults.unwrap_or(0) + bytes.unwrap_or(0));
        }
    }
    waits
}

fn forget(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => forget(&entry.path()),
            false => {
                let file = File::open(entry.path()).unwrap();
                file.sync_all().unwrap();
                fadvise(&file, 0, None, Advice::DontNeed).unwrap();
            }
        }
    }
}

#[test]
fn a_cold_reader_gets_everything_and_no_thread_that_serves_waits_for_the_disk() {
    // Not where temporary files may lie in memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    {
        let broker = Running::start(dir.path());
        let mut client = broker.connect();
        client.create_topic("T", 1);
        for number in 0..MESSAGES {
            client.send_with("T", 0, &vec![number as u8; BODY], &format!("n={number};")).unwrap();
        }
        client.drain("T", 0, MESSAGES as usize);
    }
    forget(&dir.path().join("commitlog"));
    forget(&dir.path().join("consumequeue"));
    let before = waits("hot");
    let broker = Running::start(dir.path());
    let (mut reader, mut sender) = (broker.connect(), broker.connect());
    sender.send("U", 0, b"warm").unwrap();
    let hot: HashMap<_, _> = waits("hot").into_iter().filter(|(id, _)| !before.contains_key(id)).collect();
    assert!(!hot.is_empty(), "the threads have another name now");
    let mut next = 0;
    while next < MESSAGES {
        let (code, header, got) = reader.pull("T", 0, next);
        assert_eq!(code, ResponseCode::SUCCESS);
        for one in &got {
            assert!(one.queue_offset == next && one.body == vec![next as u8; BODY]);
            next += 1;
        }
        assert_eq!(header.next_begin_offset, next);
        sender.send("U", 0, b"beside it").unwrap();
    }
    let snapshot = broker.snapshot();
    let said = &snapshot.find("broker/store/queues/T:0").unwrap().says;
    let reads: u64 = said.rsplit(", ").next().unwrap().trim_end_matches(" reads from disk").parse().unwrap();
    assert!(reads > 1, "nothing was cold: {said}");
    let after = waits("hot");
    let waited: u64 = hot.iter().map(|(id, was)| after.get(id).map_or(0, |is| is - was)).sum();
    assert!(waited < PROGRAM, "a thread that serves has waited for {waited} bytes");
}
