//! What a record says, as rows. Made by the worker: bodies are searched for secrets here, and not
//! while a request waits.

use std::borrow::Cow;
use std::time::Duration;

use tokio::time::Instant;

use super::log::Ended;
use crate::context::{Attempt, Principal};
use crate::pricing::{Cost, PriceTable};
use crate::record::{CapturedBody, Record};
use crate::redact::{self, Limits};
use crate::store::{AttemptRow, BodyText, LogBatch, RequestRow};

/// Adds the rows of a request that has ended; `uid` is no other's.
pub(super) fn add(batch: &mut LogBatch, uid: String, ended: &Ended, prices: &PriceTable) {
    let record = &*ended.record;
    let request = request(uid, record, prices);
    let attempts = record.attempts.iter().zip(1..);
    batch.attempts.extend(attempts.map(|(one, number)| attempt(&request, one, number, ended)));
    batch.requests.push(request);
}

fn request(uid: String, record: &Record, prices: &PriceTable) -> RequestRow {
    let begun = &record.begun;
    let usage = record.usage.as_ref();
    RequestRow {
        id: 0,
        uid,
        request_id: begun.request_id.to_string(),
        time: millis(begun.started),
        principal: record.principal.as_ref().map(Principal::id).map(str::to_owned),
        method: begun.method.as_str().to_owned().into(),
        path: begun.path.as_ref().to_owned(),
        client_protocol: begun.route.map(|route| route.protocol.as_str().into()),
        operation: begun.route.map(|route| route.operation.as_str().into()),
        model: record.requested_model.as_deref().map(str::to_owned),
        status: record.status.map(|status| status.as_u16()),
        success: record.succeeded(),
        fault: record.fault.map(|fault| fault.as_str().into()),
        end: record.end.as_str().into(),
        attempts: u32::try_from(record.attempts.len()).unwrap_or(u32::MAX),
        headers_ms: record.headers.map(millis),
        first_event_ms: record.first_event.map(millis),
        total_ms: millis(record.total),
        bytes_in: record.bytes_in(),
        bytes_out: record.bytes_out(),
        input_tokens: usage.map(|usage| usage.input),
        cache_read_tokens: usage.map(|usage| usage.cache_read),
        cache_write_tokens: usage.map(|usage| usage.cache_write),
        output_tokens: usage.map(|usage| usage.output),
        reasoning_tokens: usage.map(|usage| usage.reasoning),
        cost_nanos: record.cost(prices).map(Cost::nanos),
        error: record.error.as_deref().map(str::to_owned),
        request_body: record.request_body.as_ref().map(|kept| body(record, kept)),
        response_body: record.response_body.as_ref().map(|kept| body(record, kept)),
    }
}

fn attempt(request: &RequestRow, attempt: &Attempt, number: u32, ended: &Ended) -> AttemptRow {
    AttemptRow {
        id: 0,
        uid: request.uid.clone(),
        request_id: request.request_id.clone(),
        number,
        time: began(attempt.started.map(Instant::from_std), ended).unwrap_or(request.time),
        principal: request.principal.clone(),
        channel: attempt.channel.as_ref().map(|channel| channel.as_str().to_owned()),
        key_id: attempt.key_id.as_deref().map(str::to_owned),
        key: attempt.key.as_deref().map(str::to_owned),
        upstream_protocol: attempt.upstream_protocol.map(|protocol| protocol.as_str().into()),
        model: attempt.upstream_model.as_deref().map(str::to_owned),
        status: attempt.status.map(|status| status.as_u16()),
        success: attempt.fault.is_none()
            && !attempt.outrun
            && attempt.status.is_some_and(|status| status.as_u16() < 400),
        fault: attempt.fault.map(|fault| fault.kind.as_str().into()),
        outrun: attempt.outrun,
        duration_ms: attempt.answered.map(millis),
    }
}

/// When an attempt began, unix ms: as long before the end as its clock says.
fn began(started: Option<Instant>, ended: &Ended) -> Option<u64> {
    let before = ended.at.saturating_duration_since(started?);
    let end = ended.record.begun.started.saturating_add(ended.record.total);
    Some(millis(end.saturating_sub(before)))
}

fn body(record: &Record, body: &CapturedBody) -> BodyText {
    // Before it is shortened: half a key is no key any more, and still too much of one.
    let text = String::from_utf8_lossy(&body.bytes);
    let shown = match record.without_keys(&text) {
        Cow::Owned(text) => text.into_bytes().into(),
        Cow::Borrowed(_) => Cow::Borrowed(body.bytes.as_slice()),
    };
    BodyText(redact::body(&shown, body.content_type.as_ref(), &Limits::default()))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
