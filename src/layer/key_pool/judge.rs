//! What a failure means for the key that it happened with. Pure.

use crate::error::{Phase, TransportKind};
use crate::protocol::model::{Fault, FaultOrigin};

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
        kind if kind.is_keys() && !fault.guessed => Cost::CoolsDown,
        kind if kind.is_keys() => Cost::Counts,
        kind if kind.is_upstreams() => Cost::Counts,
        _ => Cost::Nothing,
    }
}

/// The inner service or the body failed without a word about it.
pub(super) fn broken() -> Fault {
    Fault::transport(TransportKind::Other)
}

/// Nothing has been heard of a lease for too long.
pub(super) fn stuck() -> Fault {
    Fault::transport(TransportKind::Timeout(Phase::Idle))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::protocol::model::FaultKind;

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
    fn a_guess_counts_but_never_cools_at_once() {
        for kind in [FaultKind::Auth, FaultKind::Permission, FaultKind::Billing] {
            let fault = Fault::new(kind, StatusCode::BAD_REQUEST, FaultOrigin::Upstream);
            assert_eq!(cost(&fault), Cost::CoolsDown, "{kind:?}");
            assert_eq!(cost(&Fault { guessed: true, ..fault }), Cost::Counts, "{kind:?}");
        }
        let wrong =
            Fault::new(FaultKind::BadRequest, StatusCode::BAD_REQUEST, FaultOrigin::Upstream);
        assert_eq!(cost(&Fault { guessed: true, ..wrong }), Cost::Nothing);
    }
}
