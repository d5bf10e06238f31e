//! What a master without slaves says of replication, and what slaves ask it for (fact sheet: remoting 7, 9.3).

use serde::Serialize;

use super::answer::{Answer, Answered};
use crate::{
    actors::{broker::Broker, delivery::Timer, remoting::Request, store::Refusal},
    protocol::{codes::ResponseCode, fields::Text, requests::broker::HaInfo},
};

/// EXCHANGE_BROKER_HA_INFO 906.
pub(super) fn exchange(broker: &Broker, _request: &Request) -> Answered {
    let config = broker.config.get();
    Ok(Answer::fields(HaInfo {
        master_ha_address: Some(Text::from(format!("{}:{}", config.broker_ip2, config.ha_listen_port))),
        master_flush_offset: Some(broker.store.watermarks().flushed.get().0),
        master_address: Some(Text::from(broker.identity.address.to_string())),
    }))
}

/// GET_TIMER_CHECK_POINT 60.
pub(super) fn timer_checkpoint(broker: &Broker, _request: &Request) -> Answered {
    Ok(Answer::ok().body(timer(broker, "The checkpoint is null")?.checkpoint().encode().to_vec()))
}

/// GET_TIMER_METRICS 61.
pub(super) fn timer_metrics(broker: &Broker, _request: &Request) -> Answered {
    Ok(Answer::ok().body(timer(broker, "The timer message store is null")?.metrics()))
}

fn timer<'a>(broker: &'a Broker, remark: &str) -> Result<&'a Timer, Refusal> {
    let none = || Refusal { code: ResponseCode::SYSTEM_ERROR, remark: remark.to_owned() };
    broker.delivery.timer().ok_or_else(none)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    ha_client_runtime_info: ClientStatus,
    ha_connection_info: [(); 0],
    in_sync_slave_nums: i32,
    master: bool,
    master_commit_log_max_offset: i64,
}

/// A slave's side of the link; a master has none.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientStatus {
    activated: bool,
    last_read_timestamp: i64,
    last_write_timestamp: i64,
    master_flush_offset: i64,
    max_offset: i64,
    transferred_byte_in_second: i64,
}

/// GET_BROKER_HA_STATUS 907.
pub(super) fn status(broker: &Broker, _request: &Request) -> Answered {
    Answer::json(&Status {
        ha_client_runtime_info: ClientStatus::default(),
        ha_connection_info: [],
        in_sync_slave_nums: 0,
        master: true,
        master_commit_log_max_offset: broker.store.log().max_offset().0,
    })
}
