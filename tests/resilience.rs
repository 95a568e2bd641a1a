//! Failover, channels and keys together, in time that stands still.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

#[path = "../src/test_helpers/listen.rs"]
mod listen;

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_llm_gateway::body::{Collect, RewriteBody};
use tower_llm_gateway::context::{Attempt, Exchange, Upstream, UpstreamKey};
use tower_llm_gateway::layer::channel::{Channel, Channels};
use tower_llm_gateway::layer::failover::Backoff;
use tower_llm_gateway::layer::key_pool::{KeyPool, KeyPoolLayer};
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::protocol::model::{FaultKind, FaultOrigin};
use tower_llm_gateway::{ChannelLayer, FailoverLayer};

use crate::listen::{Log, listen};

const SECOND: Duration = Duration::from_secs(1);

/// What an upstream does with a request that has this key.
type Act = fn(&str) -> (u16, Duration);

/// A stack whose upstream acts so.
struct Stack {
    channels: Channels,
    keys: KeyPool,
    failover: FailoverLayer,
    act: Act,
}

impl Stack {
    fn new(failover: FailoverLayer, channel: Channel, keys: &[&str], act: Act) -> Self {
        let keys = KeyPool::new(keys.iter().copied()).unwrap();
        Self { channels: Channels::new([channel]).unwrap(), keys, failover, act }
    }

    /// Asks once: the status, the attempts, and how long it took.
    async fn ask(&self) -> (u16, Vec<Attempt>, Duration) {
        let act = self.act;
        let upstream =
            service_fn(move |request: Request<RewriteBody<RewriteBody<Full<Bytes>>>>| async move {
                let Some(UpstreamKey::Ours(key)) = request.extensions().get() else {
                    panic!("no key was leased");
                };
                let (status, takes) = act(key.plain().to_str().unwrap());
                tracing::info!("asked");
                tokio::time::sleep(takes).await;
                let response = Response::builder().status(status).body(Full::<Bytes>::from("{}"));
                Ok::<_, Infallible>(response.unwrap())
            });
        let service = ServiceBuilder::new()
            .layer(self.failover.clone())
            .layer(ChannelLayer::new(self.channels.clone()))
            .layer(KeyPoolLayer::new(self.keys.clone()))
            .service(upstream);
        let mut request =
            Request::post("/v1/messages").body(Full::from(r#"{"model":"m"}"#)).unwrap();
        let exchange = Exchange::of(request.extensions_mut());
        let began = Instant::now();
        let response = service.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        Collect::new(response.into_body(), 1 << 10).await.unwrap();
        (status, exchange.read(|facts| facts.attempts.clone()), began.elapsed())
    }
}

fn sole() -> Channel {
    Channel::new("sole", Upstream::new("https://h", Protocol::Anthropic).unwrap())
}

/// The failed answer is kept unread until the next one is here; its place at the channel is not.
#[tokio::test(start_paused = true)]
async fn a_failed_attempt_leaves_its_place_to_the_next() {
    let act: Act = |key| (if key == "one" { 429 } else { 200 }, Duration::ZERO);
    let stack = Stack::new(FailoverLayer::new(), sole().max_concurrent(1), &["one", "two"], act);
    let (status, attempts, took) = stack.ask().await;
    assert_eq!((status, attempts.len(), took), (200, 2, Duration::ZERO));
}

/// An upstream that hangs until the deadline is to blame, and so is its key.
#[tokio::test(start_paused = true)]
async fn who_hangs_until_the_deadline_is_charged() {
    let act: Act = |_| (200, Duration::from_secs(3600));
    let layer = FailoverLayer::new().deadline(10 * SECOND);
    let stack = Stack::new(layer, sole(), &["one"], act);
    let (status, attempts, took) = stack.ask().await;
    assert_eq!((status, took), (504, 10 * SECOND));
    let fault = attempts[0].fault.unwrap();
    assert_eq!((fault.kind, fault.origin), (FaultKind::Timeout, FaultOrigin::Transport));
    assert_eq!(stack.channels.snapshot(Some(Protocol::Anthropic))[0].failure_count, 1);
    assert_eq!(stack.keys.snapshot()[0].totals.failures, 1);
}

/// Another key does not help against an overloaded upstream, but a pause does: the sole channel
/// takes the request once more.
#[tokio::test(start_paused = true)]
async fn a_sole_channel_with_two_keys_is_asked_again_after_a_pause() {
    let act: Act = |key| (if key == "one" { 529 } else { 200 }, Duration::ZERO);
    let keys = &["one", "two"];
    let (status, attempts, took) = Stack::new(FailoverLayer::new(), sole(), keys, act).ask().await;
    assert_eq!((status, attempts.len(), took), (529, 1, Duration::ZERO));

    let layer = FailoverLayer::new().backoff(Backoff::default());
    let (status, attempts, took) = Stack::new(layer, sole(), keys, act).ask().await;
    assert_eq!((status, attempts.len()), (200, 2));
    assert!(took >= SECOND / 4, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_said_in_an_attempt_says_which_one_it_is() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false);
    let _listening = listen(subscriber.finish());
    let act: Act = |key| (if key == "sk-one" { 429 } else { 200 }, Duration::ZERO);
    Stack::new(FailoverLayer::new(), sole(), &["sk-one", "sk-two"], act).ask().await;
    let text = log.text();
    let asked: Vec<_> = text.lines().filter(|line| line.ends_with("asked")).collect();
    assert_eq!(asked.len(), 2, "{text}");
    for (number, key, line) in [(1, "sk-***ne", asked[0]), (2, "sk-***wo", asked[1])] {
        let span = format!(r#"attempt{{number={number} channel="sole" key="{key}"}}"#);
        assert!(line.contains(&span), "{line}");
    }
}
