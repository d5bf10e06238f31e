//! Message ids: where a message lies, and what its sender calls it (fact sheet: remoting 3.4).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::atomic::{AtomicU16, Ordering};

/// Length of an id in characters: with an IPv4 address, with an IPv6 address.
pub const ID_LENGTHS: [usize; 2] = [32, 56];

/// The id that says where a message is stored: `msgId` of a send answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OffsetMessageId {
    /// Address under which the broker is registered.
    pub host: SocketAddr,
    /// Offset in the commit log, bytes.
    pub offset: i64,
}

/// Why a text is no offset message id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the message id: expected 32 or 56 hexadecimal digits of address, port and offset")]
pub struct MessageIdError;

impl OffsetMessageId {
    /// Its text, on the stack.
    pub fn text(&self) -> IdText {
        let mut text = IdText::new(self.host.ip());
        text.push_bytes(&u32::from(self.host.port()).to_be_bytes());
        text.push_bytes(&self.offset.to_be_bytes());
        text
    }
}

impl fmt::Display for OffsetMessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

impl FromStr for OffsetMessageId {
    type Err = MessageIdError;

    fn from_str(text: &str) -> Result<Self, MessageIdError> {
        let mut bytes = [0u8; 28];
        let used = bytes.get_mut(..text.len() / 2).ok_or(MessageIdError)?;
        for (byte, pair) in used.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let [high, low] = pair else { return Err(MessageIdError) };
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        let (ip, rest): (IpAddr, &[u8]) = match text.len() {
            32 => bytes.split_first_chunk::<4>().map(|(ip, rest)| (Ipv4Addr::from(*ip).into(), rest)),
            56 => bytes.split_first_chunk::<16>().map(|(ip, rest)| (Ipv6Addr::from(*ip).into(), rest)),
            _ => None,
        }
        .ok_or(MessageIdError)?;
        let (port, rest) = rest.split_first_chunk().ok_or(MessageIdError)?;
        let offset = rest.first_chunk().ok_or(MessageIdError)?;
        let port = u16::try_from(u32::from_be_bytes(*port)).map_err(|_| MessageIdError)?;
        Ok(Self { host: SocketAddr::new(ip, port), offset: i64::from_be_bytes(*offset) })
    }
}

fn nibble(digit: u8) -> Result<u8, MessageIdError> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok()).ok_or(MessageIdError)
}

/// The ids of a batch, joined by commas.
pub fn batch_id(host: SocketAddr, offsets: impl IntoIterator<Item = i64>) -> String {
    let offsets = offsets.into_iter();
    let mut ids = String::with_capacity(offsets.size_hint().1.unwrap_or(1) * (ID_LENGTHS[0] + 1));
    for offset in offsets {
        if !ids.is_empty() {
            ids.push(',');
        }
        ids.push_str(OffsetMessageId { host, offset }.text().as_str());
    }
    ids
}

