//! Two sets of books: what callers and vendors have seen, and what the gateway has counted.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use tower_llm_gateway::layer::stats::{Snapshot, TokenStats};
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
pub(crate) fn entry(ask: &Ask, seen: &Seen, calls: &[Call]) -> Entry {
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
fn masked(key: &str) -> String {
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

/// All counters, by name. What is not there is 0.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Books(BTreeMap<String, u64>);

impl Books {
    fn count(&mut self, name: impl Into<String>, count: u64) {
        if count > 0 {
            *self.0.entry(name.into()).or_default() += count;
        }
    }

    /// Adds one request.
    pub(crate) fn add(&mut self, ask: &Ask, entry: &Entry) {
        let Entry { succeeded, failed, bytes_in, bytes_out, .. } = *entry;
        self.count("requests", 1);
        self.count("successes", u64::from(succeeded));
        self.count("failures", u64::from(failed));
        self.count("cancelled", u64::from(entry.cancelled));
        self.count("bytes in", bytes_in);
        self.count("bytes out", bytes_out);
        if let Some(status) = entry.status {
            self.count(format!("status {}xx", status / 100), 1);
        }
        if let Some(fault) = entry.fault {
            self.count(format!("fault {fault}"), 1);
        }
        if let Some(protocol) = ask.protocol_name() {
            self.ended(&format!("protocol {protocol}"), failed);
            self.count(format!("protocol {protocol}: bytes"), bytes_out);
        }
        let path = format!("path {}", ask.path_name());
        self.ended(&path, failed);
        self.count(format!("{path}: bytes"), bytes_out);
        self.tokens("tokens", entry.tokens);
        if let Some(model) = &entry.model {
            // No name gets an entry of its own by failing.
            let model = if succeeded { model } else { "other" };
            self.ended(&format!("model {model}"), failed);
            self.tokens(&format!("model {model}"), entry.tokens);
        }
    }

    fn ended(&mut self, name: &str, failed: bool) {
        self.count(format!("{name}: ended"), 1);
        self.count(format!("{name}: failed"), u64::from(failed));
    }

    fn tokens(&mut self, name: &str, tokens: Option<Tokens>) {
        let Some(tokens) = tokens else { return };
        let Tokens { input, cache_read, cache_write, output, reasoning } = tokens;
        self.count(format!("{name}: answers with tokens"), 1);
        self.token_counts(name, [input, cache_read, cache_write, output, reasoning]);
    }

    fn token_counts(&mut self, name: &str, counts: [u64; 5]) {
        let kinds = ["input", "cache read", "cache write", "output", "reasoning"];
        for (kind, count) in kinds.into_iter().zip(counts) {
            self.count(format!("{name}: {kind}"), count);
        }
    }

    /// What the gateway has counted.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let mut books = Self::default();
        let totals = &snapshot.totals;
        books.count("in flight", snapshot.in_flight as u64);
        books.count("requests", totals.requests);
        books.count("successes", totals.successes);
        books.count("failures", totals.failures);
        books.count("cancelled", totals.cancelled);
        books.count("bytes in", totals.request_bytes);
        books.count("bytes out", totals.response_bytes);
        for (class, count) in &snapshot.status_classes {
            books.count(format!("status {class}"), *count);
        }
        for (fault, count) in &snapshot.faults {
            books.count(format!("fault {fault}"), *count);
        }
        for (name, counts) in &snapshot.protocols {
            books.count(format!("protocol {name}: ended"), counts.count);
            books.count(format!("protocol {name}: failed"), counts.errors);
            books.count(format!("protocol {name}: bytes"), counts.bytes);
        }
        for (name, path) in &snapshot.top_paths {
            books.count(format!("path {name}: ended"), path.count);
            books.count(format!("path {name}: failed"), path.errors);
            books.count(format!("path {name}: bytes"), path.bytes);
        }
        books.known("tokens", &snapshot.tokens);
        for (name, model) in &snapshot.models {
            books.count(format!("model {name}: ended"), model.count);
            books.count(format!("model {name}: failed"), model.errors);
            books.known(&format!("model {name}"), &model.tokens);
        }
        books
    }

    fn known(&mut self, name: &str, tokens: &TokenStats) {
        let TokenStats { known, input, cache_read, cache_write, output, reasoning, .. } = *tokens;
        self.count(format!("{name}: answers with tokens"), known);
        self.token_counts(name, [input, cache_read, cache_write, output, reasoning]);
    }

    /// A table of both books, and how many lines it has.
    pub(crate) fn compare(&self, counted: &Self) -> (String, usize) {
        let names: std::collections::BTreeSet<_> = self.0.keys().chain(counted.0.keys()).collect();
        let mut table = format!("{:<72} {:>14} {:>14}\n", "", "sent", "counted");
        for name in &names {
            let of = |books: &Self| books.0.get(*name).copied().unwrap_or_default();
            let (sent, count) = (of(self), of(counted));
            let mark = if sent == count { "" } else { "  DIFFERS" };
            let _ = writeln!(table, "{name:<72} {sent:>14} {count:>14}{mark}");
        }
        (table, names.len())
    }
}
