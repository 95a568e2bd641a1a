use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{Extensions, HeaderValue, Request, Response, StatusCode, request};
use tokio::time::Instant;

use super::budget::Purse;
use super::layer::{Config, Terminal};
use super::policy::{self, Elsewhere, Next, Repeats};
use crate::body::{Collected, RewriteBody, refuse_with_status};
use crate::context::{Attempt, AttemptId, ChannelId, Exchange, MAX_ATTEMPTS};
use crate::error::TransportKind;
use crate::protocol::model::{ApiError, Fault, FaultKind, FaultOrigin};
use crate::protocol::{Operation, Protocol, Route};

/// A request that can be sent again.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) parts: request::Parts,
    pub(super) body: Collected,
}

impl Kept {
    pub(super) fn request<B>(self) -> Request<RewriteBody<B>> {
        Request::from_parts(self.parts, RewriteBody::collected(self.body))
    }
}

/// An attempt that failed, and what the caller would get of it.
#[derive(Debug)]
struct Failure<R, E> {
    id: AttemptId,
    fault: Fault,
    outcome: Result<R, E>,
}

/// The books of one request: which attempts were made, how they failed, what may follow.
#[derive(Debug)]
pub(super) struct Run<R, E> {
    config: Arc<Config>,
    exchange: Exchange,
    /// The caller's.
    protocol: Protocol,
    repeats: Repeats,
    stream: bool,
    /// `None` where it cannot be sent again.
    kept: Option<Kept>,
    made: Vec<AttemptId>,
    /// How many of them we refused ourselves. No upstream was asked, so they cost nothing.
    refused: usize,
    /// A pause was made before the next attempt.
    paused: bool,
    /// Whether answers take about as long as others.
    timed: bool,
    purse: Purse,
    deadline: Option<Instant>,
    last: Option<(AttemptId, Fault)>,
    /// The most telling one. Boxed, as it is large and seldom.
    failure: Option<Box<Failure<R, E>>>,
    /// The shortest time that one of the failed upstreams asked for.
    retry_after: Option<Duration>,
}

impl<C, E> Run<Response<C>, E> {
    /// Begins. What is not `kept` has one attempt.
    pub(super) fn new(
        config: Arc<Config>,
        exchange: Exchange,
        route: Route,
        repeats: Repeats,
        kept: Option<Kept>,
    ) -> Self {
        if let Some(budget) = &config.budget {
            budget.deposit();
        }
        let stream = exchange.update(|facts| {
            facts.replayable = Some(kept.is_some());
            facts.request.as_ref().is_some_and(|request| request.stream)
        });
        Self {
            deadline: config.deadline.and_then(|limit| Instant::now().checked_add(limit)),
            purse: Purse::new(config.budget.clone()),
            config,
            exchange,
            protocol: route.protocol,
            timed: route.operation == Operation::Generate,
            repeats,
            stream,
            kept,
            made: Vec::new(),
            refused: 0,
            paused: false,
            last: None,
            failure: None,
            retry_after: None,
        }
    }

    /// When the commit point must be reached.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The request of a further attempt, if there can be one.
    pub(super) fn request<B>(&self) -> Option<Request<RewriteBody<B>>> {
        self.kept.clone().map(Kept::request)
    }

    /// Begins an attempt of a request with these extensions.
    pub(super) fn begin(&mut self, extensions: &mut Extensions) -> AttemptId {
        let id = self.exchange.begin_attempt(extensions);
        self.made.push(id);
        let may_repeat = self.may_follow()
            && self.repeats == Repeats::Always
            && self.deadline.is_none_or(|deadline| Instant::now() < deadline)
            && self.purse.could_pay();
        let may_return = std::mem::take(&mut self.paused);
        self.exchange.update(|facts| {
            // One that is still on its way beside this one is not repeated either.
            for made in &self.made {
                if let Some(attempt) = facts.attempts.get_mut(made.index()) {
                    attempt.may_repeat &= may_repeat;
                }
            }
            if let Some(attempt) = facts.attempts.get_mut(id.index()) {
                (attempt.may_repeat, attempt.may_return) = (may_repeat, may_return);
            }
        });
        id
    }

    /// Whether the request may be sent once more, as far as attempts are counted.
    fn may_follow(&self) -> bool {
        let made = self.made.len();
        self.kept.is_some()
            && made < MAX_ATTEMPTS
            && made.saturating_sub(self.refused) < self.config.max_attempts
    }

    /// How long to wait for the attempt that begins now until a second one is started beside it.
    pub(super) fn hedge_delay(&self) -> Option<Duration> {
        let latencies = self.config.latencies.as_ref()?;
        let may_hedge = self.may_follow() && self.timed && self.repeats == Repeats::Always;
        may_hedge.then(|| latencies.delay(self.stream, Instant::now()))?
    }

