//! What the inspector prints.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::time;
use crate::protocol::properties::name;
use crate::protocol::record::RecordView;
use crate::store::inspect::finding::{Finding, Severity};
use crate::store::inspect::rebuild::Rebuilt;
use crate::store::inspect::verify::Verdict;

pub(super) fn verdict(out: &mut impl Write, verdict: &Verdict) -> io::Result<()> {
    for finding in &verdict.findings {
        writeln!(out, "{finding}")?;
    }
    let Verdict { records, log_start, log_end, recovery_start, queues, keys, .. } = verdict;
    writeln!(out, "log: {records} whole records from offset {log_start} to {log_end}")?;
    writeln!(out, "{queues} consume queues, {keys} index entries")?;
    let exit = if verdict.was_abnormal { "was killed" } else { "closed the store" };
    writeln!(out, "the last broker {exit}; the next start checks the log from offset {recovery_start} on")?;
    let damages = verdict.findings.iter().filter(|finding| finding.severity == Severity::Damage).count();
    match damages {
        0 => writeln!(out, "whole"),
        1 => writeln!(out, "damaged: see above"),
        _ => writeln!(out, "damaged in {damages} places: see above"),
    }
}

pub(super) fn verdict_json(out: &mut impl Write, verdict: &Verdict) -> io::Result<()> {
    for Finding { severity, path, at, what } in &verdict.findings {
        let severity = if *severity == Severity::Damage { "damage" } else { "note" };
        let finding = json!({ "severity": severity, "path": path, "at": at, "what": what });
        writeln!(out, "{finding}")?;
    }
    let summary = json!({
        "damaged": verdict.is_damaged(),
        "records": verdict.records,
        "logStart": verdict.log_start.0,
        "logEnd": verdict.log_end.0,
        "wasAbnormal": verdict.was_abnormal,
        "recoveryStart": verdict.recovery_start.0,
        "queues": verdict.queues,
        "indexEntries": verdict.keys,
    });
    writeln!(out, "{summary}")
}

pub(super) fn rebuilt(out: &mut impl Write, rebuilt: &Rebuilt) -> io::Result<()> {
    let Rebuilt { records, queues, skipped, index } = rebuilt;
    writeln!(out, "{queues} consume queues made from {records} records")?;
    if *skipped > 0 {
        writeln!(out, "{skipped} places of the log hold no whole record: their messages are in no queue")?;
    }
    match index {
        true => writeln!(out, "index made"),
        false => writeln!(out, "index left as it is: give --config, or --index-slots and --index-entries"),
    }
}

pub(super) fn rebuilt_json(out: &mut impl Write, rebuilt: &Rebuilt) -> io::Result<()> {
    let Rebuilt { records, queues, skipped, index } = rebuilt;
    writeln!(out, "{}", json!({ "records": records, "queues": queues, "skipped": skipped, "index": index }))
}

pub(super) fn message(out: &mut impl Write, record: &RecordView<'_>, with_body: bool) -> io::Result<()> {
    write!(
        out,
        "{} {}/{} offset {} at {} ({} bytes)",
        time::text(record.store_timestamp),
        String::from_utf8_lossy(record.topic).escape_debug(),
        record.queue_id,
        record.queue_offset,
        record.physical_offset,
        record.total_size(),
    )?;
    for (title, property) in [("tags", name::TAGS), ("keys", name::KEYS), ("id", name::UNIQ_KEY)] {
        if let Some(value) = record.property(property) {
            write!(out, " {title}={}", String::from_utf8_lossy(value).escape_debug())?;
        }
    }
    if with_body {
        write!(out, " body=")?;
        match std::str::from_utf8(record.body) {
            Ok(text) => write!(out, "{}", text.escape_debug())?,
            Err(_) => write!(out, "0x{}", hex(record.body))?,
        }
    }
    writeln!(out)
}

pub(super) fn message_json(out: &mut impl Write, record: &RecordView<'_>, with_body: bool) -> io::Result<()> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let properties: serde_json::Map<String, Value> =
        record.iter_properties().map(|(name, value)| (text(name), Value::String(text(value)))).collect();
    let mut message = json!({
        "topic": text(record.topic),
        "queueId": record.queue_id,
        "queueOffset": record.queue_offset,
        "physicalOffset": record.physical_offset,
        "size": record.total_size(),
        "msgId": record.message_id().to_string(),
        "flag": record.flag,
        "sysFlag": record.sys_flag.0,
        "bornTimestamp": record.born_timestamp,
        "bornHost": record.born_host.to_string(),
        "storeTimestamp": record.store_timestamp,
        "storeHost": record.store_host.to_string(),
        "reconsumeTimes": record.reconsume_times,
        "bodyLength": record.body.len(),
        "properties": properties,
    });
    if with_body && let Some(fields) = message.as_object_mut() {
        let (field, body) = match std::str::from_utf8(record.body) {
            Ok(text) => ("body", text.to_owned()),
            Err(_) => ("bodyHex", hex(record.body)),
        };
        fields.insert(field.to_owned(), Value::String(body));
    }
    writeln!(out, "{message}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
