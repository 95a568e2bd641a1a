//! The guard of one request, from its arrival to the last byte of its answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};

use super::capture::Capture;
use super::counters::Shared;
use super::names::{MAX_MODEL, cut};
use super::record::{Live, Record};
use crate::body::{BodyEnd, JSON, Observe, is_encoded, is_event_stream, media_type};
use crate::context::{Exchange, ExchangeFacts};
use crate::protocol::model::{Fault, FaultKind, Usage};
use crate::protocol::scan::Observer;
use crate::protocol::{Operation, Protocol, Route};

/// Counts the bytes of a request body.
#[derive(Debug)]
pub struct RequestObserver {
    shared: Arc<Shared>,
    live: Arc<Live>,
}

impl Observe for RequestObserver {
    fn data(&mut self, data: &Bytes) {
        self.live.bytes_in.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.live.moved(self.shared.clock.now());
    }

    fn end(&mut self, _end: BodyEnd) {}
}

/// Watches one answer and writes it into the books when it ends, whichever way it does.
#[derive(Debug)]
pub struct ResponseObserver {
    shared: Arc<Shared>,
    live: Arc<Live>,
    exchange: Exchange,
    status: Option<StatusCode>,
    /// As an inner layer classified it.
    fault: Option<FaultKind>,
    headers: Option<Duration>,
    first_event: Option<Duration>,
    scan: Option<Observer>,
    /// A stream has a first event that is worth a time.
    stream: bool,
    /// Whether the body of an error is kept.
    capture: bool,
    error_body: Option<Capture>,
    written: bool,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Whole,
    /// The answer broke off.
    Broken,
    /// The inner service gave an error instead of an answer.
    Refused,
    /// The client left.
    Left,
}

impl ResponseObserver {
    /// Enters a request into the books.
    pub(super) fn begin<B>(
        shared: Arc<Shared>,
        capture: bool,
        request: &mut Request<B>,
    ) -> (Self, RequestObserver) {
        let path = request.uri().path();
        let route = Route::detect(request.method(), path, request.headers());
        let live = shared.begin(request.method(), path, route);
        let exchange = Exchange::of(request.extensions_mut());
        if let Some(route) = route {
            exchange.update(|facts| facts.client_protocol.get_or_insert(route.protocol).to_owned());
        }
        let request_observer = RequestObserver { shared: shared.clone(), live: live.clone() };
        let observer = Self {
            shared,
            live,
            exchange,
            status: None,
            fault: None,
            headers: None,
            first_event: None,
            scan: None,
            stream: false,
            capture,
            error_body: None,
            written: false,
        };
        (observer, request_observer)
    }

    /// The headers of the answer are here.
    pub(super) fn answered<B>(&mut self, response: &Response<B>) {
        let now = self.shared.clock.now();
        self.live.moved(now);
        self.headers = Some(now.saturating_sub(self.live.started));
        let status = response.status();
        self.status = Some(status);
        self.fault = response.extensions().get::<Fault>().map(|fault| fault.kind);
        if is_encoded(response.headers()) {
            return;
        }
        if self.capture && status.as_u16() >= 400 {
            self.error_body = Some(Capture::default());
        }
        if let Some(Route { protocol, operation: Operation::Generate }) = self.live.route {
            self.scan = scan(protocol, response.headers());
            self.stream = is_event_stream(response.headers());
        }
    }

    /// The inner service gave an error.
    pub(super) fn refused(mut self) {
        self.write(End::Refused);
    }

    fn write(&mut self, end: End) {
        if std::mem::replace(&mut self.written, true) {
            return;
        }
        if let Some(scan) = &mut self.scan {
            scan.finish();
        }
        let exchange = self.exchange.clone();
        let record = exchange.read(|facts| self.record(end, facts));
        let content = self.error_body.take().and_then(Capture::text);
        self.shared.end(record, content);
    }

