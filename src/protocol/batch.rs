//! The body of a batch: messages of one topic, one after the other (fact sheet: remoting 5.2).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::properties::MAX_LEN as MAX_PROPERTIES;

/// Bytes of an item besides body and properties: five integers and the length of the properties.
const FIXED: usize = 5 * 4 + 2;

/// One message of a batch, in the bytes of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct BatchMessage<'a> {
    /// The application's flag.
    pub flag: i32,
    /// Body.
    pub body: &'a [u8],
    /// Property text.
    pub properties: &'a [u8],
}

/// Why a batch body cannot be read or made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// An item is longer than what is left, or its lengths do not add up.
    #[error("cannot read the batch: the lengths of message {index} do not add up")]
    Malformed {
        /// Number of the message, from 0.
        index: usize,
    },
    /// A property text is longer than a record can hold.
    #[error("cannot add to the batch: {len} bytes of properties, at most {MAX_PROPERTIES} are allowed")]
    PropertiesTooLong {
        /// Length of the text, bytes.
        len: usize,
    },
    /// The item is longer than its length field can say.
    #[error("cannot add to the batch: a body of {len} bytes is too long")]
    BodyTooLong {
        /// Length of the body, bytes.
        len: usize,
    },
}

/// The messages of a batch body, as slices of it; ends after the first error.
#[derive(Clone, Debug)]
pub struct BatchMessages<'a> {
    rest: &'a [u8],
    index: usize,
}

/// Reads a batch body.
pub fn messages(body: &[u8]) -> BatchMessages<'_> {
    BatchMessages { rest: body, index: 0 }
}

impl<'a> Iterator for BatchMessages<'a> {
    type Item = Result<BatchMessage<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let message = take_message(&mut self.rest).ok_or(BatchError::Malformed { index: self.index });
        self.index += 1;
        if message.is_err() {
            self.rest = &[];
        }
        Some(message)
    }
}

fn take_message<'a>(rest: &mut &'a [u8]) -> Option<BatchMessage<'a>> {
    let size = usize::try_from(i32::from_be_bytes(*rest.first_chunk()?)).ok()?;
    if size < FIXED {
        return None;
    }
    let mut item = split(rest, size)?;
    // Size, magic and check sum; the latter two are 0 and nobody reads them.
    item.advance(12);
    let flag = item.try_get_i32().ok()?;
    let body_len = usize::try_from(item.try_get_i32().ok()?).ok()?;
    let body = split(&mut item, body_len)?;
    let properties_len = usize::try_from(item.try_get_i16().ok()?).ok()?;
    (item.len() == properties_len).then_some(BatchMessage { flag, body, properties: item })
}

fn split<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, behind) = bytes.split_at_checked(len)?;
    *bytes = behind;
    Some(taken)
}

/// A batch body under construction.
#[derive(Debug, Default)]
pub struct BatchBody {
    out: BytesMut,
}

impl BatchBody {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether no message was added yet.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Adds a message.
    ///
    /// # Errors
    /// Body or properties longer than the format allows; the batch stays as it was.
    pub fn push(&mut self, flag: i32, body: &[u8], properties: &[u8]) -> Result<(), BatchError> {
        let properties_len = i16::try_from(properties.len())
            .map_err(|_| BatchError::PropertiesTooLong { len: properties.len() })?;
        let too_long = |_| BatchError::BodyTooLong { len: body.len() };
        let size = FIXED + body.len() + properties.len();
        let size_field = i32::try_from(size).map_err(too_long)?;
        let body_len = i32::try_from(body.len()).map_err(too_long)?;
        self.out.reserve(size);
        self.out.put_i32(size_field);
        self.out.put_i64(0);
        self.out.put_i32(flag);
        self.out.put_i32(body_len);
        self.out.put_slice(body);
        self.out.put_i16(properties_len);
        self.out.put_slice(properties);
        Ok(())
    }

    /// The finished body.
    pub fn finish(self) -> Bytes {
        self.out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_item_has_the_observed_layout() {
        let mut batch = BatchBody::new();
        batch.push(7, b"hi", b"k\x01v\x02").unwrap();
        let expected = b"\0\0\0\x1c\0\0\0\0\0\0\0\0\0\0\0\x07\0\0\0\x02hi\0\x04k\x01v\x02";
        assert_eq!(batch.finish(), expected[..]);
    }

    #[test]
    fn lengths_that_do_not_add_up_end_the_batch() {
        let mut batch = BatchBody::new();
        batch.push(0, b"a", b"").unwrap();
        batch.push(0, b"b", b"").unwrap();
        let mut bytes = batch.finish().to_vec();
        bytes[23 + 19] = 2;
        let read: Vec<_> = messages(&bytes).collect();
        assert!(read[0].is_ok());
        assert_eq!(read[1], Err(BatchError::Malformed { index: 1 }));
        assert_eq!(read.len(), 2);
    }

    proptest! {
        #[test]
        fn batches_read_back(items: Vec<(i32, Vec<u8>, Vec<u8>)>) {
            let mut batch = BatchBody::new();
            for (flag, body, properties) in &items {
                batch.push(*flag, body, properties).unwrap();
            }
            let batch = batch.finish();
            let read: Vec<_> = messages(&batch).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(read.len(), items.len());
            for (read, (flag, body, properties)) in read.iter().zip(&items) {
                prop_assert_eq!(read.flag, *flag);
                prop_assert_eq!(read.body, body);
                prop_assert_eq!(read.properties, properties);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, sizes: Vec<u8>) {
            let _ = messages(&bytes).count();
            let near: Vec<u8> = sizes.iter().flat_map(|&size| [0, 0, 0, size % 40]).collect();
            let _ = messages(&near).count();
        }
    }
}
