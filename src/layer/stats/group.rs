//! The shapes that what was counted under one name is written in.
//!
//! The names in a window are those of an older gateway's metrics of channels, so that its
//! dashboards go on working; `cancelledCount`, bytes, tokens, cost and faults stand beside them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::books::{KeyTally, ModelTally, Tally, Times};
use super::counts::{Costs, Counts, Tokens};
use super::histogram::Distribution;
use super::windows::WindowSums;

/// Ended requests of one path, model, provider or principal; ended attempts of one channel or key,
/// without those that the gateway refused itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GroupStats {
    /// The key, masked; of keys alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// All of them.
    pub requests: u64,
    /// Answered with a status below 400 and no error within.
    pub successes: u64,
    /// Answered with another status, with an error within, or not at all.
    pub failures: u64,
    /// Left by the caller before the end, or dropped because another attempt was faster. A request
    /// that was left after its headers is also a success or a failure; an attempt is one of the three.
    pub cancelled: u64,
    /// Bytes of requests. Of attempts, those of the ones that were answered with.
    pub request_bytes: u64,
    /// Bytes of answers, likewise.
    pub response_bytes: u64,
    /// Their tokens, likewise.
    pub tokens: TokenStats,
    /// What they cost, likewise.
    pub cost: CostStats,
    /// What went wrong, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Their times; of models alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// How fast they were written; of models alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<Distribution>,
    /// The last minutes and hours.
    pub windows: WindowStats,
}

/// What ended in the last minutes and hours.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WindowStats {
    /// 15 minutes, to the minute.
    #[serde(rename = "15m")]
    pub quarter: WindowCounts,
    /// An hour, to the minute.
    #[serde(rename = "1h")]
    pub hour: WindowCounts,
    /// Six hours, to the quarter of an hour.
    #[serde(rename = "6h")]
    pub six_hours: WindowCounts,
    /// A day, to the quarter of an hour.
    #[serde(rename = "24h")]
    pub day: WindowCounts,
}

/// What ended in some time, the minute or quarter under way included.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WindowCounts {
    /// All that ended.
    pub request_count: u64,
    /// As in [`GroupStats`].
    pub success_count: u64,
    /// As in [`GroupStats`].
    pub failure_count: u64,
    /// Percent, of those that succeeded or failed; 100 without any.
    pub success_rate: f64,
    /// As in [`GroupStats`].
    pub cancelled_count: u64,
    /// As in [`GroupStats`].
    pub request_bytes: u64,
    /// As in [`GroupStats`].
    pub response_bytes: u64,
    /// As in [`GroupStats`].
    pub tokens: TokenStats,
    /// Percent of the input read from a cache, of that and the input that no cache had a part in;
    /// 0 without any.
    pub cache_hit_rate: f64,
    /// As in [`GroupStats`].
    pub cost: CostStats,
    /// As in [`GroupStats`].
    pub faults: BTreeMap<&'static str, u64>,
}

/// Tokens, no token in two members.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TokenStats {
    /// Answers whose tokens are known.
    pub known: u64,
    /// Input that no cache had a part in.
    pub input: u64,
    /// Input read from a prompt cache.
    pub cache_read: u64,
    /// Input written to a prompt cache.
    pub cache_write: u64,
    /// Output without thinking.
    pub output: u64,
    /// Thinking.
    pub reasoning: u64,
}

/// What answers cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CostStats {
    /// USD, of those whose cost is known.
    pub usd: f64,
    /// How many these are.
    pub known: u64,
    /// How many cost something, but nobody knows what: their model or one of their kinds of tokens
    /// has no price, or their tokens are unknown.
    pub unknown: u64,
}

/// Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Latency {
    /// To the headers.
    pub headers_ms: Distribution,
    /// To the first meaningful event of streams.
    pub first_event_ms: Distribution,
    /// To the end.
    pub total_ms: Distribution,
}

impl GroupStats {
    pub(super) fn of(tally: &Tally, now: Duration) -> Self {
        let counts = &tally.total;
        Self {
            key: None,
            requests: counts.ended,
            successes: counts.successes,
            failures: counts.failures,
            cancelled: counts.cancelled,
            request_bytes: counts.bytes_in,
            response_bytes: counts.bytes_out,
            tokens: counts.tokens.into(),
            cost: counts.cost.into(),
            faults: faults(counts),
            latency: None,
            tokens_per_second: None,
            windows: tally.windows.sums(now).into(),
        }
    }

    pub(super) fn of_model(model: &ModelTally, now: Duration) -> Self {
        Self {
            latency: Some((&model.times).into()),
            tokens_per_second: Some(model.times.tokens_per_second.distribution()),
            ..Self::of(&model.tally, now)
        }
    }

    pub(super) fn of_key(key: &KeyTally, now: Duration) -> Self {
        Self { key: key.masked.as_deref().map(str::to_owned), ..Self::of(&key.tally, now) }
    }
}

pub(super) fn faults(counts: &Counts) -> BTreeMap<&'static str, u64> {
    counts.faults().map(|(kind, count)| (kind.as_str(), count)).collect()
}

impl From<WindowSums> for WindowStats {
    fn from(sums: WindowSums) -> Self {
        Self {
            quarter: (&sums.quarter).into(),
            hour: (&sums.hour).into(),
            six_hours: (&sums.six_hours).into(),
            day: (&sums.day).into(),
        }
    }
}

impl From<&Counts> for WindowCounts {
    fn from(counts: &Counts) -> Self {
        let Tokens { input, cache_read, .. } = counts.tokens;
        let told = counts.successes + counts.failures;
        Self {
            request_count: counts.ended,
            success_count: counts.successes,
            failure_count: counts.failures,
            success_rate: percent(counts.successes, told).unwrap_or(100.0),
            cancelled_count: counts.cancelled,
            request_bytes: counts.bytes_in,
            response_bytes: counts.bytes_out,
            tokens: counts.tokens.into(),
            cache_hit_rate: percent(cache_read, cache_read.saturating_add(input)).unwrap_or(0.0),
            cost: counts.cost.into(),
            faults: faults(counts),
        }
    }
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64 * 100.0)
}

impl From<Tokens> for TokenStats {
    fn from(tokens: Tokens) -> Self {
        let Tokens { known, input, cache_read, cache_write, output, reasoning } = tokens;
        Self { known, input, cache_read, cache_write, output, reasoning }
    }
}

impl From<Costs> for CostStats {
    fn from(costs: Costs) -> Self {
        Self { usd: costs.sum.usd(), known: costs.known, unknown: costs.unknown }
    }
}

impl From<&Times> for Latency {
    fn from(times: &Times) -> Self {
        Self {
            headers_ms: times.headers.distribution(),
            first_event_ms: times.first_event.distribution(),
            total_ms: times.total.distribution(),
        }
    }
}
