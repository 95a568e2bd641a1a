//! How a channel fares with callers of one protocol. Pure.

use std::time::Duration;

use super::breaker::{Breaker, Try};
use super::latency::PeakEwma;
use super::policy::Policy;
use super::windows::{Counts, Windows};
use crate::context::Attempt;
use crate::protocol::model::{Fault, FaultKind, FaultOrigin};

/// How a request ended, as far as it tells something of the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    Failure(FaultKind),
    /// Nobody's fault that is the channel's: the caller left, or asked for what nobody can give,
    /// or we refused.
    Nothing,
}

impl Outcome {
    /// What a fault tells. A key's fault is the channel's only when it was its last key.
    pub(super) fn of(fault: Fault, more_keys: bool) -> Self {
        let channels = fault.kind.is_upstreams() || (fault.kind.is_keys() && !more_keys);
        match fault.origin {
            FaultOrigin::Gateway => Self::Nothing,
            // Where another channel would do no better, this one did nothing wrong.
            _ if channels && fault.moves_on => Self::Failure(fault.kind),
            _ => Self::Nothing,
        }
    }

    fn counts(self) -> Counts {
        Counts {
            requests: 1,
            successes: u64::from(self == Self::Success),
            failures: u64::from(matches!(self, Self::Failure(_))),
        }
    }
}

/// Whether an attempt failed by what its upstream is, whatever the key.
pub(super) fn is_upstreams_fault(attempt: &Attempt) -> bool {
    let upstreams =
        |fault: Fault| fault.kind.is_upstreams() && fault.origin != FaultOrigin::Gateway;
    attempt.fault.is_some_and(upstreams)
}

#[derive(Debug, Clone, Default)]
pub(super) struct Health {
    pub(super) breaker: Breaker,
    pub(super) latency: PeakEwma,
    pub(super) totals: Counts,
    pub(super) windows: Windows,
    pub(super) consecutive_failures: u64,
    pub(super) last_success: Option<Duration>,
    pub(super) last_failure: Option<(Duration, FaultKind)>,
}

impl Health {
    /// A request has ended; true when this opened or closed the breaker.
    pub(super) fn ended(
        &mut self,
        outcome: Outcome,
        of: Option<Try>,
        policy: &Policy,
        now: Duration,
    ) -> bool {
        self.totals.add(outcome.counts());
        self.windows.add(now, outcome.counts());
        match outcome {
            Outcome::Success => {
                self.consecutive_failures = 0;
                self.last_success = Some(now);
                self.breaker.success(policy)
            }
            Outcome::Failure(kind) => {
                self.consecutive_failures += 1;
                self.last_failure = Some((now, kind));
                self.breaker.failure(policy, of, now)
            }
            Outcome::Nothing => {
                if let Some(of) = of {
                    self.breaker.free_try(of);
                }
                false
            }
        }
    }

    /// Whether nobody answered there when it last failed, so that asking from the side tells
    /// whether somebody does again.
    pub(super) fn was_unreachable(&self) -> bool {
        let last = self.last_failure.map(|(_, kind)| kind);
        matches!(last, Some(FaultKind::Transport | FaultKind::Timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_fault_hurts_the_channel() {
        use FaultKind::*;
        use Outcome::{Failure, Nothing};
        let fault = |kind: FaultKind| Fault::new(kind, kind.status(), FaultOrigin::Upstream);
        for kind in [Overloaded, Upstream, Transport, Timeout] {
            assert_eq!(Outcome::of(fault(kind), true), Failure(kind), "{kind:?}");
            assert_eq!(Outcome::of(Fault::gateway(kind), true), Nothing, "{kind:?}");
            let stays = Fault { moves_on: false, ..fault(kind) };
            assert_eq!(Outcome::of(stays, true), Nothing, "{kind:?}");
        }
        for kind in [Auth, Permission, Billing, RateLimit] {
            assert_eq!(Outcome::of(fault(kind), true), Nothing, "{kind:?}");
            assert_eq!(Outcome::of(fault(kind), false), Failure(kind), "{kind:?}");
        }
        let others =
            [ClientCancel, BadRequest, NotFound, TooLarge, UnsupportedMedia, ContextTooLong];
        for kind in others.into_iter().chain([ContentPolicy]) {
            assert_eq!(Outcome::of(fault(kind), false), Nothing, "{kind:?}");
            let fuzzy = Fault { moves_on: true, ..fault(kind) };
            assert_eq!(Outcome::of(fuzzy, false), Nothing, "{kind:?}");
        }
    }

    #[test]
    fn what_is_nobodys_counts_as_a_request_only() {
        let (policy, now) = (Policy::default(), Duration::from_secs(60));
        let mut health = Health::default();
        for _ in 0..20 {
            assert!(!health.ended(Outcome::Nothing, None, &policy, now));
        }
        assert_eq!(health.totals, Counts { requests: 20, ..Counts::default() });
        let failure = Outcome::Failure(FaultKind::Upstream);
        let opened = [(); 5].map(|()| health.ended(failure, None, &policy, now));
        assert_eq!(opened, [false, false, false, false, true]);
        assert_eq!((health.consecutive_failures, health.was_unreachable()), (5, false));
        assert!(health.ended(Outcome::Success, None, &policy, now), "it closes");
        assert_eq!((health.consecutive_failures, health.last_success), (0, Some(now)));
        health.ended(Outcome::Failure(FaultKind::Timeout), None, &policy, now);
        assert!(health.was_unreachable());
        assert_eq!(health.totals, Counts { requests: 27, successes: 1, failures: 6 });
        assert_eq!(health.windows.sum(now, 15), health.totals);
    }
}
