//! What one request or one attempt adds to the books, and the sums of it.

use crate::context::Attempt;
use crate::pricing::Cost;
use crate::protocol::Operation;
use crate::protocol::model::{FaultKind, FaultOrigin, Usage};
use crate::record::Record;

/// How many kinds of faults there are.
const FAULTS: usize = FaultKind::ALL.len();

/// Sums of requests, or of attempts, that have ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) ended: u64,
    pub(crate) successes: u64,
    pub(crate) failures: u64,
    pub(crate) cancelled: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) tokens: Tokens,
    pub(crate) cost: Costs,
    /// By the place of the kind among all of them.
    pub(super) faults: [u32; FAULTS],
}

/// Tokens, no token in two members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    /// Answers whose tokens are known.
    pub(crate) known: u64,
    pub(crate) input: u64,
    pub(crate) cache_read: u64,
    pub(crate) cache_write: u64,
    pub(crate) output: u64,
    pub(crate) reasoning: u64,
}

/// What answers cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Costs {
    pub(crate) sum: Cost,
    /// Answers whose cost is in the sum.
    pub(crate) known: u64,
    /// Answers that cost something, but nobody knows what.
    pub(crate) unknown: u64,
}

impl Counts {
    /// What a request adds.
    pub(super) fn of_request(record: &Record, cost: Option<Cost>) -> Self {
        let mut one = Self {
            ended: 1,
            successes: record.succeeded().into(),
            failures: record.failed().into(),
            cancelled: record.cancelled().into(),
            bytes_in: record.bytes_in(),
            bytes_out: record.bytes_out(),
            tokens: record.usage.as_ref().map(Tokens::of).unwrap_or_default(),
            cost: Costs::of(record, cost),
            faults: [0; FAULTS],
        };
        one.fault(record.fault);
        one
    }

    /// What an attempt adds to its channel and its key; nothing if it never got there. `request` is
    /// what its request adds, if this attempt is the one that was answered with: bytes, tokens and
    /// cost are its own.
    pub(super) fn of_attempt(attempt: &Attempt, request: Option<&Self>) -> Option<Self> {
        if is_refusal(attempt) {
            return None;
        }
        let by_status = || attempt.status.filter(|s| s.as_u16() >= 400).map(FaultKind::from_status);
        let kind = attempt.fault.map(|fault| fault.kind).or_else(by_status);
        let left = attempt.outrun || kind == Some(FaultKind::ClientCancel);
        let failed = kind.is_some() && !left;
        let open = attempt.status.is_none() && kind.is_none();
        let mut one = request.copied().unwrap_or_default();
        let cancelled = !failed && (left || open || one.cancelled > 0);
        // One of the three, so that they add up.
        one.ended = 1;
        one.successes = (!failed && !cancelled).into();
        one.failures = failed.into();
        one.cancelled = cancelled.into();
        one.faults = [0; FAULTS];
        one.fault(kind);
        Some(one)
    }

    fn fault(&mut self, kind: Option<FaultKind>) {
        if let Some(count) = kind.and_then(|kind| self.faults.get_mut(kind as usize)) {
            *count = 1;
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.ended += other.ended;
        self.successes += other.successes;
        self.failures += other.failures;
        self.cancelled += other.cancelled;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.tokens.add(&other.tokens);
        self.cost.add(&other.cost);
        // As a rule nothing went wrong.
        if other.faults != [0; FAULTS] {
            for (sum, count) in self.faults.iter_mut().zip(other.faults) {
                *sum = sum.saturating_add(count);
            }
        }
    }

    /// The kinds of faults that there were, and how often.
    pub(crate) fn faults(&self) -> impl Iterator<Item = (FaultKind, u64)> + '_ {
        let all = FaultKind::ALL.iter().zip(self.faults);
        all.filter(|(_, count)| *count > 0).map(|(kind, count)| (*kind, count.into()))
    }
}

/// Whether we refused it ourselves before it went anywhere, or could not read it to its end. What
/// we did not take of an answer was answered, and what our deadline cut short may have been asked.
fn is_refusal(attempt: &Attempt) -> bool {
    let ours = attempt.fault.filter(|fault| fault.origin == FaultOrigin::Gateway);
    ours.is_some_and(|fault| match fault.kind {
        FaultKind::ClientCancel | FaultKind::Upstream => false,
        // Told by who calls an upstream; before that it waited for a key.
        FaultKind::Timeout => attempt.upstream_protocol.is_none(),
        _ => true,
    })
}

impl Tokens {
    fn of(usage: &Usage<'_>) -> Self {
        Self {
            known: 1,
            input: usage.input,
            cache_read: usage.cache_read,
            cache_write: usage.cache_write,
            output: usage.output,
            reasoning: usage.reasoning,
        }
    }

    fn add(&mut self, other: &Self) {
        self.known += other.known;
        // The counts are a stranger's words.
        self.input = self.input.saturating_add(other.input);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
        self.output = self.output.saturating_add(other.output);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
    }
}

impl Costs {
    fn of(record: &Record, cost: Option<Cost>) -> Self {
        let generates =
            record.begun.route.is_some_and(|route| route.operation == Operation::Generate);
        let spends = record.usage.is_some() || (generates && record.succeeded());
        Self {
            sum: cost.unwrap_or_default(),
            known: cost.is_some().into(),
            unknown: (cost.is_none() && spends).into(),
        }
    }

