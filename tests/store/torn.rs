//! Torn tails and flipped bits: whatever a byte of a file turns into, the store starts, serves nothing that is
//! not whole, and the inspector names the place.

use std::fs;
use std::path::{Path, PathBuf};

use castmq::protocol::record::RecordView;
use castmq::store::config_file::{read_parsed, write_text};
use castmq::store::disk::LocalDisk;
use castmq::store::inspect::finding::Severity;
use castmq::store::inspect::layout::{Given, StoppedStore};
use castmq::store::inspect::verify::{Verdict, verify};
use castmq::store::store::Closed;

use crate::messages::{
    INDEX, LOG_FILE, QUEUE_FILE, Sent, assert_sound, copy_dir, dispatch, fill, index, open, scratch,
};

/// How the last owner left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Closed,
    Killed,
}

/// What became of a file from some byte on.
#[derive(Debug, Clone, Copy)]
enum Harm {
    Zeros,
    Garbage,
    /// One bit of the one byte.
    Flip,
}

struct Store {
    _dir: tempfile::TempDir,
    root: PathBuf,
    sent: Vec<Sent>,
}

const MESSAGES: usize = 60;

/// A store with everything in it.
fn stored(exit: Exit) -> Store {
    let dir = scratch();
    let root = dir.path().join("store");
    let store = open(&root);
    let sent = fill(&store, 0..MESSAGES);
    dispatch(&store).unwrap();
    index(&store, false).flush().unwrap();
    for name in ["topics.json", "consumerOffset.json"] {
        for version in ["{\"version\":1}", "{\"version\":2}"] {
            write_text(&LocalDisk, &root.join("config").join(name), version).unwrap();
        }
    }
    if exit == Exit::Closed {
        assert_eq!(store.close().unwrap(), Closed::Clean);
    }
    drop(store);
    Store { _dir: dir, root, sent }
}

fn look(root: &Path) -> Verdict {
    let given = Given { index: Some(INDEX), ..Given::default() };
    verify(&StoppedStore::read(root, &given).unwrap(), &mut |_, _| {}).unwrap()
}

fn harmed(bytes: &[u8], from: usize, to: usize, harm: Harm) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    match harm {
        Harm::Zeros => bytes[from..to].fill(0),
        Harm::Garbage => bytes[from..to].iter_mut().enumerate().for_each(|(i, byte)| {
            *byte ^= (from * 7 + i * 13) as u8 | 1;
        }),
        Harm::Flip => bytes[from] ^= 1 << (from % 8),
    }
    bytes
}

/// Does harm to a file at each byte of a range, and has `after` look at what then is in the directory.
fn at_each_byte(
    store: &Store,
    file: &str,
    range: std::ops::Range<usize>,
    harms: &[Harm],
    mut after: impl FnMut(&Path, usize, Harm),
) {
    let whole = fs::read(store.root.join(file)).unwrap();
    let copy = store.root.with_file_name("copy");
    for at in range.clone() {
        for harm in harms {
            let bytes = harmed(&whole, at, range.end, *harm);
            if bytes == whole {
                continue;
            }
            copy_dir(&store.root, &copy);
            fs::write(copy.join(file), bytes).unwrap();
            after(&copy, at, *harm);
            fs::remove_dir_all(&copy).unwrap();
        }
    }
}

const TORN: [Harm; 2] = [Harm::Zeros, Harm::Garbage];

fn names(verdict: &Verdict, file: &str) -> bool {
    verdict.findings.iter().any(|finding| finding.path == Path::new(file))
}

