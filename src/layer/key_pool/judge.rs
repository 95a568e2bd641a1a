//! What a failure means for the key that it happened with. Pure.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, Response, StatusCode};

use crate::protocol::model::{Fault, FaultKind, FaultOrigin};

/// What a fault costs the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// Nothing: the caller left or asked for what nobody can give, or we refused.
    Nothing,
    /// It counts; enough of them cool the key down.
    Counts,
    /// The key is of no use for now.
    CoolsDown,
}

pub(super) fn cost(fault: &Fault) -> Cost {
    match fault.kind {
        _ if fault.origin == FaultOrigin::Gateway => Cost::Nothing,
        kind if kind.is_keys() => Cost::CoolsDown,
        kind if kind.is_upstreams() => Cost::Counts,
        _ => Cost::Nothing,
    }
}

/// The fault of an answer: as a layer inside classified it, else as the status tells.
pub(super) fn of_answer<B>(response: &Response<B>) -> Option<Fault> {
    let told = response.extensions().get::<Fault>().copied();
    told.or_else(|| by_status(response.status(), response.headers()))
}

fn by_status(status: StatusCode, headers: &HeaderMap) -> Option<Fault> {
    let failed = status.is_client_error() || status.is_server_error();
    failed.then(|| Fault {
        retry_after: retry_after(headers),
        ..Fault::new(FaultKind::from_status(status), status, FaultOrigin::Upstream)
    })
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The inner service or the body failed without a word about it.
pub(super) fn broken() -> Fault {
    let kind = FaultKind::Transport;
    Fault::new(kind, kind.status(), FaultOrigin::Transport)
}

/// Nothing has been heard of a lease for too long.
pub(super) fn stuck() -> Fault {
    let kind = FaultKind::Timeout;
    Fault::new(kind, kind.status(), FaultOrigin::Transport)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs() {
        use FaultKind::*;
        let rows = [
            (Cost::CoolsDown, &[Auth, Permission, Billing, RateLimit][..]),
            (Cost::Counts, &[Overloaded, Upstream, Transport, Timeout]),
            (
                Cost::Nothing,
                &[
                    ClientCancel,
                    BadRequest,
                    NotFound,
                    TooLarge,
                    UnsupportedMedia,
                    ContextTooLong,
                    ContentPolicy,
                ],
            ),
        ];
        for (expected, kinds) in rows {
            for kind in kinds {
                let of = |origin| cost(&Fault::new(*kind, kind.status(), origin));
                assert_eq!(of(FaultOrigin::Upstream), expected, "{kind:?}");
                assert_eq!(of(FaultOrigin::Transport), expected, "{kind:?}");
                assert_eq!(of(FaultOrigin::Gateway), Cost::Nothing, "{kind:?}");
            }
        }
    }

    #[test]
    fn what_is_told_comes_before_the_status() {
        let answer = |status: u16| Response::builder().status(status).header("retry-after", "7");
        let bare = |status| of_answer(&answer(status).body(()).unwrap());
        assert_eq!([200, 204, 302, 304].map(bare), [None; 4]);
        let fault = bare(429).unwrap();
        assert_eq!((fault.kind, fault.origin), (FaultKind::RateLimit, FaultOrigin::Upstream));
        assert_eq!(fault.retry_after, Some(Duration::from_secs(7)));
        let told = Fault::gateway(FaultKind::Overloaded);
        for status in [200, 400] {
            assert_eq!(of_answer(&answer(status).extension(told).body(()).unwrap()), Some(told));
        }
    }
}
