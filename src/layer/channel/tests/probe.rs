//! Asking from the side, in time that is paused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Empty;
use tokio::time::sleep;
use tower::service_fn;

use super::*;
use crate::error::{TransportError, TransportKind};
use crate::layer::channel::{
    BreakerState, Channels, MAX_PINGS_AT_ONCE, PING_TIMEOUT, PROBE_INTERVAL,
};

type Asked = Request<Empty<Bytes>>;
type Answered = Result<Response<()>, TransportError>;

async fn host(request: Asked) -> Answered {
    assert_eq!((request.method(), request.uri().path()), (&Method::HEAD, "/"));
    match request.uri().host().unwrap() {
        "silent.example" => std::future::pending().await,
        "closed.example" => {
            let secret = "refused by https://closed.example/?key=sk-secret";
            Err(TransportError::new(TransportKind::Connect).with_source(secret))
        }
        _ => {
            sleep(Duration::from_millis(120)).await;
            Ok(Response::builder().status(404).body(()).unwrap())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn any_answer_is_good() {
    let channels = Channels::new(["there", "silent", "closed", "also"].map(channel)).unwrap();
    let began = tokio::time::Instant::now();
    let pings = channels.ping_all(service_fn(host)).await;
    assert_eq!(began.elapsed(), PING_TIMEOUT, "side by side");
    assert_eq!(
        serde_json::to_string(&pings).unwrap(),
        concat!(
            r#"[{"id":"there","success":true,"latency":120,"status":"healthy"},"#,
            r#"{"id":"silent","success":false,"latency":5000,"status":"error","#,
            r#""error":"the upstream did not answer in time"},"#,
            r#"{"id":"closed","success":false,"latency":0,"status":"error","#,
            r#""error":"the upstream could not be reached"},"#,
            r#"{"id":"also","success":true,"latency":120,"status":"healthy"}]"#
        )
    );
    let one = channels.ping(&ChannelId::new("there"), service_fn(host)).await.unwrap();
    assert!(one.success);
    assert_eq!(channels.ping(&ChannelId::new("none"), service_fn(host)).await, None);
}

#[tokio::test(start_paused = true)]
async fn not_all_are_asked_at_once() {
    let list = (0..100).map(|at| channel(&format!("c{at}")));
    let channels = Channels::new(list).unwrap();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = most.clone();
    let pings = channels.ping_all(service_fn(move |_: Asked| {
        let (now, most) = (now.clone(), most.clone());
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            sleep(Duration::from_millis(10)).await;
            now.fetch_sub(1, Ordering::Relaxed);
            Answered::Ok(Response::new(()))
        }
    }));
    let pings = pings.await;
    let ordered = pings.iter().enumerate().all(|(at, ping)| ping.id == format!("c{at}"));
    assert!(ordered && pings.len() == 100);
    assert_eq!(seen.load(Ordering::Relaxed), MAX_PINGS_AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_reached_again_may_be_tried() {
    let ids = ["there", "closed", "rude"];
    let channels = Channels::new(ids.map(channel)).unwrap();
    let kinds = [FaultKind::Transport, FaultKind::Transport, FaultKind::Overloaded];
    for (id, kind) in ids.into_iter().zip(kinds) {
        let broken = channels.change(&ChannelId::new(id), |entry, now| {
            for _ in 0..5 {
                entry.ended(KIND, (0, None), Outcome::Failure(kind), &Policy::default(), now);
            }
        });
        broken.unwrap();
    }
    let states = || channels.snapshot(KIND).iter().map(|one| one.state).collect::<Vec<_>>();
    let mut worker = tokio_test::task::spawn(channels.prober(service_fn(host)));
    tokio_test::assert_pending!(worker.poll());
    assert_eq!(states(), [BreakerState::Open; 3]);
    for _ in 0..3 {
        tokio::time::advance(PROBE_INTERVAL).await;
        tokio_test::assert_pending!(worker.poll());
    }
    // One that answered badly would answer HEAD as well.
    let expected = [BreakerState::HalfOpen, BreakerState::Open, BreakerState::Open];
    assert_eq!(states(), expected);

    drop(channels);
    for _ in 0..2 {
        tokio::time::advance(PROBE_INTERVAL).await;
        if worker.poll().is_ready() {
            return;
        }
    }
    panic!("the worker outlives the channels");
}
