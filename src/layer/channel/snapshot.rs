//! The shapes that how channels fare is told in.
//!
//! The names are those of an older gateway's metrics of channels, so that its dashboards go on
//! working; `channelId`, `status`, `state`, `activeRequests`, `errorRate` and `promotionUntil`
//! stand beside them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use super::breaker::Admission;
use super::channel::ChannelStatus;
use super::entry::{Entry, Kind};
use super::health::Health;
use super::windows::Counts;

/// The last one that RFC 3339 can write: that of the year 9999.
const LAST_SECOND: Duration = Duration::from_secs(253_402_300_799);

/// How one channel fares with the callers of one protocol.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ChannelSnapshot {
    /// Its place in the list.
    pub channel_index: usize,
    /// Its stable name.
    pub channel_id: String,
    /// Whether it takes requests.
    pub status: ChannelStatus,
    /// Its breaker.
    pub state: BreakerState,
    /// Under way, to the last byte of their answers, of callers of all protocols.
    pub active_requests: usize,
    /// That ended, whosever fault it was.
    pub request_count: u64,
    /// That were answered to the end.
    pub success_count: u64,
    /// That failed by the channel's fault.
    pub failure_count: u64,
    /// Percent, of those that succeeded or failed; 100 before the first.
    pub success_rate: f64,
    /// Percent; what is left of the success rate.
    pub error_rate: f64,
    /// Failures since the last success.
    pub consecutive_failures: u64,
    /// Milliseconds to the head of an answer: a moving average that slow ones raise at once. 0
    /// before the first.
    pub latency: u64,
    /// The last minutes and hours.
    pub time_windows: TimeWindows,
    /// RFC 3339, in seconds.
    #[serde(serialize_with = "rfc3339", skip_serializing_if = "Option::is_none")]
    pub last_success_at: Option<SystemTime>,
    /// RFC 3339, in seconds.
    #[serde(serialize_with = "rfc3339", skip_serializing_if = "Option::is_none")]
    pub last_failure_at: Option<SystemTime>,
    /// When the breaker opened, while it is not closed. RFC 3339, in seconds.
    #[serde(serialize_with = "rfc3339", skip_serializing_if = "Option::is_none")]
    pub circuit_broken_at: Option<SystemTime>,
    /// When its promotion ends, while there is one. RFC 3339, in seconds.
    #[serde(serialize_with = "rfc3339", skip_serializing_if = "Option::is_none")]
    pub promotion_until: Option<SystemTime>,
}

/// The state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BreakerState {
    /// Requests pass.
    Closed,
    /// None does.
    Open,
    /// The next one may try.
    HalfOpen,
}

/// Results of the last minutes and hours.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TimeWindows {
    /// 15 minutes.
    #[serde(rename = "15m")]
    pub quarter: WindowSnapshot,
    /// An hour.
    #[serde(rename = "1h")]
    pub hour: WindowSnapshot,
    /// Six hours.
    #[serde(rename = "6h")]
    pub six_hours: WindowSnapshot,
    /// A day.
    #[serde(rename = "24h")]
    pub day: WindowSnapshot,
}

/// Results of some time, to the minute.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WindowSnapshot {
    /// That ended, whosever fault it was.
    pub request_count: u64,
    /// That were answered to the end.
    pub success_count: u64,
    /// That failed by the channel's fault.
    pub failure_count: u64,
    /// Percent, of those that succeeded or failed; 100 without any.
    pub success_rate: f64,
}

impl From<Counts> for WindowSnapshot {
    fn from(counts: Counts) -> Self {
        Self {
            request_count: counts.requests,
            success_count: counts.successes,
            failure_count: counts.failures,
            success_rate: counts.success_rate(),
        }
    }
}

pub(super) fn snapshot(entry: &Entry, kind: Kind, now: Duration) -> ChannelSnapshot {
    let unseen = Health::default();
    let health = entry.health(kind).unwrap_or(&unseen);
    let totals = health.totals;
    let window = |minutes| WindowSnapshot::from(health.windows.sum(now, minutes));
    let at = |since: Option<Duration>| UNIX_EPOCH.checked_add(since?.min(LAST_SECOND));
    let channel = &entry.channel;
    ChannelSnapshot {
        channel_index: entry.index,
        channel_id: channel.id.as_str().to_owned(),
        status: channel.status,
        state: match entry.admission(kind, now) {
            Admission::Closed => BreakerState::Closed,
            Admission::Try => BreakerState::HalfOpen,
            Admission::Open => BreakerState::Open,
        },
        active_requests: entry.in_flight,
        request_count: totals.requests,
        success_count: totals.successes,
        failure_count: totals.failures,
        success_rate: totals.success_rate(),
        error_rate: 100.0 - totals.success_rate(),
        consecutive_failures: health.consecutive_failures,
        latency: health.latency.get().map_or(0, |latency| latency.as_millis() as u64),
        time_windows: TimeWindows {
            quarter: window(15),
            hour: window(60),
            six_hours: window(6 * 60),
            day: window(24 * 60),
        },
        last_success_at: at(health.last_success),
        last_failure_at: at(health.last_failure.map(|(failed, _)| failed)),
        circuit_broken_at: at(health.breaker.open_since().filter(|_| !channel.never_trip)),
        promotion_until: at(channel.promoted_until.filter(|_| channel.is_promoted(now))),
    }
}

fn rfc3339<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(&humantime::format_rfc3339_seconds(*time)),
        None => serializer.serialize_none(),
    }
}