    fn record(&self, end: End, facts: &ExchangeFacts) -> Record {
        let observed = self.scan.as_ref().map(Observer::observed);
        let fault = self.fault_of(end, facts);
        let model = facts
            .upstream_model
            .as_ref()
            .or_else(|| facts.request.as_ref()?.model.as_ref())
            .or_else(|| observed?.model.as_ref());
        Record {
            live: self.live.clone(),
            status: self.status,
            fault,
            error: self.error(end, fault),
            cancelled: end == End::Left,
            headers: self.headers,
            first_event: self.first_event,
            total: self.shared.clock.now().saturating_sub(self.live.started),
            model: model.map(short),
            principal: facts.principal.clone(),
            attempts: facts.attempts.len(),
            usage: facts.usage.as_ref().or_else(|| observed?.usage.as_ref()).map(Usage::counts),
        }
    }

    /// What an inner layer said comes before what the bytes say, and that before the status.
    fn fault_of(&self, end: End, facts: &ExchangeFacts) -> Option<FaultKind> {
        let seen = || self.scan.as_ref().and_then(|scan| scan.observed().error);
        let by_status = || self.status.filter(|s| s.as_u16() >= 400).map(FaultKind::from_status);
        let by_end = || match end {
            End::Whole => None,
            End::Broken | End::Refused => Some(FaultKind::Transport),
            End::Left => Some(FaultKind::ClientCancel),
        };
        let within = self.fault.or_else(|| facts.fault.map(|fault| fault.kind));
        within.or_else(seen).or_else(by_status).or_else(by_end)
    }

    /// Why it counts as failed, in words that hold nothing of anybody's.
    fn error(&self, end: End, fault: Option<FaultKind>) -> Option<String> {
        if let Some(status) = self.status.filter(|status| status.as_u16() >= 400) {
            let reason = status.canonical_reason().unwrap_or_default();
            return Some(format!("HTTP {}: {reason}", status.as_u16()).trim_end().to_owned());
        }
        match (end, fault) {
            (End::Refused, _) => Some("the service failed".to_owned()),
            (End::Broken, _) => Some("the answer broke off".to_owned()),
            (_, Some(kind)) if kind != FaultKind::ClientCancel => {
                Some(format!("error within the answer: {}", kind.as_str()))
            }
            _ => None,
        }
    }

    /// A server does not read the body of these.
    fn has_no_body(&self) -> bool {
        self.live.method == Method::HEAD
            || matches!(self.status, Some(StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED))
    }
}

impl Observe for ResponseObserver {
    fn data(&mut self, data: &Bytes) {
        let now = self.shared.clock.now();
        self.live.moved(now);
        self.live.bytes_out.fetch_add(data.len() as u64, Ordering::Relaxed);
        if let Some(capture) = &mut self.error_body {
            capture.data(data);
        }
        if let Some(scan) = &mut self.scan {
            scan.push(data);
            if self.stream && self.first_event.is_none() && scan.observed().first_event {
                self.first_event = Some(now.saturating_sub(self.live.started));
            }
        }
    }

    fn end(&mut self, end: BodyEnd) {
        self.write(match end {
            BodyEnd::Complete | BodyEnd::Declared => End::Whole,
            BodyEnd::Failed => End::Broken,
            BodyEnd::Dropped if self.has_no_body() => End::Whole,
            BodyEnd::Dropped => End::Left,
        });
    }
}

impl Drop for ResponseObserver {
    /// Dropped before its body ended: within the future, before there was an answer.
    fn drop(&mut self) {
        self.write(End::Left);
    }
}

fn short(model: &Arc<str>) -> Arc<str> {
    match cut(model, MAX_MODEL) {
        whole if whole.len() == model.len() => model.clone(),
        short => short.into(),
    }
}

fn scan(protocol: Protocol, headers: &HeaderMap) -> Option<Observer> {
    if is_event_stream(headers) {
        return Some(Observer::events(protocol));
    }
    let json = media_type(headers) == JSON;
    json.then(|| Observer::document(protocol))
}
