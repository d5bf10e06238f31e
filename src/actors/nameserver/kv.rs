//! The key-value configuration: its actor, and the requests about it (fact sheet: remoting 2.6).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{refusal::Refusal, state::State};
use crate::{
    actors::{
        remoting::{Request, Responder},
        supervision::{Behaviour, Cx},
    },
    protocol::{
        codes::ResponseCode,
        json,
        kv::{KvConfig, KvTable},
        requests::kv::{GetKvConfigResponse, KvConfigRequest, KvListRequest, PutKvConfigRequest},
    },
    store::{StoreError, config_file, disk::LocalDisk},
};

/// An entry's place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KvKey {
    namespace: String,
    key: String,
}

crate::messages! {
    /// What the owner of the key-value configuration is told.
    pub(super) enum KvMessage {
        /// Sets an entry.
        Put((KvKey, String), Responder),
        /// Removes an entry.
        Delete(KvKey, Responder),
    }
}

/// Changes entries, and saves them before it says so.
pub(super) struct Kv {
    pub(super) state: Arc<State>,
    pub(super) path: PathBuf,
}

/// What the file holds; nothing if there is none.
pub(super) fn read(path: &Path) -> Result<KvConfig, StoreError> {
    let parse = |text: &str| json::from_slice(text.as_bytes()).ok();
    Ok(config_file::read_parsed(path, parse)?.unwrap_or_default())
}

impl Kv {
    fn save(&self) -> Result<(), Refusal> {
        let text = json::to_vec(&*self.state.kv.load())?;
        config_file::write_text(&LocalDisk, &self.path, &String::from_utf8_lossy(&text)).map_err(|error| {
            tracing::error!(%error, "key-value configuration not saved");
            Refusal::error(error)
        })
    }

    fn conclude(&self, reply: Responder) {
        match self.save() {
            Ok(()) => reply.ok(),
            Err(refusal) => refusal.send(reply),
        }
    }
}

impl Behaviour for Kv {
    type Message = KvMessage;
    const KIND: &'static str = "kv";

    fn handle(&mut self, message: KvMessage, _cx: &mut Cx<'_, Self>) {
        match message {
            KvMessage::Put((KvKey { namespace, key }, value), reply) => {
                self.state.kv.change(|kv| kv.config_table.entry(namespace).or_default().insert(key, value));
                self.conclude(reply);
            }
            KvMessage::Delete(KvKey { namespace, key }, reply) => {
                self.state.kv.change(|kv| kv.config_table.get_mut(&namespace)?.remove(&key));
                self.conclude(reply);
            }
        }
    }

    fn observe(&self) -> String {
        let entries: usize = self.state.kv.load().config_table.values().map(BTreeMap::len).sum();
        format!("{entries} entries")
    }
}

/// PUT_KV_CONFIG 100.
pub(super) fn entry(request: &Request) -> Result<(KvKey, String), Refusal> {
    let asked = PutKvConfigRequest::from_fields(&request.header.fields)?;
    match (asked.namespace, asked.key) {
        (Some(namespace), Some(key)) => {
            let value = asked.value.map(String::from).unwrap_or_default();
            Ok((KvKey { namespace: namespace.into(), key: key.into() }, value))
        }
        _ => Err(Refusal::error("namespace or key is null")),
    }
}

/// GET_KV_CONFIG 101, DELETE_KV_CONFIG 102.
pub(super) fn key(request: &Request) -> Result<KvKey, Refusal> {
    let asked = KvConfigRequest::from_fields(&request.header.fields)?;
    match (asked.namespace, asked.key) {
        (Some(namespace), Some(key)) => Ok(KvKey { namespace: namespace.into(), key: key.into() }),
        _ => Err(Refusal::error("namespace or key is null")),
    }
}

/// GET_KV_CONFIG 101.
pub(super) fn get(state: &State, request: Request) {
    match find(state, &request) {
        Ok(value) => request.reply.fields(GetKvConfigResponse { value: Some(value.into()) }),
        Err(refusal) => refusal.send(request.reply),
    }
}

fn find(state: &State, request: &Request) -> Result<String, Refusal> {
    let KvKey { namespace, key } = self::key(request)?;
    let kv = state.kv.load();
    kv.config_table.get(&namespace).and_then(|table| table.get(&key)).cloned().ok_or_else(|| {
        let remark = format!("No config item, Namespace: {namespace} Key: {key}");
        Refusal::new(ResponseCode::QUERY_NOT_FOUND, remark)
    })
}

/// GET_KVLIST_BY_NAMESPACE 219.
pub(super) fn list(state: &State, request: &Request) -> Result<Vec<u8>, Refusal> {
    let asked = KvListRequest::from_fields(&request.header.fields)?;
    let namespace = asked.namespace.as_deref().unwrap_or("null");
    match table(state, namespace) {
        Some(table) => Ok(json::to_vec(&table)?),
        None => {
            let remark = format!("No config item, Namespace: {namespace}");
            Err(Refusal::new(ResponseCode::QUERY_NOT_FOUND, remark))
        }
    }
}

/// The entries of a namespace, if there are any.
pub(super) fn table(state: &State, namespace: &str) -> Option<KvTable> {
    let kv = state.kv.load();
    let table = kv.config_table.get(namespace).filter(|table| !table.is_empty())?;
    Some(KvTable { table: table.clone() })
}
