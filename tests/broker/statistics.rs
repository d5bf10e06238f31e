//! What went through the broker, as tools are told of it.

use std::{thread, time::Duration, time::Instant};

use castmq::protocol::{
    codes::{RequestCode, ResponseCode},
    json,
    requests::{message::SendBackRequest, stats::ViewBrokerStatsRequest},
    stats::{BrokerStatsData, BrokerStatsItem},
};

use crate::harness::{Client, Running, runtime};

fn figures(client: &mut Client, name: &str, key: &str) -> Result<BrokerStatsData, String> {
    let asked = ViewBrokerStatsRequest { stats_name: name.into(), stats_key: key.into() };
    let answer = client.ask(RequestCode::VIEW_BROKER_STATS_DATA, &asked, b"");
    match answer.header.response_code() {
        ResponseCode::SUCCESS => Ok(json::from_slice(&answer.body).unwrap()),
        _ => Err(answer.header.remark.as_deref().unwrap_or_default().to_string()),
    }
}

/// Waits for the next sample.
fn minute(client: &mut Client, name: &str, key: &str, sum: i64) -> BrokerStatsItem {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let shown = figures(client, name, key).map(|figures| figures.stats_minute);
        match shown {
            Ok(minute) if minute.sum == sum => return minute,
            _ if Instant::now() > deadline => panic!("{name} {key}: {sum} expected, {shown:?}"),
            _ => thread::sleep(Duration::from_millis(5)),
        }
    }
}

#[test]
fn what_is_stored_read_and_sent_back_is_counted_by_topic_and_group() {
    let dir = tempfile::tempdir().unwrap();
    // Ten seconds between two samples are 200 ms here, a minute 1.2 s.
    let broker = Running::start_at(dir.path(), 50, |_| {});
    let mut client = broker.connect();
    client.create_topic("T", 2);
    assert_eq!(
        figures(&mut client, "TOPIC_PUT_NUMS", "T"),
        Err("The stats <TOPIC_PUT_NUMS> <T> not exist".into())
    );
    for number in 0..20 {
        client.send("T", number % 2, b"0123456789").unwrap();
    }
    figures(&mut client, "TOPIC_PUT_NUMS", "T").expect("known at once");
    let stored = minute(&mut client, "TOPIC_PUT_NUMS", "T", 20);
    assert!(stored.tps > 0.3 && stored.avgpt == 1.0, "{stored:?}");
    let got = client.drain("T", 0, 10);
    minute(&mut client, "GROUP_GET_NUMS", "T@g", 10);
    let back = SendBackRequest {
        offset: got[0].physical_offset,
        group: "g".into(),
        delay_level: 0,
        origin_msg_id: None,
        origin_topic: Some("T".into()),
        unit_mode: false,
        max_reconsume_times: None,
    };
    client.heartbeat("c", "p", "g");
    let told = client.tell(RequestCode::CONSUMER_SEND_MSG_BACK, &back, b"");
    while client.read().unwrap().header.opaque != told {}
    minute(&mut client, "SNDBCK_PUT_NUMS", "T@g", 1);
    assert_eq!(broker.connect().wait_for("%RETRY%g", 0, 0).len(), 1);
    let sizes = ["TOPIC_PUT_SIZE", "GROUP_GET_SIZE"].map(|name| {
        let key = if name == "TOPIC_PUT_SIZE" { "T" } else { "T@g" };
        figures(&mut client, name, key).unwrap().stats_minute.sum
    });
    assert_eq!(sizes[0], 2 * sizes[1], "half of it was read");
    let info = runtime(&mut client);
    let number = |key: &str| info[key].parse::<u64>().unwrap();
    assert_eq!((number("msgPutTotalTodayNow"), number("msgGetTotalTodayNow")), (21, 11));
    assert_eq!(number("putMessageTimesTotal"), 22, "with the one that waited for its time");
    // In a minute all of it is long ago.
    let deadline = Instant::now() + Duration::from_secs(10);
    while figures(&mut client, "TOPIC_PUT_NUMS", "T").unwrap().stats_minute.tps > 0.0 {
        assert!(Instant::now() < deadline, "the rate falls");
        thread::sleep(Duration::from_millis(20));
    }
    let rates: Vec<f64> =
        runtime(&mut client)["putTps"].split(' ').take(2).map(|one| one.parse().unwrap()).collect();
    assert_eq!(rates[0], 0.0, "nothing in the last ten seconds");
}

#[test]
fn how_long_storing_takes_is_shown_a_minute_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start_at(dir.path(), 50, |_| {});
    let mut client = broker.connect();
    client.create_topic("T", 1);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        client.send("T", 0, b"x").unwrap();
        let shown = &runtime(&mut client)["putMessageDistributeTime"];
        if shown.split(' ').any(|class| class.contains("ms]:") && !class.ends_with(":0")) {
            return;
        }
        assert!(Instant::now() < deadline, "{shown}");
        thread::sleep(Duration::from_millis(20));
    }
}
