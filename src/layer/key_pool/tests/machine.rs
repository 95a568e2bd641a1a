//! What keys learn, and which is chosen.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::layer::key_pool::{Cooldown, KeyError, KeyStatus, PoolChange, Rescue, Strategy, Tried};
use crate::secret::Secret;
use crate::store::{KeyState, KeyStore, MemoryKeys};

/// A pool of one key that nobody rescues.
fn one() -> KeyPool {
    pool(Settings::new("test").rescue(Rescue::Never), 1)
}

fn fail(pool: &KeyPool, kind: FaultKind) {
    pool.try_lease().unwrap().fail(&fault(kind));
}

fn succeed(pool: &KeyPool) {
    pool.try_lease().unwrap().succeed(&[]);
}

fn id(n: usize) -> Arc<str> {
    Secret::new(format!("k{n}")).fingerprint().into()
}

/// The keys of the next leases, each given back at once.
fn next(pool: &KeyPool, count: usize) -> Vec<String> {
    (0..count).map(|_| text(&pool.try_lease().unwrap())).collect()
}

#[tokio::test(start_paused = true)]
async fn faults_of_the_key_cool_at_once_and_those_of_the_upstream_at_the_threshold() {
    use FaultKind::*;
    for kind in [Auth, Permission, Billing, RateLimit] {
        let pool = one();
        fail(&pool, kind);
        assert_eq!(key(&pool, 0).status, KeyStatus::CoolingDown, "{kind:?}");
    }
    for kind in [Overloaded, Upstream, Transport, Timeout] {
        let pool = one();
        for failures in 1..=2 {
            fail(&pool, kind);
            let key = key(&pool, 0);
            assert_eq!((key.status, key.failures), (KeyStatus::Active, failures), "{kind:?}");
        }
        fail(&pool, kind);
        assert_eq!(key(&pool, 0).status, KeyStatus::CoolingDown, "{kind:?}");
    }
    for kind in [ClientCancel, BadRequest, NotFound, TooLarge, ContextTooLong, ContentPolicy] {
        let pool = one();
        (0..9).for_each(|_| fail(&pool, kind));
        let key = key(&pool, 0);
        assert_eq!((key.status, key.failures), (KeyStatus::Active, 0), "{kind:?}");
        assert_eq!((key.totals.neutral, key.totals.failures), (9, 0));
    }
    let pool = one();
    pool.try_lease().unwrap().fail(&Fault::gateway(Auth));
    assert_eq!(key(&pool, 0).status, KeyStatus::Active);
}

#[tokio::test(start_paused = true)]
async fn a_success_between_failures_starts_the_count_anew() {
    let pool = one();
    for _ in 0..5 {
        fail(&pool, FaultKind::Upstream);
        fail(&pool, FaultKind::Upstream);
        succeed(&pool);
    }
    assert_eq!(key(&pool, 0).status, KeyStatus::Active);
}

#[tokio::test(start_paused = true)]
async fn cooldowns_double_over_releases_until_a_success() {
    let pool = one();
    let lengths = [300, 600, 1200, 2400, 4800, 9600, 19_200, 38_400, 43_200, 43_200];
    for (entry, seconds) in (1..).zip(lengths) {
        fail(&pool, FaultKind::RateLimit);
        let cooling = key(&pool, 0);
        assert_eq!(cooling.cooling_for, Duration::from_secs(seconds));
        assert_eq!((cooling.cooldowns, cooling.failures), (entry, 1));
        assert_eq!(pool.next_release(), Some(Duration::from_secs(seconds)));
        pass(seconds - 1).await;
        assert!(pool.try_lease().is_err());
        pass(1).await;
        let released = key(&pool, 0);
        assert_eq!((released.status, released.failures), (KeyStatus::HalfOpen, 0));
        assert_eq!((released.cooldowns, released.cooling_for), (entry, Duration::ZERO));
        assert_eq!(pool.next_release(), None);
    }
    succeed(&pool);
    let well = key(&pool, 0);
    assert_eq!((well.cooldowns, well.failures, well.cooldown), (0, 0, Duration::ZERO));
    fail(&pool, FaultKind::RateLimit);
    assert_eq!(key(&pool, 0).cooling_for, Duration::from_secs(300));
}

