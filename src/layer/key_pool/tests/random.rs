//! What holds whatever happens.

use proptest::prelude::*;
use tokio_test::task::{Spawn, spawn};

use super::*;
use crate::layer::key_pool::{KeyStatus, Leasing, Rescue, Strategy as Choice, Tried};

#[derive(Debug, Clone)]
enum Act {
    Lease,
    Wait,
    Poll(usize),
    GiveUp(usize),
    Answered(usize),
    Succeed(usize),
    Fail(usize, FaultKind),
    Drop(usize),
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    use FaultKind::*;
    let kind = prop::sample::select(vec![Auth, RateLimit, Upstream, Timeout, BadRequest]);
    let at = || 0..8_usize;
    prop_oneof![
        4 => Just(Act::Lease),
        4 => Just(Act::Wait),
        4 => at().prop_map(Act::Poll),
        1 => at().prop_map(Act::GiveUp),
        1 => at().prop_map(Act::Answered),
        2 => at().prop_map(Act::Succeed),
        2 => (at(), kind).prop_map(|(at, kind)| Act::Fail(at, kind)),
        2 => at().prop_map(Act::Drop),
        2 => prop::sample::select(vec![0, 1, 3, 299, 300, 601, 2000]).prop_map(Act::Pass),
    ]
}

struct Run {
    pool: KeyPool,
    max_in_flight: usize,
    leases: Vec<Lease>,
    waiting: Vec<Spawn<Leasing>>,
}

impl Run {
    fn take(&mut self, at: usize) -> Option<Lease> {
        (at < self.leases.len()).then(|| self.leases.swap_remove(at))
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Lease => {
                let before = self.pool.snapshot();
                let Ok(lease) = self.pool.try_lease() else { return };
                let was = before.iter().find(|key| key.id == *lease.id()).unwrap();
                assert!(was.in_flight < self.max_in_flight);
                assert!(was.status != KeyStatus::CoolingDown, "leased while it cools down");
                if was.status == KeyStatus::HalfOpen {
                    let probed = self.pool.try_lease().map(|second| second.id() == lease.id());
                    assert!(!probed.unwrap_or(false), "two probes");
                }
                self.leases.push(lease);
            }
            Act::Wait => {
                let mut leasing = spawn(self.pool.lease(Tried::default()));
                match leasing.poll() {
                    std::task::Poll::Ready(Ok(lease)) => self.leases.push(lease),
                    std::task::Poll::Ready(Err(_)) => {}
                    std::task::Poll::Pending => self.waiting.push(leasing),
                }
            }
            Act::Poll(at) if at < self.waiting.len() => {
                let polled = self.waiting[at].poll();
                if let std::task::Poll::Ready(result) = polled {
                    drop(self.waiting.remove(at));
                    if let Ok(lease) = result {
                        self.leases.push(lease);
                    }
                }
            }
            Act::GiveUp(at) if at < self.waiting.len() => drop(self.waiting.remove(at)),
            Act::Poll(_) | Act::GiveUp(_) => {}
            Act::Answered(at) => {
                if let Some(lease) = self.leases.get(at) {
                    lease.answered();
                }
            }
            Act::Succeed(at) => {
                let spent: Vec<_> =
                    self.leases.first().map(|l| l.id().clone()).into_iter().collect();
                if let Some(lease) = self.take(at) {
                    lease.succeed(&spent);
                }
            }
            Act::Fail(at, kind) => {
                if let Some(lease) = self.take(at) {
                    lease.fail(&fault(kind));
                }
            }
            Act::Drop(at) => drop(self.take(at)),
            Act::Pass(seconds) => pass(seconds).await,
        }
    }

    /// Handed over and not yet taken.
    fn handed(&self) -> usize {
        self.pool.snapshot().iter().map(|key| key.in_flight).sum::<usize>() - self.leases.len()
    }

    fn check(&self) {
        assert!(self.handed() <= self.waiting.len(), "a lease is lost");
        for key in self.pool.snapshot() {
            assert!(key.in_flight <= self.max_in_flight, "leased too often");
            let held = self.leases.iter().filter(|lease| *lease.id() == key.id).count();
            assert!(held <= key.in_flight);
        }
        assert_eq!(self.pool.waiting(), self.waiting.len());
    }
}

fn run(strategy: Choice, max_in_flight: usize, keys: usize, acts: Vec<Act>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let settings = Settings::new("test")
            .strategy(strategy)
            .max_in_flight(max_in_flight)
            .rescue(Rescue::Never)
            .stuck_after(Duration::from_secs(1 << 30));
        let pool = pool(settings, keys);
        let mut run = Run { pool, max_in_flight, leases: Vec::new(), waiting: Vec::new() };
        for act in acts {
            run.act(act).await;
            run.check();
        }
        run.waiting.clear();
        assert_eq!(run.handed(), 0);
        run.leases.clear();
        assert!(run.pool.snapshot().iter().all(|key| key.in_flight == 0), "a lease is lost");
        // Whatever was, all keys come back.
        pass(90_000).await;
        let leases: Vec<_> = (0..keys).filter_map(|_| run.pool.try_lease().ok()).collect();
        leases.iter().for_each(Lease::answered);
        leases.into_iter().for_each(|lease| lease.succeed(&[]));
        for n in 0..keys {
            let key = key(&run.pool, n);
            assert_ne!(key.status, KeyStatus::CoolingDown, "{key:?}");
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn exclusive_keys_are_never_shared(
        acts in prop::collection::vec(act(), 1..80),
        keys in 1..5_usize,
        strategy in prop::sample::select(vec![
            Choice::LeastRecentlyUsed, Choice::Failover, Choice::RoundRobin, Choice::Random,
        ]),
    ) {
        run(strategy, 1, keys, acts);
    }

    #[test]
    fn shared_keys_are_bounded_and_probed_once(
        acts in prop::collection::vec(act(), 1..80),
        keys in 1..4_usize,
        max_in_flight in 2..4_usize,
    ) {
        run(Choice::LeastRecentlyUsed, max_in_flight, keys, acts);
    }
}