    /// Whether a second attempt may start beside this one, which is slow. Pays for it.
    pub(super) fn may_hedge(&mut self, slow: AttemptId) -> bool {
        self.elsewhere(slow, None) != Elsewhere::Nowhere && self.may_follow() && self.purse.pay()
    }

    /// An answer is here, and these attempts are dropped for it.
    pub(super) fn outrun(&self, flying: impl Iterator<Item = AttemptId>) {
        flying.for_each(|id| self.exchange.update_attempt(id, |attempt| attempt.outrun = true));
    }

    /// How an attempt ended: the answer, if it is one for the caller.
    pub(super) fn landed(
        &mut self,
        id: AttemptId,
        began: Instant,
        outcome: Result<Response<C>, E>,
    ) -> Option<Result<Response<RewriteBody<C>>, E>> {
        let fault = fault_of(&outcome);
        let status = outcome.as_ref().ok().map(Response::status);
        self.exchange.update_attempt(id, |attempt| {
            attempt.status = attempt.status.or(status);
            attempt.fault = attempt.fault.or(fault);
        });
        match fault {
            Some(fault) if fault.moves_on => {
                self.remember(id, fault, outcome);
                None
            }
            Some(fault) => {
                self.chosen(id);
                self.exchange.update(|facts| facts.fault = facts.fault.or(Some(fault)));
                Some(passed(outcome))
            }
            None => {
                self.chosen(id);
                if let Some(latencies) = self.config.latencies.as_ref().filter(|_| self.timed) {
                    let now = Instant::now();
                    latencies.record(self.stream, now.saturating_duration_since(began), now);
                }
                Some(passed(outcome))
            }
        }
    }

    /// The answer of this attempt is the caller's: what another one asked beside it is forgotten.
    fn chosen(&self, id: AttemptId) {
        self.exchange.update(|facts| {
            let Some(attempt) = facts.attempts.get_mut(id.index()) else { return };
            attempt.chosen = true;
            if attempt.upstream_protocol.is_some() {
                facts.upstream_protocol = attempt.upstream_protocol;
                facts.provider.clone_from(&attempt.provider);
                facts.upstream_model.clone_from(&attempt.upstream_model);
            }
        });
    }

    fn remember(&mut self, id: AttemptId, fault: Fault, outcome: Result<Response<C>, E>) {
        tracing::warn!(
            attempt = self.made.len(),
            channel = self
                .read(id, |attempt| attempt.channel.clone())
                .flatten()
                .as_ref()
                .map(ChannelId::as_str),
            fault = fault.kind.as_str(),
            "attempt failed"
        );
        self.forget();
        self.refused += usize::from(fault.origin == FaultOrigin::Gateway);
        self.last = Some((id, fault));
        let waits = [self.retry_after, fault.retry_after];
        self.retry_after = waits.into_iter().flatten().min();
        let weight = policy::weight(&fault);
        if self.failure.as_ref().is_none_or(|known| policy::weight(&known.fault) <= weight) {
            self.failure = Some(Box::new(Failure { id, fault, outcome }));
        }
    }

    /// What the answer of a failed attempt said is not what the caller will see.
    fn forget(&self) {
        self.exchange.update(|facts| {
            (facts.fault, facts.usage, facts.stop) = (None, None, None);
            (facts.response_model, facts.first_event) = (None, false);
        });
    }

    /// The inner service broke before it could be called once more.
    pub(super) fn broke(&mut self, error: E) {
        self.kept = None;
        let outcome = Err(error);
        if let (Some(fault), Some((id, _))) = (fault_of(&outcome), self.last) {
            self.remember(id, fault, outcome);
        }
    }

