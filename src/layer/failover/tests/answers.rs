//! What the caller is told when every attempt failed.

use super::kit::{Script, ask, chosen, error, fault, knows_no_answer, post, send, status, text};
use crate::layer::failover::{FailoverLayer, Terminal};
use crate::protocol::model::{Fault, FaultKind, FaultOrigin};

#[tokio::test(start_paused = true)]
async fn the_most_telling_answer_of_an_upstream_is_handed_on() {
    use FaultKind::{Overloaded, Timeout};
    let transport = || fault(Timeout, FaultOrigin::Transport);
    let ours = || fault(Overloaded, FaultOrigin::Gateway).on("x", false);
    let rows = [
        (vec![status(500), status(502), status(503)], 503),
        (vec![status(503), status(429), status(401)], 429),
        (vec![status(402), status(401), status(403)], 403),
        (vec![status(500), transport(), ours()], 500),
        (vec![status(401), error(), transport()], 401),
    ];
    for (acts, expected) in rows {
        let script = Script::new(acts.clone());
        let (answer, exchange) = ask(&FailoverLayer::new(), &script).await;
        assert_eq!(answer.headers()["x-upstream"], expected.to_string(), "{acts:?}");
        let told = exchange.read(|facts| facts.fault.unwrap());
        assert_eq!(told.status, expected, "{acts:?}");
        assert_eq!(script.bodies(), 1, "one failed answer is kept");
        assert_eq!(text(answer).await, "bad");
        assert_eq!(script.bodies(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_stays_of_what_a_failed_answer_said() {
    for acts in [
        vec![status(503).reads("failed"), status(200)],
        vec![status(503).reads("failed"), status(500).reads("failed too")],
    ] {
        let (_, exchange) = ask(&FailoverLayer::new().max_attempts(2), &Script::new(acts)).await;
        assert!(knows_no_answer(&exchange));
    }
    let acts = [status(503).reads("failed"), status(200).reads("good")];
    let (_, exchange) = ask(&FailoverLayer::new(), &Script::new(acts)).await;
    assert_eq!(exchange.read(|facts| facts.response_model.clone()).as_deref(), Some("good"));
}

#[tokio::test(start_paused = true)]
async fn it_is_noted_which_attempt_gave_the_answer() {
    let ours = fault(FaultKind::Overloaded, FaultOrigin::Gateway);
    let rows = [
        (vec![status(503), status(200)], vec![false, true]),
        (vec![status(429), status(404)], vec![false, true]),
        (vec![status(401), error(), error()], vec![true, false, false]),
        (vec![error(), ours.on("spare", false)], vec![false, false]),
    ];
    for (acts, expected) in rows {
        let layer = FailoverLayer::new().max_attempts(3);
        let (_, exchange) = ask(&layer, &Script::new(acts.clone())).await;
        assert!(chosen(&exchange).iter().eq(&expected), "{acts:?}: {:?}", chosen(&exchange));
    }
}

#[tokio::test(start_paused = true)]
async fn where_no_upstream_answered_it_is_told_what_was_tried() {
    let broken = |name| fault(FaultKind::Transport, FaultOrigin::Transport).on(name, true);
    let refused = fault(FaultKind::Overloaded, FaultOrigin::Gateway).on("spare", false);
    let script = Script::new([broken("main"), error(), refused.retry_after(7)]);
    let (answer, exchange) = ask(&FailoverLayer::new(), &script).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "7");
    let told = *answer.extensions().get::<Fault>().unwrap();
    assert_eq!((told.kind, told.origin), (FaultKind::Overloaded, FaultOrigin::Gateway));
    assert_eq!(exchange.read(|facts| facts.fault), Some(told));
    assert_eq!(
        text(answer).await,
        r#"{"type":"error","error":{"type":"overloaded_error","message":"no upstream gave an answer; tried main: transport, upstream: transport, spare: overloaded"}}"#
    );
    assert_eq!(script.bodies(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_single_failure_is_handed_on_as_it_is() {
    let layer = FailoverLayer::new().max_attempts(1);
    let broken = fault(FaultKind::Timeout, FaultOrigin::Transport);
    let (answer, _) = ask(&layer, &Script::new([broken])).await;
    assert_eq!((answer.status().as_u16(), text(answer).await), (504, "bad".to_owned()));

    let (answer, _) = send(&layer, &Script::new([error()]), post("/v1/messages", "{}")).await;
    assert_eq!(answer.unwrap_err().to_string(), "broken");
}

#[tokio::test(start_paused = true)]
async fn the_shortest_wait_is_told() {
    let acts = [status(429).retry_after(50), status(429).retry_after(20), status(500)];
    let (answer, _) = ask(&FailoverLayer::new(), &Script::new(acts)).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (500, &"20".parse().unwrap())
    );

    let acts = [status(500), status(500), status(429).retry_after(30)];
    let (answer, _) = ask(&FailoverLayer::new(), &Script::new(acts)).await;
    assert_eq!(answer.headers()["retry-after"], "30");
}

#[tokio::test(start_paused = true)]
async fn a_generic_answer_tells_nothing() {
    let layer = FailoverLayer::new().terminal(Terminal::Generic);
    for acts in [vec![status(503).on("secret", false)], vec![status(401), error(), status(429)]] {
        let script = Script::new(acts);
        let (answer, _) = ask(&layer, &script).await;
        assert_eq!((answer.status().as_u16(), script.bodies()), (503, 0));
        let expected = r#""message":"all upstream channels are currently unavailable""#;
        assert!(text(answer).await.contains(expected));
    }
    let (answer, _) = ask(&layer, &Script::new([status(400)])).await;
    assert_eq!(answer.status(), 400, "the caller's own mistake is his to see");
}

#[tokio::test(start_paused = true)]
async fn refusals_speak_the_callers_protocol() {
    let rows = [
        ("/v1/messages", r#"{"type":"error","error":{"#),
        ("/v1/chat/completions", r#"{"error":{"message":"#),
        ("/v1/responses", r#"{"error":{"message":"#),
        ("/v1beta/models/g:generateContent", r#"{"error":{"code":503,"#),
        ("/api/v1/services/aigc/text-generation/generation", r#"{"code":"#),
    ];
    for (path, expected) in rows {
        let script = Script::new([error(), error(), error()]);
        let (answer, _) = send(&FailoverLayer::new(), &script, post(path, "{}")).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 503, "{path}");
        let text = text(answer).await;
        assert!(text.starts_with(expected), "{path}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_refused_for_every_upstream_is_told_why() {
    let strict = |name, more| {
        let refused = Fault { moves_on: true, ..Fault::gateway(FaultKind::BadRequest) };
        status(400).told(refused).on(name, more)
    };
    let busy = |name, more| fault(FaultKind::Overloaded, FaultOrigin::Gateway).on(name, more);
    let broken = |name, more| fault(FaultKind::Transport, FaultOrigin::Transport).on(name, more);
    let rows = [
        (vec![strict("a", true), strict("b", false)], 400),
        (vec![strict("a", true), status(200)], 200),
        (vec![strict("a", true), busy("b", false)], 503),
        (vec![busy("a", true), strict("b", false)], 503),
        (vec![strict("a", true), broken("b", true), strict("c", false)], 503),
    ];
    for (acts, expected) in rows {
        for terminal in [Terminal::Upstream, Terminal::Generic] {
            let layer = FailoverLayer::new().terminal(terminal);
            let (answer, _) = ask(&layer, &Script::new(acts.clone())).await;
            assert_eq!(answer.status(), expected, "{acts:?}");
        }
    }
}
