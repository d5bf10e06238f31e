//! A half message, as it is read from the log.

use bytes::{Bytes, BytesMut};

use super::table::Origin;
use crate::{
    actors::{delivery::redirect, supervision::Millis},
    protocol::{
        message_id::OffsetMessageId,
        properties::name,
        record::{RecordDraft, RecordFields, RecordView},
        requests::transaction::CheckTransactionStateRequest,
        topic,
    },
    store::{PhysicalOffset, Store},
};

/// A half message.
#[derive(Debug, Clone)]
pub(super) struct Half {
    pub(super) origin: Origin,
    pub(super) queue_offset: i64,
    pub(super) physical_offset: i64,
    pub(super) stored: Millis,
    pub(super) fields: RecordFields,
}

/// When a half message is asked about, and when it is given up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// `transactionTimeOut`, ms.
    pub(super) time_out: Millis,
    /// `transactionCheckMax`.
    pub(super) most_checks: u32,
    /// `fileReservedTime`, ms.
    pub(super) reserved: Millis,
}

/// What is to be done about a half message that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing yet, nor about those behind it.
    Wait,
    /// It is looked at again later, without a question.
    PutBack,
    /// Its producer is asked.
    Ask,
    /// Its producer was asked too often.
    Discard,
}

impl Half {
    /// The half message that begins at an offset of the log, if there is one.
    pub(super) fn at(store: &Store, offset: i64) -> Option<Self> {
        let record = store.record_at(PhysicalOffset(offset))?;
        Self::of(&RecordView::parse(&record).ok()?, &record)
    }

    pub(super) fn of(view: &RecordView<'_>, record: &Bytes) -> Option<Self> {
        if view.topic != topic::TRANS_HALF.as_bytes() {
            return None;
        }
        let fields = view.fields_in(record);
        let first = redirect::number(&fields.properties, name::TRAN_PREPARED_QUEUE_OFFSET);
        let first = first.filter(|first| (0..view.queue_offset).contains(first));
        Some(Self {
            origin: Origin(first.unwrap_or(view.queue_offset)),
            queue_offset: view.queue_offset,
            physical_offset: view.physical_offset,
            stored: view.store_timestamp,
            fields,
        })
    }

    /// The producer group that knows how it ends.
    pub(super) fn group(&self) -> Option<&str> {
        std::str::from_utf8(self.fields.properties.get(name::PGROUP)?).ok()
    }

    fn checks(&self) -> u32 {
        redirect::number(&self.fields.properties, name::TRANSACTION_CHECK_TIMES).unwrap_or(0)
    }

    /// During this time after its birth its producer is left alone, ms.
    pub(super) fn immunity(&self, time_out: Millis) -> Option<Millis> {
        let properties = &self.fields.properties;
        properties.get(name::CHECK_IMMUNITY_TIME_IN_SECONDS)?;
        let seconds = redirect::number::<Millis>(properties, name::CHECK_IMMUNITY_TIME_IN_SECONDS);
        Some(seconds.filter(|seconds| *seconds >= 0).map_or(time_out, |seconds| seconds.saturating_mul(1000)))
    }

    /// What is to be done in a round that `began` (fact sheet: store 10.2).
    pub(super) fn verdict(&self, now: Millis, began: Millis, rules: Rules) -> Verdict {
        let age = now - self.fields.born_timestamp;
        if self.checks() >= rules.most_checks || age > rules.reserved {
            return Verdict::Discard;
        }
        if self.stored >= began {
            return Verdict::Wait;
        }
        match self.immunity(rules.time_out) {
            Some(immunity) if age < immunity => Verdict::PutBack,
            None if (0..rules.time_out).contains(&age) => Verdict::Wait,
            _ => Verdict::Ask,
        }
    }

    /// The same at the end of the queue, one question later or none.
    pub(super) fn copy(&self, is_asked: bool) -> RecordFields {
        let names = [name::TRAN_PREPARED_QUEUE_OFFSET, name::TRANSACTION_CHECK_TIMES];
        let mut properties = self.fields.properties.without(&names);
        let checks = self.checks() + u32::from(is_asked);
        properties.push(redirect::property(name::TRAN_PREPARED_QUEUE_OFFSET, self.origin.0.to_string()));
        if checks > 0 {
            properties.push(redirect::property(name::TRANSACTION_CHECK_TIMES, checks.to_string()));
        }
        RecordFields { properties, ..self.fields.clone() }
    }