    fn add(&mut self, other: &Self) {
        self.sum = self.sum.saturating_add(other.sum);
        self.known += other.known;
        self.unknown += other.unknown;
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::protocol::Protocol;
    use crate::protocol::model::Fault;

    /// successes, failures, cancelled
    fn told(attempt: &Attempt) -> [u64; 3] {
        let counts = Counts::of_attempt(attempt, None).unwrap();
        let told = [counts.successes, counts.failures, counts.cancelled];
        assert_eq!((counts.ended, told.iter().sum()), (1, 1_u64));
        told
    }

    #[test]
    fn faults_stand_at_their_places() {
        for (place, kind) in FaultKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, place);
            let mut counts = Counts::default();
            counts.fault(Some(*kind));
            assert_eq!(counts.faults().collect::<Vec<_>>(), [(*kind, 1)]);
        }
        assert_eq!(FaultKind::ALL.last(), Some(&FaultKind::Timeout), "the last of them");
    }

    #[test]
    fn attempts_count_by_how_they_went() {
        let attempt = |status: Option<u16>, fault: Option<Fault>| {
            let status = status.map(|status| StatusCode::from_u16(status).unwrap());
            Attempt { status, fault, ..Attempt::default() }
        };
        let upstream =
            |kind: FaultKind| Some(Fault::new(kind, kind.status(), FaultOrigin::Upstream));
        assert_eq!(told(&attempt(Some(200), None)), [1, 0, 0]);
        assert_eq!(told(&attempt(Some(429), None)), [0, 1, 0]);
        assert_eq!(told(&attempt(Some(200), upstream(FaultKind::Overloaded))), [0, 1, 0]);
        assert_eq!(told(&attempt(None, upstream(FaultKind::Transport))), [0, 1, 0]);
        assert_eq!(told(&attempt(Some(200), upstream(FaultKind::ClientCancel))), [0, 0, 1]);
        let ours = |kind| Some(Fault::gateway(kind));
        assert_eq!(told(&attempt(Some(200), ours(FaultKind::ClientCancel))), [0, 0, 1]);
        // An answer that is too large for us was an answer.
        assert_eq!(told(&attempt(Some(502), ours(FaultKind::Upstream))), [0, 1, 0]);
        // One that the deadline cut short was on its way, if not for long.
        let mut late = attempt(None, ours(FaultKind::Timeout));
        late.upstream_protocol = Some(Protocol::Gemini);
        assert_eq!(told(&late), [0, 1, 0]);
        assert_eq!(told(&attempt(None, None)), [0, 0, 1]);
        let mut outrun = attempt(Some(200), upstream(FaultKind::Timeout));
        outrun.outrun = true;
        assert_eq!(told(&outrun), [0, 0, 1]);
    }

    #[test]
    fn what_never_got_there_is_not_counted() {
        use FaultKind::{BadRequest, Overloaded, Timeout, TooLarge};
        let request = Counts { ended: 1, bytes_in: 5, ..Counts::default() };
        for kind in [Overloaded, BadRequest, TooLarge, Timeout] {
            let fault = Some(Fault::gateway(kind));
            for status in [None, Some(kind.status())] {
                let refused = Attempt { status, fault, ..Attempt::default() };
                assert_eq!(Counts::of_attempt(&refused, Some(&request)), None);
            }
        }
    }

    #[test]
    fn an_answering_attempt_has_what_its_request_has() {
        let tokens = Tokens { known: 1, output: 7, ..Tokens::default() };
        let mut request = Counts { ended: 1, bytes_out: 5, tokens, ..Counts::default() };
        request.cancelled = 1;
        request.fault(Some(FaultKind::ClientCancel));
        let attempt = Attempt { status: Some(StatusCode::OK), ..Attempt::default() };
        let counts = Counts::of_attempt(&attempt, Some(&request)).unwrap();
        assert_eq!((counts.bytes_out, counts.tokens), (5, tokens));
        assert_eq!((counts.successes, counts.failures, counts.cancelled), (0, 0, 1));
        assert_eq!(counts.faults().count(), 0);
        // Who leaves an answer that has failed changes nothing.
        let fault = Some(Fault::new(FaultKind::Overloaded, StatusCode::OK, FaultOrigin::Upstream));
        let failed = Counts::of_attempt(&Attempt { fault, ..attempt }, Some(&request)).unwrap();
        assert_eq!((failed.successes, failed.failures, failed.cancelled), (0, 1, 0));
    }

    #[test]
    fn sums_stop_at_the_largest() {
        let tokens = Tokens { known: 1, input: u64::MAX, output: 1, ..Tokens::default() };
        let cost = Costs { sum: Cost::from_nanos(u64::MAX), known: 1, unknown: 0 };
        let one = Counts { tokens, cost, ..Counts::default() };
        let mut sum = one;
        sum.add(&one);
        assert_eq!((sum.tokens.input, sum.tokens.output, sum.tokens.known), (u64::MAX, 2, 2));
        assert_eq!((sum.cost.sum.nanos(), sum.cost.known), (u64::MAX, 2));
    }
}
