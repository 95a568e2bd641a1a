//! Which channel is chosen, in time that stands still.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::layer::channel::Strategy as Choose;
use crate::layer::channel::schedule::Nobody;

fn is(chosen: &(String, &'static str), id: &str, reason: &str) {
    assert_eq!((chosen.0.as_str(), chosen.1), (id, reason));
}

#[test]
fn priorities_and_their_ties() {
    // Zero is the place in the list; equal ones stand in its order.
    let list = || {
        [
            channel("a").priority(5),
            channel("b"),
            channel("c").priority(1),
            channel("d").priority(3),
            channel("e"),
        ]
    };
    let mut scene = Scene::new(list());
    let order: Vec<_> = std::iter::from_fn(|| {
        let (id, reason) = match scene.give(&ask_after(&[], None)) {
            Given::Channel(choice) => {
                scene.end(&choice, Outcome::Nothing);
                (choice.channel.as_str().to_owned(), choice.reason.as_str())
            }
            _ => return None,
        };
        assert_eq!(reason, "priority_order");
        scene.set(&id, ChannelStatus::Suspended);
        Some(id)
    })
    .collect();
    assert_eq!(order.concat(), "bcdea");
}

#[test]
fn a_promoted_channel_bypasses_its_breaker() {
    let mut scene = Scene::new([channel("a"), channel("b")]);
    let until = scene.wall() + MINUTE * 5;
    scene.state.replace(vec![channel("a"), channel("b").promoted_until(until)], scene.now);
    scene.fail("b", 10);
    is(&scene.first(), "b", "promotion_priority");
}

#[test]
fn a_promoted_channel_is_skipped_where_it_failed() {
    let mut scene = Scene::new([channel("a"), channel("b")]);
    let until = scene.wall() + MINUTE * 5;
    scene.state.replace(vec![channel("a"), channel("b").promoted_until(until)], scene.now);
    let ask = ask_after(&[failed("b", FaultKind::Upstream, true)], None);
    is(&scene.chosen(&ask), "a", "priority_order");
}

#[test]
fn a_promoted_channel_that_is_tripped_is_tried_by_one_at_a_time() {
    let mut scene = Scene::new([]);
    let until = scene.wall() + MINUTE * 5;
    scene.state.replace(vec![channel("a"), channel("b").promoted_until(until)], scene.now);
    scene.fail("b", 10);
    let ask = ask_after(&[], None);
    let tries = scene.take(&ask);
    assert_eq!(tries.reason.as_str(), "promotion_priority");
    is(&scene.chosen(&ask), "a", "priority_order");
    scene.state.answered(&tries, true, scene.now);
    is(&scene.chosen(&ask), "b", "promotion_priority");
    scene.end(&tries, Outcome::Success);
    let both = [scene.take(&ask), scene.take(&ask)].map(|choice| choice.reason.as_str());
    assert_eq!(both, ["promotion_priority"; 2], "it is well");
}

#[test]
fn a_try_keeps_others_waiting_until_its_answer_begins() {
    let mut scene = Scene::new([channel("a"), channel("b")]);
    scene.fail("a", 5);
    scene.now += MINUTE * 15;
    let ask = ask_after(&[], None);
    let tries = scene.take(&ask);
    assert_eq!(tries.channel.as_str(), "a");
    is(&scene.first(), "b", "priority_order");
    scene.state.answered(&tries, true, scene.now);
    is(&scene.first(), "a", "priority_order");
    scene.end(&tries, BROKEN);
    is(&scene.first(), "b", "priority_order");
}

#[test]
fn an_attempt_on_its_way_does_not_hide_the_one_that_failed() {
    let mut scene = Scene::new([channel("a"), channel("b"), channel("c")]);
    let failed_key = failed("a", FaultKind::RateLimit, true);
    let id = || Some(ChannelId::new("b"));
    let flying = Attempt { channel: id(), ..Attempt::default() };
    let ask = ask_after(&[failed_key.clone(), flying], None);
    is(&scene.chosen(&ask), "a", "same_channel");
    // Unless we have refused to go there again.
    let refused =
        Attempt { fault: Some(Fault::gateway(FaultKind::Overloaded)), ..failed_key.clone() };
    is(&scene.chosen(&ask_after(&[failed_key, refused], None)), "b", "priority_order");
}

#[test]
fn after_a_pause_a_channel_that_was_tried_is_free_again() {
    let mut scene = Scene::new([channel("a")]);
    let exchange = Exchange::default();
    let mut extensions = http::Extensions::new();
    let first = exchange.begin_attempt(&mut extensions);
    exchange.update_attempt(first, |told| *told = failed("a", FaultKind::Overloaded, true));
    let again = exchange.begin_attempt(&mut extensions);
    let ask = || exchange.read(|facts| Ask::new(KIND, None, facts, again));
    assert!(matches!(scene.give(&ask()), Given::Nobody(Nobody::Tried)));
    exchange.update_attempt(again, |attempt| attempt.may_return = true);
    let choice = scene.take(&ask());
    assert_eq!((choice.channel.as_str(), choice.more_channels), ("a", false));
}

#[test]
fn only_generations_are_timed() {
    let mut scene = Scene::new([channel("a")]);
    let choice = scene.take(&ask_after(&[], None));
    scene.now += MINUTE;
    let latency =
        |scene: &Scene| scene.state.entries[0].health(KIND).and_then(|health| health.latency.get());
    scene.state.answered(&choice, false, scene.now);
    assert_eq!(latency(&scene), None);
    scene.state.answered(&choice, true, scene.now);
    assert_eq!(latency(&scene), Some(MINUTE));
}

#[test]
fn one_that_is_not_promoted_is_held_to_its_breaker() {
    let mut scene = Scene::new([channel("a"), channel("b")]);
    scene.fail("a", 4);
    is(&scene.first(), "a", "priority_order");
    scene.fail("a", 1);
    is(&scene.first(), "b", "priority_order");
}

#[test]
fn a_promotion_that_is_over_bypasses_nothing() {
    let mut scene = Scene::new([channel("a"), channel("b")]);
    let until = scene.wall() + MINUTE;
    scene.state.replace(vec![channel("a"), channel("b").promoted_until(until)], scene.now);
    scene.fail("b", 10);
    is(&scene.first(), "b", "promotion_priority");
    // It may end between two attempts of one request.
    scene.now += MINUTE;
    is(&scene.first(), "a", "priority_order");
    let ask = ask_after(&[failed("a", FaultKind::Upstream, false)], None);
    is(&scene.chosen(&ask), "b", "fallback");
}

#[test]
fn a_suspended_channel_is_skipped_everywhere() {
    for status in [ChannelStatus::Suspended, ChannelStatus::Disabled] {
        let mut scene = Scene::new([]);
        let until = scene.wall() + MINUTE;
        let off = channel("off").status(status).promoted_until(until);
        scene.state.replace(vec![off.clone(), channel("on")], scene.now);
        is(&scene.first(), "on", "priority_order");
        scene.fail("on", 10);
        is(&scene.first(), "on", "fallback");
        scene.state.replace(vec![off], scene.now);
        assert!(matches!(scene.give(&ask_after(&[], None)), Given::Nobody(Nobody::None)));
    }
}

#[test]
fn a_sole_channel_is_never_tripped_away() {
    let mut scene = Scene::new([channel("a")]);
    scene.fail("a", 30);
    is(&scene.first(), "a", "fallback");
}

#[test]
fn where_all_are_tripped_the_lowest_failure_rate_wins() {
    let mut scene = Scene::new([channel("a"), channel("b"), channel("c")]);
    let policy = Policy::default();
    for (id, successes) in [("a", 1), ("b", 5), ("c", 4)] {
        let id = ChannelId::new(id);
        let now = scene.now;
        scene.state.change(&id, now, |entry| {
            for outcome in [Outcome::Success].repeat(successes).into_iter().chain([BROKEN; 5]) {
                entry.ended(KIND, (0, None), outcome, &policy, now);
            }
        });
    }
    is(&scene.first(), "b", "fallback");
    let ask = ask_after(&[failed("b", FaultKind::Upstream, false)], None);
    is(&scene.chosen(&ask), "c", "fallback");
}

#[test]
fn a_half_open_channel_takes_one_request() {
    let mut scene = Scene::new([channel("a"), channel("b")]);
    scene.fail("a", 5);
    scene.now += MINUTE * 15;
    let ask = ask_after(&[], None);
    let trying = scene.take(&ask);
    assert_eq!(trying.channel.as_str(), "a");
    is(&scene.first(), "b", "priority_order");
    scene.end(&trying, BROKEN);
    is(&scene.first(), "b", "priority_order");
    scene.now += MINUTE * 15;
    let trying = scene.take(&ask);
    scene.end(&trying, Outcome::Success);
    let both = [scene.take(&ask), scene.take(&ask)];
    assert!(both.iter().all(|choice| choice.channel.as_str() == "a"), "it is closed");
}

#[test]
fn key_faults_stay_for_as_long_as_there_are_keys() {
    let mut scene = Scene::new([channel("a"), channel("b")]);
    let after = |kind, more_keys| ask_after(&[failed("b", kind, more_keys)], None);
    for kind in [FaultKind::Auth, FaultKind::Billing, FaultKind::RateLimit] {
        is(&scene.chosen(&after(kind, true)), "b", "same_channel");
        is(&scene.chosen(&after(kind, false)), "a", "priority_order");
    }
    for kind in [FaultKind::Upstream, FaultKind::Timeout, FaultKind::BadRequest] {
        is(&scene.chosen(&after(kind, true)), "a", "priority_order");
    }
    // A refusal of the key pool says that it has none.
    let refused = Attempt {
        fault: Some(Fault::gateway(FaultKind::RateLimit)),
        ..failed("b", FaultKind::RateLimit, true)
    };
    is(&scene.chosen(&ask_after(&[refused], None)), "a", "priority_order");
    // Only the last attempt counts.
    let twice = [failed("b", FaultKind::Auth, true), failed("a", FaultKind::Upstream, true)];
    assert!(matches!(scene.give(&ask_after(&twice, None)), Given::Nobody(Nobody::Tried)));
}

#[test]
fn each_base_url_of_a_channel_is_tried() {
    let spare = Upstream::new("https://spare.example", Protocol::Anthropic).unwrap();
    let mut scene = Scene::new([channel("a").also_at(spare), channel("b")]);
    let broken = |id: &str| failed(id, FaultKind::Transport, false);

    let first = scene.take(&ask_after(&[], None));
    assert_eq!((first.upstream.authority().as_str(), first.more_channels), ("a.example", true));
    scene.end(&first, Outcome::Failure(FaultKind::Transport));
    let second = scene.take(&ask_after(&[broken("a")], None));
    assert_eq!(second.upstream.authority(), "spare.example");
    assert_eq!(second.reason.as_str(), "same_channel");
    scene.end(&second, Outcome::Failure(FaultKind::Transport));
    let third = scene.take(&ask_after(&[broken("a"), broken("a")], None));
    assert_eq!((third.channel.as_str(), third.more_channels), ("b", false));
    scene.end(&third, Outcome::Success);
}

#[test]
fn whether_more_channels_are_left() {
    let mut scene = Scene::new([channel("a"), channel("b").models(["x"])]);
    assert!(scene.take(&ask_after(&[], Some("x"))).more_channels);
    assert!(!scene.take(&ask_after(&[], Some("y"))).more_channels);
    let ask = ask_after(&[failed("a", FaultKind::Upstream, true)], Some("x"));
    assert!(!scene.take(&ask).more_channels);
}

#[test]
fn models_and_callers_narrow_the_choice() {
    let mut scene = Scene::new([
        channel("chat").callers([Protocol::OpenAiChat]),
        channel("listed").models(["x-*"]),
    ]);
    is(&scene.chosen(&ask_after(&[], Some("x-1"))), "listed", "priority_order");
    let other = scene.give(&ask_after(&[], Some("y")));
    assert!(matches!(other, Given::Nobody(Nobody::Model)), "{other:?}");
    let tried = ask_after(&[failed("listed", FaultKind::Upstream, true)], Some("x-1"));
    assert!(matches!(scene.give(&tried), Given::Nobody(Nobody::Tried)));
}

#[test]
fn full_channels_are_passed_over() {
    let limited = |id| channel(id).max_concurrent(1);
    let mut scene = Scene::new([limited("a"), limited("b"), limited("c")]);
    scene.fail("c", 5);
    let ask = ask_after(&[], None);
    let held = [scene.take(&ask), scene.take(&ask)];
    assert_eq!(held.each_ref().map(|choice| choice.channel.as_str()), ["a", "b"]);
    assert!(matches!(scene.give(&ask), Given::Crowded), "a tripped one is no way out");
    scene.end(&held[1], Outcome::Success);
    is(&scene.first(), "b", "priority_order");
    // Where the well ones were tried, the tripped one is what is left.
    let after = ["a", "b"].map(|id| failed(id, FaultKind::Upstream, false));
    is(&scene.chosen(&ask_after(&after, None)), "c", "fallback");
}

#[test]
fn an_affinity_holds_unless_the_channel_is_unwell() {
    use http::HeaderMap;

    use crate::layer::channel::affinity::AffinityKey;
    let mut scene = Scene::new([channel("a"), channel("b")]);
    let asks = |kind: Protocol, attempts: &[Attempt]| {
        let exchange = Exchange::default();
        let mut extensions = http::Extensions::new();
        for attempt in attempts {
            let id = exchange.begin_attempt(&mut extensions);
            exchange.update_attempt(id, |told| *told = attempt.clone());
        }
        let current = exchange.begin_attempt(&mut extensions);
        let user = Some("user".into());
        exchange.update(|facts| facts.request = Some(RequestFacts { user, ..Default::default() }));
        exchange.read(|facts| {
            let key = AffinityKey::of(kind, &HeaderMap::new(), facts);
            Ask::new(Some(kind), key, facts, current)
        })
    };
    let ask = asks(Protocol::Anthropic, &[]);
    let after = asks(Protocol::Anthropic, &[failed("a", FaultKind::Upstream, false)]);

    let moved = scene.take(&after);
    is(&scene.chosen(&ask), "a", "priority_order");
    scene.end(&moved, Outcome::Success);
    is(&scene.chosen(&ask), "b", "trace_affinity");
    is(&scene.chosen(&asks(Protocol::OpenAiResponses, &[])), "a", "priority_order");
    let failed_there = asks(Protocol::Anthropic, &[failed("b", FaultKind::Upstream, false)]);
    is(&scene.chosen(&failed_there), "a", "priority_order");

    scene.set("b", ChannelStatus::Suspended);
    is(&scene.chosen(&ask), "a", "priority_order");
    scene.set("b", ChannelStatus::Active);
    scene.fail("b", 10);
    is(&scene.chosen(&ask), "a", "priority_order");
    scene.state.replace(vec![channel("b"), channel("a")], scene.now);
    scene.now += MINUTE * 15;
    is(&scene.chosen(&ask), "b", "trace_affinity");
    scene.now += MINUTE * 15;
    is(&scene.chosen(&ask), "b", "priority_order");
}

#[test]
fn round_robin_takes_turns_by_kind() {
    let policy = Policy::default().strategy(Choose::RoundRobin);
    let mut scene = Scene::with(policy, ["a", "b", "c"].map(channel));
    scene.fail("b", 5);
    let turns: Vec<_> = (0..4).map(|_| scene.first().0).collect();
    assert_eq!(turns.concat(), "acac");
}

#[test]
fn weights_are_shares() {
    let policy = Policy::default().strategy(Choose::Weighted);
    let list = [channel("a").weight(3), channel("b"), channel("c").weight(0)];
    let mut scene = Scene::with(policy, list);
    let mut seen = HashMap::new();
    for _ in 0..4000 {
        *seen.entry(scene.first().0).or_insert(0) += 1;
    }
    assert!((2850..3150).contains(&seen["a"]), "{seen:?}");
    assert_eq!((seen["a"] + seen["b"], seen.len()), (4000, 2));
    scene.set("a", ChannelStatus::Disabled);
    scene.set("b", ChannelStatus::Disabled);
    assert_eq!(scene.first().0, "c", "what has no weight is better than nothing");
}

#[test]
fn the_less_busy_of_two_is_taken() {
    let policy = Policy::default().strategy(Choose::LeastLatency);
    let mut scene = Scene::with(policy, ["a", "b"].map(channel));
    let ask = ask_after(&[], None);
    for (id, latency) in [("a", 300), ("b", 100)] {
        let now = scene.now;
        scene.state.change(&ChannelId::new(id), now, |entry| {
            let latency = Duration::from_millis(latency);
            entry.health_mut(KIND).latency.answered(latency, now);
        });
    }
    // b at 100 ms is as good as a at 300 until two requests are there.
    let taken: Vec<_> = (0..8).map(|_| scene.take(&ask).channel.as_str().to_owned()).collect();
    let of_b = taken.iter().filter(|id| *id == "b").count();
    assert_eq!((&*taken[0], of_b), ("b", 6), "{taken:?}");
}

#[test]
fn what_stays_keeps_how_it_fared() {
    let mut scene = Scene::new([channel("a"), channel("b")]);
    scene.fail("a", 5);
    let held = scene.take(&ask_after(&[], None));
    scene.state.replace(vec![channel("c"), channel("a").priority(9)], scene.now);
    is(&scene.first(), "c", "priority_order");
    scene.end(&held, BROKEN);
    scene.state.replace(vec![channel("a"), channel("b")], scene.now);
    is(&scene.first(), "b", "priority_order");
    let b = scene.state.entry(&ChannelId::new("b")).unwrap();
    assert_eq!((b.in_flight, b.health(KIND).unwrap().totals.failures), (0, 0), "another b");
}

/// One channel of a list, as far as it matters for who may be chosen.
#[derive(Debug, Clone)]
struct Random {
    status: ChannelStatus,
    tripped: bool,
    promoted: bool,
    limited: bool,
    tried: bool,
    priority: u32,
}

fn random() -> impl proptest::strategy::Strategy<Value = Random> {
    let status = prop::sample::select(vec![
        ChannelStatus::Active,
        ChannelStatus::Active,
        ChannelStatus::Suspended,
        ChannelStatus::Disabled,
    ]);
    (status, any::<bool>(), prop::bool::weighted(0.2), any::<bool>(), any::<bool>(), 0..3u32)
        .prop_map(|(status, tripped, promoted, limited, tried, priority)| Random {
            status,
            tripped,
            promoted,
            limited,
            tried,
            priority,
        })
}

proptest! {
    /// Whatever the strategy: one that may be chosen is, and none else. So a sole channel is
    /// always tried, and a suspended one never.
    #[test]
    fn one_that_may_be_chosen_is(list in prop::collection::vec(random(), 1..8), which in 0..4usize) {
        let strategy = [Choose::Priority, Choose::Weighted, Choose::LeastLatency, Choose::RoundRobin][which];
        let mut scene = Scene::with(Policy::default().strategy(strategy), []);
        let until = scene.wall() + MINUTE;
        let channels = list.iter().enumerate().map(|(at, random)| {
            let mut one = channel(&format!("c{at}")).status(random.status).priority(random.priority);
            if random.promoted {
                one = one.promoted_until(until);
            }
            if random.limited { one.models(["other"]) } else { one }
        });
        scene.state.replace(channels.collect(), scene.now);
        let mut tried = Vec::new();
        for (at, random) in list.iter().enumerate() {
            let id = format!("c{at}");
            if random.tripped {
                scene.fail(&id, 5);
            }
            if random.tried {
                tried.push(failed(&id, FaultKind::Upstream, false));
            }
        }
        let may = |random: &Random| random.status == ChannelStatus::Active && !random.limited && !random.tried;
        let given = scene.give(&ask_after(&tried, Some("m")));
        match given {
            Given::Channel(choice) => {
                let at: usize = choice.channel.as_str()[1..].parse().unwrap();
                prop_assert!(may(&list[at]));
                let well = |random: &&Random| may(random) && (random.promoted || !random.tripped);
                prop_assert!(well(&&list[at]) || !list.iter().any(|one| well(&one)));
                let left = list.iter().filter(|one| may(one)).count();
                prop_assert_eq!(choice.more_channels, left > 1);
            }
            Given::Nobody(_) => prop_assert!(!list.iter().any(may)),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