#[tokio::test(start_paused = true)]
async fn a_cache_of_failed_keys() {
    let settings = Settings::default().rescue(Rescue::Never).cooldown(Cooldown::failed_keys());
    let pool = pool(settings, 1);
    for minutes in [5, 5, 5, 10, 10] {
        fail(&pool, FaultKind::Upstream);
        assert_eq!(key(&pool, 0).cooling_for, Duration::from_secs(60 * minutes));
        pass(60 * minutes).await;
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_the_floor() {
    let pool = one();
    let limited = |seconds| {
        let retry_after = Some(Duration::from_secs(seconds));
        Fault { retry_after, ..fault(FaultKind::RateLimit) }
    };
    let (first, second, third) =
        (pool.try_lease().unwrap(), pool.try_lease().unwrap(), pool.try_lease().unwrap());
    first.fail(&limited(20));
    assert_eq!(key(&pool, 0).cooling_for, Duration::from_secs(300));
    // It was sent before the cooldown began: that is the same failure, but it knows more.
    second.fail(&limited(4000));
    let cooling = key(&pool, 0);
    assert_eq!((cooling.cooling_for.as_secs(), cooling.cooldowns), (4000, 1));
    third.fail(&limited(7));
    assert_eq!(key(&pool, 0).cooling_for.as_secs(), 4000);
}

#[tokio::test(start_paused = true)]
async fn many_at_once_are_one_failure() {
    let pool = one();
    let leases: Vec<_> = (0..50).map(|_| pool.try_lease().unwrap()).collect();
    leases.into_iter().for_each(|lease| lease.fail(&fault(FaultKind::RateLimit)));
    let cooling = key(&pool, 0);
    assert_eq!((cooling.cooldowns, cooling.cooling_for.as_secs()), (1, 300));
    assert_eq!(cooling.totals.failures, 50);
}

#[tokio::test(start_paused = true)]
async fn a_late_success_does_not_end_a_cooldown() {
    let pool = one();
    let (early, late) = (pool.try_lease().unwrap(), pool.try_lease().unwrap());
    early.fail(&fault(FaultKind::RateLimit));
    late.answered();
    late.succeed(&[]);
    assert_eq!(key(&pool, 0).status, KeyStatus::CoolingDown);
}

#[tokio::test(start_paused = true)]
async fn one_probe_at_a_time_until_it_is_answered() {
    let pool = one();
    fail(&pool, FaultKind::Auth);
    pass(300).await;
    let probe = pool.try_lease().unwrap();
    assert!(pool.try_lease().is_err());
    // One that tells nothing lets the next one try.
    drop(probe);
    assert_eq!(key(&pool, 0).status, KeyStatus::HalfOpen);
    let probe = pool.try_lease().unwrap();
    assert!(pool.try_lease().is_err());
    // Any failure of a probe cools again, for twice as long.
    probe.fail(&fault(FaultKind::Upstream));
    assert_eq!(key(&pool, 0).cooling_for.as_secs(), 600);
    pass(600).await;
    let probe = pool.try_lease().unwrap();
    probe.answered();
    let second = pool.try_lease().unwrap();
    assert_eq!(key(&pool, 0).cooldowns, 2, "the answer is not whole yet");
    probe.succeed(&[]);
    assert_eq!(key(&pool, 0).cooldowns, 0);
    drop(second);
    assert_eq!(key(&pool, 0).status, KeyStatus::Active);
}

#[tokio::test(start_paused = true)]
async fn stuck_leases_come_back_and_count() {
    let settings = exclusive().stuck_after(300 * SECOND).rescue(Rescue::Never);
    let pool = pool(settings, 1);
    let mut old = Vec::new();
    for failures in 1..=2 {
        old.push(pool.try_lease().unwrap());
        pass(299).await;
        assert!(pool.try_lease().is_err());
        pass(1).await;
        assert_eq!(key(&pool, 0).in_flight, 1, "to look changes nothing");
        drop(pool.try_lease().unwrap());
        let key = key(&pool, 0);
        assert_eq!((key.status, key.in_flight, key.failures), (KeyStatus::Active, 0, failures));
    }
    let new = pool.try_lease().unwrap();
    // Those that were taken back tell nothing, and free nothing.
    old.pop().unwrap().fail(&fault(FaultKind::Auth));
    old.pop().unwrap().succeed(&[]);
    assert_eq!(key(&pool, 0).in_flight, 1);
    assert!(pool.try_lease().is_err());
    pass(200).await;
    new.touch();
    pass(299).await;
    assert_eq!(key(&pool, 0).in_flight, 1, "it is alive");
    pass(1).await;
    assert!(pool.try_lease().is_err());
    assert_eq!(key(&pool, 0).status, KeyStatus::CoolingDown, "the third");
}

#[tokio::test(start_paused = true)]
async fn a_stuck_reader_costs_the_key_nothing() {
    let pool = pool(exclusive().stuck_after(300 * SECOND), 2);
    let lease = pool.try_lease().unwrap();
    lease.answered();
    pass(300).await;
    // Another key is free, and any step takes the lease back.
    drop(pool.try_lease().unwrap());
    let key = key(&pool, 0);
    assert_eq!((key.in_flight, key.failures, key.totals.neutral), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn strategies() {
    let with = |strategy| pool(Settings::default().strategy(strategy), 3);
    assert_eq!(next(&with(Strategy::Failover), 3), ["k0", "k0", "k0"]);
    assert_eq!(next(&with(Strategy::RoundRobin), 5), ["k0", "k1", "k2", "k0", "k1"]);
    assert_eq!(next(&with(Strategy::LeastRecentlyUsed), 5), ["k0", "k1", "k2", "k0", "k1"]);
    let random = next(&with(Strategy::Random), 300);
    for key in ["k0", "k1", "k2"] {
        assert!(random.iter().filter(|k| *k == key).count() > 50, "{key}");
    }
    // A key that cools down is left out, and the others keep their turns.
    for (strategy, expected) in [
        (Strategy::Failover, ["k1", "k1", "k1"]),
        (Strategy::RoundRobin, ["k1", "k2", "k1"]),
        (Strategy::LeastRecentlyUsed, ["k1", "k2", "k1"]),
    ] {
        let pool = with(strategy);
        fail(&pool, FaultKind::Auth);
        assert_eq!(next(&pool, 3), expected, "{strategy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn exclusive_leases_go_to_distinct_keys() {
    let pool = pool(exclusive(), 5);
    let leases: Vec<_> = (0..5).map(|_| pool.try_lease().unwrap()).collect();
    let mut keys: Vec<_> = leases.iter().map(text).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 5);
    assert!(!leases[4].has_more() && leases[3].has_more());
    let error = pool.try_lease().unwrap_err();
    assert_eq!(error.retry_after(), Some(SECOND));
    drop(leases);
    assert!(pool.snapshot().iter().all(|key| key.status == KeyStatus::Active));
}

#[tokio::test(start_paused = true)]
async fn tried_keys_come_last_and_failed_ones_never() {
    let pool = pool(Settings::default().strategy(Strategy::Failover), 3);
    let lease = |rows: &[(usize, bool)]| {
        let mut tried = Tried::default();
        rows.iter().for_each(|(n, failed)| tried.push(id(*n), *failed));
        pool.try_lease_but(&tried).map(|lease| (text(&lease), lease.has_more()))
    };
    let key = |key: &str, more| Ok((key.to_owned(), more));
    assert_eq!(lease(&[]), key("k0", true));
    assert_eq!(lease(&[(0, false)]), key("k1", true));
    assert_eq!(lease(&[(0, true), (1, false)]), key("k2", false));
    assert_eq!(lease(&[(0, true), (1, false), (2, true)]), key("k1", false));
    let error = lease(&[(0, true), (1, true), (2, true)]).unwrap_err();
    assert_eq!(error.to_string(), "every key for this upstream has failed");
}

#[tokio::test(start_paused = true)]
async fn the_oldest_failure_is_rescued() {
    let pool = pool(Settings::default().rescue(Rescue::Always).strategy(Strategy::Failover), 3);
    for kind in [FaultKind::Auth, FaultKind::RateLimit, FaultKind::Billing] {
        fail(&pool, kind);
        pass(1).await;
    }
    let mut tried = Tried::default();
    for n in 0..3 {
        let lease = pool.try_lease_but(&tried).unwrap();
        assert_eq!(text(&lease), format!("k{n}"));
        tried.push(lease.id().clone(), true);
        lease.fail(&fault(FaultKind::RateLimit));
        assert_eq!(key(&pool, n).cooldowns, 2);
    }
    assert!(pool.try_lease_but(&tried).is_err(), "none twice for one request");
    // A success ends the cooldown.
    let lease = pool.try_lease().unwrap();
    assert_eq!(text(&lease), "k0");
    lease.succeed(&[]);
    assert_eq!(key(&pool, 0).status, KeyStatus::Active);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_upstream_takes_no_key_away() {
    let pool = pool(Settings::default(), 1);
    (0..3).for_each(|_| fail(&pool, FaultKind::Upstream));
    assert_eq!(key(&pool, 0).status, KeyStatus::CoolingDown);
    // It is tried nevertheless, and the outage does not add up.
    (0..50).for_each(|_| fail(&pool, FaultKind::Overloaded));
    assert_eq!(key(&pool, 0).cooldowns, 1);
    succeed(&pool);
    assert_eq!(key(&pool, 0).status, KeyStatus::Active);
    // What it is refused for keeps it out.
    (0..3).for_each(|_| fail(&pool, FaultKind::Upstream));
    fail(&pool, FaultKind::Auth);
    assert!(pool.try_lease().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_busy_key_is_waited_for_rather_than_a_cooling_one_rescued() {
    let pool = pool(exclusive().rescue(Rescue::Always), 2);
    fail(&pool, FaultKind::Auth);
    let busy = pool.try_lease().unwrap();
    assert!(pool.try_lease().is_err());
    busy.fail(&fault(FaultKind::Auth));
    assert_eq!(text(&pool.try_lease().unwrap()), "k0");
}

#[tokio::test(start_paused = true)]
async fn keys_out_of_quota_move_last() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let changes = Arc::clone(&seen);
    let store = MemoryKeys::new();
    let settings =
        Settings::new("test").strategy(Strategy::Failover).store(store.clone()).on_change(
            move |pool, change| changes.lock().unwrap().push((pool.to_owned(), change.clone())),
        );
    let pool = pool(settings.clone(), 3);
    fail(&pool, FaultKind::Billing);
    pool.try_lease().unwrap().succeed(&[id(0)]);
    let order = vec![id(1), id(2), id(0)];
    let ids = |pool: &KeyPool| pool.snapshot().into_iter().map(|key| key.id).collect::<Vec<_>>();
    assert_eq!(ids(&pool), order);
    let lasts = Duration::from_secs(300);
    let cooling = PoolChange::Cooling { key: id(0), fault: FaultKind::Billing, lasts };
    let expected = [cooling, PoolChange::Demoted { order: order.clone() }];
    assert_eq!(*seen.lock().unwrap(), expected.map(|change| ("test".to_owned(), change)));
    // It stays there over a restart, until the host says otherwise.
    let again = super::pool(settings, 3);
    assert_eq!(ids(&again), order);
    again.set_keys(["k0", "k1", "k2"]).unwrap();
    assert_eq!(ids(&again), [id(0), id(1), id(2)]);
}

#[tokio::test(start_paused = true)]
async fn demotion_can_be_off() {
    let pool = pool(Settings::default().strategy(Strategy::Failover).demote(false), 2);
    pool.try_lease().unwrap().succeed(&[id(0)]);
    assert_eq!(key(&pool, 0).id, id(0));
}

#[tokio::test(start_paused = true)]
async fn cooldowns_outlive_a_restart_and_leases_do_not() {
    let settings = exclusive().rescue(Rescue::Never).store(MemoryKeys::new());
    let before = pool(settings.clone(), 2);
    fail(&before, FaultKind::RateLimit);
    let _in_use = before.try_lease().unwrap();
    let after = pool(settings.clone(), 2);
    let cooling = key(&after, 0);
    assert_eq!((cooling.status, cooling.cooldowns), (KeyStatus::CoolingDown, 1));
    assert!(cooling.cooling_for > 299 * SECOND && cooling.cooling_for <= 300 * SECOND);
    assert_eq!(key(&after, 1).status, KeyStatus::Active);
    pass(300).await;
    fail(&after, FaultKind::RateLimit);
    fail(&after, FaultKind::RateLimit);
    let again = pool(settings.clone(), 2);
    let cooldowns: Vec<_> = again.snapshot().iter().map(|key| key.cooldowns).collect();
    assert_eq!(cooldowns, [2, 1]);
    again.reset_all();
    assert_eq!(key(&pool(settings, 2), 0).status, KeyStatus::Active);
}

#[tokio::test(start_paused = true)]
async fn reset_makes_a_key_new() {
    let pool = pool(exclusive().rescue(Rescue::Never), 2);
    fail(&pool, FaultKind::Auth);
    let lease = pool.try_lease().unwrap();
    assert_eq!([pool.reset(&id(0)), pool.reset(&id(1))], [Ok(()); 2]);
    assert_eq!(pool.reset("other"), Err(KeyError::Unknown));
    let new = pool.try_lease().unwrap();
    let other = pool.try_lease().unwrap();
    lease.fail(&fault(FaultKind::Auth));
    assert_eq!(pool.snapshot().iter().map(|key| key.in_flight).sum::<usize>(), 2);
    assert!(pool.snapshot().iter().all(|key| key.failures == 0 && key.cooldowns == 0));
    drop((new, other));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_taken_out_while_in_use() {
    let pool = pool(Settings::default(), 1);
    let lease = pool.try_lease().unwrap();
    assert_eq!([pool.remove(&id(0)), pool.remove(&id(0))], [Ok(()), Err(KeyError::Unknown)]);
    assert_eq!(pool.try_lease().unwrap_err().to_string(), "there is no key for this upstream");
    // The one that comes back is another one.
    assert_eq!(pool.add("k0"), Ok(id(0)));
    lease.fail(&fault(FaultKind::Auth));
    assert_eq!((key(&pool, 0).status, key(&pool, 0).in_flight), (KeyStatus::Active, 0));
}

#[tokio::test(start_paused = true)]
async fn keys_are_replaced_at_once_or_not_at_all() {
    let pool = pool(Settings::default().max_keys(3), 3);
    let held = pool.try_lease().unwrap();
    fail(&pool, FaultKind::Auth);
    assert_eq!(pool.set_keys(["k1", "k1"]), Err(KeyError::Duplicate));
    assert_eq!(pool.set_keys(["k1", ""]), Err(KeyError::Invalid));
    assert_eq!(pool.set_keys(["1", "2", "3", "4"]), Err(KeyError::Full));
    assert_eq!((pool.add("k3"), pool.add("k2")), (Err(KeyError::Full), Err(KeyError::Duplicate)));
    assert_eq!(pool.snapshot().len(), 3);
    pool.set_keys(["k3", "k1", "k0"]).unwrap();
    let keys = pool.snapshot();
    assert_eq!(keys.iter().map(|key| key.id.clone()).collect::<Vec<_>>(), [id(3), id(1), id(0)]);
    assert_eq!((keys[1].status, keys[2].in_flight), (KeyStatus::CoolingDown, 1));
    drop(held);
    assert_eq!(key(&pool, 2).in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_snapshot_tells() {
    let pool = KeyPool::new(["sk-1234567890abcdef"]).unwrap();
    fail(&pool, FaultKind::Timeout);
    pass(7).await;
    let lease = pool.try_lease().unwrap();
    pass(2).await;
    let key = key(&pool, 0);
    assert_eq!((key.status.as_str(), key.in_flight), ("in_use", 1));
    assert_eq!((&*key.masked, &key.id[..11]), ("sk-12345***bcdef", "key_sha256_"));
    assert_eq!(key.last_used, Some(2 * SECOND));
    assert_eq!(key.last_failure, Some((9 * SECOND, FaultKind::Timeout)));
    assert_eq!((key.totals.leases, key.totals.failures, key.failures), (2, 1, 1));
    for shown in [format!("{lease:?} {pool:?} {key:?}"), format!("{:?}", pool.settings())] {
        assert!(!shown.contains("7890a"), "{shown}");
    }
}

/// Takes the key out of the pool just before its state is saved, as another thread may.
#[derive(Clone, Default)]
struct Racing {
    keys: MemoryKeys,
    pool: Arc<Mutex<Option<KeyPool>>>,
}

impl KeyStore for Racing {
    fn load(&self, pool: &str, key: &str) -> Option<KeyState> {
        self.keys.load(pool, key)
    }

    fn save(&self, pool: &str, key: &str, state: &KeyState) {
        let handle = self.pool.lock().unwrap().take();
        handle.inspect(|pool| pool.remove(key).unwrap());
        self.keys.save(pool, key, state);
    }

    fn remove(&self, pool: &str, key: &str) {
        self.keys.remove(pool, key);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_gone_leaves_nothing_in_the_store() {
    let store = Racing::default();
    let pool = pool(Settings::new("test").store(store.clone()), 2);
    fail(&pool, FaultKind::RateLimit);
    assert!(store.load("test", &id(0)).is_some());
    *store.pool.lock().unwrap() = Some(pool.clone());
    fail(&pool, FaultKind::RateLimit);
    assert_eq!(pool.snapshot().len(), 1);
    assert!(store.load("test", &id(1)).is_none());
}
