//! Any bytes as an entry of the commit log: what parses must write itself back.
#![no_main]

use castmq::protocol::record::{LogEntry, RecordDraft};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(LogEntry::Message(view)) = LogEntry::parse(bytes) else { return };
    let _ = (view.check_crc(), view.check_crc_property(), view.tags_code(), view.message_id().to_string());
    let draft = RecordDraft::new(view.to_fields()).expect("what was parsed has lawful lengths");
    let mut out = vec![0; draft.total_size()];
    draft
        .encode_into(&mut out, view.queue_offset, view.physical_offset, view.store_timestamp)
        .expect("the slice has the size of the record");
});
