//! What is taken out of the books while they are held.

use std::time::Duration;

use super::StatsCollector;
use crate::layer::stats::STALE_AFTER;
use crate::layer::stats::books::{Books, Times};
use crate::layer::stats::counts::Counts;
use crate::layer::stats::histogram::{Buckets, Histogram};
use crate::layer::stats::names::Named;

/// Boundaries of times, in seconds.
pub const TIME_BUCKETS: [f64; 16] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];

/// Boundaries of speeds, in tokens a second.
pub const SPEED_BUCKETS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

/// All that a page shows.
pub(super) struct Copied {
    pub(super) started: Duration,
    pub(super) begun: u64,
    pub(super) in_flight: usize,
    pub(super) stale: usize,
    pub(super) all: Counts,
    pub(super) times: Shown,
    pub(super) status_classes: Vec<(&'static str, u64)>,
    pub(super) groups: Vec<Group>,
    pub(super) models: Vec<(String, Shown)>,
}

/// What is counted, as a name and as the beginning of a sentence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noun(pub(super) &'static str, pub(super) &'static str);

pub(super) const REQUESTS: Noun = Noun("requests", "Requests");
const ATTEMPTS: Noun = Noun("attempts", "Attempts");

/// The counts of all that has one label.
pub(super) struct Group {
    pub(super) label: &'static str,
    pub(super) noun: Noun,
    /// By the label's value.
    pub(super) counts: Vec<(String, Counts)>,
}

/// Histograms in their buckets.
pub(super) struct Shown {
    pub(super) total: Buckets,
    pub(super) headers: Buckets,
    pub(super) first_event: Buckets,
    pub(super) speed: Buckets,
}

impl Copied {
    pub(super) fn of(books: &Books, settings: &StatsCollector) -> Self {
        let now = settings.stats.now();
        let protocols = books.protocols.iter().map(|(name, counts)| (*name, counts));
        let mut groups = vec![
            Group::new("protocol", REQUESTS, protocols),
            Group::new("provider", REQUESTS, each(&books.providers, |provider| &provider.total)),
            Group::new("model", REQUESTS, each(&books.models, |model| &model.tally.total)),
            Group::new("channel", ATTEMPTS, each(&books.channels, |channel| &channel.total)),
            Group::new("key", ATTEMPTS, each(&books.keys, |key| &key.tally.total)),
        ];
        if settings.principals {
            let principals = each(&books.principals, |principal| &principal.total);
            groups.push(Group::new("principal", REQUESTS, principals));
        }
        let models = books.models.iter().filter(|(_, model)| model.tally.total.ended > 0);
        let mut models: Vec<_> =
            models.map(|(name, model)| (name.to_owned(), Shown::of(&model.times))).collect();
        models.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Self {
            started: settings.stats.started(),
            begun: books.requests,
            in_flight: books.live().len(),
            stale: books.live().filter(|live| live.silent(now) > STALE_AFTER).count(),
            all: books.all.total,
            times: Shown::of(&books.times),
            status_classes: books.status_classes.iter().map(|(class, n)| (*class, *n)).collect(),
            groups,
            models,
        }
    }
}

fn each<T: Default>(
    named: &Named<T>,
    counts: impl Fn(&T) -> &Counts,
) -> impl Iterator<Item = (&str, &Counts)> {
    named.iter().map(move |(name, entry)| (name, counts(entry)))
}

impl Group {
    fn new<'b>(
        label: &'static str,
        noun: Noun,
        counts: impl Iterator<Item = (&'b str, &'b Counts)>,
    ) -> Self {
        let counts = counts.filter(|(_, counts)| counts.ended > 0);
        let mut counts: Vec<_> = counts.map(|(name, counts)| (name.to_owned(), *counts)).collect();
        counts.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Self { label, noun, counts }
    }
}

impl Shown {
    fn of(times: &Times) -> Self {
        let seconds = |histogram: &Histogram| histogram.buckets(&TIME_BUCKETS, 1e6);
        Self {
            total: seconds(&times.total),
            headers: seconds(&times.headers),
            first_event: seconds(&times.first_event),
            speed: times.tokens_per_second.buckets(&SPEED_BUCKETS, 100.0),
        }
    }
}
