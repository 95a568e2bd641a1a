//! The sums. One lock is taken when a request begins and when it ends, never for a frame, so that
//! all numbers that are read under it belong together.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::counts::Counts;
use super::ended::{Ended, Failure};
use super::histogram::Histogram;
use super::names::{Named, template};
use super::ring::Ring;
use super::windows::Windows;
use crate::protocol::Protocol;
use crate::record::{Begun, End, Record};

/// How many finished requests are kept.
pub const MAX_RECENT: usize = 1000;

/// How many failed requests are kept, with what their answers said.
pub const MAX_ERRORS: usize = 500;

/// How many minutes of the time series are kept: a day.
pub const MAX_MINUTES: usize = 1440;

/// How many paths are counted one by one; the others together.
pub const MAX_PATHS: usize = 256;

/// How many models are counted one by one; the others together.
pub const MAX_MODELS: usize = 256;

/// How many providers are counted one by one; the others together.
pub const MAX_PROVIDERS: usize = 64;

/// How many principals are counted one by one; the others together.
pub const MAX_PRINCIPALS: usize = 512;

/// How many channels are counted one by one; the others together.
pub const MAX_CHANNELS: usize = 256;

/// How many keys are counted one by one; the others together.
pub const MAX_KEYS: usize = 512;

/// An answer that came faster than this was not written while it was sent: its speed says nothing.
pub const SHORTEST_STREAM: Duration = Duration::from_millis(10);

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Books {
    /// Requests that have begun.
    pub(crate) requests: u64,
    /// As many as there are responses on their way: each goes out when its guard does. By their
    /// address, which none shares with another while both live.
    live: HashMap<usize, Arc<Begun>>,
    pub(super) recent: Ring<Ended>,
    pub(super) errors: Ring<Failure>,
    pub(super) minutes: Vec<Minute>,
    pub(crate) all: Tally,
    pub(crate) times: Times,
    pub(crate) paths: Named<PathTally>,
    pub(crate) models: Named<ModelTally>,
    /// By the name that the upstream was given, else by the protocol that it speaks.
    pub(crate) providers: Named<Tally>,
    /// Their attempts.
    pub(crate) channels: Named<Tally>,
    /// Their attempts, by their ids.
    pub(crate) keys: Named<KeyTally>,
    pub(crate) principals: Named<Tally>,
    /// By the protocol of the caller.
    pub(crate) protocols: BTreeMap<&'static str, Counts>,
    pub(crate) status_classes: BTreeMap<&'static str, u64>,
}

impl Default for Books {
    fn default() -> Self {
        Self {
            requests: 0,
            live: HashMap::new(),
            recent: Ring::new(MAX_RECENT),
            errors: Ring::new(MAX_ERRORS),
            minutes: vec![Minute::default(); MAX_MINUTES],
            all: Tally::default(),
            times: Times::default(),
            paths: Named::new(MAX_PATHS),
            models: Named::new(MAX_MODELS),
            providers: Named::new(MAX_PROVIDERS),
            channels: Named::new(MAX_CHANNELS),
            keys: Named::new(MAX_KEYS),
            principals: Named::new(MAX_PRINCIPALS),
            protocols: BTreeMap::new(),
            status_classes: BTreeMap::new(),
        }
    }
}

/// What ended, since the start and lately.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) total: Counts,
    pub(super) windows: Windows,
}

impl Tally {
    fn add(&mut self, now: Duration, one: &Counts) {
        self.total.add(one);
        self.windows.add(now, one);
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct PathTally {
    pub(crate) tally: Tally,
    /// Sum over the successes, which alone count for the average.
    pub(super) response_time: Duration,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct ModelTally {
    pub(crate) tally: Tally,
    pub(crate) times: Times,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct KeyTally {
    pub(crate) tally: Tally,
    /// The key, masked. None for all others together.
    pub(crate) masked: Option<Arc<str>>,
}

/// How long requests take, and how fast answers are written.
#[derive(Debug, Clone)]
pub(crate) struct Times {
    pub(crate) headers: Histogram,
    pub(crate) first_event: Histogram,
    pub(crate) total: Histogram,
    pub(crate) tokens_per_second: Histogram,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            headers: Histogram::of_times(),
            first_event: Histogram::of_times(),
            total: Histogram::of_times(),
            tokens_per_second: Histogram::of_speeds(),
        }
    }
}

impl Times {
    fn add(&mut self, record: &Record) {
        self.total.time(record.total);
        for (histogram, time) in
            [(&mut self.headers, record.headers), (&mut self.first_event, record.first_event)]
        {
            if let Some(time) = time {
                histogram.time(time);
            }
        }
        if let Some((tokens, time)) = speed(record) {
            self.tokens_per_second.speed(tokens, time);
        }
    }
}

/// Output tokens and the time from the first event to the end, of streams that were read whole.
fn speed(record: &Record) -> Option<(u64, Duration)> {
    let whole = record.end == End::Whole && record.succeeded();
    let tokens = record.usage.as_ref().filter(|_| whole)?.output_total();
    let time = record.total.checked_sub(record.first_event?)?;
    (tokens > 0 && time >= SHORTEST_STREAM).then_some((tokens, time))
}

/// Requests that began within one minute.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Minute {
    /// Minutes since the epoch.
    pub(super) minute: u64,
    pub(super) requests: u64,
    pub(super) successes: u64,
    pub(super) failures: u64,
    pub(super) bytes_out: u64,
    /// Sum over those of the successes that are timed.
    pub(super) response_time: Duration,
    pub(super) timed: u64,
}

impl Books {
    pub(super) fn begin(&mut self, begun: Arc<Begun>) {
        self.requests += 1;
        if let Some(minute) = self.minute(begun.started) {
            minute.requests += 1;
        }
        self.live.insert(address(&begun), begun);
    }

