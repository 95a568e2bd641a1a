//! Places at channels and in the queue.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::*;
use crate::layer::channel::Channels;
use crate::layer::channel::shared::{Lease, Shared, Ticket};

fn channels(limits: &[usize]) -> Channels {
    let list = limits
        .iter()
        .enumerate()
        .map(|(at, limit)| channel(&format!("c{at}")).max_concurrent(*limit));
    Channels::with_rng(Policy::default(), list, fastrand::Rng::with_seed(7)).unwrap()
}

/// What a request holds.
#[derive(Debug)]
enum Held {
    Lease(Lease),
    Ticket(Ticket),
}

fn give(shared: &Arc<Shared>, most: usize) -> Option<Held> {
    let ask = ask_after(&[], None);
    match shared.with(|state, now| state.give(ask, most, now)) {
        Given::Channel(choice) => Some(Held::Lease(Lease::new(shared.clone(), choice))),
        Given::Wait(number) => Some(Held::Ticket(Ticket::new(shared.clone(), number))),
        Given::Crowded | Given::Nobody(_) => None,
    }
}

fn poll(ticket: &mut Ticket) -> Poll<Option<Lease>> {
    ticket.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn first_come_first_served() {
    let channels = channels(&[1]);
    let shared = &channels.shared;
    let Some(Held::Lease(lease)) = give(shared, 2) else { panic!("there is room") };
    let (Some(Held::Ticket(mut first)), Some(Held::Ticket(mut second))) =
        (give(shared, 2), give(shared, 2))
    else {
        panic!("both wait")
    };
    assert!(give(shared, 2).is_none(), "the queue is full");
    assert_eq!(channels.waiting(), 2);
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    drop(lease);
    assert!(poll(&mut second).is_pending(), "it came later");
    assert!(matches!(give(shared, 9), Some(Held::Ticket(_))), "the place is the first one's");
    let Poll::Ready(Some(lease)) = poll(&mut first) else { panic!("it is its turn") };
    assert!(matches!(poll(&mut first), Poll::Ready(None)));
    drop((first, lease));
    // A place that was given and never taken goes to nobody's loss.
    drop(second);
    assert!(matches!(give(shared, 0), Some(Held::Lease(_))));
    assert_eq!(channels.waiting(), 0);
}

#[test]
fn who_waits_goes_wherever_there_is_room_by_now() {
    let channels = channels(&[1, 1]);
    let shared = &channels.shared;
    let held = [give(shared, 9), give(shared, 9)];
    let Some(Held::Ticket(mut ticket)) = give(shared, 9) else { panic!("it waits") };
    channels.replace([channel("c0").max_concurrent(2), channel("c1").max_concurrent(1)]).unwrap();
    let Poll::Ready(Some(lease)) = poll(&mut ticket) else { panic!("there is room") };
    assert_eq!(lease.choice.channel.as_str(), "c0");
    drop(held);
    let active: Vec<_> = channels.snapshot(KIND).iter().map(|one| one.active_requests).collect();
    assert_eq!(active, [1, 0]);
}

#[test]
fn who_waits_for_a_channel_that_trips_goes_elsewhere() {
    let channels = channels(&[1, 1]);
    let shared = &channels.shared;
    let broken = |lease: &mut Lease| lease.end(BROKEN);
    // c1 is tripped, c0 is full.
    let hold = give(shared, 9);
    for _ in 0..5 {
        let Some(Held::Lease(mut lease)) = give(shared, 9) else { panic!("c1 has room") };
        broken(&mut lease);
    }
    let Some(Held::Ticket(mut ticket)) = give(shared, 9) else { panic!("c1 is tripped") };
    assert!(poll(&mut ticket).is_pending());
    for _ in 0..5 {
        let broken = channels.change(&ChannelId::new("c0"), |entry, now| {
            entry.ended(KIND, (0, None), BROKEN, &Policy::default(), now);
        });
        broken.unwrap();
    }
    let Poll::Ready(Some(lease)) = poll(&mut ticket) else { panic!("none is well") };
    assert_eq!(lease.choice.channel.as_str(), "c1");
    drop(hold);
}

proptest! {
    /// Requests come, wait, go on, end and leave in any order: places are never lost, never taken
    /// twice, and never empty while somebody waits.
    #[test]
    fn no_place_is_lost(
        limits in prop::collection::vec(1..4usize, 1..4),
        steps in prop::collection::vec((0..6u8, any::<prop::sample::Index>()), 1..200),
    ) {
        let channels = channels(&limits);
        let shared = &channels.shared;
        let mut held: Vec<Held> = Vec::new();
        for (step, which) in steps {
            let at = (!held.is_empty()).then(|| which.index(held.len()));
            match (step, at) {
                (0..=2, _) | (_, None) => held.extend(give(shared, 5)),
                (3, Some(at)) => drop(held.swap_remove(at)),
                (4, Some(at)) => {
                    if let Held::Lease(lease) = &mut held[at] {
                        lease.end(if which.index(3) == 0 { BROKEN } else { Outcome::Success });
                        held.swap_remove(at);
                    }
                }
                (_, Some(at)) => {
                    if let Held::Ticket(ticket) = &mut held[at] {
                        if let Poll::Ready(lease) = poll(ticket) {
                            held[at] = Held::Lease(lease.expect("its first time"));
                        }
                    }
                }
            }
            let leases = held.iter().filter(|one| matches!(one, Held::Lease(_))).count();
            let snapshot = channels.snapshot(KIND);
            let active: usize = snapshot.iter().map(|one| one.active_requests).sum();
            let waiting = channels.waiting();
            prop_assert!(waiting <= 5 && leases + waiting == held.len());
            for (one, limit) in snapshot.iter().zip(&limits) {
                prop_assert!(one.active_requests <= *limit);
            }
            // A place that was given to a ticket which has not looked yet is taken too.
            prop_assert!(leases <= active && active <= held.len());
            if leases + waiting > active {
                prop_assert!(give(shared, 0).is_none(), "somebody waits, and there is room");
            }
        }
        held.clear();
        prop_assert_eq!(channels.waiting(), 0);
        for (at, one) in channels.snapshot(KIND).iter().enumerate() {
            prop_assert_eq!(one.active_requests, 0, "{}", at);
        }
        let room: usize = limits.iter().sum();
        channels.list().iter().for_each(|channel| channels.reset(channel.id()).unwrap());
        let all: Vec<_> = (0..room).map(|_| give(shared, 0)).collect();
        prop_assert!(all.iter().all(|one| matches!(one, Some(Held::Lease(_)))));
        prop_assert!(give(shared, 0).is_none());
    }
}
