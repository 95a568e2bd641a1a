//! When a channel is left alone for a while. Pure: the time is an argument.
//!
//! Of the last results of a channel so many failed that it opens: no request goes there for a
//! while. Then it is half open: one request may try, alone until its answer begins. Its success closes the breaker, as
//! any success does; its failure opens it again for as long. The time is not stretched then: a
//! request that tries every quarter of an hour is no burden, and a vendor who is back is used
//! again soon.

use std::collections::VecDeque;
use std::time::Duration;

use super::policy::Policy;

/// The results of one channel.
#[derive(Debug, Clone, Default)]
pub(super) struct Breaker {
    /// Oldest first; true is a success.
    results: VecDeque<bool>,
    open: Option<Open>,
    /// Numbers the tries of the half-open state, so that a late end of an old one changes nothing.
    tries: u64,
}

#[derive(Debug, Clone)]
struct Open {
    since: Duration,
    until: Duration,
    /// The try under way, until the head of its answer.
    trying: Option<u64>,
    /// The last try before it opened: what came of those was known by then.
    stale: u64,
}

/// Whether a request may go there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// It may.
    Closed,
    /// It may, as the one that tries.
    Try,
    /// It may not.
    Open,
}

/// The number of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Try(u64);

impl Breaker {
    pub(super) fn admission(&self, now: Duration) -> Admission {
        match &self.open {
            None => Admission::Closed,
            Some(open) if now >= open.until && open.trying.is_none() => Admission::Try,
            Some(_) => Admission::Open,
        }
    }

    /// Takes the one try, if it is to be had.
    pub(super) fn begin_try(&mut self, now: Duration) -> Option<Try> {
        if self.admission(now) != Admission::Try {
            return None;
        }
        self.begin_early_try()
    }

    /// Takes the one try, even before it is time.
    pub(super) fn begin_early_try(&mut self) -> Option<Try> {
        let open = self.open.as_mut().filter(|open| open.trying.is_none())?;
        self.tries += 1;
        open.trying = Some(self.tries);
        Some(Try(self.tries))
    }

