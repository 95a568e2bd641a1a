//! The shapes that a snapshot is written in.
//!
//! The first five members of [`Snapshot`] are those of an older gateway's `GET /stats`, so that
//! its dashboards go on working; the others are ours.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::group::{CostStats, GroupStats, Latency, TokenStats, WindowStats};
use super::histogram::{Distribution, Percentiles};

/// Which part of what was counted a report tells.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct StatsQuery {
    /// Unix seconds. Default: an hour before `end_time`.
    pub start_time: Option<f64>,
    /// Unix seconds. Default: now.
    pub end_time: Option<f64>,
    /// Most recent requests to list; all that are kept when 0 or less. Default 100.
    pub limit: i64,
}

impl Default for StatsQuery {
    fn default() -> Self {
        Self { start_time: None, end_time: None, limit: 100 }
    }
}

/// What was counted. By path, model, channel, key and principal it may be a moment newer than the
/// rest: each of these lists is read by itself, so that no request waits for all of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// Sums of the requests that began within the window, to the minute.
    pub summary: Summary,
    /// Times of the recent requests within the window.
    pub performance: Performance,
    /// Minute by minute within the window; minutes without a request are left out.
    pub time_series: TimeSeries,
    /// The ten paths with the most requests since the start. The paths of a known protocol are
    /// one, whatever model stands in them.
    pub top_paths: BTreeMap<String, PathStats>,
    /// Recent requests within the window, oldest first, those under way included.
    pub recent_requests: Vec<RequestStats>,
    /// Requests whose answer has not ended.
    pub in_flight: usize,
    /// Of these, the ones in which nothing has moved for
    /// [`STALE_AFTER`](super::STALE_AFTER).
    pub stale: usize,
    /// Everything since the start.
    pub totals: TotalStats,
    /// What ended in the last minutes and hours, in all.
    pub windows: WindowStats,
    /// Times since the start.
    pub latency: Latency,
    /// Output tokens by the seconds from the first event to the end, of streams that took at least
    /// [`SHORTEST_STREAM`](super::SHORTEST_STREAM) of them.
    pub tokens_per_second: Distribution,
    /// Tokens since the start.
    pub tokens: TokenStats,
    /// What they cost.
    pub cost: CostStats,
    /// By path, the paths of a known protocol as one. Here as below, those beyond the
    /// [limits](super#limits) are together `other`, and so are the names from outside that no
    /// request succeeded with.
    pub paths: BTreeMap<String, GroupStats>,
    /// By model.
    pub models: BTreeMap<String, GroupStats>,
    /// By provider: the [name that the upstream was given](crate::context::Upstream::provider),
    /// else the protocol that it speaks.
    pub providers: BTreeMap<String, GroupStats>,
    /// Attempts by channel.
    pub channels: BTreeMap<String, GroupStats>,
    /// Attempts by key: by its id, or masked where it has none.
    pub keys: BTreeMap<String, GroupStats>,
    /// By caller.
    pub principals: BTreeMap<String, GroupStats>,
    /// By the protocol of the caller.
    pub protocols: BTreeMap<&'static str, CountStats>,
    /// Answers by the first digit of their status.
    pub status_classes: BTreeMap<&'static str, u64>,
    /// What went wrong, by kind.
    pub faults: BTreeMap<&'static str, u64>,
}

/// Sums of a window.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Requests that began, ended or not.
    pub total_requests: u64,
    /// Answered with a status below 400, and to the end unless the client left.
    pub successful_requests: u64,
    /// Answered with a status from 400 on, broken off, or without an answer.
    pub failed_requests: u64,
    /// Successful by total; 1 without requests.
    pub success_rate: f64,
    /// Mean time to the headers of successful requests, in milliseconds.
    pub avg_response_time: f64,
    /// Over the part of the window in which the layer lived.
    pub requests_per_second: f64,
    /// Bytes of answers. The name is that of the gateway it comes from.
    pub total_bytes_sent: u64,
    /// As people read it: `1.5 KB`.
    pub total_bytes_sent_formatted: String,
    /// Since the layer was made.
    pub uptime_seconds: f64,
}

/// Times of a window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Performance {
    /// Time to the headers in milliseconds, of requests that were answered.
    pub response_time_ms: Percentiles,
}

/// Minute by minute.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TimeSeries {
    /// Requests that began.
    pub requests_per_minute: Vec<Point>,
    /// Of these, the failed ones.
    pub errors_per_minute: Vec<Point>,
    /// Bytes of their answers.
    pub bytes_per_minute: Vec<Point>,
}

/// One minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Point {
    /// Unix seconds at its start.
    pub time: u64,
    /// How many.
    pub count: u64,
}

/// Ended requests of one path.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PathStats {
    /// All of them.
    pub count: u64,
    /// Bytes of their answers.
    pub bytes: u64,
    /// The failed ones.
    pub errors: u64,
    /// Mean time to the headers of successful ones, in milliseconds, to two digits.
    pub avg_response_time: f64,
    /// Successful by all.
    pub success_rate: f64,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RequestStats {
    /// Its [`RequestId`](crate::context::RequestId).
    pub request_id: String,
    /// Without the query, at most [`MAX_PATH`](crate::record::MAX_PATH) bytes.
    pub path: String,
    /// The method.
    pub method: String,
    /// `pending`, `stale`, `completed`, `error` or `cancelled`.
    pub status: &'static str,
    /// The status of the answer.
    pub status_code: Option<u16>,
    /// The same again, as older dashboards want it.
    pub status_code_raw: Option<u16>,
    /// Bytes of the answer.
    pub bytes: u64,
    /// Bytes of the request.
    pub request_bytes: u64,
    /// Time to the headers in seconds; 0 while there are none.
    pub response_time: f64,
    /// Unix seconds of its start.
    pub timestamp: f64,
    /// Time to the end in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
    /// Time to the first meaningful event of a stream in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_event_ms: Option<f64>,
    /// The protocol of the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<&'static str>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Who called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// Calls to upstreams, where somebody counted them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<usize>,
    /// All input tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// All output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// What it cost in USD, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// What kind of fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The beginning of the body of an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_content: Option<String>,
}

/// Everything since the start.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TotalStats {
    /// Requests that began.
    pub requests: u64,
    /// Successful ones.
    pub successes: u64,
    /// Failed ones.
    pub failures: u64,
    /// Those whose client left before the end of the answer.
    pub cancelled: u64,
    /// Bytes of requests that ended.
    pub request_bytes: u64,
    /// Bytes of answers that ended.
    pub response_bytes: u64,
}

/// Ended requests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CountStats {
    /// All of them.
    pub count: u64,
    /// The failed ones.
    pub errors: u64,
    /// Bytes of their answers.
    pub bytes: u64,
}
