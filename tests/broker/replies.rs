//! Requests and replies between clients.

use castmq::protocol::{
    codes::{RequestCode, ResponseCode},
    requests::send::{ReplyMessageRequest, SendMessageRequest, SendMessageResponse},
};

use crate::harness::{Running, message};

const TOPIC: &str = "DefaultCluster_REPLY_TOPIC";

fn reply_to(client_id: &str) -> SendMessageRequest {
    message(
        TOPIC,
        0,
        &format!("MSG_TYPE=reply;REPLY_TO_CLIENT={client_id};CORRELATION_ID=c1;TTL=3000;UNIQ_KEY=U;"),
    )
}

#[test]
fn a_reply_reaches_the_client_that_asked_and_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let (mut requester, mut replier) = (broker.connect(), broker.connect());
    requester.heartbeat("1.2.3.4@me", "requesters", "unused");
    for (code, round) in [(RequestCode::SEND_REPLY_MESSAGE_V2, 0), (RequestCode::SEND_REPLY_MESSAGE, 1)] {
        let request = reply_to("1.2.3.4@me");
        match code {
            RequestCode::SEND_REPLY_MESSAGE => replier.tell(code, &request, b"answer"),
            _ => replier.tell(code, &request.compact(), b"answer"),
        };
        let push = requester.read().unwrap();
        assert_eq!(push.header.request_code(), RequestCode::PUSH_REPLY_MESSAGE_TO_CLIENT);
        let header = ReplyMessageRequest::from_fields(&push.header.fields).unwrap();
        assert_eq!((&*push.body, header.topic.as_str()), (&b"answer"[..], TOPIC));
        assert_eq!(header.born_host.as_str(), replier.stream.local_addr().unwrap().to_string());
        let properties = header.properties.unwrap();
        assert!(properties.contains("CORRELATION_ID\u{1}c1") && properties.contains("PUSH_REPLY_TIME\u{1}"));
        requester.answer(&push);
        let answer = replier.read().unwrap();
        assert_eq!(answer.header.response_code(), ResponseCode::SUCCESS);
        let receipt = SendMessageResponse::from_fields(&answer.header.fields).unwrap();
        assert_eq!((receipt.queue_offset, receipt.transaction_id.as_deref()), (round, Some("U")));
    }
    let stored = replier.drain(TOPIC, 0, 2);
    assert!(stored.iter().all(|got| got.property("PUSH_REPLY_TIME").is_some()));
}

#[test]
fn a_reply_that_nobody_waits_for_is_stored_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start(dir.path());
    let mut replier = broker.connect();
    let answer = replier.ask(RequestCode::SEND_REPLY_MESSAGE_V2, &reply_to("nobody").compact(), b"answer");
    assert_eq!(answer.header.response_code(), ResponseCode::SYSTEM_ERROR);
    assert_eq!(
        answer.header.remark.as_deref(),
        Some("push reply message fail, channel of <nobody> not found.")
    );
    assert!(SendMessageResponse::from_fields(&answer.header.fields).is_ok());
    assert_eq!(replier.drain(TOPIC, 0, 1).len(), 1);
}

#[test]
fn replies_are_not_stored_where_they_are_not_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Running::start_with(dir.path(), |config| config.store_reply_message_enable = false);
    let mut replier = broker.connect();
    let answer = replier.ask(RequestCode::SEND_REPLY_MESSAGE_V2, &reply_to("nobody").compact(), b"answer");
    assert_eq!(answer.header.response_code(), ResponseCode::SYSTEM_ERROR);
    assert_eq!(replier.pull(TOPIC, 0, 0).0, ResponseCode::PULL_NOT_FOUND);
}
