//! What one attempt comes to: reads the answer as it passes, and writes into the exchange.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode};

use crate::body::{JSON, is_encoded, is_event_stream, media_type};
use crate::context::{Attempt, AttemptId, Exchange};
use crate::error::TransportKind;
use crate::protocol::Protocol;
use crate::protocol::classify::{Classify, Evidence};
use crate::protocol::model::{Fault, FaultOrigin, Usage};
use crate::protocol::scan::Observer;

/// Watches one attempt. Dropped before the answer has ended, it takes the client for gone.
pub(super) struct Watch {
    classify: Arc<dyn Classify>,
    exchange: Exchange,
    attempt: AttemptId,
    /// What the upstream speaks.
    protocol: Option<Protocol>,
    /// The protocol of the answer, where a model is to answer.
    answers: Option<Protocol>,
    reading: Reading,
    holding: bool,
    ended: bool,
    fault: Option<Fault>,
    /// Whether the exchange knows of the fault.
    published: bool,
    /// Whether somebody reads this answer, and not another one in its place.
    read: bool,
    told: Told,
}

/// What the exchange knows of an answer that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Nothing,
    FirstEvent,
    All,
}

enum Reading {
    /// What passes is of no interest.
    Nothing,
    /// The body of an error is to be classified.
    Error,
    Events(Observer),
    Document(Observer),
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// All of the body is there.
    Whole,
    /// The call failed, or the body did.
    Broken(TransportKind),
    /// Nobody reads on.
    Left,
}

impl Watch {
    pub(super) fn new(
        classify: Arc<dyn Classify>,
        (exchange, attempt): (Exchange, AttemptId),
        protocol: Option<Protocol>,
        answers: Option<Protocol>,
    ) -> Self {
        Self {
            classify,
            exchange,
            attempt,
            protocol,
            answers,
            reading: Reading::Nothing,
            holding: false,
            ended: false,
            fault: None,
            published: false,
            read: false,
            told: Told::Nothing,
        }
    }

    /// The headers of the answer are here. Whether its body is to be held.
    pub(super) fn answered<B>(&mut self, response: &Response<B>) -> bool {
        let (status, headers) = (response.status(), response.headers());
        self.exchange.update_attempt(self.attempt, |attempt| attempt.status = Some(status));
        if let Some(fault) = response.extensions().get::<Fault>() {
            self.found(*fault);
        } else if is_failure(status) && is_encoded(headers) {
            self.blame_answer(status, headers, None);
        } else if is_failure(status) {
            self.reading = Reading::Error;
        } else if let Some(protocol) = self.answers.filter(|_| is_answer(status, headers)) {
            if is_event_stream(headers) {
                self.reading = Reading::Events(Observer::events(protocol));
            } else if media_type(headers) == JSON {
                self.reading = Reading::Document(Observer::document(protocol));
            }
        }
        self.holding = match &self.reading {
            Reading::Nothing => false,
            Reading::Error => true,
            Reading::Events(_) | Reading::Document(_) => self.has_alternative(),
        };
        self.holding
    }

    /// Whether what is in the answer is left in the exchange.
    pub(super) fn is_observing(&self) -> bool {
        matches!(self.reading, Reading::Events(_) | Reading::Document(_))
    }

    /// Whether holding on would tell no more.
    pub(super) fn is_settled(&self) -> bool {
        self.ended
            || self.fault.is_some()
            || match &self.reading {
                Reading::Nothing => true,
                Reading::Error => false,
                Reading::Events(scan) | Reading::Document(scan) => {
                    scan.observed().first_event || scan.is_complete()
                }
            }
    }

    /// A piece of the body came.
    pub(super) fn data(&mut self, data: &Bytes) {
        if let Reading::Events(scan) | Reading::Document(scan) = &mut self.reading {
            scan.push(data);
            self.look();
        }
    }

