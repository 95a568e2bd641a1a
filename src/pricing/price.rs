use super::Cost;
use crate::protocol::model::Usage;

/// What a million tokens cost: whole billionths of a USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

impl Rate {
    /// The largest: a million USD for a million tokens.
    pub const MAX: Self = Self(1_000_000_000_000_000);

    /// USD for a million tokens; `None` unless between 0 and [`MAX`](Self::MAX).
    #[must_use]
    pub fn from_usd(usd: f64) -> Option<Self> {
        let nanos = (usd * 1e9).round();
        // NaN is in no range.
        (0.0..=Self::MAX.0 as f64).contains(&nanos).then_some(Self(nanos as u64))
    }

    /// Billionths of a USD for a million tokens.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }
}

/// What the tokens of a request cost, by what they were used for; `None` where that is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rates {
    /// Input that no cache had a part in.
    pub input: Option<Rate>,
    /// Output without thinking.
    pub output: Option<Rate>,
    /// Input read from a prompt cache.
    pub cache_read: Option<Rate>,
    /// Input written to a prompt cache for some minutes.
    pub cache_write: Option<Rate>,
    /// Input written to a prompt cache for an hour.
    pub cache_write_1h: Option<Rate>,
    /// Thinking; where it is `None`, that costs as `output` does.
    pub reasoning: Option<Rate>,
}

impl Rates {
    /// These, and where they are unknown the others.
    fn or(self, other: Self) -> Self {
        Self {
            input: self.input.or(other.input),
            output: self.output.or(other.output),
            cache_read: self.cache_read.or(other.cache_read),
            cache_write: self.cache_write.or(other.cache_write),
            cache_write_1h: self.cache_write_1h.or(other.cache_write_1h),
            reasoning: self.reasoning.or(other.reasoning),
        }
    }

    fn cost(&self, usage: &Usage<'_>) -> Option<Cost> {
        // A stranger's words: the part may be said to be more than the whole.
        let hour = usage.cache_write_1h.min(usage.cache_write);
        let parts = [
            (usage.input, self.input),
            (usage.cache_read, self.cache_read),
            (usage.cache_write - hour, self.cache_write),
            (hour, self.cache_write_1h),
            (usage.output, self.output),
            (usage.reasoning, self.reasoning.or(self.output)),
        ];
        // Six products below 2^114 each: the sum fits.
        let mut sum = 0u128;
        for (tokens, rate) in parts {
            if tokens > 0 {
                sum += u128::from(tokens) * u128::from(rate?.0);
            }
        }
        let nanos = (sum + 500_000) / 1_000_000;
        Some(Cost::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }
}

/// What a model costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Price {
    /// The prices of a request.
    pub rates: Rates,
    /// Those of a long one, where they differ.
    pub above: Option<Above>,
}

/// What a model costs once a request is long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Above {
    /// All tokens of a request with more input tokens than these, caches included, cost this.
    pub input_tokens: u64,
    /// What is `None` here costs as it does below.
    pub rates: Rates,
}

impl Above {
    /// Prices of requests with more input than so many tokens.
    #[must_use]
    pub fn new(input_tokens: u64, rates: Rates) -> Self {
        Self { input_tokens, rates }
    }
}

impl Price {
    /// What these tokens cost; `None` where one of them has no price.
    #[must_use]
    pub fn cost(&self, usage: &Usage<'_>) -> Option<Cost> {
        let long = self.above.filter(|above| usage.input_total() > above.input_tokens);
        let rates = long.map_or(self.rates, |above| above.rates.or(self.rates));
        rates.cost(usage)
    }
}

impl From<Rates> for Price {
    fn from(rates: Rates) -> Self {
        Self { rates, above: None }
    }
}
