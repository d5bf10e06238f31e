//! Why a request gets no answer but a code and a text.

use crate::{
    actors::remoting::Responder,
    protocol::{codes::ResponseCode, json::JsonError, register::RegisterError, requests::FieldError},
};

/// A code with its text.
#[derive(Debug)]
pub(super) struct Refusal {
    code: ResponseCode,
    remark: String,
}

impl Refusal {
    pub(super) fn new(code: ResponseCode, remark: impl Into<String>) -> Self {
        Self { code, remark: remark.into() }
    }

    pub(super) fn error(remark: impl ToString) -> Self {
        Self::new(ResponseCode::SYSTEM_ERROR, remark.to_string())
    }

    pub(super) fn send(self, reply: Responder) {
        reply.refuse(self.code, &self.remark);
    }
}

impl From<FieldError> for Refusal {
    fn from(error: FieldError) -> Self {
        Self::error(error)
    }
}

impl From<JsonError> for Refusal {
    fn from(error: JsonError) -> Self {
        Self::error(error)
    }
}

impl From<RegisterError> for Refusal {
    fn from(error: RegisterError) -> Self {
        Self::error(error)
    }
}
