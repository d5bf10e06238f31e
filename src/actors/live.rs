//! The door through which the live tree is seen, and in builds with `chaos` disturbed, from outside.
//!
//! Two request codes of CastMQ's own, beside RocketMQ's: [`LIVE_TREE`] answers with the tree as JSON (with
//! field `format` = `text`, as text); [`INJECT_FAULT`] takes `path` and `fault`, and
//! with it `message`, `step` or `millis`.

use std::time::Duration;

use super::{remoting::Request, supervision::Branch};
use crate::protocol::codes::ResponseCode;

/// Answers with the live tree.
pub const LIVE_TREE: i32 = 7001;
/// Makes something go wrong; served by builds with the feature `chaos` only.
pub const INJECT_FAULT: i32 = 7002;

/// How long one actor may take to say what it sees of itself.
const PATIENCE: Duration = Duration::from_millis(200);

/// Serves the two codes with the tree below `root`. The last to be asked: it refuses what nobody serves.
pub(crate) fn serve(root: &Branch, request: Request) {
    match request.header.code {
        LIVE_TREE => show(root.clone(), request),
        #[cfg(feature = "chaos")]
        INJECT_FAULT => inject(root, request),
        code => {
            let remark = format!(" request type {code} not supported");
            request.reply.refuse(ResponseCode::REQUEST_CODE_NOT_SUPPORTED, &remark);
        }
    }
}

fn show(root: Branch, request: Request) {
    let as_text = request.header.fields.get("format") == Some("text");
    actix_rt::spawn(async move {
        let tree = root.snapshot(PATIENCE).await;
        match if as_text { Ok(tree.to_string().into_bytes()) } else { serde_json::to_vec(&tree) } {
            Ok(body) => request.reply.body(body),
            Err(error) => request.reply.refuse(ResponseCode::SYSTEM_ERROR, &error.to_string()),
        }
    });
}

#[cfg(feature = "chaos")]
fn inject(root: &Branch, request: Request) {
    use super::supervision::chaos::{Fault, inject};

    let fields = &request.header.fields;
    let path = fields.get("path").unwrap_or_default();
    let message = fields.get("message").map(str::to_owned);
    let span = Duration::from_millis(fields.number("millis").unwrap_or(100));
    let fault = match fields.get("fault") {
        Some("panic-before") => Fault::PanicBefore(message),
        Some("panic-during") => Fault::PanicDuring(message, fields.number("step").unwrap_or(1)),
        Some("panic-after") => Fault::PanicAfter(message),
        Some("panic-in-future") => Fault::PanicInFuture,
        Some("fail-start") => Fault::FailStart,
        Some("stall") => Fault::Stall(span),
        Some("full-mailbox") => Fault::FullMailbox(span),
        _ => {
            let known = "fault is one of panic-before, panic-during, panic-after, panic-in-future, fail-start, \
                         stall, full-mailbox";
            return request.reply.refuse(ResponseCode::INVALID_PARAMETER, known);
        }
    };
    match inject(root, path, fault) {
        Ok(()) => request.reply.ok(),
        Err(error) => request.reply.refuse(ResponseCode::QUERY_NOT_FOUND, &error.to_string()),
    }
}
