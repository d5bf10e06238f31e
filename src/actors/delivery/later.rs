//! Where a message waits that is not for now: with a delay level in the level's queue, with a time of its own in
//! the wheel's (fact sheet: store 8, 9.1).

use std::sync::Arc;

use bytes::Bytes;

use super::{
    redirect::{self, aside, number, property},
    timer::Timer,
};
use crate::{
    actors::{broker::Live, store::Refusal, supervision::Millis},
    config::BrokerConfig,
    protocol::{
        codes::ResponseCode,
        properties::{self, name},
        record::{PropertyText, RecordFields},
        sys_flag::TransactionType,
        topic,
    },
};

/// Where messages wait. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Later {
    /// Delay levels that are configured.
    pub(super) levels: usize,
    /// None when it is not enabled.
    pub(super) timer: Option<Arc<Timer>>,
    pub(super) config: Arc<Live<BrokerConfig>>,
}

impl Later {
    /// Sends a message that is not for now to where it waits; others, and halves and ends of transactions that are
    /// not to be seen, stay as they are.
    pub(crate) fn place(&self, fields: RecordFields, now: Millis) -> Result<RecordFields, Refusal> {
        if !matches!(fields.sys_flag.transaction(), TransactionType::None | TransactionType::Commit) {
            return Ok(fields);
        }
        if redirect::delay_level(&fields.properties) > 0 {
            return Ok(redirect::by_delay_level(fields, self.levels));
        }
        match self.out_time(&fields.properties, now)? {
            Some(out) => Ok(by_time(fields, out)),
            None => Ok(fields),
        }
    }

    /// Whether the message's time, if it has one, is one that can be waited for.
    pub(crate) fn check(&self, properties: &PropertyText, now: Millis) -> Result<(), Refusal> {
        let is_levelled = redirect::delay_level(properties) > 0;
        if is_levelled { Ok(()) } else { self.out_time(properties, now).map(drop) }
    }

    /// The slot in which the message waits for its time; `None` when it has none, or it is over.
    fn out_time(&self, properties: &PropertyText, now: Millis) -> Result<Option<Millis>, Refusal> {
        // One that has been in the wheel goes its way.
        let is_timed = redirect::TIMES.iter().any(|name| properties.get(name).is_some());
        if !is_timed || properties.get(name::TIMER_OUT_MS).is_some() {
            return Ok(None);
        }
        let config = self.config.get();
        let Some(timer) = &self.timer else {
            let remark = "accurate timer message is not enabled, timerWheelEnable is false";
            return Err(Refusal { code: ResponseCode::SYSTEM_ERROR, remark: remark.to_owned() });
        };
        let most = i64::try_from(config.timer_max_delay_sec.duration().as_millis()).unwrap_or(i64::MAX);
        let at = asked(properties, now).filter(|at| at.saturating_sub(now) <= most);
        let at = at.filter(|at| *at > now || properties.get(name::TIMER_DEL_UNIQKEY).is_none());
        let Some(at) = at else {
            let remark = format!(
                "timer message illegal, the delay time should not be bigger than the max delay {most}ms; or if set \
                 del msg, the delay time should be bigger than the current time"
            );
            return Err(Refusal { code: ResponseCode::MESSAGE_ILLEGAL, remark });
        };
        if at <= now {
            return Ok(None);
        }
        let out = out_of(at, timer.precision());
        match congested(config.timer_congest_num_each_slot, || timer.waiting_at(out)) {
            true => Err(flow_control(config.timer_congest_num_each_slot)),
            false => Ok(Some(out)),
        }
    }
}

/// The time that a message asks for.
fn asked(properties: &PropertyText, now: Millis) -> Option<Millis> {
    if properties.get(name::TIMER_DELAY_SEC).is_some() {
        now.checked_add(number::<Millis>(properties, name::TIMER_DELAY_SEC)?.checked_mul(1000)?)
    } else if properties.get(name::TIMER_DELAY_MS).is_some() {
        now.checked_add(number(properties, name::TIMER_DELAY_MS)?)
    } else {
        number(properties, name::TIMER_DELIVER_MS)
    }
}

/// The slot that RocketMQ puts a time into: it is over at that time, or later.
fn out_of(at: Millis, precision: Millis) -> Millis {
    let over = at.rem_euclid(precision);
    if over == 0 { at - precision } else { at - over }
}

/// Up to `each` a slot takes all, from twice as many on none, and between fewer and fewer.
fn congested(each: u32, waiting: impl FnOnce() -> i64) -> bool {
    if each >= i32::MAX as u32 {
        return false;
    }
    let (each, waiting) = (i64::from(each), waiting());
    waiting > each && (waiting >= 2 * each || fastrand::i64(0..each) < waiting - each)
}

fn flow_control(each: u32) -> Refusal {
    let most = u64::from(each) * 2;
    let remark = format!(
        "timer message is under flow control, max num limit is {most} or the current value is greater than {each} \
         and less than {most}, trigger random flow control"
    );
    Refusal { code: ResponseCode::SYSTEM_ERROR, remark }
}

fn by_time(fields: RecordFields, out: Millis) -> RecordFields {
    let properties = aside(&fields, topic::TIMER_WHEEL).with(property(name::TIMER_OUT_MS, out.to_string()));
    RecordFields {
        topic: Bytes::from_static(topic::TIMER_WHEEL.as_bytes()),
        queue_id: 0,
        properties,
        ..fields
    }
}

