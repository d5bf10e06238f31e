use super::send::{SendMessageRequest, SendMessageResponse};
use super::*;
use crate::protocol::codes::RequestCode;
use crate::protocol::fields::Fields;
use offset::{BoundaryType, MaxOffsetRequest, QueryConsumerOffsetRequest, SearchOffsetRequest};

fn compact() -> Fields {
    Fields::new()
        .with("a", "PG")
        .with("b", "T")
        .with("c", "TBW102")
        .with("d", 4)
        .with("e", -1)
        .with("f", 0)
        .with("g", 1_795_217_478_701_i64)
        .with("h", 0)
        .with("i", "K\u{1}v")
        .with("m", "TRUE")
        .with("ReqT", "0")
}

#[test]
fn a_send_reads_the_same_under_either_table_of_names() {
    let request = SendMessageRequest::of(RequestCode::SEND_BATCH_MESSAGE, &compact()).expect("valid");
    assert_eq!((request.topic.as_str(), request.queue_id, request.batch), ("T", -1, true));
    assert_eq!(request.reconsume_times, None);
    assert_eq!(
        SendMessageRequest::of(RequestCode::SEND_MESSAGE, &request.to_fields()).as_ref(),
        Ok(&request)
    );
    let fields = Fields::of(&request.compact());
    assert_eq!(SendMessageRequest::of(RequestCode::SEND_MESSAGE_V2, &fields).as_ref(), Ok(&request));
    assert!(SendMessageRequest::of(RequestCode::SEND_MESSAGE, &fields).is_err());
}

#[test]
fn what_is_missing_or_malformed_is_named() {
    let error = SendMessageRequest::from_compact_fields(&compact().with("e", "x")).expect_err("malformed");
    assert_eq!(error, FieldError { header: "SendMessageRequest", field: "e" });
    assert_eq!(error.to_string(), "SendMessageRequest: the field \"e\" is missing or malformed");
}

#[test]
fn optional_fields_that_do_not_parse_are_absent() {
    let fields = compact().with("j", "many").with("l", "");
    let request = SendMessageRequest::from_compact_fields(&fields).expect("valid");
    assert_eq!((request.reconsume_times, request.max_reconsume_times), (None, None));
}

#[test]
fn defaults_hold_where_the_wire_is_silent() {
    let fields = Fields::new().with("topic", "T").with("queueId", 0).with("timestamp", 5);
    assert_eq!(SearchOffsetRequest::from_fields(&fields).map(|it| it.boundary_type), Ok(BoundaryType::Lower));
    assert_eq!(MaxOffsetRequest::from_fields(&fields).map(|it| it.committed), Ok(true));
    let upper = fields.with("boundaryType", "upper").with("consumerGroup", "G");
    assert_eq!(SearchOffsetRequest::from_fields(&upper).map(|it| it.boundary_type), Ok(BoundaryType::Upper));
    assert_eq!(QueryConsumerOffsetRequest::from_fields(&upper).map(|it| it.set_zero_if_not_found), Ok(None));
}

#[test]
fn absent_options_are_not_written() {
    let response = SendMessageResponse {
        msg_id: "ID".into(),
        queue_id: 1,
        queue_offset: 2,
        transaction_id: None,
        batch_uniq_id: None,
        recall_handle: None,
        region: Some(Text::from_static("DefaultRegion")),
        trace_on: Some(true),
    };
    let fields = response.to_fields();
    let keys: Vec<_> = fields.iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["msgId", "queueId", "queueOffset", "MSG_REGION", "TRACE_ON"]);
}
