//! Two sets of books: what callers and vendors have seen, and what the gateway has counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use sha2::{Digest, Sha256};
use tower_llm_gateway::layer::stats::{CostStats, GroupStats, Snapshot, TokenStats, WindowCounts};

use crate::ask::{Ask, TEAMS};
use crate::entry::{Entry, masked};
use crate::gateway::{FAILING, channel_of};
use crate::tokens::Tokens;
use crate::vendor::Call;

/// All counters, by name. What is not there is 0.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Books(BTreeMap<String, u64>);

/// What one request or one attempt adds under a name.
#[derive(Debug, Clone, Copy, Default)]
struct One {
    successes: u64,
    failures: u64,
    cancelled: u64,
    bytes_in: u64,
    bytes_out: u64,
    fault: Option<&'static str>,
    tokens: Option<Tokens>,
    cost: Option<u64>,
    /// It costs something, and nobody knows what.
    unknown_cost: bool,
}

impl Books {
    pub(crate) fn count(&mut self, name: impl Into<String>, count: u64) {
        if count > 0 {
            *self.0.entry(name.into()).or_default() += count;
        }
    }

    /// Adds one request.
    pub(crate) fn add(&mut self, ask: &Ask, entry: &Entry, calls: &[Call]) {
        let one = One::of(ask, entry);
        for when in ["begun", "of the last hour", "of all minutes"] {
            self.count(format!("requests {when}"), 1);
        }
        self.count("failures of all minutes", one.failures);
        self.count("bytes of all minutes", one.bytes_out);
        self.group("all", one);
        self.window("all, within a day", one);
        if let Some(status) = entry.status {
            self.count(format!("status {}xx", status / 100), 1);
        }
        if let Some(protocol) = ask.protocol_name() {
            let name = format!("caller {protocol}");
            self.count(format!("{name}: requests"), 1);
            self.count(format!("{name}: failures"), one.failures);
            self.count(format!("{name}: bytes out"), one.bytes_out);
        }
        let path = ask.path_name();
        self.count(format!("top path {path}: requests"), 1);
        self.count(format!("top path {path}: failures"), one.failures);
        self.count(format!("top path {path}: bytes out"), one.bytes_out);
        self.group(&format!("path {path}"), one);
        if let Some(model) = &entry.model {
            // No name gets an entry of its own by failing.
            let model = if entry.succeeded { model } else { "other" };
            self.group(&format!("model {model}"), one);
        }
        if !calls.is_empty() || ask.is_refused_at_a_channel() {
            self.group(&format!("provider {}", ask.upstream), one);
        }
        if let Some(principal) = &entry.principal {
            let known = TEAMS.iter().any(|(name, _)| name == principal);
            let name = if known { principal } else { "other" };
            self.group(&format!("principal {name}"), one);
        }
        self.add_calls(ask, entry, calls);
        self.add_rows(ask, entry, calls);
    }

    /// The rows of the request log: one for each request, one for each attempt.
    fn add_rows(&mut self, ask: &Ask, entry: &Entry, calls: &[Call]) {
        self.count("rows of requests: all", 1);
        self.count("rows of requests: successes", entry.succeeded.into());
        if let Some(principal) = &entry.principal {
            self.count(format!("rows of requests: {principal}"), 1);
        }
        let refused = u64::from(ask.is_refused_at_a_channel());
        self.count("rows of attempts: all", calls.len() as u64 + refused);
        if let Some(last) = calls.last().filter(|_| !entry.failed && !entry.cancelled) {
            let channel = channel_of(&last.key);
            self.count(format!("rows of attempts: successes of {channel}"), 1);
        }
    }

    /// Each call to a vendor is charged to its channel and to its key; the last one of them gave
    /// the answer.
    fn add_calls(&mut self, ask: &Ask, entry: &Entry, calls: &[Call]) {
        for (place, call) in calls.iter().enumerate() {
            let is_last = place + 1 == calls.len();
            let one = if is_last && !entry.failed {
                let successes = u64::from(!entry.cancelled);
                let cancelled = u64::from(entry.cancelled);
                One { successes, cancelled, fault: entry.fault, ..One::default() }
            } else {
                One { failures: 1, fault: call_fault(ask, call), ..One::default() }
            };
            let tokens = entry.tokens.filter(|_| is_last);
            for name in [
                format!("channel {}", channel_of(&call.key)),
                format!("key {} {}", key_id(&call.key), masked(&call.key)),
                "all channels".to_owned(),
                "all keys".to_owned(),
            ] {
                self.attempt(&name, one);
                self.tokens(&name, tokens);
            }
        }
        // Where the gateway finds out at a channel that a vendor cannot be asked this, nobody is
        // asked.
        for name in ["all channels", "all keys"] {
            self.count(format!("{name}: attempts"), calls.len() as u64);
        }
    }

