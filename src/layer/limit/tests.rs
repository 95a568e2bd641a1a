use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use tokio::time::{Instant, advance, timeout};
use tower::{Layer, ServiceExt, service_fn};

use super::gate::{Gate, KeyedGates};
use super::rate::Rates;
use super::{
    BUSY_RETRY_AFTER, By, Concurrency, DEFAULT_WAIT, LimitLayer, LimitedBody, MAX_IDLE_GATES,
    MAX_RATES, Rate, ResponseBody, SHARED_RATES,
};
use crate::BoxError;
use crate::body::Collect;
use crate::context::{Exchange, PeerAddr, Principal};
use crate::protocol::model::{Fault, FaultKind};
use crate::test_helpers::{Frames, Step, steps};

type Answer = Response<ResponseBody<Frames>>;

const MINUTE: Duration = Duration::from_secs(60);

fn post() -> Request<Frames> {
    Request::post("/v1/messages").body(Frames::new(["{}"])).unwrap()
}

fn of(principal: &str) -> Request<Frames> {
    let mut request = post();
    Exchange::of(request.extensions_mut())
        .update(|facts| facts.principal = Some(Principal::new(principal)));
    request
}

/// Sends a request; the inner service reads it and answers a stream, or an error.
async fn send(layer: &LimitLayer, request: Request<Frames>) -> Result<Answer, BoxError> {
    let inner = service_fn(|request: Request<LimitedBody<Frames>>| async {
        let fails = request.headers().contains_key("fails");
        let body = Collect::new(request.into_body(), usize::MAX).await;
        if fails {
            return Err(BoxError::from("broken"));
        }
        let mut response = Response::new(Frames::new([Step::from("a"), Step::Pending, "b".into()]));
        if body.is_err() {
            *response.status_mut() = StatusCode::BAD_GATEWAY;
        }
        Ok(response)
    });
    layer.layer(inner).oneshot(request).await
}

fn one() -> LimitLayer {
    LimitLayer::new().concurrency(Concurrency::new(1))
}

#[tokio::test(start_paused = true)]
async fn nothing_is_limited_by_default() {
    let layer = LimitLayer::new();
    let mut answers = Vec::new();
    for _ in 0..100 {
        answers.push(send(&layer, post()).await.unwrap());
    }
    assert!(answers.iter().all(|answer| answer.status() == 200));
    assert_eq!(layer.limits().snapshot().in_flight, 100);
}

