//! Any bytes as a JSON body, plain or compressed: rewriting is idempotent, reading never panics.
#![no_main]

use castmq::protocol::cluster::ClusterInfo;
use castmq::protocol::heartbeat::HeartbeatData;
use castmq::protocol::json::{self, to_standard};
use castmq::protocol::lock::LockBatchRequest;
use castmq::protocol::offsets::{ConsumerOffsets, ResetOffsetBody};
use castmq::protocol::register::RegisterBrokerBody;
use castmq::protocol::route::TopicRouteData;
use castmq::protocol::stats::{ConsumeStats, TopicStatsTable};
use castmq::protocol::subscription::SubscriptionGroupWrapper;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let _ = RegisterBrokerBody::decode(body, 493);
    let Ok(standard) = to_standard(body) else { return };
    assert_eq!(to_standard(&standard).ok().as_deref(), Some(standard.as_slice()));
    let _ = json::from_slice::<ClusterInfo>(body);
    let _ = json::from_slice::<HeartbeatData>(body);
    let _ = json::from_slice::<LockBatchRequest>(body);
    let _ = json::from_slice::<ConsumerOffsets>(body);
    let _ = json::from_slice::<SubscriptionGroupWrapper>(body);
    let _ = json::from_slice::<ConsumeStats>(body);
    let _ = json::from_slice::<TopicStatsTable>(body);
    let _ = json::from_slice::<TopicRouteData>(body);
    if let Ok(offsets) = json::from_slice::<ResetOffsetBody>(body) {
        let text = json::to_vec(&offsets).expect("offsets have a JSON form");
        assert_eq!(json::from_slice::<ResetOffsetBody>(&text).ok(), Some(offsets));
    }
});
