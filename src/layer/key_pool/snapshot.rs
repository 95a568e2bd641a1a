use std::sync::Arc;
use std::time::Duration;

use crate::protocol::model::FaultKind;

/// A key at one moment. There is nothing secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeySnapshot {
    /// Its id: [`Secret::fingerprint`](crate::secret::Secret::fingerprint).
    pub id: Arc<str>,
    /// Its form for people: [`Secret::masked`](crate::secret::Secret::masked).
    pub masked: Arc<str>,
    /// What it does.
    pub status: KeyStatus,
    /// How many requests have it.
    pub in_flight: usize,
    /// How much of its cooldown is left; zero where it does not cool down.
    pub cooling_for: Duration,
    /// Failures since it was last well.
    pub failures: u32,
    /// Cooldowns since its last success.
    pub cooldowns: u32,
    /// How long the last of these was; zero where there is none.
    pub cooldown: Duration,
    /// How long ago it was leased last.
    pub last_used: Option<Duration>,
    /// How long ago it failed last, and how.
    pub last_failure: Option<(Duration, FaultKind)>,
    /// Since the pool began.
    pub totals: KeyTotals,
}

/// What a key does. The first that is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyStatus {
    /// A request has it.
    InUse,
    /// It is left alone.
    CoolingDown,
    /// Its cooldown is over. One request may try it, and the others follow when that is answered.
    HalfOpen,
    /// It is free.
    Active,
}

impl KeyStatus {
    /// The name in status reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InUse => "in_use",
            Self::CoolingDown => "cooling_down",
            Self::HalfOpen => "half_open",
            Self::Active => "active",
        }
    }
}

/// How often a key was leased, and how the leases ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyTotals {
    /// Leases.
    pub leases: u64,
    /// Whole answers.
    pub successes: u64,
    /// Failures of the key or of its upstream.
    pub failures: u64,
    /// Ends that tell nothing of the key: the caller left or was wrong, or we refused.
    pub neutral: u64,
}