    fn attempt(&mut self, name: &str, one: One) {
        self.count(format!("{name}: successes"), one.successes);
        self.count(format!("{name}: failures"), one.failures);
        self.count(format!("{name}: cancelled"), one.cancelled);
        if let Some(fault) = one.fault {
            self.count(format!("{name}: fault {fault}"), 1);
        }
    }

    fn group(&mut self, name: &str, one: One) {
        self.window(name, one);
        if let Some(fault) = one.fault {
            self.count(format!("{name}: fault {fault}"), 1);
        }
    }

    fn window(&mut self, name: &str, one: One) {
        self.count(format!("{name}: requests"), 1);
        self.count(format!("{name}: successes"), one.successes);
        self.count(format!("{name}: failures"), one.failures);
        self.count(format!("{name}: cancelled"), one.cancelled);
        self.count(format!("{name}: bytes in"), one.bytes_in);
        self.count(format!("{name}: bytes out"), one.bytes_out);
        self.tokens(name, one.tokens);
        self.count(format!("{name}: billionths of a USD"), one.cost.unwrap_or_default());
        self.count(format!("{name}: known costs"), u64::from(one.cost.is_some()));
        self.count(format!("{name}: unknown costs"), u64::from(one.unknown_cost));
    }

    fn tokens(&mut self, name: &str, tokens: Option<Tokens>) {
        let Some(tokens) = tokens else { return };
        let Tokens { input, cache_read, cache_write, output, reasoning } = tokens;
        self.token_counts(name, [1, input, cache_read, cache_write, output, reasoning]);
    }

    fn token_counts(&mut self, name: &str, counts: [u64; 6]) {
        let kinds = ["answers with", "input", "cache read", "cache write", "output", "reasoning"];
        for (kind, count) in kinds.into_iter().zip(counts) {
            self.count(format!("{name}: {kind} tokens"), count);
        }
    }

    /// What the gateway has counted.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let mut books = Self::default();
        books.count("in flight", (snapshot.in_flight + snapshot.stale) as u64);
        books.counted_totals(snapshot);
        for (class, count) in &snapshot.status_classes {
            books.count(format!("status {class}"), *count);
        }
        for (name, counts) in &snapshot.protocols {
            books.count(format!("caller {name}: requests"), counts.count);
            books.count(format!("caller {name}: failures"), counts.errors);
            books.count(format!("caller {name}: bytes out"), counts.bytes);
        }
        for (name, path) in &snapshot.top_paths {
            books.count(format!("top path {name}: requests"), path.count);
            books.count(format!("top path {name}: failures"), path.errors);
            books.count(format!("top path {name}: bytes out"), path.bytes);
        }
        for (what, groups) in [
            ("path", &snapshot.paths),
            ("model", &snapshot.models),
            ("principal", &snapshot.principals),
        ] {
            for (name, group) in groups {
                books.counted_group(&format!("{what} {name}"), group);
            }
        }
        for (name, group) in &snapshot.providers {
            books.counted_group(&format!("provider {name}"), group);
        }
        for (id, group) in &snapshot.channels {
            books.counted_attempts(&format!("channel {id}"), group);
            books.counted_attempts("all channels", group);
            books.count("all channels: attempts", group.requests);
        }
        for (id, group) in &snapshot.keys {
            let masked = group.key.as_deref().unwrap_or_default();
            books.counted_attempts(&format!("key {id} {masked}"), group);
            books.counted_attempts("all keys", group);
            books.count("all keys: attempts", group.requests);
        }
        books
    }

    fn counted_totals(&mut self, snapshot: &Snapshot) {
        let totals = &snapshot.totals;
        self.count("requests begun", totals.requests);
        self.count("requests of the last hour", snapshot.summary.total_requests);
        let series = &snapshot.time_series;
        for (what, points) in [
            ("requests", &series.requests_per_minute),
            ("failures", &series.errors_per_minute),
            ("bytes", &series.bytes_per_minute),
        ] {
            let sum = points.iter().map(|point| point.count).sum();
            self.count(format!("{what} of all minutes"), sum);
        }
        self.counted_window("all, within a day", &snapshot.windows.day);
        self.count("all: requests", totals.successes + totals.failures);
        // Of those who left, some had an answer by then, and are successes too.
        let unanswered = totals.requests - totals.successes - totals.failures;
        self.count("all: requests", unanswered);
        self.count("all: successes", totals.successes);
        self.count("all: failures", totals.failures);
        self.count("all: cancelled", totals.cancelled);
        self.count("all: bytes in", totals.request_bytes);
        self.count("all: bytes out", totals.response_bytes);
        self.counted_tokens("all", &snapshot.tokens);
        self.counted_cost("all", &snapshot.cost);
        for (fault, count) in &snapshot.faults {
            self.count(format!("all: fault {fault}"), *count);
        }
    }

    fn counted_group(&mut self, name: &str, group: &GroupStats) {
        self.counted_window(name, &group.windows.day);
        for (fault, count) in &group.faults {
            self.count(format!("{name}: fault {fault}"), *count);
        }
        let day = &group.windows.day;
        let since_start = (group.requests, group.successes, group.failures, group.cancelled);
        let within_day =
            (day.request_count, day.success_count, day.failure_count, day.cancelled_count);
        assert_eq!(since_start, within_day, "{name}");
        let since_start = (group.request_bytes, group.response_bytes, &group.tokens, &group.cost);
        assert_eq!(since_start, (day.request_bytes, day.response_bytes, &day.tokens, &day.cost));
    }

    fn counted_attempts(&mut self, name: &str, group: &GroupStats) {
        self.count(format!("{name}: successes"), group.successes);
        self.count(format!("{name}: failures"), group.failures);
        self.count(format!("{name}: cancelled"), group.cancelled);
        for (fault, count) in &group.faults {
            self.count(format!("{name}: fault {fault}"), *count);
        }
        let sum = group.successes + group.failures + group.cancelled;
        assert_eq!(group.requests, sum, "{name}");
        self.counted_tokens(name, &group.tokens);
    }

    fn counted_window(&mut self, name: &str, window: &WindowCounts) {
        self.count(format!("{name}: requests"), window.request_count);
        self.count(format!("{name}: successes"), window.success_count);
        self.count(format!("{name}: failures"), window.failure_count);
        self.count(format!("{name}: cancelled"), window.cancelled_count);
        self.count(format!("{name}: bytes in"), window.request_bytes);
        self.count(format!("{name}: bytes out"), window.response_bytes);
        self.counted_tokens(name, &window.tokens);
        self.counted_cost(name, &window.cost);
    }

    fn counted_tokens(&mut self, name: &str, tokens: &TokenStats) {
        let TokenStats { known, input, cache_read, cache_write, output, reasoning, .. } = *tokens;
        self.token_counts(name, [known, input, cache_read, cache_write, output, reasoning]);
    }

    fn counted_cost(&mut self, name: &str, cost: &CostStats) {
        self.count(format!("{name}: billionths of a USD"), (cost.usd * 1e9).round() as u64);
        self.count(format!("{name}: known costs"), cost.known);
        self.count(format!("{name}: unknown costs"), cost.unknown);
    }

    /// A table of both books, and how many lines it has.
    pub(crate) fn compare(&self, counted: &Self) -> (String, usize) {
        let names: BTreeSet<_> = self.0.keys().chain(counted.0.keys()).collect();
        let mut table = format!("{:<80} {:>14} {:>14}\n", "", "sent", "counted");
        for name in &names {
            let of = |books: &Self| books.0.get(*name).copied().unwrap_or_default();
            let (sent, count) = (of(self), of(counted));
            let mark = if sent == count { "" } else { "  DIFFERS" };
            let _ = writeln!(table, "{name:<80} {sent:>14} {count:>14}{mark}");
        }
        (table, names.len())
    }
}

