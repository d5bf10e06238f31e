//! Times as people write and read them, in UTC.

use std::str::FromStr;

const MS_PER_DAY: i64 = 86_400_000;

/// A time in ms since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time(pub(super) i64);

/// What a time may look like.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "give milliseconds since 1970, or a time like 2026-11-20, 2026-11-20T23:34 or 2026-11-20T23:34:13.552, in UTC"
)]
pub(super) struct TimeError;

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        if let Ok(ms) = text.parse() {
            return Ok(Time(ms));
        }
        let text = text.trim_end_matches('Z');
        let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
        let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
        let mut next = || date.next().flatten().ok_or(TimeError);
        let (year, month, day) = (next()?, next()?, next()?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(0..=9999).contains(&year) {
            return Err(TimeError);
        }
        let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let mut clock = clock.splitn(3, ':').map(|part| part.parse::<u32>());
        let mut next = |limit| match clock.next() {
            Some(Ok(part)) if part < limit => Ok(i64::from(part)),
            None => Ok(0),
            _ => Err(TimeError),
        };
        let (hour, minute, second) = (next(24)?, next(60)?, next(60)?);
        if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(TimeError);
        }
        let ms: i64 = format!("{fraction:0<3}").parse().map_err(|_| TimeError)?;
        Ok(Time(days(year, month, day) * MS_PER_DAY + ((hour * 60 + minute) * 60 + second) * 1000 + ms))
    }
}

/// Days since the epoch, in the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March have the leap day last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// A time as text, such as `2026-11-20T23:34:13.552`.
pub(super) fn text(ms: i64) -> String {
    let digits = format!("{:017}", crate::store::index::time_digits(ms));
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{}T{}:{}:{}.{}",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(8, 10),
        part(10, 12),
        part(12, 14),
        part(14, 17)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for ms in [0, 1, 951_782_400_001, 1_795_218_196_724, 4_102_444_799_999] {
            assert_eq!(text(ms).parse(), Ok(Time(ms)));
        }
        assert_eq!("2026-11-20".parse(), Ok(Time(1_795_132_800_000)));
        assert_eq!("2026-11-20 23:43Z".parse(), Ok(Time(1_795_218_180_000)));
        assert_eq!("1795218196724".parse(), Ok(Time(1_795_218_196_724)));
        for wrong in ["", "yesterday", "2026-13-01", "2026-11-20T25:00", "2026-11-20T1:2:3:4", "2026-11"] {
            assert_eq!(wrong.parse::<Time>(), Err(TimeError), "{wrong}");
        }
    }
}
