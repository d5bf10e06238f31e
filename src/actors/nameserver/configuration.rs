//! The nameserver's own configuration: its actor, and the requests about it (fact sheet: remoting 2.6).

use std::{path::PathBuf, sync::Arc};

use super::{refusal::Refusal, state::State};
use crate::{
    actors::{
        remoting::{Request, Responder},
        supervision::{Behaviour, Cx},
    },
    config::{Config, ConfigError, KeyError},
    protocol::codes::ResponseCode,
    store::{config_file, disk::LocalDisk},
};

crate::messages! {
    /// What the owner of the configuration is told.
    pub(super) enum ConfigurationMessage {
        /// Changes the keys that these properties name.
        Update(String, Responder),
    }
}

/// Changes keys, and keeps them in a file for the next start.
pub(super) struct Configuration {
    pub(super) state: Arc<State>,
    /// The file of `-c`.
    pub(super) file: Option<PathBuf>,
}

impl Configuration {
    fn change(&self, text: &str) -> Result<(), Refusal> {
        let unused = self.state.config.change(|config| config.apply_properties(text)).map_err(refusal)?;
        if !unused.is_empty() {
            tracing::warn!(keys = unused.join(", "), "these keys change nothing here");
        }
        self.save()
    }

    fn save(&self) -> Result<(), Refusal> {
        let config = self.state.config.load();
        let path = self.file.as_ref().unwrap_or(&config.config_store_path);
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("ron")) {
            tracing::warn!(file = %path.display(), "changed until the next start: write the keys into the file to keep them");
            return Ok(());
        }
        config_file::write_text(&LocalDisk, path, &config.properties_text()).map_err(|error| {
            tracing::error!(%error, "changed until the next start: the configuration is not saved");
            Refusal::error(error)
        })
    }
}

fn refusal(error: ConfigError) -> Refusal {
    match &error {
        ConfigError::Setting { error: error @ KeyError::BlackListed { .. }, .. } => {
            let remark = format!("Can not update config in black list: {error}");
            Refusal::new(ResponseCode::NO_PERMISSION, remark)
        }
        _ => Refusal::error(error),
    }
}

impl Behaviour for Configuration {
    type Message = ConfigurationMessage;
    const KIND: &'static str = "configuration";

    fn handle(
        &mut self,
        ConfigurationMessage::Update(text, reply): ConfigurationMessage,
        _cx: &mut Cx<'_, Self>,
    ) {
        match self.change(&text) {
            Ok(()) => {
                let changes = text.trim_end().replace('\n', ", ");
                tracing::info!(peer = %reply.peer().remote(), changes, "configuration changed");
                reply.ok();
            }
            Err(refusal) => refusal.send(reply),
        }
    }
}

/// UPDATE_NAMESRV_CONFIG 318.
pub(super) fn change(request: &Request) -> Result<String, Refusal> {
    std::str::from_utf8(&request.body)
        .map(str::to_owned)
        .map_err(|error| Refusal::error(format!("the properties are not UTF-8: {error}")))
}

/// GET_NAMESRV_CONFIG 319.
pub(super) fn text(state: &State) -> Result<Vec<u8>, Refusal> {
    Ok(state.config.load().properties_text().into_bytes())
}