/// The eight upper-case digits of a number, all at once: each of its half bytes in a byte of its own.
fn hex_digits(number: u32) -> [u8; 8] {
    let mut halves = u64::from(number);
    halves = (halves | halves << 16) & 0x0000_FFFF_0000_FFFF;
    halves = (halves | halves << 8) & 0x00FF_00FF_00FF_00FF;
    halves = (halves | halves << 4) & 0x0F0F_0F0F_0F0F_0F0F;
    let is_letter = (halves + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    (halves + 0x3030_3030_3030_3030 + is_letter * u64::from(b'A' - b'9' - 1)).to_be_bytes()
}

/// Upper-case hexadecimal text of an id, held inline.
#[derive(Clone, Copy)]
pub struct IdText {
    digits: [u8; 56],
    len: usize,
}

impl IdText {
    fn new(ip: IpAddr) -> Self {
        let mut text = Self { digits: [0; 56], len: 0 };
        match ip {
            IpAddr::V4(ip) => text.push_bytes(&ip.octets()),
            IpAddr::V6(ip) => text.push_bytes(&ip.octets()),
        }
        text
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(4) {
            let number = part.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
            let digits = hex_digits(number);
            let used = digits.len() - 2 * part.len();
            if let (Some(place), Some(digits)) =
                (self.digits.get_mut(self.len..self.len + 2 * part.len()), digits.get(used..))
            {
                place.copy_from_slice(digits);
                self.len += digits.len();
            }
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.digits.get(..self.len).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for IdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Makes unique ids (property `UNIQ_KEY`): address, process, start mark, milliseconds within the month, counter.
#[derive(Debug)]
pub struct UniqueIds {
    prefix: IdText,
    counter: AtomicU16,
}

impl UniqueIds {
    /// For this host and process; `start_mark` tells two makers in one process apart, and two processes
    /// that were given the same number.
    pub fn new(ip: IpAddr, process_id: u32, start_mark: u32) -> Self {
        let mut prefix = IdText::new(ip);
        let [_, _, high, low] = process_id.to_be_bytes();
        prefix.push_bytes(&[high, low]);
        prefix.push_bytes(&start_mark.to_be_bytes());
        Self { prefix, counter: AtomicU16::new(0) }
    }

    /// The next id; `now` in milliseconds since 1970. Unique for 65,536 ids per millisecond.
    pub fn next_id(&self, now: i64) -> IdText {
        let mut text = self.prefix;
        let [_, _, _, _, since_month @ ..] = since_start_of_month(now).to_be_bytes();
        text.push_bytes(&since_month);
        text.push_bytes(&self.counter.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        text
    }
}

/// Milliseconds since the start of the month (UTC) in which `now` lies.
fn since_start_of_month(now: i64) -> i64 {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    // Days since 1 March of year 0 in the Gregorian calendar; an era of 400 years has 146,097 days.
    let day_of_era = (now.div_euclid(DAY) + 719_468).rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // From March on, months begin at (153 m + 2) / 5.
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5;
    day_of_month * DAY + now.rem_euclid(DAY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_observed_id_is_written_and_read() {
        let id = OffsetMessageId { host: "127.0.0.1:21911".parse().unwrap(), offset: 0xF5 };
        assert_eq!(id.to_string(), "7F0000010000559700000000000000F5");
        assert_eq!("7f0000010000559700000000000000f5".parse(), Ok(id));
    }

    #[test]
    fn batch_ids_are_joined_by_commas() {
        let ids = batch_id("127.0.0.1:1".parse().unwrap(), [1, 2]);
        assert_eq!(ids, "7F000001000000010000000000000001,7F000001000000010000000000000002");
        assert_eq!(batch_id("127.0.0.1:1".parse().unwrap(), []), "");
    }

    #[test]
    fn unique_ids_differ_and_have_the_layout() {
        let ids = UniqueIds::new(Ipv4Addr::LOCALHOST.into(), 0x1_2345, 0xAABB_CCDD);
        // 1970-03-02T00:00:00.001Z: one day and one millisecond into the month.
        let now = (31 + 28 + 1) * 86_400_000 + 1;
        assert_eq!(ids.next_id(now).as_str(), "7F0000012345AABBCCDD05265C010000");
        assert_eq!(ids.next_id(now).as_str(), "7F0000012345AABBCCDD05265C010001");
        let v6 = UniqueIds::new(Ipv6Addr::LOCALHOST.into(), 1, 1);
        assert_eq!(v6.next_id(now).as_str().len(), 56);
    }

    #[test]
    fn months_start_where_the_calendar_says() {
        // 2024-02-29T00:00:00Z and 2024-03-01T00:00:00Z.
        assert_eq!(since_start_of_month(1_709_164_800_000), 28 * 86_400_000);
        assert_eq!(since_start_of_month(1_709_251_200_000), 0);
        assert_eq!(since_start_of_month(i64::MIN).signum(), 1);
        assert_eq!(since_start_of_month(0), 0);
    }

    proptest! {
        #[test]
        fn ids_read_back(v4: [u8; 4], v6: [u8; 16], is_v6: bool, port: u16, offset: i64) {
            let ip: IpAddr = if is_v6 { v6.into() } else { v4.into() };
            let id = OffsetMessageId { host: SocketAddr::new(ip, port), offset };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn arbitrary_text_never_panics(text: String, hex in "[0-9a-fA-Fg]{30,58}", now: i64) {
            let _ = text.parse::<OffsetMessageId>();
            let _ = hex.parse::<OffsetMessageId>();
            let _ = since_start_of_month(now);
        }
    }
}
