//! What follows a failed attempt, and which failure the caller hears of. Pure.

use std::time::Duration;

use http::Method;

use crate::context::Attempt;
use crate::protocol::model::{Fault, FaultKind, FaultOrigin};
use crate::protocol::{Operation, Route};

/// How long to wait before the same upstream is asked again, where there is no other.
///
/// The pause doubles with each repeat from `first` to `most`, and up to half of it is cut off at
/// random, so that callers do not come back all at once. A `Retry-After` is the least pause; one
/// beyond `most` is for the caller to wait.
///
/// ```
/// use std::time::Duration;
/// use tower_llm_gateway::layer::failover::{Backoff, FailoverLayer};
///
/// let backoff = Backoff { most: Duration::from_secs(2), ..Backoff::default() };
/// let layer = FailoverLayer::new().backoff(backoff);
/// # let _ = layer;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Before the first repeat. Default 500 ms.
    pub first: Duration,
    /// Longest pause. Default 8 s.
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), most: Duration::from_secs(8) }
    }
}

impl Backoff {
    /// The pause before repeat number `repeat` (from 0), or none where it would be too long.
    /// `random` is from 0 to 1.
    fn pause(self, repeat: u32, retry_after: Option<Duration>, random: f64) -> Option<Duration> {
        let whole = self.first.saturating_mul(1 << repeat.min(20)).min(self.most);
        let pause = whole.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0);
        let pause = pause.max(retry_after.unwrap_or_default());
        (pause <= self.most).then_some(pause)
    }
}

/// Whether a further attempt would go elsewhere than this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// A channel or a key is left.
    Free,
    /// No inner layer tells of channels or keys: the service may choose another upstream, or not.
    Unknown,
    /// There is only this one.
    Nowhere,
}

impl Elsewhere {
    /// After an attempt that failed so, or beside one that is slow.
    pub(super) fn of(attempt: &Attempt, fault: Option<&Fault>) -> Self {
        // Whoever chooses channels comes back to one of them for its keys only if a key failed.
        let keys_help = attempt.channel.is_none() || fault.is_some_and(|f| f.kind.is_keys());
        if attempt.more_channels || (attempt.more_keys && keys_help) {
            Self::Free
        } else if attempt.channel.is_none() && attempt.key.is_none() {
            Self::Unknown
        } else {
            Self::Nowhere
        }
    }
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Now,
    After(Duration),
    Stop,
}

/// What follows a fault that moves on, after `repeats` repeats.
pub(super) fn next(
    fault: &Fault,
    elsewhere: Elsewhere,
    backoff: Option<Backoff>,
    repeats: u32,
    random: f64,
) -> Next {
    match elsewhere {
        Elsewhere::Free => Next::Now,
        // Whoever of us refused has waited and looked already.
        _ if fault.origin == FaultOrigin::Gateway => Next::Stop,
        Elsewhere::Unknown => Next::Now,
        Elsewhere::Nowhere => {
            let passes = fault.kind == FaultKind::RateLimit || fault.kind.is_upstreams();
            backoff
                .filter(|_| passes)
                .and_then(|backoff| backoff.pause(repeats, fault.retry_after, random))
                .map_or(Next::Stop, Next::After)
        }
    }
}

/// After which faults a request may be repeated at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    /// After all that move on: it changes nothing at the upstream.
    Always,
    /// Only where the upstream did nothing: a second try of an upload or a batch may make it twice.
    WhereRefused,
}

impl Repeats {
    pub(super) fn of(route: Route, method: &Method) -> Self {
        match route.operation {
            Operation::Generate | Operation::CountTokens | Operation::Models => Self::Always,
            Operation::Other if method.is_safe() => Self::Always,
            Operation::Other => Self::WhereRefused,
        }
    }

    pub(super) fn after(self, fault: &Fault) -> bool {
        let refused = fault.kind.is_keys() || fault.origin == FaultOrigin::Gateway;
        self == Self::Always || refused
    }
}

/// How much a failure tells the caller; of two that tell as much, the later one is answered.
///
/// An upstream's own words come before those that we found for it. Among them the words about a
/// key of ours come last: the caller has no part in it.
pub(super) fn weight(fault: &Fault) -> u8 {
    match fault.origin {
        _ if refuses_request(fault) => 0,
        FaultOrigin::Gateway => 1,
        FaultOrigin::Transport => 2,
        FaultOrigin::Upstream => match fault.kind {
            FaultKind::Auth | FaultKind::Permission | FaultKind::Billing => 3,
            _ => 4,
        },
    }
}