    /// What follows, once no attempt is on its way. Pays for a repeat.
    pub(super) fn next(&mut self) -> Next {
        let Some((id, fault)) = self.last.filter(|(_, fault)| self.repeats.after(fault)) else {
            return Next::Stop;
        };
        if !self.may_follow() {
            return Next::Stop;
        }
        let repeats = self.made.len().saturating_sub(self.refused + 1);
        let repeats = u32::try_from(repeats).unwrap_or(u32::MAX);
        let elsewhere = self.elsewhere(id, Some(&fault));
        let next = policy::next(&fault, elsewhere, self.config.backoff, repeats, fastrand::f64());
        let pause = match next {
            Next::Stop => return Next::Stop,
            Next::Now => Duration::ZERO,
            Next::After(pause) => pause,
        };
        let left = self.deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left <= pause) {
            return Next::Stop;
        }
        // What we refused reached no upstream: the attempt that was paid is still to be made.
        let is_paid = fault.origin == FaultOrigin::Gateway;
        if !is_paid && !self.purse.pay() {
            return Next::Stop;
        }
        self.paused = matches!(next, Next::After(_));
        next
    }

    /// The answer where no further attempt follows.
    pub(super) fn last_answer(&mut self) -> Result<Response<RewriteBody<C>>, E> {
        if let Some(failure) = self.failure.take() {
            let Failure { id, fault, outcome } = *failure;
            // A single refusal says all that there is to say.
            let tells = fault.origin == FaultOrigin::Upstream || self.made.len() == 1;
            // It is about the request, and every upstream was one for which we refused it.
            let refused = policy::refuses_request(&fault);
            if refused || tells && self.config.terminal == Terminal::Upstream {
                self.chosen(id);
                self.exchange.update(|facts| facts.fault = Some(fault));
                let mut answer = passed(outcome);
                if let (Ok(response), Some(wait)) = (&mut answer, self.retry_after) {
                    let wait = HeaderValue::from(wait.as_secs_f64().ceil() as u64);
                    response.headers_mut().entry(RETRY_AFTER).or_insert(wait);
                }
                return answer;
            }
        }
        Ok(self.refuse(FaultKind::Overloaded, StatusCode::SERVICE_UNAVAILABLE))
    }

    /// The deadline has passed while these attempts were on their way.
    pub(super) fn too_late(&self, flying: impl Iterator<Item = (AttemptId, Instant)>) {
        let kind = FaultKind::Timeout;
        let attempts = u32::try_from(self.config.max_attempts).unwrap_or(u32::MAX);
        let share = self.config.deadline.unwrap_or_default() / attempts.max(1);
        for (id, began) in flying {
            // The guards of its key and its channel read this as they are dropped with it.
            let fault = if began.elapsed() >= share {
                Fault::new(kind, kind.status(), FaultOrigin::Transport)
            } else {
                Fault::gateway(kind)
            };
            self.exchange.update_attempt(id, |attempt| {
                attempt.fault.get_or_insert(fault);
            });
        }
    }

    /// The answer where the deadline has passed, and the attempts on their way are dropped.
    pub(super) fn late_answer(&mut self) -> Result<Response<RewriteBody<C>>, E> {
        self.forget();
        if self.failure.is_some() {
            return self.last_answer();
        }
        Ok(self.refuse(FaultKind::Timeout, StatusCode::GATEWAY_TIMEOUT))
    }

    fn refuse(&self, kind: FaultKind, status: StatusCode) -> Response<RewriteBody<C>> {
        let (status, message) = match self.config.terminal {
            Terminal::Upstream => (status, self.tried()),
            Terminal::Generic => (
                StatusCode::SERVICE_UNAVAILABLE,
                "all upstream channels are currently unavailable".to_owned(),
            ),
        };
        let mut error = ApiError::new(kind, message);
        error.retry_after = self.retry_after;
        let response = refuse_with_status(Some(self.protocol), status, &error);
        let fault = response.extensions().get::<Fault>().copied();
        self.exchange.update(|facts| facts.fault = fault);
        response
    }

    /// What was tried, in words for the caller: channels and kinds of faults, never keys.
    fn tried(&self) -> String {
        let mut text = String::from("no upstream gave an answer; tried");
        for (number, id) in self.made.iter().enumerate() {
            self.read(*id, |attempt| {
                let comma = if number == 0 { "" } else { "," };
                let channel = attempt.channel.as_ref().map_or("upstream", |id| id.as_str());
                let fault = attempt.fault.map_or("no answer", |fault| fault.kind.as_str());
                // Writing to a string cannot fail.
                let _ = write!(text, "{comma} {channel}: {fault}");
            });
        }
        text
    }

    fn elsewhere(&self, id: AttemptId, fault: Option<&Fault>) -> Elsewhere {
        let elsewhere = self.read(id, |attempt| Elsewhere::of(attempt, fault));
        elsewhere.unwrap_or(Elsewhere::Nowhere)
    }

    fn read<T>(&self, id: AttemptId, read: impl FnOnce(&Attempt) -> T) -> Option<T> {
        self.exchange.read(|facts| facts.attempts.get(id.index()).map(read))
    }
}

fn passed<C, E>(outcome: Result<Response<C>, E>) -> Result<Response<RewriteBody<C>>, E> {
    outcome.map(|response| response.map(RewriteBody::untouched))
}

/// The fault that an inner layer found, else what the head of the answer tells.
fn fault_of<C, E>(outcome: &Result<Response<C>, E>) -> Option<Fault> {
    match outcome {
        Ok(response) => Fault::of_response(response),
        Err(_) => Some(Fault::transport(TransportKind::Other)),
    }
}
