//! The broker inside the test's process: the names under which these tests know it.

use std::{collections::BTreeMap, path::Path};

use castmq::protocol::{codes::RequestCode, json, kv::KvTable};

pub(crate) use castmq::testing::{
    Connection as Client, Got, RunningBroker as Running, message, pull, pulled, receipt,
};

/// What the broker says of itself.
pub(crate) fn runtime(client: &mut Client) -> BTreeMap<String, String> {
    let answer = client.ask(RequestCode::GET_BROKER_RUNTIME_INFO, &(), b"");
    json::from_slice::<KvTable>(&answer.body).unwrap().table
}

/// Copies the files of a running broker, which are what a kill would leave: what says how far things are first, the
/// log last. A file that it replaces meanwhile may be gone under its first name.
pub(crate) fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let mut entries: Vec<_> = std::fs::read_dir(from).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(|entry| match entry.file_name().to_str() {
        Some("config") => 0,
        Some("commitlog") => 2,
        _ => 1,
    });
    for entry in entries {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copied(&entry.path(), &target),
            false => match std::fs::copy(entry.path(), target) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
                _ => {}
            },
        }
    }
}