/// Whether a layer of ours found that an upstream cannot be asked this. It is told only where all
/// were refused so: else another time may do.
pub(super) fn refuses_request(fault: &Fault) -> bool {
    fault.origin == FaultOrigin::Gateway && !fault.kind.moves_on()
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::protocol::Protocol;

    fn fault(kind: FaultKind) -> Fault {
        Fault::new(kind, kind.status(), FaultOrigin::Upstream)
    }

    #[test]
    fn pauses_double_up_to_the_most() {
        let backoff = Backoff::default();
        let millis = |repeat, random| backoff.pause(repeat, None, random).unwrap().as_millis();
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 99].map(|n| millis(n, 0.0)),
            [500, 1000, 2000, 4000, 8000, 8000, 8000]
        );
        assert_eq!([0, 1, 99].map(|n| millis(n, 1.0)), [250, 500, 4000]);
        let after = |seconds| backoff.pause(0, Some(Duration::from_secs(seconds)), 0.0);
        assert_eq!(after(3), Some(Duration::from_secs(3)));
        assert_eq!(after(8), Some(Duration::from_secs(8)));
        assert_eq!(after(9), None, "that is for the caller to wait");
    }

    #[test]
    fn a_free_candidate_is_asked_at_once_and_a_sole_one_after_a_pause() {
        use FaultKind::{Auth, Billing, Overloaded, RateLimit, Timeout, Transport, Upstream};
        let backoff = Some(Backoff::default());
        let pause = Next::After(Duration::from_millis(500));
        for kind in [Auth, Billing, Overloaded, RateLimit, Timeout, Transport, Upstream] {
            let next = |elsewhere, backoff| next(&fault(kind), elsewhere, backoff, 0, 0.0);
            assert_eq!(next(Elsewhere::Free, backoff), Next::Now, "{kind:?}");
            assert_eq!(next(Elsewhere::Unknown, None), Next::Now, "{kind:?}");
            assert_eq!(next(Elsewhere::Nowhere, None), Next::Stop, "{kind:?}");
            let lasting = matches!(kind, Auth | Billing);
            let expected = if lasting { Next::Stop } else { pause };
            assert_eq!(next(Elsewhere::Nowhere, backoff), expected, "{kind:?}");
        }
    }

    #[test]
    fn another_key_of_a_channel_helps_where_a_key_failed() {
        use FaultKind::{Overloaded, RateLimit};
        let channel = Some(crate::context::ChannelId::new("a"));
        let alone = Attempt { more_keys: true, ..Attempt::default() };
        let keyed = Attempt { channel, ..alone.clone() };
        let of = |attempt: &Attempt, kind: FaultKind| Elsewhere::of(attempt, Some(&fault(kind)));
        assert_eq!(of(&keyed, RateLimit), Elsewhere::Free);
        assert_eq!(of(&keyed, Overloaded), Elsewhere::Nowhere);
        assert_eq!(Elsewhere::of(&keyed, None), Elsewhere::Nowhere, "nothing failed yet");
        assert_eq!(of(&alone, Overloaded), Elsewhere::Free, "nobody chooses channels");
        let more = Attempt { more_channels: true, ..keyed };
        assert_eq!(of(&more, Overloaded), Elsewhere::Free);
    }

    #[test]
    fn a_refusal_of_ours_moves_on_only_to_what_is_free() {
        let ours = Fault::gateway(FaultKind::Overloaded);
        let backoff = Some(Backoff::default());
        let next = |elsewhere| next(&ours, elsewhere, backoff, 0, 0.0);
        assert_eq!(next(Elsewhere::Free), Next::Now);
        assert_eq!(next(Elsewhere::Unknown), Next::Stop);
        assert_eq!(next(Elsewhere::Nowhere), Next::Stop);
    }

    #[test]
    fn what_may_have_been_done_is_not_done_twice() {
        let repeats = |operation, method: Method| {
            Repeats::of(Route { protocol: Protocol::OpenAiChat, operation }, &method)
        };
        assert_eq!(repeats(Operation::Generate, Method::POST), Repeats::Always);
        assert_eq!(repeats(Operation::Other, Method::GET), Repeats::Always);
        let upload = repeats(Operation::Other, Method::POST);
        for (kind, allowed) in [
            (FaultKind::Auth, true),
            (FaultKind::RateLimit, true),
            (FaultKind::Overloaded, false),
            (FaultKind::Transport, false),
        ] {
            assert_eq!(upload.after(&fault(kind)), allowed, "{kind:?}");
            assert!(Repeats::Always.after(&fault(kind)));
        }
        assert!(upload.after(&Fault::gateway(FaultKind::Overloaded)));
    }

    #[test]
    fn the_upstreams_own_words_tell_most() {
        let transport =
            Fault::new(FaultKind::Timeout, StatusCode::BAD_GATEWAY, FaultOrigin::Transport);
        let order = [
            Fault::gateway(FaultKind::BadRequest),
            Fault::gateway(FaultKind::Overloaded),
            transport,
            fault(FaultKind::Auth),
            fault(FaultKind::RateLimit),
        ];
        assert!(order.map(|fault| weight(&fault)).is_sorted());
        assert_eq!(weight(&fault(FaultKind::Upstream)), weight(&fault(FaultKind::RateLimit)));
    }
}
