//! The broker's configuration as text, and changes to it at run time (fact sheet: remoting 9.2, 9.3).

use super::answer::{Answer, Answered, error, refuse};
use crate::{
    actors::{broker::Broker, remoting::Request},
    config::{BrokerConfig, Config, ConfigError, KeyError},
    protocol::{
        codes::ResponseCode, data_version::DataVersion, fields::Text, json,
        requests::broker::BrokerConfigResponse,
    },
};

/// UPDATE_BROKER_CONFIG 25; the body is a text of Java properties.
pub(super) fn change(broker: &Broker, request: &Request) -> Answered {
    let text = std::str::from_utf8(&request.body).map_err(error)?;
    let mut config = BrokerConfig::clone(&broker.config.get());
    let unused = match config.apply_properties(text) {
        Ok(unused) => unused,
        Err(cause @ ConfigError::Setting { error: KeyError::BlackListed { .. }, .. }) => {
            let remark = format!("Can not update config in black list: {cause}");
            return refuse(ResponseCode::NO_PERMISSION, remark);
        }
        Err(cause) => return Err(error(cause)),
    };
    if !unused.is_empty() {
        tracing::warn!(keys = unused.join(", "), "these keys change nothing here");
    }
    tracing::info!(by = %request.peer.remote(), keys = text.trim(), "the configuration is changed on request");
    broker.topics.configure(&config);
    broker.groups.configure(&config);
    broker.stored.configure(&config);
    broker.config.set(config);
    Ok(Answer::ok())
}

/// GET_BROKER_CONFIG 26.
pub(super) fn text(broker: &Broker, _request: &Request) -> Answered {
    let version = json::to_vec(&DataVersion::new(broker.started))?;
    let version = Text::from(String::from_utf8(version).map_err(error)?);
    let text = broker.config.get().properties_text();
    Ok(Answer::fields(BrokerConfigResponse { version }).body(text))
}
