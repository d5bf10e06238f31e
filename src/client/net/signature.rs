//! Who asks: a signature over fields and body (fact sheet: remoting 8.1).

use std::fmt;

use hmac::{Hmac, Mac};
use sha1::Sha1;

use crate::protocol::{
    base64::{self, Alphabet},
    frame::Frame,
};

const ACCESS_KEY: &str = "AccessKey";
const SIGNATURE: &str = "Signature";
const SECURITY_TOKEN: &str = "SecurityToken";

/// Access key and secret of a user; the secret is never shown.
///
/// ```
/// use castmq::client::Credentials;
/// let credentials = Credentials::new("alice", "secret").security_token("for an hour");
/// assert!(!format!("{credentials:?}").contains("secret"));
/// ```
#[derive(Clone)]
pub struct Credentials {
    access_key: String,
    secret_key: String,
    security_token: Option<String>,
}

impl Credentials {
    /// A user's keys.
    pub fn new(access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        Self { access_key: access_key.into(), secret_key: secret_key.into(), security_token: None }
    }

    /// With the token of a temporary user.
    pub fn security_token(self, token: impl Into<String>) -> Self {
        Self { security_token: Some(token.into()), ..self }
    }

    /// Signs a request that is otherwise complete: values in the order of their keys, then the body.
    pub(super) fn sign(&self, frame: &mut Frame) {
        let fields = &mut frame.header.fields;
        fields.push(ACCESS_KEY, self.access_key.as_str());
        if let Some(token) = &self.security_token {
            fields.push(SECURITY_TOKEN, token.as_str());
        }
        let mut sorted: Vec<_> = fields.iter().collect();
        sorted.sort_by_key(|(key, _)| *key);
        // A key of any length is fine for this construction.
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(self.secret_key.as_bytes()) else { return };
        sorted.iter().for_each(|(_, value)| mac.update(value.as_bytes()));
        mac.update(&frame.body);
        let signature = base64::encode(&mac.finalize().into_bytes(), Alphabet::Standard);
        fields.push(SIGNATURE, signature.as_str());
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::protocol::{codes::RequestCode, fields::Fields, header::Header};

    #[test]
    fn values_are_signed_in_the_order_of_their_keys() {
        let fields = Fields::new().with("b", "brown ").with("z", "fox jumps over ").with("c", "");
        let header = Header::request(RequestCode::SEND_MESSAGE).with_fields(fields);
        let mut frame = Frame { header, body: Bytes::from_static(b"the lazy dog") };
        Credentials::new("The quick ", "key").sign(&mut frame);
        // HMAC-SHA1("key", "The quick brown fox jumps over the lazy dog").
        assert_eq!(frame.header.fields.get(SIGNATURE), Some("3nybhbi3iqa8ino29wqQcBydtNk="));
    }
}
