//! Any bytes as a property text: what is read must survive a rewrite.
#![no_main]

use castmq::protocol::properties::{self, Properties};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let parsed = Properties::parse(text);
    assert!(properties::iter(parsed.as_bytes()).eq(properties::iter(text)));
    for (name, _) in properties::iter(text) {
        if let Ok(name) = std::str::from_utf8(name) {
            assert!(properties::get(text, name).is_some());
            assert!(properties::get(&properties::without(text, &[name]), name).is_none());
        }
    }
});
