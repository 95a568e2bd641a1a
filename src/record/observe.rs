//! The guard of one request, from its arrival to the last byte of its answer.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

use super::capture::Capture;
use super::layer::{Keep, Shared};
use super::names::{MAX_PATH, cut, short_method, short_model};
use super::{Begun, Clock, End, Record, Sink};
use crate::body::{BodyEnd, JSON, Observe, is_encoded, is_event_stream, media_type};
use crate::context::{Attempt, Exchange, ExchangeFacts, Observed, RequestId};
use crate::protocol::model::{Fault, FaultKind, FaultOrigin, Usage};
use crate::protocol::scan::Observer;
use crate::protocol::{Operation, Protocol, Route};
use crate::redact;

/// What is kept of a request's body; the guard of the answer takes it.
type Shelf = Arc<Mutex<Capture>>;

/// Counts the bytes of a request body.
#[derive(Debug)]
pub struct RequestObserver {
    clock: Clock,
    begun: Arc<Begun>,
    kept: Option<Shelf>,
}

impl Observe for RequestObserver {
    fn data(&mut self, data: &Bytes) {
        self.begun.bytes_in.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.begun.moved(self.clock.now());
        if let Some(kept) = &self.kept {
            kept.lock().unwrap_or_else(PoisonError::into_inner).data(data);
        }
    }

    fn end(&mut self, _end: BodyEnd) {}
}

/// Watches one answer and tells the sink when it has ended, whichever way it does.
pub(super) struct ResponseObserver<K: Sink> {
    shared: Arc<Shared<K>>,
    begun: Arc<Begun>,
    /// What the sink keeps. None once it was told of the end.
    open: Option<K::Open>,
    exchange: Exchange,
    keep: Keep,
    status: Option<StatusCode>,
    /// As an inner layer classified it.
    fault: Option<FaultKind>,
    headers: Option<Duration>,
    first_event: Option<Duration>,
    reading: Reading,
    /// A stream has a first event that is worth a time.
    stream: bool,
    request_body: Option<Kept<Shelf>>,
    error_body: Option<Capture>,
    response_body: Option<Kept<Capture>>,
}

/// Part of a body, and what the headers say of it.
struct Kept<C> {
    capture: C,
    content_type: Option<HeaderValue>,
}

/// Who reads the answer as it passes.
enum Reading {
    /// Nobody: there is nothing in it that we could read.
    None,
    /// A layer inside, which leaves what it finds in the exchange.
    Inside,
    Here(Box<Observer>),
}

impl<K: Sink> ResponseObserver<K> {
    /// A request has arrived.
    pub(super) fn begin<B>(
        shared: &Arc<Shared<K>>,
        keep: Keep,
        request: &mut Request<B>,
    ) -> (Self, RequestObserver) {
        let begun = Arc::new(begin(shared, request));
        let exchange = Exchange::of(request.extensions_mut());
        if let Some(route) = begun.route {
            exchange.update(|facts| {
                facts.client_protocol.get_or_insert(route.protocol);
            });
        }
        let request_body = (keep.bodies > 0 && !is_encoded(request.headers())).then(|| Kept {
            capture: Arc::new(Mutex::new(Capture::new(keep.bodies))),
            content_type: request.headers().get(header::CONTENT_TYPE).cloned(),
        });
        let observer = RequestObserver {
            clock: shared.clock.clone(),
            begun: begun.clone(),
            kept: request_body.as_ref().map(|kept| kept.capture.clone()),
        };
        let open = shared.sink.begun(&begun, request.headers_mut());
        let response = Self {
            shared: shared.clone(),
            begun,
            open: Some(open),
            exchange,
            keep,
            status: None,
            fault: None,
            headers: None,
            first_event: None,
            reading: Reading::None,
            stream: false,
            request_body,
            error_body: None,
            response_body: None,
        };
        (response, observer)
    }

    pub(super) fn begun(&self) -> &Begun {
        &self.begun
    }