/// What a message of the wheel's queue says of its time.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// `TIMER_OUT_MS`.
    pub(super) out: Millis,
    pub(super) real_topic: &'a str,
    /// The message that it takes back.
    pub(super) deletes: Option<&'a [u8]>,
    deliver: Option<Millis>,
    /// By the seconds, and by the milliseconds.
    delays: [Option<Millis>; 2],
    has_rolled: bool,
}

impl<'a> Asked<'a> {
    /// `None` for a message that was not meant for the wheel.
    pub(super) fn of(text: &'a [u8]) -> Option<Self> {
        let (mut asked, mut out) = (Self::default(), None);
        for (name, value) in properties::iter(text) {
            let value_text = std::str::from_utf8(value).unwrap_or_default();
            let number = value_text.parse::<Millis>().ok();
            match std::str::from_utf8(name).unwrap_or_default() {
                name::TIMER_OUT_MS => out = number,
                name::REAL_TOPIC => asked.real_topic = value_text,
                name::TIMER_DEL_UNIQKEY => asked.deletes = Some(value),
                name::TIMER_DELIVER_MS => asked.deliver = number,
                name::TIMER_DELAY_SEC => asked.delays[0] = number.and_then(|sec| sec.checked_mul(1000)),
                name::TIMER_DELAY_MS => asked.delays[1] = number,
                name::TIMER_ROLL_TIMES => asked.has_rolled = true,
                _ => {}
            }
        }
        (!asked.real_topic.is_empty()).then_some(Self { out: out?, ..asked })
    }

    /// Whether its time hangs on when it was first stored, which no record behind the first one tells.
    pub(super) fn is_relative(&self) -> bool {
        self.delays.iter().any(Option::is_some)
    }

    /// When it is due, to the millisecond: within its slot, of which RocketMQ knows no more than the end. One with
    /// a delay is never early by the time at which it was stored, since that is after it came in.
    pub(super) fn at(&self, stored: Millis, precision: Millis) -> Millis {
        let [seconds, millis] = self.delays;
        let delay = seconds.or(millis).filter(|_| !self.has_rolled);
        let asked = delay.map_or(self.deliver, |delay| stored.checked_add(delay));
        let end = self.out.saturating_add(precision);
        asked.filter(|at| *at > self.out).map_or(end, |at| at.min(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Bytes {
        Bytes::from(text.replace('=', "\u{1}").replace(';', "\u{2}"))
    }

    #[test]
    fn seconds_win_over_milliseconds_and_both_over_a_time() {
        let asked = |text_: &str| super::asked(&PropertyText::from(text(text_)), 10_000);
        assert_eq!(asked("TIMER_DELAY_MS=5;TIMER_DELAY_SEC=2;TIMER_DELIVER_MS=1;"), Some(12_000));
        assert_eq!(asked("TIMER_DELIVER_MS=1;TIMER_DELAY_MS=5;"), Some(10_005));
        assert_eq!(asked("TIMER_DELIVER_MS=10001;"), Some(10_001));
        for unreadable in ["TIMER_DELAY_SEC=x;TIMER_DELAY_MS=5;", "TIMER_DELAY_SEC=9223372036854775807;"] {
            assert_eq!(asked(unreadable), None);
        }
    }

    #[test]
    fn a_time_lies_behind_the_begin_of_its_slot() {
        assert_eq!([1_000, 1_001, 1_999, 2_000].map(|at| out_of(at, 1_000)), [0, 1_000, 1_000, 1_000]);
    }

    #[test]
    fn a_full_slot_takes_nothing_and_one_that_is_not_takes_all() {
        assert!(!congested(10, || 10) && congested(10, || 20));
        let refused = (0..1_000).filter(|_| congested(10, || 15)).count();
        assert!((300..700).contains(&refused), "{refused}");
        assert!(!congested(i32::MAX as u32, || i64::MAX));
    }

    #[test]
    fn a_message_is_due_within_its_slot() {
        let at = |text_: &str, stored| {
            let text = text(&format!("REAL_TOPIC=T;TIMER_OUT_MS=5000;{text_}"));
            Asked::of(&text).unwrap().at(stored, 1_000)
        };
        assert_eq!(at("TIMER_DELIVER_MS=5300;", 0), 5_300);
        assert_eq!(at("TIMER_DELAY_MS=300;", 5_002), 5_302, "by the time at which it was stored");
        assert_eq!(at("TIMER_DELAY_SEC=3;TIMER_DELAY_MS=7;", 2_990), 5_990);
        assert_eq!(at("TIMER_DELAY_MS=999;", 5_002), 6_000, "which may be in the next slot");
        assert_eq!(at("TIMER_DELAY_MS=300;TIMER_ROLL_TIMES=1;TIMER_DELIVER_MS=5300;", 9_000), 5_300);
        assert_eq!(at("TIMER_DELAY_MS=300;TIMER_ROLL_TIMES=1;", 9_000), 6_000, "RocketMQ's");
        assert_eq!(at("TIMER_DELIVER_MS=3;", 0), 6_000);
        assert_eq!(at("", 0), 6_000);
    }

    #[test]
    fn what_was_not_meant_for_the_wheel_is_known() {
        for odd in ["", "TIMER_OUT_MS=5;", "REAL_TOPIC=T;", "REAL_TOPIC=T;TIMER_OUT_MS=x;"] {
            assert_eq!(Asked::of(&text(odd)), None);
        }
    }
}
