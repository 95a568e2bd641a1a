//! From the books to a snapshot.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::books::{Books, Minute, PathTally, Tally};
use super::counts::Counts;
use super::ended::{Ended, Failure};
use super::group::{GroupStats, faults};
use super::handle::Stats;
use super::histogram::Percentiles;
use super::names::Named;
use super::snapshot::{
    CountStats, PathStats, Performance, Point, RequestStats, Snapshot, StatsQuery, Summary,
    TimeSeries, TotalStats,
};
use crate::pricing::Cost;
use crate::protocol::model::FaultKind;
use crate::record::Begun;

/// How long nothing may move in a request before it counts as stale: 300 s.
pub const STALE_AFTER: Duration = Duration::from_secs(300);

/// Seconds of the window where the query names no start.
const DEFAULT_WINDOW: f64 = 3600.0;

/// How many paths a report lists.
pub(super) const TOP_PATHS: usize = 10;

/// What is copied while the books are held; it is put into form after that.
struct Copied {
    minutes: Vec<Minute>,
    live: Vec<Arc<Begun>>,
    recent: Vec<Ended>,
    /// What the answers of failed requests said.
    contents: HashMap<*const Begun, Arc<str>>,
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

pub(super) fn report(stats: &Stats, query: &StatsQuery) -> Snapshot {
    let now = stats.now();
    let window = Window::new(query.start_time, query.end_time, now);
    let (mut snapshot, copied) = stats.read(|books| (sums(books, now), copy(books, window)));
    list(&mut snapshot, stats, now);
    snapshot.summary = summary(&copied.minutes, window, stats.started(), now);
    snapshot.time_series = series(&copied.minutes);
    snapshot.performance.response_time_ms = response_times(&copied.recent);
    snapshot.recent_requests = requests(&copied, query.limit, now);
    snapshot
}

/// What needs no window, without the lists.
fn sums(books: &Books, now: Duration) -> Snapshot {
    let all = GroupStats::of(&books.all, now);
    Snapshot {
        summary: Summary::default(),
        performance: Performance { response_time_ms: Percentiles::default() },
        time_series: TimeSeries::default(),
        top_paths: top_paths(books),
        recent_requests: Vec::new(),
        in_flight: books.live().len(),
        stale: books.live().filter(|live| live.silent(now) > STALE_AFTER).count(),
        totals: TotalStats {
            requests: books.requests,
            successes: all.successes,
            failures: all.failures,
            cancelled: all.cancelled,
            request_bytes: all.request_bytes,
            response_bytes: all.response_bytes,
        },
        windows: all.windows,
        latency: (&books.times).into(),
        tokens_per_second: books.times.tokens_per_second.distribution(),
        tokens: all.tokens,
        cost: all.cost,
        paths: BTreeMap::new(),
        models: BTreeMap::new(),
        providers: BTreeMap::new(),
        channels: BTreeMap::new(),
        keys: BTreeMap::new(),
        principals: BTreeMap::new(),
        protocols: books.protocols.iter().map(|(name, sums)| (*name, counts(sums))).collect(),
        status_classes: books.status_classes.clone(),
        faults: faults(&books.all.total),
    }
}

/// The lists, which may be long: requests that wait for the books get them between two.
fn list(snapshot: &mut Snapshot, stats: &Stats, now: Duration) {
    let group = |tally: &Tally| GroupStats::of(tally, now);
    snapshot.paths = stats.read(|books| groups(&books.paths, |path| group(&path.tally)));
    snapshot.models =
        stats.read(|books| groups(&books.models, |model| GroupStats::of_model(model, now)));
    snapshot.providers = stats.read(|books| groups(&books.providers, group));
    snapshot.channels = stats.read(|books| groups(&books.channels, group));
    snapshot.keys = stats.read(|books| groups(&books.keys, |key| GroupStats::of_key(key, now)));
    snapshot.principals = stats.read(|books| groups(&books.principals, group));
}

/// Those that anything ended under.
fn groups<T: Default>(
    named: &Named<T>,
    group: impl Fn(&T) -> GroupStats,
) -> BTreeMap<String, GroupStats> {
    let groups = named.iter().map(|(name, tally)| (name.to_owned(), group(tally)));
    groups.filter(|(_, group)| group.requests > 0).collect()
}

fn copy(books: &Books, window: Window) -> Copied {
    let within = |begun: &Begun| window.has(begun.started);
    let mut minutes: Vec<_> =
        books.minutes.iter().filter(|minute| window.touches(minute)).copied().collect();
    minutes.sort_unstable_by_key(|minute| minute.minute);
    Copied {
        minutes,
        live: books.live().filter(|live| within(live)).cloned().collect(),
        recent: books.recent.iter().filter(|ended| within(&ended.begun)).cloned().collect(),
        contents: books
            .errors
            .iter()
            .filter_map(|Failure { ended, content }| {
                Some((Arc::as_ptr(&ended.begun), content.clone()?))
            })
            .collect(),
    }
}

fn summary(minutes: &[Minute], window: Window, started: Duration, now: Duration) -> Summary {
    let sum = |of: fn(&Minute) -> u64| minutes.iter().map(of).sum::<u64>();
    let total = sum(|minute| minute.requests);
    let successes = sum(|minute| minute.successes);
    let bytes = sum(|minute| minute.bytes_out);
    let time: Duration = minutes.iter().map(|minute| minute.response_time).sum();
    let lived = window.end.min(now.as_secs_f64()) - window.start.max(started.as_secs_f64());
    Summary {
        total_requests: total,
        successful_requests: successes,
        failed_requests: sum(|minute| minute.failures),
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
        errors_per_minute: points(|minute| minute.failures),
        bytes_per_minute: points(|minute| minute.bytes_out),
    }
}

fn response_times(recent: &[Ended]) -> Percentiles {
    let times = recent.iter().filter_map(|ended| ended.headers).filter(|time| !time.is_zero());
    Percentiles::of(&mut times.map(millis).collect::<Vec<_>>())
}

fn top_paths(books: &Books) -> BTreeMap<String, PathStats> {
    let ended = |path: &PathTally| path.tally.total.ended;
    let mut paths: Vec<_> = books.paths.iter().filter(|(_, path)| ended(path) > 0).collect();
    paths.sort_unstable_by(|(a, x), (b, y)| ended(y).cmp(&ended(x)).then(a.cmp(b)));
    let stats = |(name, path): (&str, &PathTally)| {
        let Counts { ended, successes, failures, bytes_out, .. } = path.tally.total;
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

fn counts(counts: &Counts) -> CountStats {
    CountStats { count: counts.ended, errors: counts.failures, bytes: counts.bytes_out }
}

/// The last `limit` requests, oldest first.
fn requests(copied: &Copied, limit: i64, now: Duration) -> Vec<RequestStats> {
    let ended = copied.recent.iter().map(|ended| (&ended.begun, Some(ended)));
    let mut all: Vec<_> = copied.live.iter().map(|live| (live, None)).chain(ended).collect();
    all.sort_unstable_by_key(|(begun, _)| (begun.started, begun.number));
    let keep = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(all.len());
    let skip = all.len().saturating_sub(keep);
    all.into_iter()
        .skip(skip)
        .map(|(begun, ended)| match ended {
            None => pending(begun, now),
            Some(ended) => ended_request(ended, copied.contents.get(&Arc::as_ptr(begun))),
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
        cost: None,
        fault: None,
        error: None,
        response_content: None,
    }
}

fn ended_request(ended: &Ended, content: Option<&Arc<str>>) -> RequestStats {
    let status_code = ended.status.map(|status| status.as_u16());
    RequestStats {
        status: ended.outcome,
        status_code,
        status_code_raw: status_code,
        response_time: ended.headers.unwrap_or_default().as_secs_f64(),
        duration_ms: Some(millis(ended.total)),
        first_event_ms: ended.first_event.map(millis),
        model: ended.model.as_deref().map(str::to_owned),
        principal: ended.principal.as_ref().map(|principal| principal.id().to_owned()),
        attempts: Some(ended.attempts).filter(|attempts| *attempts > 0),
        input_tokens: ended.input_tokens,
        output_tokens: ended.output_tokens,
        cost: ended.cost.map(Cost::usd),
        fault: ended.fault.map(FaultKind::as_str),
        error: ended.error.as_deref().map(str::to_owned),
        response_content: content.map(ToString::to_string),
        ..pending(&ended.begun, Duration::ZERO)
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
