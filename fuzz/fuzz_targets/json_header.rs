//! Any bytes as a JSON header: an error, or a header that survives being written again.
#![no_main]

use bytes::{BufMut, BytesMut};
use castmq::protocol::frame::Frame;
use libfuzzer_sys::fuzz_target;

/// The byte that says how a header is written.
const ENCODING: u8 = 0;

fuzz_target!(|header: &[u8]| {
    let mut wire = BytesMut::new();
    wire.put_u32(header.len() as u32 + 4);
    wire.put_u8(ENCODING);
    wire.put_uint(header.len() as u64, 3);
    wire.put_slice(header);
    let Ok(Some(frame)) = Frame::decode(&mut wire) else { return };
    let mut again = BytesMut::new();
    if frame.encode(&mut again).is_ok() {
        assert_eq!(Frame::decode(&mut again), Ok(Some(frame)));
    }
});
