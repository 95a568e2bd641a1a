//! From the books to a snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::counters::{Books, Minute, ModelTotals, PathTotals, Shared, TokenTotals, Totals};
use super::histogram::Percentiles;
use super::snapshot::{
    CountStats, Latency, ModelStats, PathStats, Performance, Point, RequestStats, Snapshot,
    StatsQuery, Summary, TimeSeries, TokenStats, TotalStats,
};
use crate::protocol::model::{FaultKind, Usage};
use crate::record::{Begun, Record};

/// How long nothing may move in a request before it counts as stale: 300 s.
pub const STALE_AFTER: Duration = Duration::from_secs(300);

/// Seconds of the window where the query names no start.
const DEFAULT_WINDOW: f64 = 3600.0;

/// How many paths a report lists.
pub(super) const TOP_PATHS: usize = 10;

/// What is copied while the books are held; it is put into form after that.
struct Copied {
    live: Vec<Arc<Begun>>,
    recent: Vec<Arc<Record>>,
}

/// Unix seconds, both ends included.
#[derive(Clone, Copy)]
pub(super) struct Window {
    start: f64,
    end: f64,
}

impl Window {
    pub(super) fn new(start: Option<f64>, end: Option<f64>, now: Duration) -> Self {
        let end = end.unwrap_or(now.as_secs_f64());
        Self { start: start.unwrap_or(end - DEFAULT_WINDOW), end }
    }

    pub(super) fn has(&self, time: Duration) -> bool {
        (self.start..=self.end).contains(&time.as_secs_f64())
    }

    /// Whether any of a minute is in it.
    pub(super) fn touches(&self, minute: &Minute) -> bool {
        let start = (minute.minute * 60) as f64;
        minute.requests > 0 && start <= self.end && start + 60.0 > self.start
    }
}

pub(super) fn report(shared: &Shared, query: &StatsQuery) -> Snapshot {
    let now = shared.clock.now();
    let window = Window::new(query.start_time, query.end_time, now);
    let books = shared.books();
    let mut minutes: Vec<Minute> =
        books.minutes.iter().filter(|minute| window.touches(minute)).copied().collect();
    let copied = copy(&books, window);
    let mut snapshot = Snapshot {
        summary: summary(&minutes, window, shared.started, now),
        performance: Performance { response_time_ms: Percentiles::default() },
        time_series: TimeSeries::default(),
        top_paths: top_paths(&books),
        recent_requests: Vec::new(),
        in_flight: books.live.len(),
        stale: books.live.values().filter(|live| live.silent(now) > STALE_AFTER).count(),
        totals: totals(&books),
        latency: Latency {
            headers_ms: books.headers.percentiles(),
            first_event_ms: books.first_event.percentiles(),
            total_ms: books.duration.percentiles(),
        },
        tokens: tokens(&books.tokens),
        models: models(&books),
        protocols: books.protocols.iter().map(|(name, totals)| (*name, counts(totals))).collect(),
        status_classes: books.status_classes.clone(),
        faults: books.faults.clone(),
    };
    drop(books);
    minutes.sort_unstable_by_key(|minute| minute.minute);
    snapshot.time_series = series(&minutes);
    snapshot.performance.response_time_ms = response_times(&copied.recent);
    snapshot.recent_requests = requests(&copied, query.limit, now);
    snapshot
}

fn copy(books: &Books, window: Window) -> Copied {
    let within = |live: &Begun| window.has(live.started);
    Copied {
        live: books.live.values().filter(|live| within(live)).cloned().collect(),
        recent: books.recent.iter().filter(|record| within(&record.begun)).cloned().collect(),
    }
}

fn summary(minutes: &[Minute], window: Window, started: Duration, now: Duration) -> Summary {
    let sum = |of: fn(&Minute) -> u64| minutes.iter().map(of).sum::<u64>();
    let total = sum(|minute| minute.requests);
    let successes = sum(|minute| minute.totals.successes);
    let bytes = sum(|minute| minute.totals.bytes_out);
    let time: Duration = minutes.iter().map(|minute| minute.response_time).sum();
    let lived = window.end.min(now.as_secs_f64()) - window.start.max(started.as_secs_f64());
    Summary {
        total_requests: total,
        successful_requests: successes,
        failed_requests: sum(|minute| minute.totals.failures),
        success_rate: rate(successes, total),
        avg_response_time: mean_ms(time, sum(|minute| minute.timed)),
        // The first second would show absurd rates.
        requests_per_second: total as f64 / lived.max(1.0),
        total_bytes_sent: bytes,
        total_bytes_sent_formatted: format_bytes(bytes),
        uptime_seconds: now.saturating_sub(started).as_secs_f64(),
    }
}

fn series(minutes: &[Minute]) -> TimeSeries {
    let points = |count: fn(&Minute) -> u64| {
        minutes.iter().map(|m| Point { time: m.minute * 60, count: count(m) }).collect()
    };
    TimeSeries {
        requests_per_minute: points(|minute| minute.requests),
        errors_per_minute: points(|minute| minute.totals.failures),
        bytes_per_minute: points(|minute| minute.totals.bytes_out),
    }
}

fn response_times(recent: &[Arc<Record>]) -> Percentiles {
    let times = recent.iter().filter_map(|record| record.headers).filter(|time| !time.is_zero());
    Percentiles::of(&mut times.map(millis).collect::<Vec<_>>())
}

