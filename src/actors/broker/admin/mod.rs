//! stub
use super::Broker;
use crate::actors::remoting::Request;
use std::sync::Arc;
pub(super) fn serve(_broker: &Arc<Broker>, request: Request) -> Option<Request> {
    Some(request)
}
