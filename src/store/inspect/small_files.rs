//! Checkpoint and configuration files.

use std::collections::BTreeSet;
use std::io;

use super::super::checkpoint::{FILE_SIZE, Marks};
use super::super::error::StoreError;
use super::super::store::CHECKPOINT_FILE;
use super::finding::Findings;
use super::layout::StoppedStore;
use crate::protocol::json;

const CONFIG_DIR: &str = "config";
/// Text files whose names do not say so (fact sheet: store 7).
const UNMARKED: [&str; 2] = ["timermetrics", "transactionMetrics"];

/// The checkpoint's marks; all 0 when there is none.
pub(super) fn checkpoint(store: &StoppedStore, findings: &mut Findings) -> Result<Marks, StoreError> {
    let path = store.root().join(CHECKPOINT_FILE);
    let bytes = match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            findings.note(&path, None, "there is none: a start after a crash reads more of the log");
            return Ok(Marks::default());
        }
        read => read.map_err(StoreError::io("read", &path))?,
    };
    if bytes.len() != FILE_SIZE {
        let what = format!("{} bytes instead of {FILE_SIZE}", bytes.len());
        findings.note(&path, None, what + ": the next start writes it anew");
    }
    let fields = Marks::LEN;
    if let Some(at) = bytes.iter().skip(fields).position(|byte| *byte != 0) {
        let at = Some((fields + at) as u64);
        findings.note(&path, at, "something is written behind the fields, which nobody reads");
    }
    Ok(Marks::decode(&bytes))
}

/// The marks against the newest record: what is said to be flushed must be there.
pub(super) fn judge_marks(
    store: &StoppedStore,
    marks: &Marks,
    newest: i64,
    records: u64,
    was_abnormal: bool,
    findings: &mut Findings,
) {
    let path = store.root().join(CHECKPOINT_FILE);
    for (at, name, mark) in [(0, "log", marks.log), (8, "queues", marks.queues), (16, "index", marks.index)] {
        if mark < 0 {
            findings.note(&path, Some(at), format!("the time of the {name} is {mark}, which is none"));
        } else if mark > newest && (records > 0 || was_abnormal) {
            let what = format!(
                "the {name} were safe up to the time {mark}, but the newest record is of {newest}: records are \
                 lost, or the checkpoint is damaged"
            );
            findings.damage(&path, Some(at), what);
        }
    }
}

/// Whether each text file under `config` can be read, or the version before it.
pub(super) fn json(store: &StoppedStore, findings: &mut Findings) -> Result<(), StoreError> {
    let dir = store.root().join(CONFIG_DIR);
    let files = store.options.disk.list(&dir).map_err(StoreError::io("list", &dir))?;
    let names: BTreeSet<&str> = files
        .iter()
        .filter(|file| !file.is_dir)
        .map(|file| file.name.strip_suffix(".bak").unwrap_or(&file.name))
        .filter(|name| name.ends_with(".json") || UNMARKED.contains(name))
        .collect();
    for name in names {
        let path = dir.join(name);
        let problem = |path: &std::path::Path| match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some("it is missing".to_owned()),
            Err(error) => Some(error.to_string()),
            Ok(text) if text.trim_ascii().is_empty() => Some("it is empty".to_owned()),
            Ok(text) => json::from_slice::<serde_json::Map<String, serde_json::Value>>(&text)
                .err()
                .map(|e| e.to_string()),
        };
        let Some(what) = problem(&path) else { continue };
        match problem(&dir.join(format!("{name}.bak"))) {
            None => findings.note(&path, None, what + ": a start takes the version before, its .bak"),
            Some(_) => findings.damage(&path, None, what + ", and there is no good .bak"),
        }
    }
    Ok(())
}

/// The topics that there are, by `topics.json`.
pub(super) fn topic_names(store: &StoppedStore) -> BTreeSet<String> {
    let path = store.root().join(CONFIG_DIR).join("topics.json");
    let parse = |text: &str| json::from_slice::<serde_json::Value>(text.as_bytes()).ok();
    let topics = super::super::config_file::peek_parsed(&path, parse).ok().flatten();
    let table = topics.as_ref().and_then(|topics| topics.get("topicConfigTable")?.as_object());
    table.map(|table| table.keys().cloned().collect()).unwrap_or_default()
}
