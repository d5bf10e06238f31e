//! What a broker says to a nameserver, and what it hears.

use bytes::Bytes;

use super::{FoundMaster, Settings};
use crate::{
    actors::remoting,
    protocol::{
        codes::{RequestCode, ResponseCode},
        fields::Text,
        frame::Frame,
        header::{Header, VERSION},
        json,
        kv::KvTable,
        register::{RegisterBrokerBody, RegisterError, TopicConfigSerializeWrapper, body_crc32},
        requests::registration::{BrokerIdentityRequest, RegisterBrokerRequest, RegisterBrokerResponse},
    },
};

impl Settings {
    /// REGISTER_BROKER 103 with these topics.
    pub(super) fn registration(
        &self,
        topics: TopicConfigSerializeWrapper,
    ) -> Result<(Header, Bytes), RegisterError> {
        let body = RegisterBrokerBody { topic_config_serialize_wrapper: topics, ..Default::default() };
        let body = body.encode(VERSION, self.compressed)?;
        let header = RegisterBrokerRequest {
            broker_name: text(&self.broker_name),
            broker_addr: text(&self.broker_addr),
            cluster_name: text(&self.cluster),
            ha_server_addr: Some(text(&self.ha_addr)),
            broker_id: self.broker_id,
            heartbeat_timeout_millis: self
                .heartbeat_timeout
                .and_then(|timeout| i64::try_from(timeout.as_millis()).ok()),
            enable_acting_master: Some(self.enable_acting_master),
            compressed: self.compressed,
            // It has 31 bits.
            body_crc32: i32::try_from(body_crc32(&body)).unwrap_or_default(),
            zone_name: None,
        };
        Ok((remoting::request(RequestCode::REGISTER_BROKER, &header), body.into()))
    }

    /// UNREGISTER_BROKER 104.
    pub(super) fn unregistration(&self) -> Header {
        let header = BrokerIdentityRequest {
            broker_name: text(&self.broker_name),
            broker_addr: text(&self.broker_addr),
            cluster_name: text(&self.cluster),
            broker_id: self.broker_id,
        };
        remoting::request(RequestCode::UNREGISTER_BROKER, &header)
    }
}

fn text(text: &str) -> Text {
    Text::from(text)
}

/// What a nameserver says to a registration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is done.
    Registered {
        /// For a slave whose master is alive.
        master: Option<FoundMaster>,
        /// The topics with an order, if there are any.
        orders: Option<KvTable>,
    },
    /// It is not, for now.
    Busy,
    /// It is not, and why.
    Refused(String),
}

/// Reads the answer to 103.
pub(super) fn heard(answer: &Frame) -> Heard {
    let code = answer.header.response_code();
    if code == ResponseCode::SYSTEM_BUSY {
        return Heard::Busy;
    }
    if code != ResponseCode::SUCCESS {
        return Heard::Refused(format!("{code} {}", answer.header.remark.as_deref().unwrap_or_default()));
    }
    let header = RegisterBrokerResponse::from_fields(&answer.header.fields).ok();
    let master = header.and_then(|header| {
        let addr = header.master_addr.filter(|addr| !addr.is_empty())?.into();
        Some(FoundMaster {
            addr,
            ha_server_addr: header.ha_server_addr.map(String::from).unwrap_or_default(),
        })
    });
    let body = (!answer.body.is_empty()).then(|| json::from_slice(&answer.body));
    match body.transpose() {
        Ok(orders) => Heard::Registered { master, orders },
        Err(error) => Heard::Refused(format!("the table of topics with an order: {error}")),
    }
}
