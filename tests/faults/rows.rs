//! The matrix: how an upstream fails, and what is to come of it.

use std::time::Duration;

use tower_llm_gateway::context::Connection;
use tower_llm_gateway::protocol::model::FaultKind;

use crate::caller::Got;
use crate::script::Asked;
use crate::vendor::{Script, Step};

/// How long a slow reader reads nothing, and the silence that is borne meanwhile: shorter, but long
/// for four MiB that get stuck again and again while a busy machine gives their time to others.
pub(crate) const LATE: Duration = Duration::from_millis(2500);
const PATIENT: Duration = Duration::from_millis(2000);

/// The timeouts of a channel that is to run into one; long enough for a machine that is busy.
pub(crate) const SHORT: Duration = Duration::from_millis(400);

/// How an upstream fails.
pub(crate) enum Fails {
    Refuses,
    Says(fn(Asked) -> Script),
}

/// What the caller does meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    Reads,
    /// Not before a while has passed.
    ReadsLate,
    LeavesBeforeHeaders,
    LeavesAfterHeaders,
}

/// Which answers a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Both,
    Json,
    Stream,
}

/// What the caller gets: of a JSON answer and of a stream, each passed and translated.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    pub(crate) json: [Got; 2],
    pub(crate) stream: [Got; 2],
}

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) fails: Fails,
    pub(crate) shape: Shape,
    pub(crate) caller: Caller,
    /// How the gateway connects to the channel.
    pub(crate) connection: Connection,
    /// How the first attempt is booked.
    pub(crate) fault: Option<FaultKind>,
    /// With a good channel beside it.
    pub(crate) armed: Ends,
    /// Without.
    pub(crate) alone: Ends,
}

impl Row {
    fn new(name: &'static str, fails: Fails, fault: impl Into<Option<FaultKind>>) -> Self {
        Self {
            name,
            fails,
            shape: Shape::Both,
            caller: Caller::Reads,
            connection: Connection::default(),
            fault: fault.into(),
            armed: Got::Whole.into(),
            alone: Got::Whole.into(),
        }
    }

    fn says(
        name: &'static str,
        fault: impl Into<Option<FaultKind>>,
        script: fn(Asked) -> Script,
    ) -> Self {
        Self::new(name, Fails::Says(script), fault)
    }

    /// Headers are not waited for long.
    fn hurried(self) -> Self {
        Self { connection: Connection::default().headers_timeout(SHORT), ..self }
    }

    /// Silence within an answer is not borne long.
    fn impatient(self) -> Self {
        self.idle(SHORT)
    }

    fn idle(self, timeout: Duration) -> Self {
        Self { connection: Connection::default().idle_timeout(timeout), ..self }
    }

