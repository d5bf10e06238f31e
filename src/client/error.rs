//! What can go wrong, and whether trying again helps.

use std::{io, sync::Arc, time::Duration};

use thiserror::Error;

use crate::protocol::{
    codes::ResponseCode, frame::FrameError, json::JsonError, requests::FieldError, topic::NameError,
};

/// Why something that the client was asked to do did not happen.
///
/// ```no_run
/// # async fn f(producer: castmq::client::Producer) {
/// use castmq::client::{Error, Message, ResponseCode};
/// match producer.send(Message::new("orders", "new")).await {
///     Ok(receipt) => println!("{}", receipt.message_id),
///     Err(error) if error.code() == Some(ResponseCode::NO_PERMISSION) => eprintln!("ask for it: {error}"),
///     Err(error) if error.is_retryable() => eprintln!("later: {error}"),
///     Err(error) => eprintln!("never: {error}"),
/// }
/// # }
/// ```
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// No nameserver of the list could be asked.
    #[error("no nameserver could be asked, last tried {address}: check the list and the network: {cause}")]
    Nameservers {
        /// The one that was tried last.
        address: String,
        /// What happened there.
        cause: Box<Error>,
    },
    /// The nameservers do not know the topic, or no broker serves it in the way that is needed.
    #[error("no route to topic {topic}: create it, or check its permissions and that its brokers are up")]
    Route {
        /// The topic.
        topic: String,
    },
    /// No route names this broker any more.
    #[error("broker {name} is in no route: it is down, or left the cluster")]
    UnknownBroker {
        /// Name of the broker.
        name: String,
    },
    /// A connection could not be made.
    #[error("cannot connect to {address}: {cause}")]
    Connect {
        /// Whom to.
        address: String,
        /// What the system says.
        cause: Arc<io::Error>,
    },
    /// The connection ended before the answer came; the request may or may not have been served.
    #[error("the connection to {address} ended before the answer came")]
    Disconnected {
        /// Whom to.
        address: String,
    },
    /// No answer in time; the request may or may not have been served.
    #[error("no answer from {address} within {after:?}")]
    Timeout {
        /// Who was asked.
        address: String,
        /// How long the client waited.
        after: Duration,
    },
    /// The server refused.
    #[error("{address} answered {code}: {remark}")]
    Broker {
        /// Who answered.
        address: String,
        /// The response code.
        code: ResponseCode,
        /// The server's words.
        remark: String,
    },
    /// The server sent something that the protocol does not allow.
    #[error("{address} sent what is no answer: {what}")]
    Protocol {
        /// Who sent it.
        address: String,
        /// What is wrong with it.
        what: String,
    },
    /// The message cannot be sent as it is.
    #[error("cannot send the message: {reason}")]
    Message {
        /// What to change.
        reason: String,
    },
    /// A setting or an argument is out of range.
    #[error("{what}")]
    Config {
        /// What is wrong and what is allowed.
        what: String,
    },
    /// The handle was shut down.
    #[error("this handle was shut down")]
    Closed,
}

/// Codes after which a producer tries another broker (fact sheet: client 3.1).
const RETRY_CODES: [ResponseCode; 8] = [
    ResponseCode::TOPIC_NOT_EXIST,
    ResponseCode::SERVICE_NOT_AVAILABLE,
    ResponseCode::SYSTEM_ERROR,
    ResponseCode::SYSTEM_BUSY,
    ResponseCode::NO_PERMISSION,
    ResponseCode::NO_BUYER_ID,
    ResponseCode::NOT_IN_CURRENT_UNIT,
    ResponseCode::GO_AWAY,
];

impl Error {
    /// Whether the same call may succeed later or at another broker.
    ///
    /// After [`Error::Disconnected`] and [`Error::Timeout`] the first try may have been served too.
    ///
    /// ```
    /// use castmq::client::Error;
    /// assert!(!Error::Closed.is_retryable());
    /// assert!(Error::Disconnected { address: "127.0.0.1:10911".into() }.is_retryable());
    /// ```
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Nameservers { .. }
            | Self::UnknownBroker { .. }
            | Self::Connect { .. }
            | Self::Disconnected { .. }
            | Self::Timeout { .. } => true,
            Self::Broker { code, .. } => RETRY_CODES.contains(code) || *code == ResponseCode::FLOW_CONTROL,
            Self::Route { .. }
            | Self::Protocol { .. }
            | Self::Message { .. }
            | Self::Config { .. }
            | Self::Closed => false,
        }
    }

    /// The code of a server that refused.
    pub fn code(&self) -> Option<ResponseCode> {
        match self {
            Self::Broker { code, .. } => Some(*code),
            _ => None,
        }
    }

    pub(super) fn config(what: impl Into<String>) -> Self {
        Self::Config { what: what.into() }
    }

    pub(super) fn message(reason: impl ToString) -> Self {
        Self::Message { reason: reason.to_string() }
    }

    pub(super) fn protocol(address: &str, what: impl ToString) -> Self {
        Self::Protocol { address: address.to_owned(), what: what.to_string() }
    }
}

impl From<NameError> for Error {
    fn from(error: NameError) -> Self {
        Self::config(error.to_string())
    }
}

impl From<FrameError> for Error {
    fn from(error: FrameError) -> Self {
        Self::message(error)
    }
}

impl From<JsonError> for Error {
    fn from(error: JsonError) -> Self {
        Self::message(error)
    }
}

/// Names who answered when an answer cannot be read.
pub(super) trait AnsweredBy<T> {
    fn answered_by(self, address: &str) -> Result<T, Error>;
}

impl<T> AnsweredBy<T> for Result<T, FieldError> {
    fn answered_by(self, address: &str) -> Result<T, Error> {
        self.map_err(|error| Error::protocol(address, error))
    }
}

impl<T> AnsweredBy<T> for Result<T, JsonError> {
    fn answered_by(self, address: &str) -> Result<T, Error> {
        self.map_err(|error| Error::protocol(address, error))
    }
}

/// A result whose error is [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
