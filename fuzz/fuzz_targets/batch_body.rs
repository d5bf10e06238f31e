//! Any bytes as the body of a batch: what is read must write itself back.
#![no_main]

use castmq::protocol::batch::{self, BatchBody};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let Ok(messages) = batch::messages(body).collect::<Result<Vec<_>, _>>() else { return };
    let mut again = BatchBody::new();
    for message in &messages {
        again.push(message.flag, message.body, message.properties).expect("what was read has lawful lengths");
    }
    assert_eq!(again.len(), body.len());
    assert!(batch::messages(&again.finish()).flatten().eq(messages));
});