/// Starts the store and looks at everything; then it must be whole for the inspector too.
fn assert_recovers(root: &Path, safe: &[Sent], case: &str) {
    println!("{case}");
    let store = open(root);
    assert_sound(&store, safe);
    fill(&store, 7..8);
    dispatch(&store).unwrap();
    assert_sound(&store, safe);
    drop((index(&store, store.recovery().was_abnormal), store));
    let damages: Vec<_> = look(root)
        .findings
        .into_iter()
        // The checkpoint still tells of what was lost; the index of a clean start is trusted.
        .filter(|found| found.severity == Severity::Damage && !found.path.ends_with("checkpoint"))
        .filter(|found| !found.path.starts_with("index"))
        .collect();
    assert!(damages.is_empty(), "{case}: {damages:?}");
}

#[test]
fn the_last_three_records_of_the_log_torn_at_any_byte() {
    for exit in [Exit::Closed, Exit::Killed] {
        let store = stored(exit);
        let last = &store.sent[MESSAGES - 3..];
        let base = last[0].at.0 as usize / LOG_FILE * LOG_FILE;
        let file = format!("commitlog/{base:020}");
        let range = last[0].at.0 as usize - base..last[2].end().0 as usize - base;
        let properties = RecordView::parse(&last[2].bytes).unwrap().properties.len();
        at_each_byte(&store, &file, range, &TORN, |root, at, harm| {
            let case = format!("{exit:?}, {harm:?} from {at}");
            let kept = store.sent.iter().filter(|sent| sent.end().0 as usize <= base + at);
            let kept: Vec<Sent> = kept.cloned().collect();
            let verdict = look(root);
            // Of properties alone the format has no checksum; the tags are in the queue's unit too.
            let is_in_properties = last.iter().any(|sent| {
                let end = sent.end().0 as usize;
                (end - properties..end).contains(&(base + at))
            });
            if !is_in_properties || matches!(harm, Harm::Zeros) {
                assert_eq!(verdict.log_end, kept.last().unwrap().end(), "{case}");
            }
            assert_eq!(verdict.is_damaged(), exit == Exit::Closed, "{case}: {:?}", verdict.findings);
            // After a kill a log that ends in zeros is nothing to tell of, but that its queues are ahead.
            let ends_in_zeros =
                last.iter().any(|sent| (0..3).contains(&(base as i64 + at as i64 - sent.at.0)));
            let told = names(&verdict, &file)
                || ((is_in_properties || ends_in_zeros) && !verdict.findings.is_empty());
            assert!(told, "{case}: {:?}", verdict.findings);
            assert_recovers(root, &kept, &case);
        });
    }
}

#[test]
fn the_last_three_units_of_a_queue_torn_at_any_byte() {
    for exit in [Exit::Closed, Exit::Killed] {
        let store = stored(exit);
        // 20 messages a queue, ten units a file: the last three are the end of the second file.
        let file = "consumequeue/A/1/00000000000000000200";
        at_each_byte(&store, file, QUEUE_FILE - 60..QUEUE_FILE, &TORN, |root, at, harm| {
            let case = format!("{exit:?}, {harm:?} from {at}");
            let verdict = look(root);
            assert!(names(&verdict, file), "{case}: {:?}", verdict.findings);
            assert_recovers(root, &store.sent, &case);
        });
    }
}

#[test]
fn any_flipped_bit_of_a_unit_is_named_and_mended_by_a_start_after_a_crash() {
    let store = stored(Exit::Killed);
    let file = "consumequeue/B/0/00000000000000000000";
    at_each_byte(&store, file, 60..100, &[Harm::Flip], |root, at, harm| {
        let case = format!("{harm:?} of {at}");
        let verdict = look(root);
        assert!(names(&verdict, file) && !verdict.is_damaged(), "{case}: {:?}", verdict.findings);
        assert_recovers(root, &store.sent, &case);
    });
}