#[tokio::test(start_paused = true)]
async fn a_permit_lasts_as_long_as_the_stream() {
    let layer = one();
    let limits = layer.limits();
    let mut first = send(&layer, post()).await.unwrap();
    let mut second = tokio_test::task::spawn(send(&layer, post()));
    tokio_test::assert_pending!(second.poll());
    assert_eq!((limits.snapshot().in_flight, limits.snapshot().waiting), (1, 1));
    assert_eq!(crate::test_helpers::step(first.body_mut()), Some("a".into()));
    tokio_test::assert_pending!(second.poll(), "the stream goes on");
    assert_eq!(limits.snapshot().waiting, 1);
    assert_eq!(steps(first.body_mut()).last(), Some(&"b".into()));
    let second = second.await.unwrap();
    assert_eq!((second.status().as_u16(), limits.snapshot().in_flight), (200, 1));
    drop(second);
    assert_eq!((limits.snapshot().in_flight, limits.snapshot().waiting), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_error_and_a_dropped_answer_free_it() {
    let layer = one();
    let mut request = post();
    request.headers_mut().insert("fails", 1.into());
    assert!(send(&layer, request).await.is_err());
    for _ in 0..3 {
        drop(timeout(MINUTE / 2, send(&layer, post())).await.unwrap().unwrap());
    }
    assert_eq!(layer.limits().snapshot().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn waiting_is_bounded_in_time() {
    let layer = one();
    let _held = send(&layer, post()).await.unwrap();
    let began = Instant::now();
    let refused = send(&layer, post()).await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), began.elapsed()),
        (503, DEFAULT_WAIT),
        "not a vendor's 529"
    );
    assert_eq!(refused.headers()["retry-after"], BUSY_RETRY_AFTER.as_secs().to_string());
    assert_eq!(refused.extensions().get::<Fault>().unwrap().kind, FaultKind::Overloaded);
    let text = Collect::new(refused.into_body(), 1024).await.unwrap().bytes;
    assert!(text.windows(15).any(|text| text == b"waited too long"));
    let snapshot = layer.limits().snapshot();
    assert_eq!((snapshot.refused_late, snapshot.waiting), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn waiting_is_bounded_in_number_and_who_leaves_makes_place() {
    let limit = Concurrency { max_waiting: 1, ..Concurrency::new(1) };
    let layer = LimitLayer::new().concurrency(limit);
    let held = send(&layer, post()).await.unwrap();
    let mut waiting = Box::pin(send(&layer, post()));
    assert!(timeout(Duration::ZERO, &mut waiting).await.is_err());
    let began = Instant::now();
    let mut chat = post();
    *chat.uri_mut() = "/v1/chat/completions".parse().unwrap();
    let refused = send(&layer, chat).await.unwrap();
    assert_eq!((refused.status().as_u16(), began.elapsed()), (503, Duration::ZERO));
    assert_eq!(layer.limits().snapshot().refused_full, 1);

    drop(waiting);
    assert_eq!(layer.limits().snapshot().waiting, 0);
    let mut waiting = Box::pin(send(&layer, post()));
    assert!(timeout(Duration::ZERO, &mut waiting).await.is_err());
    drop(held);
    assert_eq!(waiting.await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_principal_does_not_take_the_places_of_others() {
    let layer = LimitLayer::new()
        .concurrency(Concurrency::new(2))
        .concurrency_per_principal(Concurrency::new(1));
    let _one = send(&layer, of("a")).await.unwrap();
    assert!(timeout(MINUTE / 2, send(&layer, of("a"))).await.is_err());
    let mut waiting = Box::pin(send(&layer, of("a")));
    assert!(timeout(Duration::ZERO, &mut waiting).await.is_err());
    let other = timeout(MINUTE / 2, send(&layer, of("b"))).await.unwrap().unwrap();
    assert_eq!(other.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn idle_gates_are_forgotten() {
    let gates = KeyedGates::new(Concurrency::new(1));
    let busy = gates.of(u64::MAX);
    for key in 0..10 * MAX_IDLE_GATES as u64 {
        gates.of(key);
    }
    assert!(gates.len() <= MAX_IDLE_GATES);
    assert!(std::sync::Arc::ptr_eq(&busy, &gates.of(u64::MAX)), "but not one in use");
    let _ = Gate::new(Concurrency::new(usize::MAX));
}

fn rate(requests: u32) -> Rate {
    Rate { requests: NonZeroU32::new(requests).unwrap(), per: MINUTE }
}

#[tokio::test(start_paused = true)]
async fn a_rate_holds_for_each_principal() {
    let layer = LimitLayer::new().rate(By::Principal, rate(2));
    for (name, expected) in [("a", 200), ("a", 200), ("a", 429), ("b", 200)] {
        assert_eq!(send(&layer, of(name)).await.unwrap().status(), expected, "{name}");
    }
    let refused = send(&layer, of("a")).await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "30");
    assert_eq!(refused.extensions().get::<Fault>().unwrap().kind, FaultKind::RateLimit);
    advance(MINUTE / 2).await;
    assert_eq!(send(&layer, of("a")).await.unwrap().status(), 200);
    assert_eq!(send(&layer, of("a")).await.unwrap().status(), 429);
    assert_eq!(layer.limits().snapshot().refused_rate, 3);
}

#[tokio::test(start_paused = true)]
async fn a_rate_holds_for_each_peer_or_header() {
    let from = |host: u8, port| {
        let mut request = post();
        let address = SocketAddr::new(IpAddr::from([10, 0, 0, host]), port);
        request.extensions_mut().insert(PeerAddr(address));
        request
    };
    let layer = LimitLayer::new().rate(By::Peer, rate(1));
    for (request, expected) in [(from(1, 1), 200), (from(1, 2), 429), (from(2, 1), 200)] {
        assert_eq!(send(&layer, request).await.unwrap().status(), expected);
    }
    let keyed = |key: Option<&'static str>| {
        let mut request = post();
        let key = key.map(http::HeaderValue::from_static);
        request.headers_mut().extend(key.map(|key| (http::header::AUTHORIZATION, key)));
        request
    };
    let layer = LimitLayer::new().rate(By::Header(http::header::AUTHORIZATION), rate(1));
    let rows = [(Some("k"), 200), (Some("k"), 429), (Some("l"), 200), (None, 200), (None, 429)];
    for (key, expected) in rows {
        assert_eq!(send(&layer, keyed(key)).await.unwrap().status(), expected, "{key:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_an_address_or_a_network_of_64_bits() {
    let layer = LimitLayer::new().rate(By::Peer, rate(1));
    let rows = [
        ("[2001:db8:0:1::1]:1", 200),
        ("[2001:db8:0:1:ffff::2]:1", 429),
        ("[2001:db8:0:2::1]:1", 200),
        ("10.0.0.1:1", 200),
        ("[::ffff:10.0.0.1]:1", 429),
        ("[::ffff:10.0.0.2]:1", 200),
    ];
    for (address, expected) in rows {
        let mut request = post();
        request.extensions_mut().insert(PeerAddr(address.parse().unwrap()));
        assert_eq!(send(&layer, request).await.unwrap().status(), expected, "{address}");
    }
}

#[tokio::test(start_paused = true)]
async fn rates_are_bounded_in_number() {
    let rates = Rates::new(By::Peer, rate(1));
    for key in 0..3 * MAX_RATES as u64 {
        let _ = rates.check(key.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    }
    let most = MAX_RATES + SHARED_RATES as usize + 2048;
    assert!(rates.len() <= most, "{}", rates.len());
    advance(2 * MINUTE).await;
    for _ in 0..2048 {
        let _ = rates.check(1);
    }
    assert!(rates.len() < 2048, "what is old is forgotten: {}", rates.len());
}

#[tokio::test(start_paused = true)]
async fn a_large_body_is_refused_at_once_or_when_it_has_come() {
    let layer = LimitLayer::new().max_body_bytes(4);
    let rows: [(&[&'static str], Option<u64>, u16); 6] = [
        (&["1234"], None, 200),
        (&["12", "34"], Some(4), 200),
        (&["12345"], None, 413),
        (&["12", "34", "5"], None, 413),
        (&["12", "34", "5"], Some(4), 413),
        (&[], Some(5), 413),
    ];
    for (frames, declared, expected) in rows {
        let body = Frames::new(frames.iter().copied());
        let mut request = Request::post("/v1/responses").body(body).unwrap();
        request.headers_mut().extend(declared.map(|n| (http::header::CONTENT_LENGTH, n.into())));
        let answer = send(&layer, request).await.unwrap();
        assert_eq!(answer.status(), expected, "{frames:?} {declared:?}");
    }
    let mut request = Request::post("/v1/messages").body(Frames::new(["12345"])).unwrap();
    request.headers_mut().insert("fails", 1.into());
    assert_eq!(send(&layer, request).await.unwrap().status(), 413, "also where the service fails");
    let snapshot = layer.limits().snapshot();
    assert_eq!((snapshot.refused_size, snapshot.in_flight), (5, 0));
}
