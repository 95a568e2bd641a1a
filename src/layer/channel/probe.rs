//! Asks from the side whether a channel is there.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Empty;
use serde::{Serialize, Serializer};
use tokio::time::{Instant, sleep, timeout};
use tower_service::Service;

use super::breaker::Admission;
use super::channels::Channels;
use super::entry::Entry;
use crate::context::{ChannelId, Upstream};
use crate::error::{BoxError, Phase, TransportKind};

/// How long a base URL has to answer.
pub const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// How many are asked at once.
pub const MAX_PINGS_AT_ONCE: usize = 16;

/// How often the worker of [`Channels::prober`] looks for tripped channels.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(30);

/// What became of asking a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Ping {
    /// Whether there was an answer, whatever its status.
    pub success: bool,
    /// How long it took; in JSON milliseconds.
    #[serde(serialize_with = "milliseconds")]
    pub latency: Duration,
    /// `healthy` or `error`.
    pub status: &'static str,
    /// Why there was none, in words that name no host and no key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What became of asking one of several channels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChannelPing {
    /// The channel.
    pub id: String,
    /// What became of it.
    #[serde(flatten)]
    pub ping: Ping,
}

impl Channels {
    /// Asks the base URL of a channel with HEAD, through `service`, for at most [`PING_TIMEOUT`];
    /// `None` where the channel is unknown. Nothing is learnt from it.
    pub async fn ping<S, B>(&self, id: &ChannelId, service: S) -> Option<Ping>
    where
        S: Service<Request<Empty<Bytes>>, Response = Response<B>>,
        S::Error: Into<BoxError>,
    {
        let at = |entry: &Entry, now| entry.channel.upstreams[entry.upstream(now)].clone();
        let found = self.shared.with(|state, now| Some(at(state.entry(id)?, now)))?;
        Some(ping(found, service).await)
    }

    /// Asks all channels, [`MAX_PINGS_AT_ONCE`] at once, and answers in the order of their list.
    pub async fn ping_all<S, B>(&self, service: S) -> Vec<ChannelPing>
    where
        S: Service<Request<Empty<Bytes>>, Response = Response<B>> + Clone,
        S::Error: Into<BoxError>,
    {
        let asked = self.list().into_iter().map(|channel| {
            let service = service.clone();
            async move {
                let ping = self.ping(&channel.id, service).await?;
                Some(ChannelPing { id: channel.id.as_str().to_owned(), ping })
            }
        });
        together(asked, MAX_PINGS_AT_ONCE).await.into_iter().flatten().collect()
    }

    /// A worker for the host to spawn: every [`PROBE_INTERVAL`] it asks those channels whose
    /// breaker is open and that last failed by not being reached. One that answers is half open
    /// at once, so that the next request tries it.
    ///
    /// Where a channel answered and the answers were bad, nothing is asked: any answer to HEAD
    /// would speak for it. The worker ends when nothing else holds the channels any more; dropping
    /// it stops it.
    pub fn prober<S, B>(&self, service: S) -> impl Future<Output = ()> + use<S, B>
    where
        S: Service<Request<Empty<Bytes>>, Response = Response<B>> + Clone,
        S::Error: Into<BoxError>,
    {
        let shared = Arc::downgrade(&self.shared);
        async move {
            loop {
                sleep(PROBE_INTERVAL).await;
                let Some(shared) = shared.upgrade() else { return };
                let channels = Self { shared };
                let asked = channels.unreachable().into_iter().map(|id| {
                    let (service, channels) = (service.clone(), &channels);
                    async move {
                        let ping = channels.ping(&id, service).await;
                        if ping.is_some_and(|ping| ping.success) {
                            channels.found_alive(&id);
                        }
                    }
                });
                together(asked, MAX_PINGS_AT_ONCE).await;
            }
        }
    }

    fn unreachable(&self) -> Vec<ChannelId> {
        self.shared.with(|state, now| {
            let down = |entry: &&Entry| {
                let mut healths = entry.healths();
                healths.any(|(kind, health)| {
                    entry.admission(*kind, now) == Admission::Open && health.was_unreachable()
                })
            };
            let active = state.entries.iter().filter(|entry| entry.channel.is_active());
            active.filter(down).map(|entry| entry.channel.id.clone()).collect()
        })
    }

    fn found_alive(&self, id: &ChannelId) {
        let found = self.change(id, |entry, now| {
            let healths = entry.healths_mut().map(|(_, health)| health);
            let unreachable = healths.filter(|health| health.was_unreachable());
            unreachable.for_each(|health| health.breaker.found_alive(now));
        });
        // The channel may be gone by now.
        found.ok();
    }
}

async fn ping<S, B>(upstream: Upstream, service: S) -> Ping
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>>,
    S::Error: Into<BoxError>,
{
    let began = Instant::now();
    let answer = match timeout(PING_TIMEOUT, head(&upstream, service)).await {
        Ok(answer) => answer,
        Err(_) => Err(TransportKind::Timeout(Phase::Headers)),
    };
    Ping {
        success: answer.is_ok(),
        latency: began.elapsed(),
        status: if answer.is_ok() { "healthy" } else { "error" },
        error: answer.err().map(|kind| kind.to_string()),
    }
}

/// Any status will do.
async fn head<S, B>(upstream: &Upstream, mut service: S) -> Result<(), TransportKind>
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>>,
    S::Error: Into<BoxError>,
{
    let kind = |error: S::Error| TransportKind::of(&*error.into());
    std::future::poll_fn(|cx| service.poll_ready(cx)).await.map_err(kind)?;
    let uri = upstream.uri_for("/", None).map_err(|_| TransportKind::Other)?;
    let mut request = Request::new(Empty::new());
    (*request.method_mut(), *request.uri_mut()) = (Method::HEAD, uri);
    request.extensions_mut().insert(upstream.own_connection());
    service.call(request).await.map_err(kind).map(drop)
}

/// Runs futures side by side, so many at once; their results come in their order.
async fn together<F: Future>(futures: impl Iterator<Item = F>, most: usize) -> Vec<F::Output> {
    let mut waiting = futures.enumerate();
    let mut running: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    let mut done = Vec::new();
    std::future::poll_fn(move |cx| {
        loop {
            let free = most.saturating_sub(running.len());
            running.extend(waiting.by_ref().take(free).map(|(at, one)| (at, Box::pin(one))));
            let before = done.len();
            running.retain_mut(|(at, one)| match one.as_mut().poll(cx) {
                Poll::Ready(result) => {
                    done.push((*at, result));
                    false
                }
                Poll::Pending => true,
            });
            if running.is_empty() && done.len() == before {
                done.sort_by_key(|(at, _)| *at);
                return Poll::Ready(done.drain(..).map(|(_, result)| result).collect());
            }
            if done.len() == before {
                return Poll::Pending;
            }
        }
    })
    .await
}

fn milliseconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.as_millis() as u64)
}