#[test]
fn any_flipped_bit_of_a_unit_is_damage_after_an_orderly_end_and_mended_by_a_rebuild() {
    let store = stored(Exit::Closed);
    let file = "consumequeue/B/0/00000000000000000000";
    at_each_byte(&store, file, 60..80, &[Harm::Flip], |root, at, _| {
        let verdict = look(root);
        assert!(names(&verdict, file) && verdict.is_damaged(), "{at}: {:?}", verdict.findings);
        let given = Given { index: Some(INDEX), ..Given::default() };
        castmq::store::inspect::rebuild::rebuild(root, &given, &mut |_, _| {}).unwrap();
        assert!(!look(root).is_damaged());
        assert_eq!(fs::read(root.join(file)).unwrap(), fs::read(store.root.join(file)).unwrap());
    });
}

/// Which bytes of a record the format, or its consume queue unit, has a second word on. On the others (flag,
/// times, hosts, retries, properties but the tags) nobody can tell, unless the record has a checksum of its own.
fn is_guarded(record: &RecordView<'_>, at: usize) -> bool {
    let (body, topic) = (88, 88 + record.body.len());
    let properties = topic + 1 + record.topic.len();
    let (tags, _) = (record.properties.len() - 2, ());
    match at {
        0..16 | 20..36 => true,
        84..88 => true,
        _ if at >= body && at < properties + 2 => true,
        _ => at >= properties + 2 + tags - 5,
    }
}

#[test]
fn a_flipped_bit_of_a_record_is_named_and_the_record_not_served() {
    for exit in [Exit::Closed, Exit::Killed] {
        let store = stored(exit);
        let victim = &store.sent[MESSAGES - 10];
        let record = RecordView::parse(&victim.bytes).unwrap();
        let base = victim.at.0 as usize / LOG_FILE * LOG_FILE;
        let file = format!("commitlog/{base:020}");
        let range = victim.at.0 as usize - base..victim.end().0 as usize - base;
        at_each_byte(&store, &file, range.clone(), &[Harm::Flip], |root, at, _| {
            if !is_guarded(&record, at - range.start) {
                return;
            }
            let case = format!("{exit:?}, bit of byte {} of the record", at - range.start);
            assert!(!look(root).findings.is_empty(), "{case}");
            if exit == Exit::Closed {
                assert!(look(root).is_damaged(), "{case}");
            }
            let store = open(root);
            let bytes = store.log().slice(victim.at, victim.bytes.len());
            let is_whole = |bytes: &[u8]| {
                RecordView::parse(bytes)
                    .is_ok_and(|found| found.check_crc().is_ok() && found.physical_offset == victim.at.0)
            };
            // Cut off, or whole as far as the format can tell: then its queue has it under what it says.
            if bytes.as_ref().is_some_and(|bytes| !is_whole(bytes)) {
                panic!("{case}: {} is still there", victim.at);
            }
        });
    }
}

#[test]
fn with_a_checksum_of_its_own_no_bit_of_a_record_can_flip_unnoticed() {
    use castmq::protocol::record::{PropertyText, RecordDraft, RecordFields};
    use castmq::store::PhysicalOffset;
    use castmq::store::scan::{Found, Verify, examine};
    let host = "127.0.0.1:1".parse().unwrap();
    let fields = RecordFields {
        topic: "T".into(),
        queue_id: 1,
        flag: 2,
        sys_flag: castmq::protocol::sys_flag::SysFlag(0),
        born_timestamp: 3,
        born_host: host,
        store_host: host,
        reconsume_times: 4,
        prepared_transaction_offset: 5,
        body: bytes::Bytes::from_static(b"body"),
        properties: PropertyText::from(bytes::Bytes::from_static(b"KEYS\x01k\x02")),
    };
    let draft = RecordDraft::with_crc_property(fields).unwrap();
    let mut bytes = vec![0; draft.total_size()];
    draft.encode_into(&mut bytes, 7, 0, 9).unwrap();
    assert!(matches!(examine(&bytes, PhysicalOffset(0), Verify::Checksum), Found::Record(_)));
    // A checksum that does not look like one any more counts as none.
    for bit in 0..(bytes.len() - 20) * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(examine(&flipped, PhysicalOffset(0), Verify::Checksum), Found::Bad(_)), "bit {bit}");
    }
}