    /// `one` is what `record` adds, and `ended` what is kept of it.
    pub(super) fn end(&mut self, record: &Record, one: &Counts, ended: Ended) {
        let now = record.begun.started.saturating_add(record.total);
        self.live.remove(&address(&record.begun));
        self.all.add(now, one);
        self.times.add(record);
        self.classify(record, one);
        self.name(record, now, one);
        self.charge(record, now, one);
        self.keep(record, ended);
    }

    /// Requests under way.
    pub(crate) fn live(&self) -> impl ExactSizeIterator<Item = &Arc<Begun>> {
        self.live.values()
    }

    fn keep(&mut self, record: &Record, ended: Ended) {
        let success_time = record.headers.filter(|time| !time.is_zero() && record.succeeded());
        if let Some(minute) = self.minute(record.begun.started) {
            minute.successes += u64::from(record.succeeded());
            minute.failures += u64::from(record.failed());
            minute.bytes_out += record.bytes_out();
            if let Some(time) = success_time {
                minute.timed += 1;
                minute.response_time += time;
            }
        }
        if record.failed() {
            let content = record.error_body.clone();
            self.errors.push(Failure { ended: ended.clone(), content });
        }
        self.recent.push(ended);
    }

    fn classify(&mut self, record: &Record, one: &Counts) {
        if let Some(status) = record.status {
            let class = match status.as_u16() / 100 {
                1 => "1xx",
                2 => "2xx",
                3 => "3xx",
                4 => "4xx",
                _ => "5xx",
            };
            *self.status_classes.entry(class).or_default() += 1;
        }
        if let Some(route) = record.begun.route {
            self.protocols.entry(route.protocol.as_str()).or_default().add(one);
        }
    }

    fn name(&mut self, record: &Record, now: Duration, one: &Counts) {
        let good = record.succeeded();
        let path = record.begun.route.and_then(template).unwrap_or(&record.begun.path);
        let path = self.paths.entry(path, good || record.begun.route.is_some());
        path.tally.add(now, one);
        if good {
            path.response_time += record.headers.unwrap_or_default();
        }
        if let Some(model) = &record.model {
            let model = self.models.entry(model, good);
            model.tally.add(now, one);
            model.times.add(record);
        }
        let spoken = record.upstream_protocol.map(Protocol::as_str);
        if let Some(provider) = record.provider.as_deref().or(spoken) {
            self.providers.own(provider, Tally::default).add(now, one);
        }
        if let Some(principal) = &record.principal {
            self.principals.entry(principal.id(), good).add(now, one);
        }
    }

    /// Channels and keys count attempts: each is charged with its own.
    fn charge(&mut self, record: &Record, now: Duration, one: &Counts) {
        // Whoever gave the answer that the caller got has its bytes and tokens.
        let answering = record.answered_by();
        for (place, attempt) in record.attempts.iter().enumerate() {
            let answer = (Some(place) == answering).then_some(one);
            let Some(one) = Counts::of_attempt(attempt, answer) else { continue };
            if let Some(channel) = &attempt.channel {
                self.channels.own(channel.as_str(), Tally::default).add(now, &one);
            }
            let masked = attempt.key.as_ref();
            if let Some(id) = attempt.key_id.as_ref().or(masked) {
                let new = || KeyTally { masked: masked.cloned(), ..KeyTally::default() };
                self.keys.own(id, new).tally.add(now, &one);
            }
        }
    }

    /// The minute of `time`, emptied if it still holds one of another day. `None` for a request
    /// that began more than a day ago.
    fn minute(&mut self, time: Duration) -> Option<&mut Minute> {
        let number = time.as_secs() / 60;
        let slot = self.minutes.get_mut((number % MAX_MINUTES as u64) as usize)?;
        if slot.minute < number {
            *slot = Minute { minute: number, ..Minute::default() };
        }
        (slot.minute == number).then_some(slot)
    }
}

fn address(begun: &Arc<Begun>) -> usize {
    Arc::as_ptr(begun).addr()
}