impl One {
    fn of(ask: &Ask, entry: &Entry) -> Self {
        let price = entry.model.as_deref().and_then(price);
        let cost = price.zip(entry.tokens).map(|(price, tokens)| price(tokens));
        let spends = entry.tokens.is_some() || (ask.protocol_name().is_some() && entry.succeeded);
        Self {
            successes: entry.succeeded.into(),
            failures: entry.failed.into(),
            cancelled: entry.cancelled.into(),
            bytes_in: entry.bytes_in,
            bytes_out: entry.bytes_out,
            fault: entry.fault,
            tokens: entry.tokens,
            cost,
            unknown_cost: cost.is_none() && spends,
        }
    }
}

/// The prices that the gateway is given, in USD for a million tokens. All other models have none.
pub(crate) const PRICES: &str = r#"{
    "demo-m*": {"input": 1, "output": 2, "cache_read": 0.5},
    "demo-thinking": {"input": 1, "output": 2, "cache_read": 0.5, "reasoning": 3}
}"#;

/// The same in billionths of a USD for one token.
fn price(model: &str) -> Option<fn(Tokens) -> u64> {
    let thinking =
        |t: Tokens| 1000 * t.input + 2000 * t.output + 500 * t.cache_read + 3000 * t.reasoning;
    let others = |t: Tokens| 1000 * t.input + 2000 * t.output + 500 * t.cache_read;
    match model {
        "demo-thinking" => Some(thinking),
        model if model.starts_with("demo-m") => Some(others),
        _ => None,
    }
}

/// What was wrong with a call that gave no good answer.
fn call_fault(ask: &Ask, call: &Call) -> Option<&'static str> {
    match call.status {
        Some(429) => Some("rate_limit"),
        Some(529) => Some("overloaded"),
        // What is wrong with a request DashScope tells in a stream, too, before it fails.
        Some(200) if channel_of(&call.key).ends_with(FAILING) && !ask.is_no_json() => {
            Some(ask.error_event())
        }
        _ => ask.fault(),
    }
}

/// The id of a key, as it is described: part of its digest.
fn key_id(key: &str) -> String {
    let digest = Sha256::digest(key.as_bytes());
    let digits: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("key_sha256_{digits}")
}