#[test]
fn the_index_torn_at_any_byte_is_named_and_leads_nowhere_else() {
    let store = stored(Exit::Closed);
    let mut files: Vec<_> =
        fs::read_dir(store.root.join("index")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    let file = format!("index/{}", files[0].to_str().unwrap());
    let entries = 40 + 4 * INDEX.0;
    let ends = entries + 20 * INDEX.1;
    let known = (store.sent[0].at, store.sent[MESSAGES - 1].at);
    for range in [0..40, 40..entries, ends - 60..ends] {
        at_each_byte(&store, &file, range, &[Harm::Zeros, Harm::Garbage, Harm::Flip], |root, at, harm| {
            let verdict = look(root);
            assert!(verdict.findings.iter().any(|found| found.path.starts_with("index")), "{harm:?} at {at}");
            let opened = open(root);
            let index = index(&opened, false);
            for key in 0..7 {
                // A damaged entry may lead to any offset; who asks looks at the record's keys.
                let found = index.query("A", &format!("k{key}"), 64, &(0..=i64::MAX));
                let records = found.iter().filter(|at| (known.0..=known.1).contains(at));
                assert!(records.count() <= 64);
            }
        });
    }
}

#[test]
fn any_damage_of_the_checkpoint_costs_nothing_but_time() {
    for exit in [Exit::Closed, Exit::Killed] {
        let store = stored(exit);
        // After a kill there is one from the last flush; here none was, so that of the closed store serves.
        let flushed = open(&store.root);
        flushed.flush_log(flushed.log().max_offset()).unwrap();
        flushed.flush_queues().unwrap();
        match exit {
            Exit::Closed => assert_eq!(flushed.close().unwrap(), Closed::Clean),
            Exit::Killed => {}
        }
        drop(flushed);
        let harms = [Harm::Zeros, Harm::Garbage, Harm::Flip];
        at_each_byte(&store, "checkpoint", 0..24, &harms, |root, at, harm| {
            // Queues that lost units which only a right checkpoint would have them get again.
            if exit == Exit::Killed {
                fs::remove_dir_all(root.join("consumequeue/A/0")).unwrap();
            }
            assert_recovers(root, &store.sent, &format!("{exit:?}, {harm:?} from {at}"));
        });
    }
}

#[test]
fn a_text_file_torn_at_any_byte_is_replaced_by_the_version_before() {
    let store = stored(Exit::Killed);
    let version =
        |text: &str| Some(serde_json::from_str::<serde_json::Value>(text).ok()?["version"].as_i64());
    for file in ["config/topics.json", "config/consumerOffset.json"] {
        let len = fs::metadata(store.root.join(file)).unwrap().len() as usize;
        at_each_byte(&store, file, 0..len, &TORN, |root, at, harm| {
            let verdict = look(root);
            assert!(
                names(&verdict, file) && !verdict.is_damaged(),
                "{harm:?} from {at}: {:?}",
                verdict.findings
            );
            assert_eq!(read_parsed(&root.join(file), version).unwrap(), Some(Some(1)), "{harm:?} from {at}");
            write_text(&LocalDisk, &root.join(file), "{\"version\":3}").unwrap();
            fs::write(root.join(file), "").unwrap();
            assert_eq!(read_parsed(&root.join(file), version).unwrap(), Some(Some(1)), "{harm:?} from {at}");
        });
        // Cut short, not overwritten.
        for len in 0..len as u64 {
            let copy = store.root.with_file_name("copy");
            copy_dir(&store.root, &copy);
            fs::OpenOptions::new().write(true).open(copy.join(file)).unwrap().set_len(len).unwrap();
            assert_eq!(read_parsed(&copy.join(file), version).unwrap(), Some(Some(1)), "{len} bytes");
            fs::remove_dir_all(copy).unwrap();
        }
    }
}
