//! What moves on and what does not.

use std::time::Duration;

use tokio::time::Instant;
use tower::retry::budget::TpsBudget;

use super::kit::{Script, ask, error, fault, faults, hang, status, text};
use crate::layer::failover::{Backoff, FailoverLayer};
use crate::protocol::model::{FaultKind, FaultOrigin};

#[tokio::test(start_paused = true)]
async fn a_bare_status_tells_whether_to_move_on() {
    let moves = [401, 402, 403, 408, 429, 500, 502, 503, 504, 529];
    let stays = [200, 204, 301, 400, 404, 405, 409, 413, 415, 422, 499];
    for (code, moved) in
        moves.map(|code| (code, true)).into_iter().chain(stays.map(|code| (code, false)))
    {
        let script = Script::new([status(code), status(201)]);
        let (answer, exchange) = ask(&FailoverLayer::new(), &script).await;
        let expected = if moved { 201 } else { code };
        assert_eq!(answer.status(), expected, "{code}");
        assert_eq!(
            answer.headers()["x-upstream"],
            expected.to_string(),
            "as the upstream wrote it"
        );
        assert_eq!(script.calls().len(), if moved { 2 } else { 1 }, "{code}");
        let attempts = exchange.read(|facts| facts.attempts.clone());
        assert_eq!(attempts[0].status.unwrap(), code);
        assert_eq!(attempts[0].fault.is_some(), code >= 400, "{code}");
        assert_eq!(exchange.read(|facts| facts.fault.is_some()), !moved && code >= 400, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_is_told_counts_more_than_the_status() {
    use FaultKind::{Auth, BadRequest, ContentPolicy, Overloaded};
    use FaultOrigin::Upstream;
    let rows = [
        (fault(Overloaded, Upstream).with_status(200), true),
        (fault(Auth, Upstream).with_status(400), true),
        (fault(ContentPolicy, Upstream).with_status(200), false),
        (fault(BadRequest, Upstream).with_status(500), false),
    ];
    for (act, moved) in rows {
        let script = Script::new([act.clone(), status(200)]);
        ask(&FailoverLayer::new(), &script).await;
        assert_eq!(script.statuses_left() == 0, moved, "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_classifier_may_know_better() {
    let script = Script::new([status(404), status(200)]);
    let layer = FailoverLayer::new();
    assert_eq!(ask(&layer, &script).await.0.status(), 404);

    use crate::protocol::model::Fault;
    let mut told =
        Fault::new(FaultKind::NotFound, http::StatusCode::NOT_FOUND, FaultOrigin::Upstream);
    told.moves_on = true;
    let script =
        Script::new([fault(FaultKind::NotFound, FaultOrigin::Upstream).told(told), status(200)]);
    assert_eq!(ask(&layer, &script).await.0.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_service_moves_on() {
    let script = Script::new([error(), status(200)]);
    let (answer, exchange) = ask(&FailoverLayer::new(), &script).await;
    assert_eq!(text(answer).await, "good");
    assert_eq!(faults(&exchange), [Some(FaultKind::Transport), None]);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted() {
    for most in [0, 1, 2, 3, 5] {
        let script = Script::new((0..9).map(|_| status(503)));
        let (answer, exchange) = ask(&FailoverLayer::new().max_attempts(most), &script).await;
        assert_eq!(answer.status(), 503);
        let calls = script.calls();
        assert_eq!(calls.len(), most.max(1));
        assert_eq!(faults(&exchange).len(), most.max(1));
        for (number, call) in calls.iter().enumerate() {
            assert_eq!(call.id.index(), number);
            assert_eq!(call.attempt.may_repeat, number + 1 < most, "{number} of {most}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_budget_ends_it_and_is_told() {
    // Ten for the first second, none for requests.
    let layer = FailoverLayer::new().max_attempts(64).budget(TpsBudget::new(
        Duration::from_secs(1),
        10,
        0.0,
    ));
    let script = Script::new((0..99).map(|_| status(503)));
    let (answer, exchange) = ask(&layer, &script).await;
    assert_eq!((answer.status().as_u16(), faults(&exchange).len()), (503, 11));

    let script = Script::new([status(503), status(200)]);
    assert_eq!(ask(&layer, &script).await.0.status(), 503);
    assert!(!script.calls()[0].attempt.may_repeat, "nobody holds an answer back in vain");

    let script = Script::new([status(503), status(200)]);
    assert_eq!(ask(&layer.clone().no_budget(), &script).await.0.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn another_channel_is_asked_at_once() {
    let script =
        Script::new([status(429).retry_after(60).on("a", true), status(200).on("b", false)]);
    let began = Instant::now();
    let (answer, _) = ask(&FailoverLayer::new().backoff(Backoff::default()), &script).await;
    assert_eq!((answer.status().as_u16(), began.elapsed()), (200, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_sole_channel_is_asked_again_only_after_a_pause() {
    let script =
        || Script::new([status(503).on("a", false), status(503).on("a", false), status(200)]);
    let alone = script();
    assert_eq!(ask(&FailoverLayer::new(), &alone).await.0.status(), 503);
    assert_eq!(alone.calls().len(), 1);

    let again = script();
    let layer = FailoverLayer::new().backoff(Backoff::default());
    assert_eq!(ask(&layer, &again).await.0.status(), 200);
    let at: Vec<_> = again.calls().iter().map(|call| call.at).collect();
    let pauses = [at[1] - at[0], at[2] - at[1]].map(|pause| pause.as_millis());
    assert!((250..=502).contains(&pauses[0]) && (500..=1002).contains(&pauses[1]), "{pauses:?}");

    let (answer, _) =
        ask(&layer, &Script::new([status(429).retry_after(9).on("a", false), status(200)])).await;
    assert_eq!(answer.headers()["retry-after"], "9", "that is for the caller to wait");
    let key = Script::new([status(401).on("a", false), status(200)]);
    assert_eq!(ask(&layer, &key).await.0.status(), 401, "a wrong key does not get better");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_ours_moves_on_where_something_is_left() {
    let refusal = || fault(FaultKind::Overloaded, FaultOrigin::Gateway);
    let script = Script::new([refusal().on("a", true), status(200).on("b", false)]);
    assert_eq!(ask(&FailoverLayer::new(), &script).await.0.status(), 200);
    for act in [refusal(), refusal().on("a", false)] {
        let script = Script::new([act, status(200)]);
        let layer = FailoverLayer::new().backoff(Backoff::default());
        assert_eq!(ask(&layer, &script).await.0.status(), 503);
        assert_eq!(script.calls().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_ours_is_no_attempt_and_costs_nothing() {
    let refusal = || fault(FaultKind::Overloaded, FaultOrigin::Gateway).on("a", true);
    let bad = || status(503).on("b", true);
    let budget = TpsBudget::new(Duration::from_secs(1), 1, 0.0);
    let layer = FailoverLayer::new().max_attempts(2).budget(budget);
    let script = Script::new([refusal(), bad(), refusal(), bad(), bad()]);
    assert_eq!(ask(&layer, &script).await.0.status(), 503);
    assert_eq!(script.calls().len(), 4, "two attempts, one of them paid");

    let script = Script::new((0..99).map(|_| refusal()));
    assert_eq!(ask(&layer, &script).await.0.status(), 503);
    assert_eq!(script.calls().len(), crate::context::MAX_ATTEMPTS);
}

#[tokio::test(start_paused = true)]
async fn only_after_a_pause_an_attempt_may_return() {
    let layer = FailoverLayer::new().backoff(Backoff::default());
    let script = Script::new([
        status(503).on("a", true),
        status(503).on("b", false),
        status(200).on("a", false),
    ]);
    assert_eq!(ask(&layer, &script).await.0.status(), 200);
    let told: Vec<_> = script.calls().iter().map(|call| call.attempt.may_return).collect();
    assert_eq!(told, [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_what_is_on_its_way() {
    let layer = FailoverLayer::new().deadline(Duration::from_secs(30));
    let began = Instant::now();
    let script = Script::new([hang()]);
    let (answer, exchange) = ask(&layer, &script).await;
    assert_eq!((answer.status().as_u16(), began.elapsed()), (504, Duration::from_secs(30)));
    assert_eq!((faults(&exchange), script.flying()), (vec![Some(FaultKind::Timeout)], 0));

    let script = Script::new([status(500).after(20), hang()]);
    let (answer, exchange) = ask(&layer, &script).await;
    assert_eq!(answer.headers()["x-upstream"], "500", "the upstream's answer tells more");
    assert_eq!(faults(&exchange), [Some(FaultKind::Upstream), Some(FaultKind::Timeout)]);

    let script = Script::new([status(500).after(30), status(200)]);
    assert_eq!(ask(&layer, &script).await.0.status(), 500);
    assert_eq!(script.calls().len(), 1, "no time is left");

    let script = Script::new([status(200).after(9999)]);
    assert_eq!(ask(&layer.deadline(None), &script).await.0.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_is_waited_for_until_the_deadline() {
    let layer = FailoverLayer::new().deadline(Duration::from_secs(30));
    let script = Script::new([status(503), status(200)]).ready_after([0, 20]);
    let began = Instant::now();
    assert_eq!(ask(&layer, &script).await.0.status(), 200);
    assert_eq!(began.elapsed(), Duration::from_secs(20));

    let script = Script::new([status(503), status(200)]).ready_after([0, 31]);
    let (answer, exchange) = ask(&layer, &script).await;
    assert_eq!((answer.status().as_u16(), faults(&exchange).len()), (503, 1));
}