    /// The headers of the answer are here.
    pub(super) fn answered<B>(&mut self, response: &mut Response<B>) {
        let now = self.shared.clock.now();
        self.begun.moved(now);
        self.headers = Some(now.saturating_sub(self.begun.started));
        let status = response.status();
        self.status = Some(status);
        self.fault = response.extensions().get::<Fault>().map(|fault| fault.kind);
        if !is_encoded(response.headers()) {
            self.read(response);
        }
        if let Some(open) = &mut self.open {
            self.shared.sink.answered(open, status);
        }
    }

    fn read<B>(&mut self, response: &mut Response<B>) {
        let headers = response.headers();
        if self.keep.errors > 0 && response.status().as_u16() >= 400 {
            self.error_body = Some(Capture::new(self.keep.errors));
        }
        if self.keep.bodies > 0 {
            let content_type = headers.get(header::CONTENT_TYPE).cloned();
            self.response_body =
                Some(Kept { capture: Capture::new(self.keep.bodies), content_type });
        }
        let Some(Route { protocol, operation: Operation::Generate }) = self.begun.route else {
            return;
        };
        self.stream = is_event_stream(headers);
        if response.extensions().get::<Observed>().is_some() {
            self.reading = Reading::Inside;
        } else if let Some(scan) = scan(protocol, headers) {
            self.reading = Reading::Here(Box::new(scan));
            response.extensions_mut().insert(Observed);
        }
    }

    /// The inner service gave an error.
    pub(super) fn refused(mut self) {
        self.tell(End::Refused);
    }

    fn tell(&mut self, end: End) {
        let Some(open) = self.open.take() else { return };
        if let Reading::Here(scan) = &mut self.reading {
            scan.finish();
            leave(scan, &self.exchange);
        }
        let bodies = (self.request_body.take(), self.response_body.take());
        let error_body = self.error_body.take().and_then(Capture::text);
        let exchange = self.exchange.clone();
        let mut record = exchange.read(|facts| self.record(end, facts));
        record.error_body = error_body.map(|text| record.without_keys(&text).into());
        record.request_body = bodies.0.and_then(|kept| {
            let mut capture = kept.capture.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *capture, Capture::new(0)).body(kept.content_type)
        });
        record.response_body = bodies.1.and_then(|kept| kept.capture.body(kept.content_type));
        self.shared.sink.ended(open, &Arc::new(record));
    }

    fn record(&self, end: End, facts: &ExchangeFacts) -> Record {
        let fault = self.fault_of(end, facts);
        let requested = facts.request.as_ref().and_then(|request| request.model.as_ref());
        let response_model = facts.response_model.as_ref();
        let model = facts.upstream_model.as_ref().or(requested).or(response_model);
        Record {
            begun: self.begun.clone(),
            end,
            status: self.status,
            fault,
            error: self.error(end, fault),
            headers: self.headers,
            first_event: self.first_event,
            total: self.shared.clock.now().saturating_sub(self.begun.started),
            stream: self.stream,
            requested_model: requested.map(short_model),
            model: model.map(short_model),
            response_model: response_model.map(short_model),
            principal: facts.principal.clone(),
            upstream_protocol: facts.upstream_protocol,
            provider: facts.provider.clone(),
            usage: facts.usage.as_ref().map(Usage::counts),
            stop: facts.stop,
            attempts: facts.attempts.iter().map(short_attempt).collect(),
            error_body: None,
            request_body: None,
            response_body: None,
        }
    }

    /// What an inner layer said comes before what the bytes say, and that before the status.
    fn fault_of(&self, end: End, facts: &ExchangeFacts) -> Option<FaultKind> {
        let by_status = || self.status.filter(|s| s.as_u16() >= 400).map(FaultKind::from_status);
        let by_end = || match end {
            End::Whole => None,
            End::Broken | End::Refused => Some(FaultKind::Transport),
            End::Left => Some(FaultKind::ClientCancel),
        };
        let within = self.fault.or_else(|| facts.fault.map(|fault| fault.kind));
        within.or_else(by_status).or_else(by_end)
    }

    fn error(&self, end: End, fault: Option<FaultKind>) -> Option<Cow<'static, str>> {
        if let Some(status) = self.status.filter(|status| status.as_u16() >= 400) {
            let reason = status.canonical_reason().unwrap_or_default();
            return Some(
                format!("HTTP {}: {reason}", status.as_u16()).trim_end().to_owned().into(),
            );
        }
        match (end, fault) {
            (End::Refused, _) => Some("the service failed".into()),
            (End::Broken, _) => Some("the answer broke off".into()),
            (_, Some(kind)) if kind != FaultKind::ClientCancel => {
                Some(format!("error within the answer: {}", kind.as_str()).into())
            }
            _ => None,
        }
    }

    /// A server does not read the body of these.
    fn has_no_body(&self) -> bool {
        self.begun.method == Method::HEAD
            || matches!(self.status, Some(StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED))
    }

    /// Whether a meaningful event has passed.
    fn saw_event(&self) -> bool {
        match &self.reading {
            Reading::None => false,
            Reading::Inside => self.exchange.read(|facts| facts.first_event),
            Reading::Here(scan) => scan.observed().first_event,
        }
    }
}

