//! Metrics in words, one below the other.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::copied::{Copied, Group, Noun, REQUESTS, Shown};
use crate::layer::stats::counts::Counts;
use crate::layer::stats::histogram::Buckets;

/// What every name begins with.
const PREFIX: &str = "llm_gateway";

const SECONDS: Option<&Unit> = Some(&Unit::Seconds);
const BYTES: Option<&Unit> = Some(&Unit::Bytes);

const DURATION: &str = "Until the end of the answer.";
const FIRST_EVENT: &str = "Until the first meaningful event of a stream.";
const UNPRICED: &str = "Answers that cost something, but nobody knows what.";
const SPEED: &str = "How fast streams are written.";

/// The names and values of a series' labels.
pub(super) type Labels<'l> = Vec<(&'l str, &'l str)>;

/// Where they are written.
pub(super) struct Page<'e>(DescriptorEncoder<'e>);

impl<'e> Page<'e> {
    pub(super) fn new(encoder: DescriptorEncoder<'e>) -> Self {
        Self(encoder)
    }

    /// All metrics of ours.
    pub(super) fn books(&mut self, copied: &Copied) -> fmt::Result {
        self.all(copied)?;
        for group in &copied.groups {
            self.group(group)?;
        }
        self.models(&copied.models)
    }

    fn all(&mut self, copied: &Copied) -> fmt::Result {
        let Copied { times, .. } = copied;
        self.counter(
            "requests_started",
            None,
            "Requests that have begun.",
            [(vec![], copied.begun)],
        )?;
        self.gauge("requests_in_flight", None, "Requests under way.", copied.in_flight as f64)?;
        self.gauge(
            "requests_stale",
            None,
            "Requests in which nothing moves.",
            copied.stale as f64,
        )?;
        let classes = copied.status_classes.iter();
        let classes = classes.map(|(class, count)| (vec![("status_class", *class)], *count));
        self.counter("responses", None, "Answers by the class of their status.", classes)?;
        self.counts("", REQUESTS, &[(vec![], &copied.all)])?;
        for (name, unit, help, histogram) in [
            ("request_duration", SECONDS, DURATION, &times.total),
            ("response_headers", SECONDS, "Until the headers of the answer.", &times.headers),
            ("first_event", SECONDS, FIRST_EVENT, &times.first_event),
            ("output_tokens_per_second", None, SPEED, &times.speed),
        ] {
            self.histogram(name, unit, help, [(vec![], histogram)])?;
        }
        let started = copied.started.as_secs_f64();
        self.gauge("start_time", SECONDS, "When counting began, since the Unix epoch.", started)
    }

    fn group(&mut self, group: &Group) -> fmt::Result {
        let series = group.counts.iter();
        let series: Vec<_> =
            series.map(|(value, counts)| (vec![(group.label, value.as_str())], counts)).collect();
        self.counts(&format!("{}_", group.label), group.noun, &series)
    }

    fn models(&mut self, models: &[(String, Shown)]) -> fmt::Result {
        for (name, unit, help, of) in [
            (
                "model_request_duration",
                SECONDS,
                DURATION,
                (|shown| &shown.total) as fn(&Shown) -> &Buckets,
            ),
            ("model_first_event", SECONDS, FIRST_EVENT, |shown| &shown.first_event),
            ("model_output_tokens_per_second", None, SPEED, |shown| &shown.speed),
        ] {
            let series = models.iter().map(|(name, shown)| (vec![("model", &**name)], of(shown)));
            self.histogram(name, unit, help, series)?;
        }
        Ok(())
    }

    /// All counters of what has ended, their names behind `of`.
    fn counts(&mut self, of: &str, noun: Noun, series: &[(Labels<'_>, &Counts)]) -> fmt::Result {
        let Noun(name, word) = noun;
        for (name, unit, help, read) in [
            (name, None, "{} that have ended.", (|counts| counts.ended) as fn(&Counts) -> u64),
            ("successes", None, "{} that were answered well.", |counts| counts.successes),
            ("failures", None, "{} answered badly or not at all.", |counts| counts.failures),
            ("cancelled", None, "{} that were left before their end.", |counts| counts.cancelled),
            ("request", BYTES, "Bytes of the bodies of requests.", |counts| counts.bytes_in),
            ("response", BYTES, "Bytes of the bodies of answers.", |counts| counts.bytes_out),
            ("unpriced", None, UNPRICED, |counts| counts.cost.unknown),
        ] {
            let values = series.iter().map(|(labels, counts)| (labels.clone(), read(counts)));
            self.counter(&format!("{of}{name}"), unit, &help.replace("{}", word), values)?;
        }
        let usd = series.iter().map(|(labels, counts)| (labels.clone(), counts.cost.sum.usd()));
        let unit = Unit::Other("usd".to_owned());
        self.counter(
            &format!("{of}cost"),
            Some(&unit),
            "What the answers cost that have a price.",
            usd,
        )?;
        let faults = series.iter().flat_map(|(labels, counts)| {
            counts.faults().map(|(kind, count)| (with(labels, "fault", kind.as_str()), count))
        });
        self.counter(&format!("{of}faults"), None, "What went wrong, by kind.", faults)?;
        let tokens = series.iter().flat_map(|(labels, counts)| {
            let tokens = counts.tokens;
            [
                ("input", tokens.input),
                ("cache_read", tokens.cache_read),
                ("cache_write", tokens.cache_write),
                ("output", tokens.output),
                ("reasoning", tokens.reasoning),
            ]
            .map(|(kind, count)| (with(labels, "type", kind), count))
        });
        self.counter(&format!("{of}tokens"), None, "Tokens, none of them of two types.", tokens)
    }

    pub(super) fn counter<'l, N>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'l>, N)>,
    ) -> fmt::Result
    where
        ConstCounter<N>: EncodeMetric,
    {
        self.family(name, unit, help, MetricType::Counter, series, |encoder, value| {
            ConstCounter::new(value).encode(encoder)
        })
    }

    fn gauge(&mut self, name: &str, unit: Option<&Unit>, help: &str, value: f64) -> fmt::Result {
        self.family(name, unit, help, MetricType::Gauge, [(vec![], value)], |encoder, value| {
            ConstGauge::new(value).encode(encoder)
        })
    }

    fn histogram<'l, 'b>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'l>, &'b Buckets)>,
    ) -> fmt::Result {
        self.family(name, unit, help, MetricType::Histogram, series, |mut encoder, buckets| {
            let Buckets { sum, count, counts } = buckets;
            encoder.encode_histogram::<NoLabelSet>(*sum, *count, counts, None)
        })
    }

    /// One metric and all its series; nothing at all without any.
    fn family<'l, T>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        kind: MetricType,
        series: impl IntoIterator<Item = (Labels<'l>, T)>,
        encode: impl Fn(MetricEncoder<'_>, T) -> fmt::Result,
    ) -> fmt::Result {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let name = format!("{PREFIX}_{name}");
        let mut encoder = self.0.encode_descriptor(&name, help, unit, kind)?;
        for (labels, value) in series {
            if labels.is_empty() {
                // A metric without labels is alone.
                return encode(encoder, value);
            }
            encode(encoder.encode_family(&labels)?, value)?;
        }
        Ok(())
    }
}

fn with<'l>(labels: &Labels<'l>, name: &'l str, value: &'l str) -> Labels<'l> {
    let mut labels = labels.clone();
    labels.push((name, value));
    labels
}
