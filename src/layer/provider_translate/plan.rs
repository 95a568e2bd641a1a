//! What is to be done with a request. Pure.

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::body::Refusal;
use crate::context::Upstream;
use crate::protocol::model::FaultKind;
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
    /// A question for the size of a prompt is translated.
    Count {
        from: Protocol,
        to: Protocol,
    },
    /// A question for the models that there are is translated.
    Models {
        from: Protocol,
        to: Protocol,
    },
    Refuse(Refusal),
}

impl Plan {
    /// Whether the request goes to the path that the caller named.
    pub(super) fn keeps_path(&self) -> bool {
        match self {
            Self::Pass | Self::Edit(_) => true,
            Self::Count { from, to } => from == to,
            Self::Translate { .. } | Self::Models { .. } | Self::Refuse(_) => false,
        }
    }

    /// The caller's protocol, where the request must be read.
    pub(super) fn reads(&self) -> Option<Protocol> {
        match self {
            Self::Pass | Self::Refuse(_) => None,
            Self::Edit(from)
            | Self::Translate { from, .. }
            | Self::Count { from, .. }
            | Self::Models { from, .. } => Some(*from),
        }
    }
}

/// Decides by the route alone. `see_body`: somebody must know the model; `readable`: somebody can.
pub(super) fn plan(
    route: Option<Route>,
    upstream: &Upstream,
    see_body: bool,
    readable: bool,
) -> Plan {
    let Some(Route { protocol: from, operation }) = route else { return Plan::Pass };
    let to = upstream.protocol().unwrap_or(from);
    match operation {
        Operation::Models | Operation::Other if is_same_vendor(from, to) => Plan::Pass,
        Operation::Models => Plan::Models { from, to },
        // An answer in the upstream's dialect has to be read.
        Operation::Generate if from == to && changes_answers(upstream) => {
            Plan::Translate { from, to }
        }
        Operation::Generate if from == to => {
            let see_body = see_body || upstream.own_dialect().is_some();
            if see_body { Plan::Edit(from) } else { Plan::Pass }
        }
        // It passes where nobody must see it, but is not estimated then.
        Operation::CountTokens if from == to && !readable && !see_body => Plan::Pass,
        Operation::Generate => Plan::Translate { from, to },
        Operation::CountTokens => Plan::Count { from, to },
        // Also what is added to the list of operations and not yet built here.
        _ => {
            let message = format!("an upstream of protocol {to} has no such endpoint");
            Plan::Refuse(Refusal::new(FaultKind::NotFound, message).for_this_upstream())
        }
    }
}

fn changes_answers(upstream: &Upstream) -> bool {
    upstream.own_dialect().is_some_and(|dialect| dialect.changes_answers())
}

/// Chat Completions and Responses are two protocols of one vendor, who has the rest in common.
fn is_same_vendor(from: Protocol, to: Protocol) -> bool {
    let is_openai = |protocol| matches!(protocol, Protocol::OpenAiChat | Protocol::OpenAiResponses);
    from == to || (is_openai(from) && is_openai(to))
}

/// The URL at the upstream of a request that is not translated: path and query stay; a known
/// endpoint without a version gets `/v1`, DashScope's `/api/v1`.
pub(super) fn uri(
    route: Option<Route>,
    upstream: &Upstream,
    uri: &Uri,
) -> Result<Uri, http::Error> {
    let path = uri.path();
    match route {
        Some(route) if !path.split('/').any(is_version) => {
            let dashscope = route.protocol == Protocol::DashScope;
            let version = if dashscope { "/api/v1" } else { "/v1" };
            upstream.uri_for(&format!("{version}{path}"), uri.query())
        }
        _ => upstream.uri_like(uri),
    }
}

/// Whether a path has segments that lead out of the upstream's base path, as whoever is behind us
/// may read them.
pub(super) fn climbs(path: &str) -> bool {
    if !path.contains('.') && !path.contains('%') {
        return false;
    }
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    decoded.split(['/', '\\']).any(|segment| segment == "." || segment == "..")
}

/// The one model that a path below `/models/` asks for, percent-decoded; the names of some hold
/// slashes.
pub(super) fn asked_model(path: &str) -> Option<String> {
    let (_, asked) = path.trim_end_matches('/').split_once("/models/")?;
    Some(percent_decode_str(asked).decode_utf8_lossy().into_owned())
}

/// A name as one segment of a path, whatever it holds.
pub(super) fn one_segment(name: &str) -> impl std::fmt::Display {
    /// All but what RFC 3986, section 2.3, leaves unreserved.
    const RESERVED: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    // A segment of dots alone would climb.
    let name = if name.trim_matches('.').is_empty() { "-" } else { name };
    utf8_percent_encode(name, RESERVED)
}

/// The refusal of a path that makes no URL at the upstream.
pub(super) fn bad_path() -> Refusal {
    Refusal::new(FaultKind::BadRequest, "the path makes no valid URL")
}