impl<K: Sink> Observe for ResponseObserver<K> {
    fn data(&mut self, data: &Bytes) {
        let now = self.shared.clock.now();
        self.begun.moved(now);
        self.begun.bytes_out.fetch_add(data.len() as u64, Ordering::Relaxed);
        if let Some(capture) = &mut self.error_body {
            capture.data(data);
        }
        if let Some(kept) = &mut self.response_body {
            kept.capture.data(data);
        }
        if let Reading::Here(scan) = &mut self.reading {
            scan.push(data);
        }
        if self.stream && self.first_event.is_none() && self.saw_event() {
            self.first_event = Some(now.saturating_sub(self.begun.started));
            self.exchange.update(|facts| facts.first_event = true);
        }
    }

    fn end(&mut self, end: BodyEnd) {
        self.tell(match end {
            BodyEnd::Complete | BodyEnd::Declared => End::Whole,
            BodyEnd::Failed => End::Broken,
            BodyEnd::Dropped if self.has_no_body() => End::Whole,
            BodyEnd::Dropped => End::Left,
        });
    }
}

impl<K: Sink> Drop for ResponseObserver<K> {
    /// Dropped before its body ended: within the future, before there was an answer.
    fn drop(&mut self) {
        self.tell(End::Left);
    }
}

impl<K: Sink> fmt::Debug for ResponseObserver<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseObserver").field("begun", &self.begun).finish_non_exhaustive()
    }
}

fn short_attempt(attempt: &Attempt) -> Attempt {
    let upstream_model = attempt.upstream_model.as_ref().map(short_model);
    Attempt { upstream_model, ..attempt.clone() }
}

fn begin<K, B>(shared: &Shared<K>, request: &mut Request<B>) -> Begun {
    let number = shared.next_number.fetch_add(1, Ordering::Relaxed);
    let started = shared.clock.now();
    let headers = std::mem::take(request.headers_mut());
    let request_id = RequestId::of(request.extensions_mut(), &headers, started, number);
    let path = request.uri().path();
    let begun = Begun {
        request_id,
        number,
        started,
        method: short_method(request.method()),
        path: cut(&redact::url(path), MAX_PATH).into(),
        route: Route::detect(request.method(), path, &headers),
        bytes_in: AtomicU64::new(0),
        bytes_out: AtomicU64::new(0),
        moved: AtomicU64::new(0),
    };
    *request.headers_mut() = headers;
    begun
}

/// Leaves in the exchange what the bytes say and nobody else has said.
fn leave(scan: &Observer, exchange: &Exchange) {
    let observed = scan.observed();
    exchange.update(|facts| {
        if facts.usage.is_none() {
            facts.usage = observed.usage.as_ref().map(Usage::counts);
        }
        facts.stop = facts.stop.or(observed.stop);
        if facts.response_model.is_none() {
            facts.response_model.clone_from(&observed.model);
        }
        if let Some(kind) = observed.error {
            let fault = Fault::new(kind, kind.status(), FaultOrigin::Upstream);
            facts.fault.get_or_insert(fault);
        }
    });
}

fn scan(protocol: Protocol, headers: &HeaderMap) -> Option<Observer> {
    if is_event_stream(headers) {
        return Some(Observer::events(protocol));
    }
    let json = media_type(headers) == JSON;
    json.then(|| Observer::document(protocol))
}
