//! Errors: whose fault, and in what words.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

use super::Rest;
use crate::error::TransportKind;
use crate::protocol::json::JsonStr;
use crate::redact;

/// Whose fault a failure is. Copied into extensions; holds no text of anybody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// Whose.
    pub kind: FaultKind,
    /// The status that goes with it.
    pub status: StatusCode,
    /// How long to wait before another try.
    pub retry_after: Option<Duration>,
    /// Who found it.
    pub origin: FaultOrigin,
    /// Whether another key or another channel may do better. Usually what
    /// [`FaultKind::moves_on`] says; whoever classified it may know better.
    pub moves_on: bool,
    /// Whether the kind was found in the wording of an error alone, which a client may have a part
    /// in. A single one of them says nothing of a key.
    pub guessed: bool,
}

impl Fault {
    /// A refusal of ours.
    #[must_use]
    pub fn gateway(kind: FaultKind) -> Self {
        Self::new(kind, kind.status(), FaultOrigin::Gateway)
    }

    /// There was no answer, or it broke off. A request body that could not be read is no fault of
    /// the upstream.
    #[must_use]
    pub fn transport(kind: TransportKind) -> Self {
        let kind = match kind {
            TransportKind::RequestBody => return Self::gateway(FaultKind::BadRequest),
            TransportKind::Timeout(_) => FaultKind::Timeout,
            _ => FaultKind::Transport,
        };
        Self::new(kind, kind.status(), FaultOrigin::Transport)
    }

    /// A fault that moves on as its kind does, and names no time to wait.
    #[must_use]
    pub fn new(kind: FaultKind, status: StatusCode, origin: FaultOrigin) -> Self {
        let moves_on = kind.moves_on();
        Self { kind, status, retry_after: None, origin, moves_on, guessed: false }
    }
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The client left.
    ClientCancel,
    /// The request is wrong: 400, 405, 422 and the like.
    BadRequest,
    /// The named model or resource does not exist.
    NotFound,
    /// The request body is too large: 413.
    TooLarge,
    /// The request body has a form or an encoding that is not taken: 415.
    UnsupportedMedia,
    /// The prompt does not fit the model.
    ContextTooLong,
    /// The content was refused by a policy.
    ContentPolicy,
    /// No or wrong credential: 401.
    Auth,
    /// A known credential that may not: 403.
    Permission,
    /// No money, no quota: 402.
    Billing,
    /// Too many requests: 429.
    RateLimit,
    /// The vendor has no capacity: 503, 529.
    Overloaded,
    /// The vendor broke: other 5xx, nonsense answers.
    Upstream,
    /// No connection, or it broke.
    Transport,
    /// No answer in time: 408, 504.
    Timeout,
}

impl FaultKind {
    /// All of them, in their order.
    pub const ALL: &'static [Self] = &[
        Self::ClientCancel,
        Self::BadRequest,
        Self::NotFound,
        Self::TooLarge,
        Self::UnsupportedMedia,
        Self::ContextTooLong,
        Self::ContentPolicy,
        Self::Auth,
        Self::Permission,
        Self::Billing,
        Self::RateLimit,
        Self::Overloaded,
        Self::Upstream,
        Self::Transport,
        Self::Timeout,
    ];

    /// The name in stats and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientCancel => "client_cancel",
            Self::BadRequest => "bad_request",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::UnsupportedMedia => "unsupported_media",
            Self::ContextTooLong => "context_too_long",
            Self::ContentPolicy => "content_policy",
            Self::Auth => "auth",
            Self::Permission => "permission",
            Self::Billing => "billing",
            Self::RateLimit => "rate_limit",
            Self::Overloaded => "overloaded",
            Self::Upstream => "upstream",
            Self::Transport => "transport",
            Self::Timeout => "timeout",
        }
    }

    /// The status to answer with where the upstream gave none.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            // nginx's 499, "client closed request": nobody reads it, logs show it.
            Self::ClientCancel => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::BadRequest | Self::ContextTooLong | Self::ContentPolicy => {
                StatusCode::BAD_REQUEST
            }
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Auth => StatusCode::UNAUTHORIZED,
            Self::Permission => StatusCode::FORBIDDEN,
            Self::Billing => StatusCode::PAYMENT_REQUIRED,
            Self::RateLimit => StatusCode::TOO_MANY_REQUESTS,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Upstream | Self::Transport => StatusCode::BAD_GATEWAY,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Whether another key or another channel may do better. Never where the client left or asked
    /// for what nobody can give.
    #[must_use]
    pub fn moves_on(self) -> bool {
        self.is_keys() || self.is_upstreams()
    }

    /// Whether it is the fault of the key: another one of the same vendor may do.
    #[must_use]
    pub fn is_keys(self) -> bool {
        matches!(self, Self::Auth | Self::Permission) || self.is_quota()
    }

    /// Whether the key has spent what it may, for now or for good.
    #[must_use]
    pub fn is_quota(self) -> bool {
        matches!(self, Self::Billing | Self::RateLimit)
    }

    /// Whether it is the fault of the upstream, whatever the key.
    #[must_use]
    pub fn is_upstreams(self) -> bool {
        matches!(self, Self::Overloaded | Self::Upstream | Self::Transport | Self::Timeout)
    }

    /// The kind that a bare status tells.
    #[must_use]
    pub fn from_status(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::Auth,
            402 => Self::Billing,
            403 => Self::Permission,
            404 => Self::NotFound,
            408 | 504 => Self::Timeout,
            413 => Self::TooLarge,
            415 => Self::UnsupportedMedia,
            429 => Self::RateLimit,
            499 => Self::ClientCancel,
            503 | 529 => Self::Overloaded,
            400..=499 => Self::BadRequest,
            _ => Self::Upstream,
        }
    }
}

/// Who found a fault. Breakers and keys learn only from upstream and transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultOrigin {
    /// We refused.
    Gateway,
    /// The upstream said so.
    Upstream,
    /// There was no upstream to say anything.
    Transport,
}

/// An error as a protocol words it.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError<'a> {
    /// Whose fault.
    pub kind: FaultKind,
    /// What to tell the caller.
    pub message: JsonStr<'a>,
    /// A code in the origin's words (`context_length_exceeded`).
    pub code: Option<JsonStr<'a>>,
    /// The offending parameter.
    pub param: Option<JsonStr<'a>>,
    /// The origin's own type word (`overloaded_error`).
    pub type_word: Option<JsonStr<'a>>,
    /// The upstream's id of the request.
    pub request_id: Option<JsonStr<'a>>,
    /// How long to wait, where the body says it.
    pub retry_after: Option<Duration>,
    /// Members not understood.
    pub rest: Rest<'a>,
}

impl<'a> ApiError<'a> {
    /// An error of our own.
    #[must_use]
    pub fn new(kind: FaultKind, message: impl Into<std::borrow::Cow<'a, str>>) -> Self {
        Self {
            kind,
            message: JsonStr::from_plain(message),
            code: None,
            param: None,
            type_word: None,
            request_id: None,
            retry_after: None,
            rest: Rest::default(),
        }
    }

    /// Takes out what looks like a secret: some vendors repeat the key that they refuse, and it is
    /// the gateway's, not the caller's.
    pub(crate) fn hide_secrets(&mut self) {
        hide(&mut self.message);
        [&mut self.code, &mut self.param].into_iter().flatten().for_each(hide);
    }
}

fn hide(text: &mut JsonStr<'_>) {
    let hidden = match redact::text_hidden(&text.decode()) {
        Cow::Borrowed(_) => return,
        Cow::Owned(hidden) => hidden,
    };
    *text = JsonStr::from_plain(hidden);
}
