//! The inspector at its command line.

use std::path::Path;
use std::process::{Command, Output};

use castmq::store::inspect::layout::{Given, StoppedStore};
use castmq::store::store::Closed;

use crate::messages::{dispatch, fill, index, open, scratch};

fn castmq(args: &[&str], root: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_castmq"));
    command.args(["store", args[0]]).arg(root).args(&args[1..]).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const INDEX: [&str; 4] = ["--index-slots", "16", "--index-entries", "64"];

fn verify(root: &Path) -> (Option<i32>, String) {
    let output = castmq(&[&["verify"], &INDEX[..]].concat(), root);
    (output.status.code(), text(&output.stdout))
}

#[test]
fn a_store_is_verified_dumped_and_rebuilt() {
    let dir = scratch();
    let root = dir.path();
    let store = open(root);
    let sent = fill(&store, 0..60);
    dispatch(&store).unwrap();
    index(&store, false).flush().unwrap();
    assert_eq!(store.close().unwrap(), Closed::Clean);
    drop(store);
    let (status, said) = verify(root);
    assert!(status == Some(0) && said.ends_with("whole\n"), "{said}");
    assert!(said.contains("log: 60 whole records from offset 0 to"), "{said}");

    let lines =
        |args: &[&str]| text(&castmq(args, root).stdout).lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&["dump"]).len(), 60);
    assert_eq!(lines(&["dump", "--topic", "A", "--queue", "1"]).len(), 20);
    assert_eq!(lines(&["dump", "--topic", "A", "--queue", "1", "--from", "5", "--to", "9"]).len(), 4);
    assert_eq!(lines(&["dump", "--limit", "7"]).len(), 7);
    assert_eq!(lines(&["dump", "--limit", "0"]).len(), 0);
    // Stored 100 ms apart, from 1000 s after the epoch on.
    assert_eq!(lines(&["dump", "--since", "1970-01-01T00:16:41", "--until", "1002000"]).len(), 10);
    assert_eq!(lines(&["dump", "--key", "k3"]).len(), 9);
    let one = lines(&["dump", "--topic", "B", "--from", "1", "--to", "2", "--json", "--body"]);
    let one: serde_json::Value = serde_json::from_str(&one[0]).unwrap();
    assert_eq!((one["queueOffset"].as_i64(), one["physicalOffset"].as_i64()), (Some(1), Some(sent[5].at.0)));
    assert_eq!(one["properties"]["KEYS"], "k1");
    assert_eq!(one["body"].as_str().map(str::len), Some(20 + 5 * 50));

    let queue = root.join("consumequeue/A/0/00000000000000000000");
    let mut bytes = std::fs::read(&queue).unwrap();
    bytes[47] ^= 1;
    std::fs::write(&queue, bytes).unwrap();
    let (status, said) = verify(root);
    assert_eq!(status, Some(1));
    assert!(said.contains("consumequeue/A/0/00000000000000000000 at byte 40"), "{said}");
    let output = castmq(&[&["rebuild"], &INDEX[..]].concat(), root);
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).contains("3 consume queues made from 60 records"), "{output:?}");
    assert_eq!(verify(root).0, Some(0));
    assert!(!root.join("rebuild.tmp").exists());
}

#[test]
fn a_tail_that_a_start_cuts_is_no_fault_and_damage_before_it_is() {
    let dir = scratch();
    let root = dir.path();
    let store = open(root);
    let sent = fill(&store, 0..90);
    dispatch(&store).unwrap();
    drop(store);
    let harm = |at: usize, len: usize| {
        let path = root.join(format!("commitlog/{:020}", at / 8192 * 8192));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at % 8192..][..len].fill(0xA5);
        std::fs::write(path, bytes).unwrap();
    };
    harm(sent[89].at.0 as usize + 90, 20);
    let (status, said) = verify(root);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains(&format!("the log ends at offset {}", sent[89].at)), "{said}");
    // Now with a checkpoint that tells what was flushed, and a record before it.
    let store = open(root);
    store.flush_log(store.log().max_offset()).unwrap();
    store.flush_queues().unwrap();
    drop(store);
    harm(sent[3].at.0 as usize + 100, 10);
    let (status, said) = verify(root);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("DAMAGE: commitlog/00000000000000000000 at byte"), "{said}");
    let json = castmq(&[&["verify", "--json"], &INDEX[..]].concat(), root);
    let last = text(&json.stdout).lines().last().map(str::to_owned).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&last).unwrap()["damaged"], true);
}

#[test]
fn a_store_in_use_is_refused_with_the_reason() {
    let dir = scratch();
    let store = open(dir.path());
    for command in ["verify", "dump", "rebuild"] {
        let output = castmq(&[command], dir.path());
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("is locked by another process"), "{output:?}");
    }
    assert!(
        StoppedStore::read(dir.path(), &Given::default()).unwrap_err().to_string().contains("already open")
    );
    drop(store);
    // And who looks keeps a broker away.
    let reading = StoppedStore::read(dir.path(), &Given::default()).unwrap();
    let output = castmq(&["rebuild"], dir.path());
    assert!(text(&output.stderr).contains("is locked by another process"), "{output:?}");
    assert!(castmq(&["verify"], dir.path()).status.success(), "two may look");
    drop(reading);
    let output = castmq(&["verify"], &dir.path().join("nowhere"));
    assert_eq!(output.status.code(), Some(2));
    let output = castmq(&["verify"], Path::new("/"));
    assert!(text(&output.stderr).contains("no store"), "{output:?}");
}
