//! The nameserver's key-value configuration. What is absent is answered with code 1 in words of its own, so
//! nothing is required here.

use super::headers;
use crate::protocol::fields::Text;

headers! {
    /// PUT_KV_CONFIG 100.
    pub struct PutKvConfigRequest {
        "namespace" => namespace: Option<Text>,
        "key" => key: Option<Text>,
        "value" => value: Option<Text>,
    }

    /// GET_KV_CONFIG 101 and DELETE_KV_CONFIG 102.
    pub struct KvConfigRequest {
        "namespace" => namespace: Option<Text>,
        "key" => key: Option<Text>,
    }

    /// Answer to GET_KV_CONFIG.
    pub struct GetKvConfigResponse {
        "value" => value: Option<Text>,
    }

    /// GET_KVLIST_BY_NAMESPACE 219.
    pub struct KvListRequest {
        "namespace" => namespace: Option<Text>,
    }
}