fn top_paths(books: &Books) -> BTreeMap<String, PathStats> {
    let mut paths: Vec<(&str, &PathTotals)> =
        books.paths.iter().filter(|(_, path)| path.totals.ended > 0).collect();
    paths.sort_unstable_by(|(a, x), (b, y)| y.totals.ended.cmp(&x.totals.ended).then(a.cmp(b)));
    let stats = |(name, path): (&str, &PathTotals)| {
        let Totals { ended, successes, failures, bytes_out } = path.totals;
        let average = mean_ms(path.response_time, successes);
        let stats = PathStats {
            count: ended,
            bytes: bytes_out,
            errors: failures,
            avg_response_time: two_digits(average),
            success_rate: rate(successes, ended),
        };
        (name.to_owned(), stats)
    };
    paths.into_iter().take(TOP_PATHS).map(stats).collect()
}

fn totals(books: &Books) -> TotalStats {
    TotalStats {
        requests: books.requests,
        successes: books.totals.successes,
        failures: books.totals.failures,
        cancelled: books.cancelled,
        request_bytes: books.bytes_in,
        response_bytes: books.totals.bytes_out,
    }
}

fn models(books: &Books) -> BTreeMap<String, ModelStats> {
    let ended = books.models.iter().filter(|(_, model)| model.totals.ended > 0);
    let stats = |(name, model): (&str, &ModelTotals)| {
        let CountStats { count, errors, .. } = counts(&model.totals);
        (name.to_owned(), ModelStats { count, errors, tokens: tokens(&model.tokens) })
    };
    ended.map(stats).collect()
}

fn counts(totals: &Totals) -> CountStats {
    CountStats { count: totals.ended, errors: totals.failures, bytes: totals.bytes_out }
}

fn tokens(totals: &TokenTotals) -> TokenStats {
    let TokenTotals { known, input, cache_read, cache_write, output, reasoning } = *totals;
    TokenStats { known, input, cache_read, cache_write, output, reasoning }
}

/// The last `limit` requests, oldest first.
fn requests(copied: &Copied, limit: i64, now: Duration) -> Vec<RequestStats> {
    let ended = copied.recent.iter().map(|record| (&record.begun, Some(record)));
    let mut all: Vec<_> = copied.live.iter().map(|live| (live, None)).chain(ended).collect();
    all.sort_unstable_by_key(|(live, _)| (live.started, live.number));
    let keep = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(all.len());
    let skip = all.len().saturating_sub(keep);
    all.into_iter()
        .skip(skip)
        .map(|(live, record)| match record {
            None => pending(live, now),
            Some(record) => ended_request(record),
        })
        .collect()
}

fn pending(live: &Begun, now: Duration) -> RequestStats {
    RequestStats {
        request_id: live.request_id.to_string(),
        path: live.path.to_string(),
        method: live.method.to_string(),
        status: if live.silent(now) > STALE_AFTER { "stale" } else { "pending" },
        status_code: None,
        status_code_raw: None,
        bytes: live.bytes_out(),
        request_bytes: live.bytes_in(),
        response_time: 0.0,
        timestamp: live.started.as_secs_f64(),
        duration_ms: None,
        first_event_ms: None,
        protocol: live.route.map(|route| route.protocol.as_str()),
        model: None,
        principal: None,
        attempts: None,
        input_tokens: None,
        output_tokens: None,
        fault: None,
        error: None,
        response_content: None,
    }
}

fn ended_request(record: &Record) -> RequestStats {
    let status_code = record.status.map(|status| status.as_u16());
    RequestStats {
        status: match record {
            _ if record.failed() => "error",
            _ if record.cancelled() => "cancelled",
            _ => "completed",
        },
        status_code,
        status_code_raw: status_code,
        response_time: record.headers.unwrap_or_default().as_secs_f64(),
        duration_ms: Some(millis(record.total)),
        first_event_ms: record.first_event.map(millis),
        model: record.model.as_deref().map(str::to_owned),
        principal: record.principal.as_ref().map(|principal| principal.id().to_owned()),
        attempts: Some(record.attempts.len()).filter(|attempts| *attempts > 0),
        input_tokens: record.usage.as_ref().map(Usage::input_total),
        output_tokens: record.usage.as_ref().map(Usage::output_total),
        fault: record.fault.map(FaultKind::as_str),
        error: record.error.as_deref().map(str::to_owned),
        response_content: record.error_body.as_deref().map(str::to_owned),
        ..pending(&record.begun, Duration::ZERO)
    }
}

pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

pub(super) fn two_digits(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn mean_ms(sum: Duration, count: u64) -> f64 {
    if count == 0 { 0.0 } else { millis(sum) / count as f64 }
}

/// 1 of nothing: no request failed.
fn rate(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// Bytes as people read them, in steps of 1024.
fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        for (bytes, text) in [
            (0, "0.0 B"),
            (1023, "1023.0 B"),
            (1024, "1.0 KB"),
            (1536, "1.5 KB"),
            (5 << 20, "5.0 MB"),
            (3 << 50, "3.0 PB"),
            (u64::MAX, "16384.0 PB"),
        ] {
            assert_eq!(format_bytes(bytes), text);
        }
    }
}
