//! How requests are answered that are not about the messages themselves.

use bytes::Bytes;
use serde::Serialize;

use crate::{
    actors::{remoting::Responder, store::Refusal},
    protocol::{
        codes::ResponseCode,
        fields::{Emit, Fields},
        json::{self, JsonError},
        requests::FieldError,
    },
};

/// A success.
#[derive(Debug, Default)]
pub(super) struct Answer {
    fields: Fields,
    remark: Option<&'static str>,
    body: Bytes,
}

/// What a request comes to.
pub(super) type Answered = Result<Answer, Refusal>;

impl Answer {
    /// Nothing but success.
    pub(super) fn ok() -> Self {
        Self::default()
    }

    pub(super) fn fields(fields: impl Emit) -> Self {
        Self { fields: Fields::of(&fields), ..Self::default() }
    }

    pub(super) fn json(body: &impl Serialize) -> Answered {
        Ok(Self::default().body(json::to_vec(body)?))
    }

    pub(super) fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Adds a remark to the success, where RocketMQ has one.
    pub(super) fn remark(self, remark: &'static str) -> Self {
        Self { remark: Some(remark), ..self }
    }
}

/// Sends what a request came to.
pub(super) fn respond(reply: Responder, answered: Answered) {
    match answered {
        Ok(Answer { fields, remark, body }) => {
            let answer = reply.answer(ResponseCode::SUCCESS).fields(fields);
            let answer = match remark {
                Some(remark) => answer.remark(remark),
                None => answer,
            };
            reply.send(answer, if body.is_empty() { Vec::new() } else { vec![body] });
        }
        Err(Refusal { code, remark }) => reply.refuse(code, &remark),
    }
}

/// A refusal with its reason.
pub(super) fn refuse<T>(code: ResponseCode, remark: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, remark: remark.into() })
}

/// [`refuse`] with the code of everything that has no code of its own.
pub(super) fn error(error: impl ToString) -> Refusal {
    Refusal { code: ResponseCode::SYSTEM_ERROR, remark: error.to_string() }
}

impl From<FieldError> for Refusal {
    fn from(cause: FieldError) -> Self {
        error(cause)
    }
}

impl From<JsonError> for Refusal {
    fn from(cause: JsonError) -> Self {
        error(cause)
    }
}
