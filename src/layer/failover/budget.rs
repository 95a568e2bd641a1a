use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tower::retry::budget;

/// How long a request counts for the default budget.
pub const BUDGET_WINDOW: Duration = Duration::from_secs(10);

/// Repeats that the default budget allows in each second, however few requests there are.
pub const BUDGET_PER_SECOND: u32 = 10;

/// Repeats that the default budget allows for each request, beyond [`BUDGET_PER_SECOND`].
pub const BUDGET_RATIO: f32 = 1.0;

/// What all requests together may repeat.
pub(super) struct Budget {
    inner: Box<dyn budget::Budget + Send + Sync>,
    /// Nothing was left when it was last asked. Tower's budgets cannot be looked into.
    empty: AtomicBool,
}

impl Budget {
    pub(super) fn new(inner: impl budget::Budget + Send + Sync + 'static) -> Self {
        Self { inner: Box::new(inner), empty: AtomicBool::new(false) }
    }

    /// A request has come.
    pub(super) fn deposit(&self) {
        self.inner.deposit();
    }

    /// A request is to be repeated.
    pub(super) fn withdraw(&self) -> bool {
        let granted = self.inner.withdraw();
        self.empty.store(!granted, Ordering::Relaxed);
        granted
    }

    pub(super) fn was_empty(&self) -> bool {
        self.empty.load(Ordering::Relaxed)
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(budget::TpsBudget::new(BUDGET_WINDOW, BUDGET_PER_SECOND, BUDGET_RATIO))
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("empty", &self.empty).finish_non_exhaustive()
    }
}

/// The right of one request to its next repeat.
#[derive(Debug, Default)]
pub(super) struct Purse {
    paid: bool,
}

impl Purse {
    /// Whether the next repeat could be paid, as far as one can know. Once the budget was found
    /// empty this pays ahead: promising a repeat that is not granted would hold answers in vain.
    pub(super) fn could_pay(&mut self, budget: &Budget) -> bool {
        self.paid = self.paid || (budget.was_empty() && budget.withdraw());
        self.paid || !budget.was_empty()
    }

    /// Pays for a repeat.
    pub(super) fn pay(&mut self, budget: &Budget) -> bool {
        std::mem::take(&mut self.paid) || budget.withdraw()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicIsize;

    use super::*;

    struct Coins(AtomicIsize);

    impl budget::Budget for Coins {
        fn deposit(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn withdraw(&self) -> bool {
            let take = |coins| (coins > 0).then_some(coins - 1);
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
        }
    }

    #[test]
    fn an_empty_budget_is_noticed_and_comes_back() {
        let budget = Budget::new(Coins(AtomicIsize::new(1)));
        let (mut first, mut second) = (Purse::default(), Purse::default());
        assert!(first.could_pay(&budget) && first.pay(&budget));
        assert!(second.could_pay(&budget), "nobody knows yet");
        assert!(!second.pay(&budget));
        assert!(!first.could_pay(&budget) && !second.could_pay(&budget));
        budget.deposit();
        assert!(first.could_pay(&budget), "paid ahead");
        assert!(second.could_pay(&budget), "nobody knows again");
        assert!(!second.pay(&budget));
        assert!(first.could_pay(&budget) && first.pay(&budget) && !first.pay(&budget));
    }

    #[test]
    fn the_default_allows_its_reserve_and_one_for_each_request() {
        let budget = Budget::default();
        let reserve = BUDGET_WINDOW.as_secs() as usize * BUDGET_PER_SECOND as usize;
        let granted =
            |budget: &Budget| std::iter::from_fn(|| budget.withdraw().then_some(())).count();
        assert_eq!(granted(&budget), reserve);
        for _ in 0..7 {
            budget.deposit();
        }
        assert_eq!(granted(&budget), 7);
    }
}