    /// Whether a try is under way.
    pub(super) fn is_tried(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.trying.is_some())
    }

    /// A try has ended without a result, or its answer has begun well: another request may try.
    /// The result of the one that goes on still counts.
    pub(super) fn free_try(&mut self, of: Try) {
        if let Some(open) = self.open.as_mut().filter(|open| open.trying == Some(of.0)) {
            open.trying = None;
        }
    }

    /// A request succeeded, whichever; true when this closed the breaker.
    pub(super) fn success(&mut self, policy: &Policy) -> bool {
        let closed = self.open.take().is_some();
        if closed {
            // What was before must not open it again at the next failure.
            self.results.clear();
        }
        self.push(true, policy);
        closed
    }

    /// A request failed; true when this opened the breaker.
    pub(super) fn failure(&mut self, policy: &Policy, of: Option<Try>, now: Duration) -> bool {
        self.push(false, policy);
        let over = self.is_over(policy);
        let until = now.saturating_add(policy.recovery);
        if let Some(open) = &mut self.open {
            let Some(Try(of)) = of else { return false };
            open.trying.take_if(|trying| *trying == of);
            if of > open.stale {
                (open.until, open.stale) = (until, self.tries);
            }
            return false;
        }
        if over {
            self.open = Some(Open { since: now, until, trying: None, stale: self.tries });
        }
        over
    }

    /// Whoever asked from the side found it there: a request may try now. No change where it is
    /// not open.
    pub(super) fn found_alive(&mut self, now: Duration) {
        if let Some(open) = &mut self.open {
            open.until = open.until.min(now);
        }
    }

    /// Closes it and forgets the results.
    pub(super) fn reset(&mut self) {
        self.open = None;
        self.results.clear();
    }

    /// Since when it is open or half open.
    pub(super) fn open_since(&self) -> Option<Duration> {
        self.open.as_ref().map(|open| open.since)
    }

    /// Failed by all of the last results, 0 to 1.
    pub(super) fn failure_rate(&self) -> f64 {
        if self.results.is_empty() { 0.0 } else { self.failed() / self.results.len() as f64 }
    }

    fn failed(&self) -> f64 {
        self.results.iter().filter(|success| !**success).count() as f64
    }

    fn is_over(&self, policy: &Policy) -> bool {
        self.results.len() >= policy.min_samples() && self.failure_rate() >= policy.threshold
    }

    fn push(&mut self, success: bool, policy: &Policy) {
        while self.results.len() >= policy.window {
            self.results.pop_front();
        }
        self.results.push_back(success);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn after(minutes: u32) -> Duration {
        MINUTE * minutes
    }

    fn fed(results: &str) -> Breaker {
        let mut breaker = Breaker::default();
        for result in results.chars() {
            match result {
                '+' => breaker.success(&Policy::default()),
                _ => breaker.failure(&Policy::default(), None, Duration::ZERO),
            };
        }
        breaker
    }

    #[test]
    fn it_opens_at_half_of_ten_and_never_below_five() {
        use Admission::{Closed, Open};
        for (results, expected) in [
            ("", Closed),
            ("----", Closed),
            ("-----", Open),
            ("++---", Open),
            ("+++--", Closed),
            ("+++++-----", Open),
            ("++++++----", Closed),
            // The oldest are forgotten.
            ("-+++++++++---", Closed),
            ("+++++++++++++++-----", Open),
            // A success closes it, and what was before is forgotten.
            ("-----+", Closed),
            ("-----+----", Open),
            ("-----+---", Closed),
        ] {
            assert_eq!(fed(results).admission(Duration::ZERO), expected, "{results}");
        }
    }

    #[test]
    fn it_is_half_open_after_a_quarter_of_an_hour() {
        let policy = Policy::default();
        let mut breaker = fed("-----");
        let quarter = after(15);
        assert_eq!(breaker.admission(quarter - MINUTE / 60), Admission::Open);
        assert_eq!(breaker.admission(quarter), Admission::Try, "no sweep has to come by");
        let first = breaker.begin_try(quarter).unwrap();
        assert_eq!(breaker.admission(quarter), Admission::Open, "one at a time");
        assert_eq!(breaker.begin_try(quarter), None);

        assert!(!breaker.failure(&policy, Some(first), quarter));
        assert_eq!(breaker.admission(after(29)), Admission::Open);
        assert_eq!(breaker.open_since(), Some(Duration::ZERO), "the time is that of the opening");
        let second = breaker.begin_try(after(30)).unwrap();
        breaker.free_try(first);
        assert_eq!(breaker.admission(after(30)), Admission::Open, "the first is long over");
        breaker.free_try(second);
        assert_eq!(breaker.admission(after(30)), Admission::Try);

        assert!(breaker.success(&policy) && !breaker.success(&policy));
        assert_eq!((breaker.admission(after(30)), breaker.open_since()), (Admission::Closed, None));
        assert_eq!(breaker.failure_rate(), 0.0, "what was before is forgotten");
    }

    #[test]
    fn a_try_that_began_well_keeps_nobody_waiting_and_still_counts() {
        let policy = Policy::default();
        let mut breaker = fed("-----");
        let first = breaker.begin_try(after(15)).unwrap();
        breaker.free_try(first);
        assert_eq!(breaker.admission(after(15)), Admission::Try, "its stream may last for long");
        let second = breaker.begin_try(after(16)).unwrap();
        assert!(breaker.is_tried());
        breaker.failure(&policy, Some(first), after(20));
        assert_eq!(breaker.admission(after(34)), Admission::Open, "it broke after all");
        // The second began before that, so its failure is known already.
        breaker.failure(&policy, Some(second), after(30));
        assert!(!breaker.is_tried());
        assert_eq!(breaker.admission(after(35)), Admission::Try);
    }

    #[test]
    fn an_early_try_is_one_at_a_time_too() {
        let mut breaker = fed("-----");
        assert!(breaker.begin_try(MINUTE).is_none());
        let early = breaker.begin_early_try().unwrap();
        assert!(breaker.begin_early_try().is_none());
        breaker.free_try(early);
        assert!(breaker.begin_early_try().is_some());
        assert!(fed("----").begin_early_try().is_none(), "it is closed");
    }

    #[test]
    fn failures_of_others_do_not_stretch_it() {
        let policy = Policy::default();
        let mut breaker = fed("-----");
        let of = breaker.begin_try(after(15));
        assert!(of.is_some());
        breaker.failure(&policy, None, after(16));
        breaker.free_try(of.unwrap());
        assert_eq!(breaker.admission(after(16)), Admission::Try);
    }

    #[test]
    fn found_alive_is_half_open() {
        let mut breaker = fed("-----");
        breaker.found_alive(MINUTE);
        assert_eq!(breaker.admission(MINUTE), Admission::Try);
        let mut closed = fed("----");
        closed.found_alive(MINUTE);
        assert_eq!(closed.admission(MINUTE), Admission::Closed);
    }

    #[test]
    fn a_reset_forgets() {
        let mut breaker = fed("-----");
        breaker.reset();
        assert_eq!(breaker.admission(Duration::ZERO), Admission::Closed);
        assert_eq!(breaker.failure_rate(), 0.0);
    }

    #[test]
    fn a_policy_of_ones_own() {
        let policy = Policy::default().window(4).threshold(1.0).recovery(MINUTE);
        let mut breaker = Breaker::default();
        assert!(!breaker.failure(&policy, None, MINUTE));
        assert!(!breaker.failure(&policy, None, MINUTE));
        assert!(breaker.failure(&policy, None, MINUTE), "three of three");
        assert_eq!(breaker.admission(after(2)), Admission::Try);
    }

    proptest! {
        /// Whatever happens in whatever order, no second request tries while one does.
        #[test]
        fn one_tries_at_most(steps in prop::collection::vec((0..7u8, 0..20u32, any::<prop::sample::Index>()), 1..200)) {
            let policy = Policy::default();
            let mut breaker = fed("-----");
            let (mut now, mut under_way) = (Duration::ZERO, Vec::<Try>::new());
            let mut answered = Vec::new();
            for (step, minutes, which) in steps {
                now += MINUTE * minutes;
                let some = || (!under_way.is_empty()).then(|| which.index(under_way.len()));
                match step {
                    0 | 1 => under_way.extend(breaker.begin_try(now)),
                    2 => if let Some(at) = some() {
                        breaker.failure(&policy, Some(under_way.remove(at)), now);
                    }
                    3 => if let Some(at) = some() { breaker.free_try(under_way.remove(at)); }
                    4 => { breaker.failure(&policy, answered.pop(), now); }
                    5 => if let Some(at) = some() {
                        answered.push(under_way.remove(at));
                        breaker.free_try(answered[answered.len() - 1]);
                    }
                    _ => breaker.found_alive(now),
                }
                prop_assert!(under_way.len() <= 1);
            }
        }
    }
}
