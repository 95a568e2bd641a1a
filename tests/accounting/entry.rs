//! What is known of one request, from its caller and its vendors, and whether the record of the
//! gateway says the same.

use std::sync::Arc;

use tower_llm_gateway::protocol::model::{Fault, FaultKind, FaultOrigin};
use tower_llm_gateway::record::Record;

use crate::ask::{Ask, Scenario};
use crate::caller::{End, Seen};
use crate::gateway::{FAILING, channel_of};
use crate::tokens::Tokens;
use crate::vendor::Call;

/// What must be known of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) status: Option<u16>,
    pub(crate) fault: Option<&'static str>,
    pub(crate) succeeded: bool,
    pub(crate) failed: bool,
    pub(crate) cancelled: bool,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) model: Option<String>,
    pub(crate) principal: Option<String>,
    pub(crate) tokens: Option<Tokens>,
    /// Channel and masked key of each.
    pub(crate) attempts: Vec<(String, String)>,
}

/// Puts together what both ends of one request have seen.
pub(crate) fn of(ask: &Ask, seen: &Seen, calls: &[Call]) -> Entry {
    let cancelled = seen.end == End::Left;
    let fault = fault(ask, seen, calls);
    let good_status = seen.status.is_some_and(|status| status < 400);
    let failed = fault.is_some() && !cancelled;
    let last = calls.last();
    // An encoded answer that no layer must read is passed on unread.
    let unread = |call: &Call| call.encoded && !ask.must_be_read();
    Entry {
        status: seen.status,
        fault,
        succeeded: good_status && !failed,
        failed,
        cancelled,
        bytes_in: ask.bytes_in(),
        // Of an answer that broke off a part may have been lost on the last yard.
        bytes_out: match seen.end {
            End::Broken => last.map_or(0, |call| call.bytes),
            _ => seen.bytes,
        },
        model: ask.known_model().map(str::to_owned),
        principal: (ask.scenario != Scenario::BadKey).then(|| ask.team.0.to_owned()),
        tokens: last.filter(|call| !unread(call)).and_then(|call| call.tokens),
        attempts: calls
            .iter()
            .map(|call| (channel_of(&call.key).to_owned(), masked(&call.key)))
            .collect(),
    }
}

/// What the books must call the fault: that of the scenario, unless the caller was told of another
/// vendor's failure.
fn fault(ask: &Ask, seen: &Seen, calls: &[Call]) -> Option<&'static str> {
    let own = ask.fault()?;
    let failed = |status| calls.iter().any(|call| call.status == Some(status));
    let overloaded = || calls.iter().any(|call| channel_of(&call.key).ends_with(FAILING));
    Some(match seen.status {
        Some(429) if failed(429) => "rate_limit",
        Some(503 | 529) if overloaded() => "overloaded",
        _ => own,
    })
}

/// The first eight and the last five characters.
pub(crate) fn masked(key: &str) -> String {
    format!("{}***{}", &key[..8], &key[key.len() - 5..])
}

/// Where a record says something else.
pub(crate) fn differences(
    ask: &Ask,
    expected: &Entry,
    record: Option<&Arc<Record>>,
) -> Option<String> {
    let Some(record) = record else { return Some(format!("{ask:?}: no record")) };
    let found = Entry {
        status: record.status.map(|status| status.as_u16()),
        fault: record.fault.map(FaultKind::as_str),
        succeeded: record.succeeded(),
        failed: record.failed(),
        cancelled: record.cancelled(),
        bytes_in: record.bytes_in(),
        bytes_out: record.bytes_out(),
        model: record.model.as_deref().map(str::to_owned),
        principal: record.principal.as_ref().map(|principal| principal.id().to_owned()),
        tokens: record.usage.as_ref().map(|usage| Tokens {
            input: usage.input,
            cache_read: usage.cache_read,
            cache_write: usage.cache_write,
            output: usage.output,
            reasoning: usage.reasoning,
        }),
        attempts: record
            .attempts
            .iter()
            // What we refused ourselves has reached no vendor.
            .filter(|attempt| !attempt.fault.is_some_and(is_refusal))
            .filter_map(|attempt| {
                let channel = attempt.channel.as_ref()?.as_str().to_owned();
                Some((channel, attempt.key.as_deref()?.to_owned()))
            })
            .collect(),
    };
    (found != *expected).then(|| {
        let (expected, found) = (format!("{expected:#?}"), format!("{found:#?}"));
        let differ = |(a, b): &(&str, &str)| a != b;
        let lines: Vec<_> = expected.lines().zip(found.lines()).filter(differ).take(6).collect();
        format!("{ask:?}: expected and found: {lines:?}")
    })
}

fn is_refusal(fault: Fault) -> bool {
    fault.origin == FaultOrigin::Gateway && fault.kind != FaultKind::ClientCancel
}
