//! Two attempts at once.

use std::time::Duration;

use tokio::time::Instant;
use tower::retry::budget::TpsBudget;

use super::kit::{
    Act, BODY, Script, ask, chosen, fault, faults, hang, knows_no_answer, post, send, status,
};
use crate::layer::failover::{FailoverLayer, HEDGE_MIN_SAMPLES, Hedge};
use crate::protocol::Protocol;
use crate::protocol::model::{FaultKind, FaultOrigin};

const SECOND: Duration = Duration::from_secs(1);

/// A layer that has seen answers of one second, and so hedges what is slower.
async fn learned(layer: FailoverLayer) -> FailoverLayer {
    let layer = layer.hedge(Hedge::default());
    for _ in 0..HEDGE_MIN_SAMPLES {
        let script = Script::new([status(200).after(1)]);
        ask(&layer, &script).await;
        assert_eq!(script.calls().len(), 1, "too little is known");
    }
    layer
}

async fn hedged(
    layer: &FailoverLayer,
    acts: impl IntoIterator<Item = Act>,
) -> (u16, Duration, Script, Vec<Option<FaultKind>>) {
    let script = Script::new(acts);
    let began = Instant::now();
    let (answer, exchange) = ask(layer, &script).await;
    // A millisecond is that of the timer, ten are those of the histogram.
    let took = Duration::from_secs((began.elapsed() + Duration::from_millis(500)).as_secs());
    (answer.status().as_u16(), took, script, faults(&exchange))
}

#[tokio::test(start_paused = true)]
async fn the_second_wins() {
    let layer = learned(FailoverLayer::new()).await;
    let (code, took, script, faults) = hedged(&layer, [hang(), status(200).after(1)]).await;
    assert_eq!((code, took), (200, 2 * SECOND));
    assert_eq!(script.flying(), 0, "the slow one is dropped");
    assert_eq!(faults, [None, None], "and not to blame");
    let calls = script.calls();
    assert_ne!(calls[0].id, calls[1].id);
}

#[tokio::test(start_paused = true)]
async fn the_loser_is_marked_and_nothing_is_repeated_after_the_last() {
    let layer = learned(FailoverLayer::new().max_attempts(2)).await;
    let (_, exchange) = ask(&layer, &Script::new([hang(), status(200).after(1)])).await;
    let told = exchange
        .read(|facts| facts.attempts.iter().map(|a| (a.outrun, a.may_repeat)).collect::<Vec<_>>());
    assert_eq!(told, [(true, false), (false, false)]);
}

#[tokio::test(start_paused = true)]
async fn the_model_is_that_of_the_winner() {
    let layer = learned(FailoverLayer::new()).await;
    let acts = [status(200).after(3).on("slow", true), hang().on("fast", false)];
    let (_, exchange) = ask(&layer, &Script::new(acts)).await;
    let told = exchange.read(|facts| (facts.upstream_protocol, facts.upstream_model.clone()));
    assert_eq!(told, (Some(Protocol::OpenAiChat), Some("slow".into())));
    assert_eq!(exchange.read(|facts| facts.provider.clone()).as_deref(), Some("slow"));
}

#[tokio::test(start_paused = true)]
async fn only_generations_are_hedged() {
    let layer = learned(FailoverLayer::new()).await;
    let script = Script::new([status(200).after(9)]);
    let count = post("/v1/messages/count_tokens", BODY);
    assert_eq!(send(&layer, &script, count).await.0.unwrap().status(), 200);
    assert_eq!(script.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_wins_after_all() {
    let layer = learned(FailoverLayer::new()).await;
    let (code, took, script, _) = hedged(&layer, [status(201).after(3), hang()]).await;
    assert_eq!((code, took, script.flying()), (201, 3 * SECOND, 0));
    assert_eq!(script.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_fast_answer_is_not_hedged() {
    let layer = learned(FailoverLayer::new()).await;
    let (_, _, script, _) = hedged(&layer, [status(200)]).await;
    assert_eq!(script.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_leaves_it_to_the_other() {
    let layer = learned(FailoverLayer::new()).await;
    let (code, took, _, faults) =
        hedged(&layer, [status(503).after(2), status(200).after(3)]).await;
    assert_eq!((code, took), (200, 4 * SECOND));
    assert_eq!(faults, [Some(FaultKind::Overloaded), None]);

    let (code, took, _, _) = hedged(&layer, [status(200).after(5), status(503)]).await;
    assert_eq!((code, took), (200, 5 * SECOND));

    let layer = learned(FailoverLayer::new()).await;
    let both = [status(503).after(2), status(502).after(2), status(200)];
    let (code, took, script, _) = hedged(&layer, both).await;
    assert_eq!((code, took, script.calls().len()), (200, 3 * SECOND, 3));

    let (code, _, script, _) = hedged(&layer, [hang(), status(400)]).await;
    assert_eq!((code, script.flying()), (400, 0), "nobody would answer that otherwise");
}

#[tokio::test(start_paused = true)]
async fn a_hedge_is_an_attempt_and_is_paid() {
    let layer = learned(FailoverLayer::new().max_attempts(1)).await;
    let (_, _, script, _) = hedged(&layer, [status(200).after(9)]).await;
    assert_eq!(script.calls().len(), 1);

    let layer = learned(FailoverLayer::new().budget(TpsBudget::new(SECOND, 0, 0.0))).await;
    let (_, _, script, _) = hedged(&layer, [status(200).after(9)]).await;
    assert_eq!(script.calls().len(), 1);

    let layer = learned(FailoverLayer::new()).await;
    let (_, _, script, _) = hedged(&layer, [status(200).after(9).on("sole", false)]).await;
    assert_eq!(script.calls().len(), 1, "the same channel would not be faster");
    let (_, took, script, _) =
        hedged(&layer, [hang().on("slow", true), status(200).on("fast", false)]).await;
    assert_eq!((took, script.calls().len()), (SECOND, 2));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_both() {
    let layer = learned(FailoverLayer::new().deadline(10 * SECOND)).await;
    let (code, took, script, faults) = hedged(&layer, [hang(), hang()]).await;
    assert_eq!((code, took, script.flying()), (504, 10 * SECOND, 0));
    assert_eq!(faults, [Some(FaultKind::Timeout); 2]);
}

#[tokio::test(start_paused = true)]
async fn nothing_stays_of_what_the_deadline_cut_off() {
    let layer = FailoverLayer::new().deadline(10 * SECOND);
    let script = Script::new([hang().reads("late")]);
    let (answer, exchange) = ask(&layer, &script).await;
    assert_eq!((answer.status().as_u16(), script.flying()), (504, 0));
    assert!(knows_no_answer(&exchange));
    assert_eq!(exchange.read(|facts| facts.fault.map(|f| f.kind)), Some(FaultKind::Timeout));
}

#[tokio::test(start_paused = true)]
async fn the_winner_is_chosen_though_the_other_answered_too() {
    let layer = learned(FailoverLayer::new()).await;
    let overloaded = fault(FaultKind::Overloaded, FaultOrigin::Upstream).with_status(200);
    let (_, exchange) = ask(&layer, &Script::new([status(200).after(3), overloaded])).await;
    assert_eq!(chosen(&exchange), [true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_ends_both() {
    let layer = learned(FailoverLayer::new()).await;
    let script = Script::new([hang(), hang()]);
    let left = tokio::time::timeout(5 * SECOND, ask(&layer, &script)).await;
    assert!(left.is_err());
    assert_eq!((script.calls().len(), script.flying()), (2, 0));
}
