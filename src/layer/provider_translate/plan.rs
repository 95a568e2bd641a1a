//! What is to be done with a request. Pure.

use http::{HeaderMap, Uri};

use crate::body::{Refusal, is_encoded};
use crate::context::Upstream;
use crate::protocol::model::FaultKind;
use crate::protocol::translate::is_supported;
use crate::protocol::{Operation, Protocol, Route, is_version};

/// What is to be done with a request.
#[derive(Debug, PartialEq)]
pub(super) enum Plan {
    /// The body is not looked at.
    Pass,
    /// The body stays what it is, but must be seen: for a mapped model or a list of allowed ones.
    Edit(Protocol),
    /// The body is translated.
    Translate {
        from: Protocol,
        to: Protocol,
    },
    Refuse(Refusal),
}

/// Decides by the route and the headers alone. `see_body`: somebody must know the model.
pub(super) fn plan(
    route: Option<Route>,
    upstream: &Upstream,
    headers: &HeaderMap,
    see_body: bool,
) -> Plan {
    let Some(Route { protocol: from, operation }) = route else { return Plan::Pass };
    let to = upstream.protocol().unwrap_or(from);
    let plan = match operation {
        Operation::Models if from == to => Plan::Pass,
        Operation::Generate | Operation::CountTokens if from == to => {
            if see_body {
                Plan::Edit(from)
            } else {
                Plan::Pass
            }
        }
        Operation::Generate => {
            let Some(missing) = [from, to].into_iter().find(|p| !is_supported(*p)) else {
                return encoded(headers).map_or(Plan::Translate { from, to }, Plan::Refuse);
            };
            let message =
                format!("cannot translate {from} to {to}: {missing} is passed through only");
            Plan::Refuse(Refusal::new(FaultKind::BadRequest, message))
        }
        Operation::CountTokens | Operation::Models => {
            let message = format!("an upstream of protocol {to} has no such endpoint");
            Plan::Refuse(Refusal::new(FaultKind::NotFound, message))
        }
    };
    match plan {
        Plan::Edit(_) => encoded(headers).map_or(plan, Plan::Refuse),
        plan => plan,
    }
}

/// A body that must be read has to stand as it is: it is never passed on unseen.
fn encoded(headers: &HeaderMap) -> Option<Refusal> {
    if !is_encoded(headers) {
        return None;
    }
    let message = "the request body is encoded, send it without content-encoding";
    Some(Refusal::new(FaultKind::UnsupportedMedia, message))
}

/// The URL at the upstream of a request that is not translated: path and query stay; a known
/// endpoint without a version gets `/v1`.
pub(super) fn uri(
    route: Option<Route>,
    upstream: &Upstream,
    uri: &Uri,
) -> Result<Uri, http::Error> {
    let path = uri.path();
    if route.is_some() && !path.split('/').any(is_version) {
        return upstream.uri_for(&format!("/v1{path}"), uri.query());
    }
    upstream.uri_like(uri)
}

/// The refusal of a path that makes no URL at the upstream.
pub(super) fn bad_path() -> Refusal {
    Refusal::new(FaultKind::BadRequest, "the path makes no valid URL")
}
