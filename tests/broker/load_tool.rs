//! `castmq bench` against a broker of ours.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::harness::Running;

/// Runs the tool for a second; gives what it printed and the JSON it wrote.
fn bench(broker: &Running, dir: &std::path::Path, case: &str, options: &[&str]) -> (String, Value) {
    let file = dir.join("report.json");
    let page = dir.join("report.html");
    let run = Command::new(env!("CARGO_BIN_EXE_castmq"))
        .args(["bench", case, &broker.address.to_string(), "loaded", "--seconds", "1", "--queues", "2"])
        .args(options)
        .args(["--json".as_ref(), file.as_os_str(), "--html".as_ref(), page.as_os_str()])
        .output()
        .unwrap();
    let text = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success(), "{text}{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(std::fs::read_to_string(page).unwrap().matches("<svg").count(), 3);
    (text, serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap())
}

#[test]
fn what_the_load_tool_sends_is_stored_pulled_and_woken_for_and_its_reports_agree() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(&dir.path().join("store"));
    let (text, sent) = bench(&broker, dir.path(), "send", &["-c", "2", "-w", "8", "-b", "100"]);
    let single = sent["messages"].as_u64().unwrap();
    assert!(single > 0);
    assert!(text.starts_with(&format!("send: {single} messages in ")), "{text}");
    assert!(sent["latency_ms"][0]["ms"].as_f64().unwrap() > 0.0);

    let options = ["-c", "1", "--batch", "4", "-w", "1", "-b", "100", "--json-headers"];
    let batched = bench(&broker, dir.path(), "send", &options).1["messages"].as_u64().unwrap();
    assert_eq!(batched % 4, 0);
    let paced =
        bench(&broker, dir.path(), "send", &["-c", "2", "--rate", "50"]).1["messages"].as_u64().unwrap();
    assert_eq!(paced, 50, "fifty a second for a second");

    let mut client = broker.connect();
    let mut stored = || (0..2).map(|queue| client.pull("loaded", queue, 0).1.max_offset).sum::<i64>() as u64;
    let deadline = Instant::now() + Duration::from_secs(10);
    while stored() < single + batched + paced && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(stored(), single + batched + paced, "what was counted is what is stored");
    let (_, pulled) = bench(&broker, dir.path(), "pull", &["-c", "2"]);
    assert!(pulled["messages"].as_u64().unwrap() > 0);

    let (_, woken) = bench(&broker, dir.path(), "wake", &["--rate", "20"]);
    assert_eq!(woken["messages"], 20);
    assert_eq!(woken["errors"], 0);
}

#[test]
fn without_a_broker_the_load_tool_says_what_to_look_at() {
    let run =
        Command::new(env!("CARGO_BIN_EXE_castmq")).args(["bench", "send", "127.0.0.1:1"]).output().unwrap();
    assert_eq!(run.status.code(), Some(2));
    let text = String::from_utf8(run.stderr).unwrap();
    assert!(text.contains("cannot reach 127.0.0.1:1") && text.contains("does it run?"), "{text}");
}
