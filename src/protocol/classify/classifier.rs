use std::time::Duration;

use http::StatusCode;

use super::said::{self, Said};
use super::{Classify, Evidence, words};
use crate::protocol::model::{Fault, FaultKind, FaultOrigin};
use crate::protocol::retry_after::{self, MAX_RETRY_AFTER};
use crate::protocol::{Protocol, translate};

/// The default [`Classify`].
///
/// The words of the upstream's protocol decide what [kind](FaultKind) a fault is, then the status.
/// Whether it [moves on](Fault::moves_on) the status decides first:
///
/// | status | moves on |
/// |---|---|
/// | 2xx, 3xx | is no fault |
/// | 401, 402, 403, 408, 429, 5xx | yes; 402 and 429 as a matter of quota, the others where the message says so |
/// | 400 | where the error says that key, quota or upstream are to blame, not the request |
/// | other 4xx | no |
///
/// A message counts without what it quotes, which may be the client's own words; and a kind that
/// nothing but the message told is [guessed](Fault::guessed).
///
/// Never where the prompt is too long or a policy refused the content, nor where `error.code`
/// says that the request is at fault, whatever the status: `sensitive_words_detected`,
/// `content_policy_violation`, `content_filter`, `content_blocked`, `moderation_blocked`,
/// `invalid_request`, `invalid_request_error`, `bad_request`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Classifier {
    fuzzy: bool,
}

impl Classifier {
    /// The classifier of the table above.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether everything but 2xx moves on, 3xx included, save for the codes above. For upstreams
    /// whose statuses mean nothing. Default false.
    #[must_use]
    pub fn fuzzy(mut self, fuzzy: bool) -> Self {
        self.fuzzy = fuzzy;
        self
    }
}

impl Classify for Classifier {
    fn classify(&self, evidence: &Evidence<'_>) -> Option<Fault> {
        let fault = match *evidence {
            Evidence::Answer { status, .. }
                if status.is_informational()
                    || status.is_success()
                    || (status.is_redirection() && !self.fuzzy) =>
            {
                return None;
            }
            Evidence::Answer { protocol, status, headers, body } => {
                let told = Told::read(protocol, status, body);
                let mut fault = self.fault(&told, status, told.kind_with(status));
                fault.guessed = told.is_guess(status, fault.kind);
                let in_headers = retry_after::read(headers, fault.kind);
                fault.retry_after = fault.retry_after.max(in_headers);
                fault
            }
            Evidence::InBand { protocol, data } => {
                let told = Told::read(protocol, StatusCode::OK, Some(data));
                let kind = told.kind_in_band();
                let guessed = told.is_guess(StatusCode::OK, kind);
                Fault { guessed, ..self.fault(&told, kind.status(), kind) }
            }
            Evidence::Transport(kind) => Fault::transport(kind),
            Evidence::Truncated => of_kind(FaultKind::Upstream, FaultOrigin::Upstream),
            // Nobody's: no key and no channel learns from it.
            Evidence::ClientLeft => of_kind(FaultKind::ClientCancel, FaultOrigin::Gateway),
        };
        Some(fault)
    }
}

impl Classifier {
    fn fault(self, told: &Told, status: StatusCode, kind: FaultKind) -> Fault {
        let by_status = told.in_band || moves_on(status);
        let moves_on = !told.is_final() && (self.fuzzy || (by_status && kind.moves_on()));
        let retry_after = told.retry_after.map(|wait| wait.min(MAX_RETRY_AFTER));
        Fault { moves_on, retry_after, ..Fault::new(kind, status, FaultOrigin::Upstream) }
    }
}

fn of_kind(kind: FaultKind, origin: FaultOrigin) -> Fault {
    Fault::new(kind, kind.status(), origin)
}

/// Whether an answer of this status may move on at all.
fn moves_on(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400..=403 | 408 | 429 | 500..)
}

/// What an answer tells of its fault.
struct Told {
    /// As its protocol reads it.
    kind: FaultKind,
    retry_after: Option<Duration>,
    said: Said,
    in_band: bool,
}

impl Told {
    fn read(protocol: Option<Protocol>, status: StatusCode, body: Option<&[u8]>) -> Self {
        let in_band = status.is_success();
        let kind = if in_band { FaultKind::Upstream } else { FaultKind::from_status(status) };
        let mut told = Self { kind, retry_after: None, said: Said::default(), in_band };
        let text = body.map(String::from_utf8_lossy).unwrap_or_default();
        // Of a page of some proxy there is nothing to learn.
        let Some(document) = said::document(&text) else { return told };
        // Chat's reader takes the forms of most others.
        let protocol = protocol.unwrap_or(Protocol::OpenAiChat);
        let error = translate::read_error(protocol, status, document);
        (told.kind, told.retry_after) = (error.kind, error.retry_after);
        told.said = Said::read(document);
        told
    }

    /// Whether the error says of itself that the request is at fault.
    fn is_final(&self) -> bool {
        words::kind_of_final_code(&self.said.code).is_some()
    }

    /// The kind, of an answer with its status.
    fn kind_with(&self, status: StatusCode) -> FaultKind {
        if let Some(kind) = self.kind_for_sure() {
            return kind;
        }
        let words_of_quota = |kind: FaultKind| match words::quota(&self.said) {
            Some(quota) if !kind.is_quota() => quota,
            _ => kind,
        };
        match status.as_u16() {
            400 if self.kind == FaultKind::BadRequest => {
                words::class(&self.said).unwrap_or(self.kind)
            }
            402 | 429 if self.kind.is_quota() || self.kind.is_upstreams() => self.kind,
            402 | 429 => FaultKind::from_status(status),
            401 | 403 | 408 | 500.. if self.kind.moves_on() => words_of_quota(self.kind),
            401 | 403 | 408 | 500.. => words_of_quota(FaultKind::from_status(status)),
            _ => self.kind,
        }
    }

    /// The kind, where no status tells anything.
    fn kind_in_band(&self) -> FaultKind {
        self.kind_for_sure().unwrap_or_else(|| match self.kind {
            FaultKind::BadRequest | FaultKind::Upstream => {
                words::class(&self.said).unwrap_or(self.kind)
            }
            kind => kind,
        })
    }

    /// Whether this kind was found in words for people alone, where neither the status nor a name
    /// that the upstream gave the error tells as much.
    fn is_guess(&self, status: StatusCode, kind: FaultKind) -> bool {
        let by_status = FaultKind::from_status(status);
        let told = kind == self.kind
            || kind == by_status
            || (kind.is_keys() && by_status.is_keys())
            || self.kind_for_sure() == Some(kind);
        let names = self.said.names();
        !told && words::quota(&names) != Some(kind) && words::class(&names) != Some(kind)
    }

    /// The kind, where it needs no second thought.
    fn kind_for_sure(&self) -> Option<FaultKind> {
        match (self.kind, words::kind_of_final_code(&self.said.code)) {
            (FaultKind::ContextTooLong | FaultKind::ContentPolicy, _) => Some(self.kind),
            // A reader may know better what is wrong with the request.
            (kind, Some(FaultKind::BadRequest)) if !kind.moves_on() => Some(kind),
            (_, by_code) => by_code,
        }
    }
}
