//! Who waits for a key, and how long.

use tokio_test::task::{Spawn, spawn};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok};

use super::*;
use crate::layer::key_pool::{Cooldown, Leasing, Rescue, Tried};

fn wait(pool: &KeyPool) -> Spawn<Leasing> {
    spawn(pool.lease(Tried::default()))
}

#[tokio::test(start_paused = true)]
async fn first_come_first_served() {
    let pool = pool(exclusive(), 1);
    let mut lease = assert_ready_ok!(wait(&pool).poll());
    let mut waiting: Vec<_> = (0..5).map(|_| wait(&pool)).collect();
    waiting.iter_mut().for_each(|waiter| assert_pending!(waiter.poll()));
    assert_eq!(pool.waiting(), 5);
    while !waiting.is_empty() {
        drop(lease);
        assert!(pool.try_lease().is_err(), "nobody is faster");
        let mut first = waiting.remove(0);
        assert!(first.is_woken() && !waiting.iter().any(Spawn::is_woken));
        lease = assert_ready_ok!(first.poll());
    }
    assert_eq!(pool.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_bounded_in_time() {
    let pool = pool(exclusive(), 1);
    let _lease = pool.try_lease().unwrap();
    let began = tokio::time::Instant::now();
    let error = pool.lease(Tried::default()).await.unwrap_err();
    assert_eq!(began.elapsed(), 5 * SECOND);
    assert_eq!(error.to_string(), "all keys for this upstream are in use");
    assert_eq!(pool.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded() {
    let pool = pool(exclusive().max_waiting(2), 1);
    let lease = pool.try_lease().unwrap();
    let mut waiting = [wait(&pool), wait(&pool)];
    waiting.iter_mut().for_each(|waiter| assert_pending!(waiter.poll()));
    let error = assert_ready_err!(wait(&pool).poll());
    assert_eq!(error.to_string(), "too many requests wait for a key of this upstream");
    drop(waiting);
    let mut late = wait(&pool);
    assert_pending!(late.poll());
    drop(lease);
    drop(assert_ready_ok!(late.poll()));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_cannot_end_in_time_is_not_begun() {
    let pool = pool(Settings::default(), 2);
    for _ in 0..2 {
        pool.try_lease().unwrap().fail(&fault(FaultKind::RateLimit));
        pass(10).await;
    }
    let error = assert_ready_err!(wait(&pool).poll());
    assert_eq!(error.retry_after(), Some(280 * SECOND), "the first of them");
    pass(276).await;
    let began = tokio::time::Instant::now();
    let lease = pool.lease(Tried::default()).await.unwrap();
    assert_eq!((began.elapsed(), &*text(&lease)), (4 * SECOND, "k0"));
    assert!(assert_ready!(wait(&super::pool(Settings::default(), 0)).poll()).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_new_short_cooldown_is_heard_of() {
    let cooldown = Cooldown::steps([2 * SECOND]);
    let pool = pool(exclusive().cooldown(cooldown).rescue(Rescue::Never), 1);
    let lease = pool.try_lease().unwrap();
    let mut first = wait(&pool);
    let mut second = wait(&pool);
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    lease.fail(&fault(FaultKind::RateLimit));
    assert!(first.is_woken() && second.is_woken());
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    pass(2).await;
    assert!(first.is_woken());
    // Whoever looks first, the place in the queue counts.
    assert_pending!(second.poll());
    let probe = assert_ready_ok!(first.poll());
    assert_pending!(second.poll());
    probe.answered();
    assert_pending!(second.poll());
    drop(probe);
    drop(assert_ready_ok!(second.poll()));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_one_key_does_not_stop_the_others() {
    let pool = pool(exclusive(), 2);
    let (a, b) = (pool.try_lease().unwrap(), pool.try_lease().unwrap());
    let mut tried = Tried::default();
    tried.push(a.id().clone(), true);
    let mut picky = spawn(pool.lease(tried));
    let mut any = wait(&pool);
    assert_pending!(picky.poll());
    assert_pending!(any.poll());
    drop(a);
    assert!(any.is_woken() && !picky.is_woken());
    assert_eq!(text(&assert_ready_ok!(any.poll())), "k0");
    assert_pending!(picky.poll());
    drop(b);
    assert_eq!(text(&assert_ready_ok!(picky.poll())), "k1");
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_passes_on_what_was_handed_over() {
    let pool = pool(exclusive(), 1);
    let lease = pool.try_lease().unwrap();
    let (mut first, mut second) = (wait(&pool), wait(&pool));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    drop(lease);
    assert!(first.is_woken() && !second.is_woken());
    drop(first);
    assert!(second.is_woken());
    drop(assert_ready_ok!(second.poll()));
    assert_eq!((key(&pool, 0).in_flight, pool.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stuck_lease_is_not_waited_for_longer() {
    let pool = pool(exclusive().stuck_after(300 * SECOND), 1);
    let _stuck = pool.try_lease().unwrap();
    pass(297).await;
    let began = tokio::time::Instant::now();
    assert!(pool.lease(Tried::default()).await.is_ok());
    assert_eq!(began.elapsed(), 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn added_and_reset_keys_are_handed_over() {
    let pool = pool(exclusive(), 1);
    let _lease = pool.try_lease().unwrap();
    let mut first = wait(&pool);
    assert_pending!(first.poll());
    pool.add("new").unwrap();
    let _new = assert_ready_ok!(first.poll());
    let mut second = wait(&pool);
    assert_pending!(second.poll());
    pool.reset_all();
    assert!(second.is_woken());
    drop(assert_ready_ok!(second.poll()));
}

#[tokio::test(start_paused = true)]
async fn no_wait_is_refused_at_once() {
    let pool = pool(exclusive().wait(Duration::ZERO), 1);
    let _lease = pool.try_lease().unwrap();
    assert_ready_err!(wait(&pool).poll());
}