    /// The attempt has ended. Only the first end counts.
    pub(super) fn end(&mut self, end: End) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let Reading::Events(scan) | Reading::Document(scan) = &mut self.reading {
            scan.finish();
            self.look();
        }
        // What was in an answer that nobody gets is not to stand for the one that was faster.
        if self.read && !self.was_outrun() {
            self.tell();
        }
        let evidence = match end {
            End::Whole if self.is_complete() => return,
            // What is wrong with an error its status tells.
            End::Whole | End::Broken(_) if matches!(self.reading, Reading::Error) => return,
            End::Whole => Evidence::Truncated,
            End::Broken(kind) => Evidence::Transport(kind),
            End::Left if self.was_read() || self.was_outrun() => return,
            End::Left => Evidence::ClientLeft,
        };
        self.blame(&evidence);
    }

    /// Holding is over: `held` is what was read of the body. The fault that was found.
    pub(super) fn settle<'h>(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        held: impl Iterator<Item = &'h Bytes>,
    ) -> Option<Fault> {
        self.holding = false;
        match &self.reading {
            Reading::Error => self.blame_answer(status, headers, Some(&joined(held))),
            Reading::Document(scan) if scan.observed().error.is_some() => {
                let data = &joined(held);
                self.blame(&Evidence::InBand { protocol: self.answers, data });
            }
            _ => {}
        }
        self.fault
    }

    /// The fault that was found so far.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Somebody reads this answer: what is in it the exchange is to know, and what is wrong in it is
    /// the exchange's fault too.
    pub(super) fn publish(&mut self) {
        self.read = true;
        self.tell();
        let Some(fault) = self.fault else { return };
        if self.is_observing() && !std::mem::replace(&mut self.published, true) {
            self.exchange.update(|facts| {
                facts.fault.get_or_insert(fault);
            });
        }
    }

    /// Leaves in the exchange that the first event has passed, and at the end all that was seen.
    fn tell(&mut self) {
        let (Reading::Events(scan) | Reading::Document(scan)) = &self.reading else { return };
        let observed = scan.observed();
        let known = match (self.ended, observed.first_event) {
            (true, _) => Told::All,
            (false, true) => Told::FirstEvent,
            (false, false) => Told::Nothing,
        };
        if known <= self.told {
            return;
        }
        self.told = known;
        self.exchange.update(|facts| {
            facts.first_event |= observed.first_event;
            if known == Told::All {
                facts.usage = observed.usage.as_ref().map(Usage::counts).or(facts.usage.take());
                facts.stop = observed.stop.or(facts.stop);
                facts.response_model.clone_from(&observed.model);
            }
        });
    }

    /// Looks whether the answer says that something went wrong.
    fn look(&mut self) {
        let fault = match &self.reading {
            Reading::Events(scan) | Reading::Document(scan) => scan.observed().error,
            Reading::Nothing | Reading::Error => None,
        };
        let Some(kind) = fault.filter(|_| self.fault.is_none()) else { return };
        match &mut self.reading {
            Reading::Events(scan) if scan.error_event().is_some() => {
                let event = scan.error_event().unwrap_or_default().to_owned();
                let evidence = Evidence::InBand { protocol: self.answers, data: event.as_bytes() };
                self.blame(&evidence);
            }
            // What is held can be read as a whole.
            Reading::Document(_) if self.holding => {}
            _ => self.found(Fault::new(kind, kind.status(), FaultOrigin::Upstream)),
        }
    }

    fn blame_answer(&mut self, status: StatusCode, headers: &HeaderMap, body: Option<&[u8]>) {
        let protocol = self.protocol;
        self.blame(&Evidence::Answer { protocol, status, headers, body });
    }

    fn blame(&mut self, evidence: &Evidence<'_>) {
        if self.fault.is_none() {
            if let Some(fault) = self.classify.classify(evidence) {
                self.found(fault);
            }
        }
    }

    fn found(&mut self, fault: Fault) {
        self.fault = Some(fault);
        self.exchange.update_attempt(self.attempt, |attempt| {
            attempt.fault.get_or_insert(fault);
        });
    }

    fn has_alternative(&self) -> bool {
        self.exchange.read(|facts| {
            facts.attempts.get(self.attempt.index()).is_some_and(Attempt::has_alternative)
        })
    }

    /// Whether the answer is there to its end, as far as anybody can tell.
    fn is_complete(&self) -> bool {
        match &self.reading {
            Reading::Nothing => true,
            Reading::Error => false,
            Reading::Events(scan) | Reading::Document(scan) => scan.is_complete(),
        }
    }

    /// Whether it was dropped because another attempt was faster.
    fn was_outrun(&self) -> bool {
        let outrun = |attempt: &Attempt| attempt.outrun;
        self.exchange.read(|facts| facts.attempts.get(self.attempt.index()).is_some_and(outrun))
    }

    /// Whether a reader that leaves has all that it can want.
    fn was_read(&self) -> bool {
        match &self.reading {
            Reading::Nothing => false,
            Reading::Error => !self.holding,
            Reading::Events(scan) | Reading::Document(scan) => scan.is_complete(),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end(End::Left);
    }
}

/// Whether a status may tell of a fault; what is only informational is followed by no body.
fn is_failure(status: StatusCode) -> bool {
    !status.is_success() && !status.is_informational()
}

/// Whether a good answer can be read.
fn is_answer(status: StatusCode, headers: &HeaderMap) -> bool {
    status.is_success() && status != StatusCode::NO_CONTENT && !is_encoded(headers)
}

fn joined<'h>(mut held: impl Iterator<Item = &'h Bytes>) -> Bytes {
    let (first, second) = (held.next(), held.next());
    match (first, second) {
        (Some(first), Some(second)) => {
            let mut whole = BytesMut::from(&first[..]);
            whole.extend_from_slice(second);
            held.for_each(|piece| whole.extend_from_slice(piece));
            whole.freeze()
        }
        (first, _) => first.cloned().unwrap_or_default(),
    }
}
