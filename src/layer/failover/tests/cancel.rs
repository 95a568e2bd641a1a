//! A caller who leaves, at every point.

use std::time::Duration;

use http::Request;
use tokio::time::timeout;

use super::kit::{Script, faults, hang, post, send, status};
use crate::context::Exchange;
use crate::layer::failover::{Backoff, FailoverLayer};
use crate::test_helpers::{Frames, Step};

/// Leaves after a second; what the exchange knows then.
async fn leave(layer: FailoverLayer, script: &Script) -> Exchange {
    let mut request = post("/v1/messages", "{}");
    let exchange = Exchange::of(request.extensions_mut());
    let left = timeout(Duration::from_secs(1), send(&layer, script, request)).await;
    assert!(left.is_err(), "it was still on its way");
    exchange
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_on_and_nobody_is_to_blame() {
    let new = FailoverLayer::new;
    // On its way; after a failure; in a pause; waiting for the service.
    let first = Script::new([hang()]);
    let second = Script::new([status(503), hang()]);
    let pause = Script::new([status(503).on("a", false)]);
    let ready = Script::new([status(503)]).ready_after([0, 60]);
    let slow = Backoff { first: Duration::from_secs(60), most: Duration::from_secs(60) };
    let rows = [
        (new(), first, vec![None]),
        (new(), second, vec![Some(()), None]),
        (new().backoff(slow), pause, vec![Some(())]),
        (new(), ready, vec![Some(())]),
    ];
    for (number, (layer, script, expected)) in rows.into_iter().enumerate() {
        let exchange = leave(layer, &script).await;
        assert_eq!((script.flying(), script.bodies()), (0, 0), "{number}");
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(script.calls().len(), expected.len(), "{number}: nothing is repeated");
        let blamed = faults(&exchange).into_iter().map(|fault| fault.map(|_| ()));
        assert_eq!(blamed.collect::<Vec<_>>(), expected, "{number}");
        assert_eq!(exchange.read(|facts| facts.fault), None, "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_read_body_is_dropped() {
    use tower::{Layer, ServiceExt};
    let body = Frames::new(std::iter::once("a".into()).chain((0..9).map(|_| Step::Pending)));
    let probe = body.probe();
    let request = Request::post("/v1/messages").body(body).unwrap();
    let script = Script::new([]);
    let mut future = Box::pin(FailoverLayer::new().layer(script.clone()).oneshot(request));
    assert!(futures_once(future.as_mut()).is_none());
    assert!(!probe.is_dropped());
    drop(future);
    assert!(probe.is_dropped() && script.calls().is_empty());
}

fn futures_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match future.poll(&mut cx) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_answer_nothing_is_held() {
    let script = Script::new([status(503), status(200)]);
    let (answer, _) = send(&FailoverLayer::new(), &script, post("/v1/messages", "{}")).await;
    assert_eq!(script.bodies(), 1, "that of the answer alone");
    drop(answer);
    assert_eq!((script.bodies(), script.flying()), (0, 0));
}
