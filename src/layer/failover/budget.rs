use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
    /// Paid ahead and not used. Each is of a request that was under way, so there are no more of
    /// them than there were requests at once.
    spare: AtomicUsize,
}

impl Budget {
    pub(super) fn new(inner: impl budget::Budget + Send + Sync + 'static) -> Self {
        Self { inner: Box::new(inner), empty: AtomicBool::new(false), spare: AtomicUsize::new(0) }
    }

    /// A request has come.
    pub(super) fn deposit(&self) {
        self.inner.deposit();
    }

    /// A request is to be repeated.
    pub(super) fn withdraw(&self) -> bool {
        let take = |spare: usize| spare.checked_sub(1);
        if self.spare.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            return true;
        }
        let granted = self.inner.withdraw();
        self.empty.store(!granted, Ordering::Relaxed);
        granted
    }

    /// A repeat that was paid is not needed.
    fn give_back(&self) {
        self.spare.fetch_add(1, Ordering::Relaxed);
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
#[derive(Debug)]
pub(super) struct Purse {
    /// `None` where repeats cost nothing.
    budget: Option<Arc<Budget>>,
    paid: bool,
}

impl Purse {
    pub(super) fn new(budget: Option<Arc<Budget>>) -> Self {
        Self { budget, paid: false }
    }

    /// Whether the next repeat could be paid, as far as one can know. Once the budget was found
    /// empty this pays ahead: promising a repeat that is not granted would hold answers in vain.
    pub(super) fn could_pay(&mut self) -> bool {
        let Some(budget) = &self.budget else { return true };
        self.paid = self.paid || (budget.was_empty() && budget.withdraw());
        self.paid || !budget.was_empty()
    }

    /// Pays for a repeat.
    pub(super) fn pay(&mut self) -> bool {
        let Some(budget) = &self.budget else { return true };
        std::mem::take(&mut self.paid) || budget.withdraw()
    }
}

impl Drop for Purse {
    fn drop(&mut self) {
        if let Some(budget) = self.budget.as_ref().filter(|_| self.paid) {
            budget.give_back();
        }
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
        let budget = Arc::new(Budget::new(Coins(AtomicIsize::new(1))));
        let purse = || Purse::new(Some(Arc::clone(&budget)));
        let (mut first, mut second) = (purse(), purse());
        assert!(first.could_pay() && first.pay());
        assert!(second.could_pay(), "nobody knows yet");
        assert!(!second.pay());
        assert!(!first.could_pay() && !second.could_pay());
        budget.deposit();
        assert!(first.could_pay(), "paid ahead");
        assert!(second.could_pay(), "nobody knows again");
        assert!(!second.pay());
        assert!(first.could_pay() && first.pay() && !first.pay());
    }

    #[test]
    fn what_was_paid_ahead_and_not_used_is_given_back() {
        let budget = Arc::new(Budget::new(Coins(AtomicIsize::new(0))));
        let purse = || Purse::new(Some(Arc::clone(&budget)));
        assert!(!purse().pay(), "it is empty");
        budget.deposit();
        let mut good = purse();
        assert!(good.could_pay(), "paid ahead");
        drop(good);
        let mut next = purse();
        assert!(next.pay() && !next.pay());
        drop(next);
        assert!(!purse().pay(), "what was used is gone");
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
