//! A stream of bytes either breaks off with an error or gives frames that survive being written again; and it
//! gives the same ones when it arrives in two parts.
#![no_main]

use bytes::BytesMut;
use castmq::protocol::frame::Frame;
use libfuzzer_sys::fuzz_target;

/// The frames at the front of `stream`, which arrives in parts.
fn frames<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<Frame> {
    let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
    for part in parts {
        buffer.extend_from_slice(part);
        loop {
            match Frame::decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return frames,
            }
        }
    }
    frames
}

fuzz_target!(|data: &[u8]| {
    let whole = frames([data]);
    let (first, second) = data.split_at(data.len() / 2);
    assert_eq!(whole, frames([first, second]));
    for frame in whole {
        let mut wire = BytesMut::new();
        if frame.encode(&mut wire).is_ok() {
            assert_eq!(frames([&wire[..]]), [frame]);
        }
    }
});
