//! What the body of a request says, left for the layers inside.

use http::request;

use crate::body::{Refusal, is_encoded};
use crate::context::{Exchange, RequestFacts};
use crate::protocol::edit::{EditError, Outline};
use crate::protocol::model::FaultKind;
use crate::protocol::{Operation, Route};

/// Whether nobody outside has read the body yet, and it may have something to say.
pub(super) fn are_missing(route: Route, exchange: &Exchange) -> bool {
    matches!(route.operation, Operation::Generate | Operation::CountTokens)
        && exchange.read(|facts| facts.request.is_none())
}

/// Leaves the facts. A body that cannot be read is for the upstream to refuse, unless it may ask
/// for a model that the caller must not use.
pub(super) fn leave(
    route: Route,
    parts: &request::Parts,
    exchange: &Exchange,
    body: &[u8],
) -> Result<(), Refusal> {
    let facts = if is_encoded(&parts.headers) {
        let message = "the request body must not have a content-encoding";
        Err(Refusal::new(FaultKind::UnsupportedMedia, message))
    } else {
        read(route, parts, body).map_err(Refusal::from)
    };
    match facts {
        Ok(facts) => exchange
            .admit(facts)
            .then_some(())
            .ok_or_else(|| Refusal::new(FaultKind::Permission, "this key may not use this model")),
        Err(refusal) if exchange.is_limited() => Err(refusal),
        Err(_) => Ok(()),
    }
}

fn read(route: Route, parts: &request::Parts, body: &[u8]) -> Result<RequestFacts, EditError> {
    let outline = Outline::read(route.protocol, body)?;
    Ok(RequestFacts::from(&outline.facts(&parts.uri, &parts.headers)?))
}