    /// The question to its producer: header and message, as it will be when it is committed.
    pub(super) fn question(&self, broker_name: &str) -> Option<(CheckTransactionStateRequest, Bytes)> {
        let text = |name| {
            let value = self.fields.properties.get(name)?;
            std::str::from_utf8(value).ok().map(|value| value.to_owned().into())
        };
        let id = OffsetMessageId { host: self.fields.store_host, offset: self.physical_offset };
        let header = CheckTransactionStateRequest {
            topic: Some(topic::TRANS_HALF.into()),
            tran_state_table_offset: self.queue_offset,
            commit_log_offset: self.physical_offset,
            msg_id: text(name::UNIQ_KEY),
            transaction_id: text(name::TRANSACTION_ID).or_else(|| text(name::UNIQ_KEY)),
            offset_msg_id: Some(id.to_string().into()),
            broker_name: Some(broker_name.to_owned().into()),
        };
        let (topic, queue_id) = redirect::real_place(&self.fields.properties)?;
        let draft = RecordDraft::new(RecordFields { topic, queue_id, ..self.fields.clone() }).ok()?;
        let mut body = BytesMut::zeroed(draft.total_size());
        draft.encode_into(&mut body, self.queue_offset, self.physical_offset, self.stored).ok()?;
        Some((header, body.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::sys_flag::SysFlag;

    const RULES: Rules = Rules { time_out: 6_000, most_checks: 15, reserved: 1_000_000 };

    fn half(stored: Millis, text: &str) -> Half {
        let host = ([127, 0, 0, 1], 9).into();
        let fields = RecordFields {
            topic: Bytes::from_static(topic::TRANS_HALF.as_bytes()),
            queue_id: 0,
            flag: 0,
            sys_flag: SysFlag(0),
            born_timestamp: 0,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: Bytes::from_static(b"x"),
            properties: Bytes::from(text.replace('=', "\u{1}").replace(';', "\u{2}")).into(),
        };
        Half { origin: Origin(3), queue_offset: 7, physical_offset: 99, stored, fields }
    }

    #[test]
    fn a_producer_is_asked_when_its_time_is_over() {
        let plain = half(10, "");
        assert_eq!(plain.verdict(5_999, 5_999, RULES), Verdict::Wait);
        assert_eq!(plain.verdict(6_000, 6_000, RULES), Verdict::Ask);
        assert_eq!(plain.verdict(-1, 6_000, RULES), Verdict::Ask, "born in the future");
        assert_eq!(plain.verdict(6_000, 10, RULES), Verdict::Wait, "it was stored in this round");
        let checked = |times| half(10, &format!("TRANSACTION_CHECK_TIMES={times};"));
        assert_eq!(checked(14).verdict(6_000, 6_000, RULES), Verdict::Ask);
        assert_eq!(checked(15).verdict(6_000, 6_000, RULES), Verdict::Discard);
        assert_eq!(plain.verdict(1_000_001, 1_000_001, RULES), Verdict::Discard);
    }

    #[test]
    fn an_immune_one_is_put_back_and_does_not_hold_up_others() {
        let immune = half(10, "CHECK_IMMUNITY_TIME_IN_SECONDS=20;");
        assert_eq!(immune.verdict(19_999, 19_999, RULES), Verdict::PutBack);
        assert_eq!(immune.verdict(20_000, 20_000, RULES), Verdict::Ask);
        let odd = half(10, "CHECK_IMMUNITY_TIME_IN_SECONDS=x;");
        assert_eq!(odd.immunity(6_000), Some(6_000));
    }

    #[test]
    fn a_copy_names_its_transaction_and_counts_the_questions() {
        let first = half(10, "PGROUP=p;").copy(true);
        assert_eq!(first.properties.get(name::TRAN_PREPARED_QUEUE_OFFSET), Some(&b"3"[..]));
        assert_eq!(first.properties.get(name::TRANSACTION_CHECK_TIMES), Some(&b"1"[..]));
        let second = Half { fields: first, ..half(10, "") };
        assert_eq!(second.copy(true).properties.get(name::TRANSACTION_CHECK_TIMES), Some(&b"2"[..]));
        assert_eq!(second.copy(false).properties.get(name::TRANSACTION_CHECK_TIMES), Some(&b"1"[..]));
    }
}
