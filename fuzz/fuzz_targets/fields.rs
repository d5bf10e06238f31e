//! Fields of any content, read as typed headers: a header that reads is written and read as the same.
#![no_main]

use castmq::protocol::codes::RequestCode;
use castmq::protocol::fields::Fields;
use castmq::protocol::requests::pull::PullMessageRequest;
use castmq::protocol::requests::registration::RegisterBrokerRequest;
use castmq::protocol::requests::send::SendMessageRequest;
use castmq::protocol::requests::transaction::EndTransactionRequest;
use libfuzzer_sys::fuzz_target;

macro_rules! survives {
    ($header:ty, $fields:expr) => {
        if let Ok(header) = <$header>::from_fields($fields) {
            assert_eq!(<$header>::from_fields(&header.to_fields()), Ok(header));
        }
    };
}

// One field a line, `key=value`.
fuzz_target!(|text: &str| {
    let mut fields = Fields::new();
    for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
        fields.push(key, value);
        assert_eq!(fields.get(key), Some(value));
    }
    survives!(SendMessageRequest, &fields);
    survives!(PullMessageRequest, &fields);
    survives!(RegisterBrokerRequest, &fields);
    survives!(EndTransactionRequest, &fields);
    if let Ok(header) = SendMessageRequest::of(RequestCode::SEND_MESSAGE_V2, &fields) {
        let compact = Fields::of(&header.compact());
        assert_eq!(SendMessageRequest::of(RequestCode::SEND_MESSAGE_V2, &compact), Ok(header));
    }
});
