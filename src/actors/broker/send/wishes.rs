//! What a client's properties say to the broker.

use bytes::Bytes;

use crate::{
    actors::delivery::redirect,
    protocol::properties::{self, name},
};

/// What a client's properties say to the broker.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) unique_key: Bytes,
    /// Property `WAIT` is not `false`.
    pub(super) waits: bool,
    /// The half of a transaction.
    pub(super) is_half: bool,
    /// Asks for a time of delivery.
    pub(super) is_timed: bool,
    /// Asks for a delay level, which wins over a time.
    pub(super) is_levelled: bool,
    pub(super) is_inner_batch: bool,
    pub(super) has_pop_handle: bool,
}

impl Wishes {
    pub(super) fn of(text: &Bytes) -> Self {
        let mut wishes = Self { waits: true, ..Self::default() };
        for (key, value) in properties::iter(text) {
            match std::str::from_utf8(key).unwrap_or_default() {
                name::UNIQ_KEY => wishes.unique_key = text.slice_ref(value),
                name::WAIT => wishes.waits = value != b"false",
                name::TRAN_MSG => wishes.is_half = value.eq_ignore_ascii_case(b"true"),
                name::DELAY => wishes.is_levelled = redirect::is_level(value),
                name::TIMER_DELAY_SEC | name::TIMER_DELAY_MS | name::TIMER_DELIVER_MS => {
                    wishes.is_timed = true;
                }
                name::INNER_NUM => wishes.is_inner_batch = true,
                name::POP_CK => wishes.has_pop_handle = true,
                _ => {}
            }
        }
        wishes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(text: &str) -> Wishes {
        Wishes::of(&Bytes::from(text.replace('=', "\u{1}").replace(';', "\u{2}")))
    }

    #[test]
    fn a_senders_wishes_are_read_from_the_properties() {
        let plain = wishes("UNIQ_KEY=AB;WAIT=true;TAGS=x");
        assert_eq!(&plain.unique_key[..], b"AB");
        assert!(plain.waits && !plain.is_half && !plain.is_levelled && !plain.is_timed);
        assert!(wishes("TRAN_MSG=true;").is_half && !wishes("TRAN_MSG=false;").is_half);
        assert!(wishes("DELAY=3;").is_levelled && !wishes("DELAY=0;").is_levelled);
        assert!(wishes("TIMER_DELIVER_MS=5").is_timed);
        assert!(!wishes("WAIT=false;").waits && wishes("").waits);
        assert!(wishes("POP_CK=1 2;").has_pop_handle);
    }
}
