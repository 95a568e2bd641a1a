use std::fmt;
use std::iter::Sum;

/// An amount of money: whole billionths of a USD, so that sums are exact. It stops at its largest
/// value, 18 billion USD.
///
/// ```
/// use tower_llm_gateway::pricing::Cost;
///
/// let cost = Cost::from_nanos(1_234_000);
/// assert_eq!(cost.to_string(), "$0.001234");
/// assert_eq!(cost.saturating_add(cost).usd(), 0.002468);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost(u64);

impl Cost {
    /// So many billionths of a USD.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Billionths of a USD.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// USD, as near as a float comes.
    #[must_use]
    pub fn usd(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Both together.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Self::saturating_add)
    }
}

impl fmt::Display for Cost {
    /// To the millionth, rounded: `$0.001234`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.saturating_add(500) / 1000;
        write!(f, "${}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}
