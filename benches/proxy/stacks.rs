//! The services under test.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower::ServiceBuilder;
use tower_llm_gateway::context::{ChannelId, Upstream};
use tower_llm_gateway::layer::channel::{Channel, Channels};
use tower_llm_gateway::layer::key_pool::{KeyPool, KeyPools};
use tower_llm_gateway::layer::limit::Concurrency;
use tower_llm_gateway::layer::otel::OtelCallLayer;
use tower_llm_gateway::layer::stats::Stats;
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::record::{RecordLayer, Sink};
use tower_llm_gateway::upstream::HttpUpstream;
use tower_llm_gateway::{
    ApiKeyAuthLayer, BoxError, CatchErrorLayer, ChannelLayer, FailoverLayer, FirstEventLayer,
    HopByHopFilterLayer, KeyPoolLayer, LimitLayer, ProviderTranslateLayer, SessionLayer,
    SystemPromptLayer,
};

/// The bare proxy: the same server and client without a layer.
pub(crate) fn floor(
    upstream: SocketAddr,
) -> impl tower::Service<
    Request<Incoming>,
    Response = Response<Incoming>,
    Error = hyper_util::client::legacy::Error,
    Future = impl Send,
> + Clone
+ Send {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build(connector);
    tower::service_fn(move |mut request: Request<Incoming>| {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let uri = format!("http://{upstream}{path}").parse().expect("a valid URL");
        *request.uri_mut() = uri;
        request.headers_mut().remove(http::header::HOST);
        client.request(request)
    })
}

/// What the armed stack is watched by: statistics alone.
pub(crate) fn counted() -> RecordLayer<Stats> {
    RecordLayer::new(Stats::new())
}

/// The five layers as a gateway has them: a key on either side, and the example proxy's rule of the
/// system prompt, which reads Messages requests and lets Chat requests pass.
pub(crate) fn layers<K: Sink<Open: Send + 'static> + Send + Sync + 'static>(
    address: SocketAddr,
    watching: RecordLayer<K>,
) -> impl tower::Service<
    Request<Incoming>,
    Response = Response<impl Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static>,
    Error = Infallible,
    Future = impl Send,
> + Clone
+ Send {
    let upstream = Upstream::new(&format!("http://{address}"), Protocol::OpenAiChat);
    ServiceBuilder::new()
        .layer(watching)
        .layer(ApiKeyAuthLayer::new(["bench-key"]).expect("a good key"))
        .layer(SystemPromptLayer::claude_code("bench", false))
        .layer(ProviderTranslateLayer::to(
            upstream.expect("a good URL").key("upstream-key").expect("a good key"),
        ))
        .layer(HopByHopFilterLayer::new())
        .layer(CatchErrorLayer::new())
        .service(HttpUpstream::default())
}

/// All layers, with two channels of ten keys each, so that every answer is held until it has begun
/// well.
pub(crate) fn all_layers<K: Sink<Open: Send + 'static> + Send + Sync + 'static>(
    address: SocketAddr,
    watching: RecordLayer<K>,
    calls: Option<OtelCallLayer>,
) -> impl tower::Service<
    Request<Incoming>,
    Response = Response<impl Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static>,
    Error = Infallible,
    Future = impl Send,
> + Clone
+ Send {
    let pools = KeyPools::new();
    let channels = ["first", "second"].map(|id| {
        let keys = (0..10).map(|number| format!("{id}-upstream-key-{number}"));
        pools.set(ChannelId::new(id), KeyPool::new(keys).expect("good keys"));
        let upstream = Upstream::new(&format!("http://{address}"), Protocol::OpenAiChat);
        Channel::new(id, upstream.expect("a good URL"))
    });
    ServiceBuilder::new()
        .layer(watching)
        .layer(ApiKeyAuthLayer::new(["bench-key"]).expect("a good key"))
        .layer(LimitLayer::new().concurrency(Concurrency::new(1000)).max_body_bytes(50 << 20))
        .layer(SystemPromptLayer::claude_code("bench", false))
        .layer(SessionLayer::new())
        .layer(FailoverLayer::new())
        .layer(ChannelLayer::new(Channels::new(channels).expect("two names")))
        .layer(KeyPoolLayer::by_channel(pools))
        .option_layer(calls)
        .layer(ProviderTranslateLayer::from_context())
        .layer(HopByHopFilterLayer::new())
        .layer(FirstEventLayer::new())
        .layer(CatchErrorLayer::new())
        .service(HttpUpstream::default())
}