    fn of(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    fn caller(self, caller: Caller) -> Self {
        Self { caller, ..self }
    }

    /// What the caller gets where there is no other channel.
    fn alone(self, ends: impl Into<Ends>) -> Self {
        Self { alone: ends.into(), ..self }
    }

    /// What the caller gets although there is another channel.
    fn armed(self, ends: impl Into<Ends>) -> Self {
        Self { armed: ends.into(), ..self }
    }

    /// What the caller gets, whatever channels there are.
    fn always(self, ends: impl Into<Ends>) -> Self {
        let ends = ends.into();
        Self { armed: ends.clone(), alone: ends, ..self }
    }
}

impl From<Got> for Ends {
    fn from(got: Got) -> Self {
        Self { json: [got.clone(), got.clone()], stream: [got.clone(), got] }
    }
}

impl From<([Got; 2], [Got; 2])> for Ends {
    fn from((json, stream): ([Got; 2], [Got; 2])) -> Self {
        Self { json, stream }
    }
}

fn then(mut script: Script, step: Step) -> Script {
    script.push(step);
    script
}

/// Half an answer, as far as a caller would have seen some of it.
fn half(asked: Asked) -> Script {
    if asked.stream { asked.speaks() } else { asked.half_document() }
}

/// Half an answer, of which a caller could make nothing yet.
fn begun(asked: Asked) -> Script {
    if asked.stream { asked.opens() } else { asked.half_document() }
}

fn same(got: Got) -> [Got; 2] {
    [got.clone(), got]
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = connections();
    rows.extend(statuses());
    rows.extend(contents());
    rows.extend(callers());
    rows
}

/// The way to the upstream fails.
fn connections() -> Vec<Row> {
    use FaultKind::{Timeout, Transport};
    use Got::{Broken, Error, ErrorEvent, Whole};
    let cut = (same(Broken), same(ErrorEvent));
    vec![
        Row::new("refused connection", Fails::Refuses, Transport).alone(Error(502)),
        Row::says("reset before headers", Transport, |_| vec![Step::Reset]).alone(Error(502)),
        Row::says("closed before headers", Transport, |_| vec![Step::Close]).alone(Error(502)),
        Row::says("no headers", Timeout, |_| vec![Step::Stall]).hurried().alone(Error(504)),
        Row::says("reset before content", Transport, |asked| then(begun(asked), Step::Reset))
            .alone(([Broken, Error(502)], same(ErrorEvent))),
        Row::says("silence before content", Timeout, |asked| then(begun(asked), Step::Stall))
            .impatient()
            .alone(([Broken, Error(504)], same(ErrorEvent))),
        Row::says("reset after content", Transport, |asked| then(half(asked), Step::Reset))
            .of(Shape::Stream)
            .always(cut.clone()),
        Row::says("silence after content", Timeout, |asked| then(half(asked), Step::Stall))
            .impatient()
            .of(Shape::Stream)
            .always(cut.clone()),
        Row::says("closed after content", Transport, |asked| then(half(asked), Step::Close))
            .of(Shape::Stream)
            .always(cut),
        Row::says("closed within an event", Transport, |asked| then(asked.stammers(), Step::Close))
            .of(Shape::Stream)
            .always((same(Whole), [Broken, ErrorEvent])),
    ]
}

/// The upstream refuses.
fn statuses() -> Vec<Row> {
    use FaultKind::*;
    let row =
        |name, fault, script, status| Row::says(name, fault, script).alone(Got::Error(status));
    let stays = |row: Row| {
        let alone = row.alone.clone();
        row.armed(alone)
    };
    vec![
        row("401", Auth, |a| a.refuses(401, "authentication_error", "invalid_api_key", "No"), 401),
        row("402", Billing, |a| a.refuses(402, "billing_error", "billing", "Pay"), 402),
        row("403", Permission, |a| a.refuses(403, "permission_error", "denied", "No"), 403),
        row("408", Timeout, |a| a.refuses(408, "timeout_error", "timeout", "Late"), 408),
        stays(row("409", BadRequest, |a| a.refuses(409, "conflict_error", "c", "Twice"), 409)),
        stays(row("413", TooLarge, |a| a.refuses(413, "request_too_large", "large", "Big"), 413)),
        row("429", RateLimit, |a| a.refuses(429, "rate_limit_error", "rate_limit", "Slow"), 429),
        row("500", Upstream, |a| a.refuses(500, "api_error", "server_error", "Oh"), 500),
        row("502", Upstream, |a| a.refuses(502, "api_error", "bad_gateway", "Oh"), 502),
        row("503", Overloaded, |a| a.refuses(503, "overloaded_error", "unavailable", "Oh"), 503),
        row("529", Overloaded, |a| a.refuses(529, "overloaded_error", "overloaded", "Oh"), 529),
        stays(row(
            "400, context too long",
            ContextTooLong,
            |a| {
                let message = "prompt is too long: 9 tokens > 8 maximum";
                a.refuses(400, "invalid_request_error", "context_length_exceeded", message)
            },
            400,
        )),
        stays(row(
            "400, content policy",
            ContentPolicy,
            |a| {
                let message = "Output blocked by content filtering policy";
                a.refuses(400, "invalid_request_error", "content_policy_violation", message)
            },
            400,
        )),
    ]
}

/// The upstream answers 200, and what it says is no answer.
fn contents() -> Vec<Row> {
    use FaultKind::{Overloaded, Transport, Upstream};
    use Got::{AsSent, Encoded, Error, ErrorDocument, ErrorEvent, Whole};
    vec![
        Row::says("error first", Overloaded, |asked| {
            let mut script = if asked.stream { Asked::nothing() } else { Vec::new() };
            script.extend(asked.fails());
            script
        })
        .alone(([ErrorDocument, Error(503)], same(ErrorEvent))),
        Row::says("error after content", Overloaded, |asked| {
            let mut script = asked.speaks();
            script.extend(asked.fails());
            script
        })
        .of(Shape::Stream)
        .always(ErrorEvent),
        Row::says("truncated document", Upstream, Asked::cut_document)
            .of(Shape::Json)
            .alone(([AsSent, Error(502)], same(Whole))),
        Row::says("truncated stream", Upstream, |asked| {
            then(asked.speaks(), Step::Send("0\r\n\r\n".into()))
        })
        .of(Shape::Stream)
        .always(ErrorEvent),
        Row::says("truncated event", Upstream, |asked| {
            then(asked.stammers(), Step::Send("0\r\n\r\n".into()))
        })
        .of(Shape::Stream)
        .always(ErrorEvent),
        Row::says("gzip garbage", Upstream, Asked::garbage)
            .of(Shape::Json)
            .armed(([Encoded, Whole], same(Whole)))
            .alone(([Encoded, Error(502)], same(Whole))),
        Row::says("gzip garbage", Transport, Asked::garbage)
            .of(Shape::Stream)
            .always((same(Whole), [Encoded, ErrorEvent])),
    ]
}

/// The caller is slow, or leaves.
fn callers() -> Vec<Row> {
    use FaultKind::ClientCancel;
    vec![
        Row::says("slow reader", None, |asked| asked.streams(&slow_words()))
            .caller(Caller::ReadsLate)
            .idle(PATIENT)
            .of(Shape::Stream),
        Row::says("gone before headers", ClientCancel, |_| vec![Step::Stall])
            .caller(Caller::LeavesBeforeHeaders)
            .always(Got::Left),
        Row::says("gone after headers", ClientCancel, |asked| then(half(asked), Step::Stall))
            .caller(Caller::LeavesAfterHeaders)
            .of(Shape::Stream)
            .always(Got::Left),
    ]
}

/// More than all sockets and buffers between upstream and caller hold.
pub(crate) fn slow_words() -> Vec<&'static str> {
    const WORD: &str = match std::str::from_utf8(&[b'w'; 8 << 10]) {
        Ok(word) => word,
        Err(_) => "",
    };
    vec![WORD; 512]
}
