//! The sums. One lock is taken when a request begins and when it ends, never for a frame, so that
//! all numbers of a snapshot belong together.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::histogram::Histogram;
use super::names::{Named, template};
use super::ring::Ring;
use crate::protocol::model::Usage;
use crate::record::{Begun, Clock, Record};

/// How many finished requests are kept.
pub const MAX_RECENT: usize = 1000;

/// How many failed requests are kept.
pub const MAX_ERRORS: usize = 500;

/// How many minutes of the time series are kept: a day.
pub const MAX_MINUTES: usize = 1440;

/// How many paths are counted one by one; the others together.
pub const MAX_PATHS: usize = 256;

/// How many models are counted one by one; the others together.
pub const MAX_MODELS: usize = 256;

/// What one layer and its handles share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) started: Duration,
    books: Mutex<Books>,
}

impl Shared {
    pub(super) fn new(clock: Clock) -> Self {
        let started = clock.now();
        Self { clock, started, books: Mutex::default() }
    }

    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        // Sums of a thread that panicked are still sums.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) requests: u64,
    /// As many as there are responses on their way: each goes out when its guard does.
    pub(super) live: HashMap<u64, Arc<Begun>>,
    pub(super) recent: Ring<Arc<Record>>,
    pub(super) errors: Ring<Arc<Record>>,
    pub(super) minutes: Vec<Minute>,
    pub(super) paths: Named<PathTotals>,
    pub(super) models: Named<ModelTotals>,
    pub(super) protocols: BTreeMap<&'static str, Totals>,
    pub(super) status_classes: BTreeMap<&'static str, u64>,
    pub(super) faults: BTreeMap<&'static str, u64>,
    pub(super) totals: Totals,
    pub(super) cancelled: u64,
    pub(super) bytes_in: u64,
    pub(super) tokens: TokenTotals,
    pub(super) headers: Histogram,
    pub(super) first_event: Histogram,
    pub(super) duration: Histogram,
}

impl Default for Books {
    fn default() -> Self {
        Self {
            requests: 0,
            live: HashMap::new(),
            recent: Ring::new(MAX_RECENT),
            errors: Ring::new(MAX_ERRORS),
            minutes: vec![Minute::default(); MAX_MINUTES],
            paths: Named::new(MAX_PATHS),
            models: Named::new(MAX_MODELS),
            protocols: BTreeMap::new(),
            status_classes: BTreeMap::new(),
            faults: BTreeMap::new(),
            totals: Totals::default(),
            cancelled: 0,
            bytes_in: 0,
            tokens: TokenTotals::default(),
            headers: Histogram::default(),
            first_event: Histogram::default(),
            duration: Histogram::default(),
        }
    }
}

/// Ended requests of one kind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) ended: u64,
    pub(super) successes: u64,
    pub(super) failures: u64,
    pub(super) bytes_out: u64,
}

impl Totals {
    fn add(&mut self, record: &Record) {
        self.ended += 1;
        self.successes += u64::from(record.succeeded());
        self.failures += u64::from(record.failed());
        self.bytes_out += record.bytes_out();
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PathTotals {
    pub(super) totals: Totals,
    /// Sum over the successes, which alone count for the average.
    pub(super) response_time: Duration,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ModelTotals {
    pub(super) totals: Totals,
    pub(super) tokens: TokenTotals,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TokenTotals {
    pub(super) known: u64,
    pub(super) input: u64,
    pub(super) cache_read: u64,
    pub(super) cache_write: u64,
    pub(super) output: u64,
    pub(super) reasoning: u64,
}

impl TokenTotals {
    fn add(&mut self, usage: &Usage<'_>) {
        self.known += 1;
        for (sum, count) in [
            (&mut self.input, usage.input),
            (&mut self.cache_read, usage.cache_read),
            (&mut self.cache_write, usage.cache_write),
            (&mut self.output, usage.output),
            (&mut self.reasoning, usage.reasoning),
        ] {
            // The counts are a stranger's words.
            *sum = sum.saturating_add(count);
        }
    }
}

/// Requests that began within one minute.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Minute {
    /// Minutes since the epoch.
    pub(super) minute: u64,
    pub(super) requests: u64,
    pub(super) totals: Totals,
    pub(super) response_time: Duration,
    pub(super) timed: u64,
}

impl Books {
    pub(super) fn begin(&mut self, live: Arc<Begun>) {
        self.requests += 1;
        if let Some(minute) = self.minute(live.started) {
            minute.requests += 1;
        }
        self.live.insert(live.number, live);
    }

    pub(super) fn end(&mut self, record: Arc<Record>) {
        self.live.remove(&record.begun.number);
        self.totals.add(&record);
        self.bytes_in += record.bytes_in();
        self.cancelled += u64::from(record.cancelled());
        self.time(&record);
        self.classify(&record);
        self.name(&record);
        if record.failed() {
            self.errors.push(record.clone());
        }
        self.recent.push(record);
    }

    fn time(&mut self, record: &Record) {
        let success_time = record.headers.filter(|time| !time.is_zero() && record.succeeded());
        if let Some(minute) = self.minute(record.begun.started) {
            minute.totals.add(record);
            if let Some(time) = success_time {
                minute.timed += 1;
                minute.response_time += time;
            }
        }
        self.duration.record(record.total);
        for (histogram, time) in
            [(&mut self.headers, record.headers), (&mut self.first_event, record.first_event)]
        {
            if let Some(time) = time {
                histogram.record(time);
            }
        }
    }

    fn classify(&mut self, record: &Record) {
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
        if let Some(fault) = record.fault {
            *self.faults.entry(fault.as_str()).or_default() += 1;
        }
        if let Some(route) = record.begun.route {
            self.protocols.entry(route.protocol.as_str()).or_default().add(record);
        }
    }

    fn name(&mut self, record: &Record) {
        let good = record.succeeded();
        let path = record.begun.route.and_then(template).unwrap_or(&record.begun.path);
        let path = self.paths.entry(path, good || record.begun.route.is_some());
        path.totals.add(record);
        if good {
            path.response_time += record.headers.unwrap_or_default();
        }
        if let Some(usage) = &record.usage {
            self.tokens.add(usage);
        }
        if let Some(model) = &record.model {
            let model = self.models.entry(model, good);
            model.totals.add(record);
            if let Some(usage) = &record.usage {
                model.tokens.add(usage);
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
