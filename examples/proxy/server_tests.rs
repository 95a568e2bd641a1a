use super::*;

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::to_bytes;
use bytes::Bytes;
use http_body::Frame;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::Layer;
use tower_llm_gateway::context::MAX_REQUEST_ID;
use tower_llm_gateway::layer::stats::StatsQuery;

use crate::environment::Environment;
use crate::records::Records;

/// Answers with what it was asked.
async fn mirror(request: Request<Body>) -> Result<Response, Infallible> {
    assert_ne!(request.uri().path(), "/panic");
    let everybody = [(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    Ok((everybody, format!("{} {}", request.method(), request.uri())).into_response())
}

fn router(pairs: &[(&str, &str)]) -> Router {
    let settings = Settings::read(&pairs.iter().copied().collect::<Environment>()).unwrap();
    let stack = Router::new().fallback_service(service_fn(mirror));
    routes(&settings, Gateway { admin: Router::new(), stack })
}

async fn send(
    pairs: &[(&str, &str)],
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
) -> Response {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    router(pairs).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn text(response: Response) -> String {
    String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().into()).unwrap()
}

#[tokio::test]
async fn health_has_exactly_its_keys() {
    let router = router(&[]);
    let ask = || async {
        let request = Request::get("/health").body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        serde_json::from_str::<Value>(&text(response).await).unwrap()
    };
    let first = ask().await;
    let keys: Vec<&String> = first.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["boot_id", "service", "started_at", "status"]);
    assert_eq!(first["status"], "healthy");
    assert_eq!(first["boot_id"].as_str().unwrap().len(), 36);
    assert_eq!(first, ask().await, "the same boot");
}

#[tokio::test]
async fn every_method_path_and_query_reaches_the_gateway() {
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        for uri in ["/", "/v1/x%20y//z?a=%2F&b", "/health/x", "/?q"] {
            assert_eq!(text(send(&[], method, uri, &[]).await).await, format!("{method} {uri}"));
        }
    }
    assert_eq!(send(&[], "HEAD", "/x", &[]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn every_answer_has_the_id_of_its_request() {
    let made = send(&[], "GET", "/x", &[]).await;
    assert_eq!(made.headers()[REQUEST_ID].len(), 36);
    let kept = send(&[], "GET", "/x", &[("x-request-id", "mine")]).await;
    assert_eq!(kept.headers()[REQUEST_ID], "mine");
    for bad in ["", "a b", "sk-1234567890abcdef", &"x".repeat(MAX_REQUEST_ID + 1)] {
        let made = send(&[], "GET", "/x", &[("x-request-id", bad)]).await;
        assert_eq!(made.headers()[REQUEST_ID].len(), 36);
    }
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let response = send(&[], "GET", "/panic", &[]).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text(response).await.contains("the gateway failed"));
}

#[tokio::test]
async fn web_pages_are_allowed_by_origin() {
    let (page, local) = ("https://a.com", "http://localhost:3000");
    let trap = "http://localhost.example.com";
    let one = &[("CORS_ORIGIN", "https://a.com")][..];
    let any = &[("CORS_ORIGIN", "*")][..];
    let off = &[("ENABLE_CORS", "false")][..];
    for (settings, origin, allowed, credentials) in [
        (&[][..], local, Some(local), true),
        (&[], "http://[::1]:3000", Some("http://[::1]:3000"), true),
        (&[], trap, None, true),
        (&[], page, None, true),
        (one, page, Some(page), true),
        (one, local, None, true),
        (any, page, Some("*"), false),
        (off, local, Some("*"), false),
    ] {
        let response = send(settings, "GET", "/x", &[("origin", origin)]).await;
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("access-control-allow-origin"), allowed, "{settings:?} {origin}");
        let with = header("access-control-allow-credentials");
        assert_eq!(with.is_some(), credentials, "{settings:?} {origin}");
    }
}

#[tokio::test]
async fn only_preflights_are_answered_here() {
    let origin = ("origin", "http://localhost");
    let wanted = [
        origin,
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "x-api-key,anthropic-version"),
    ];
    let response = send(&[], "OPTIONS", "/v1/messages", &wanted).await;
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert!(header("access-control-allow-methods").contains("POST"));
    assert_eq!(header("access-control-allow-headers"), "x-api-key,anthropic-version");
    assert_eq!(text(response).await, "");
    assert_eq!(text(send(&[], "OPTIONS", "/x", &[origin]).await).await, "OPTIONS /x");
    let off = [("ENABLE_CORS", "false")];
    assert_eq!(text(send(&off, "OPTIONS", "/x", &wanted).await).await, "OPTIONS /x");
}

#[tokio::test]
async fn a_taken_port_gives_way() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let env: Environment = [("PORT", port.as_str())].into_iter().collect();
    let listener = bind(&Settings::read(&env).unwrap()).await.unwrap();
    assert_ne!(listener.local_addr().unwrap().port().to_string(), port);
}

#[tokio::test]
async fn streams_that_are_cut_are_in_the_records() {
    let records = Records::in_memory();
    let endless = service_fn(async |_: Request<Body>| {
        let body = Endless(Some(Bytes::from("data: {}\n\n")));
        let response = Response::builder().header("content-type", "text/event-stream");
        Ok::<_, Infallible>(response.body(Body::new(body)).unwrap())
    });
    let endless = records.layer().layer(Router::new().fallback_service(endless));
    let stack = Router::new().fallback_service(endless);
    let settings = Settings::read(&Environment::default()).unwrap();
    let router = routes(&settings, Gateway { admin: Router::new(), stack });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let stopped = async { stopped.await.unwrap() };
    let serving = serve_until(listener, router, stopped, || {}, std::future::ready(()));
    #[expect(clippy::disallowed_methods, reason = "a server that ends beside its caller")]
    let serving = tokio::spawn(serving);

    let mut caller = TcpStream::connect(address).await.unwrap();
    caller.write_all(b"GET /v1/messages HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"data: {}\n\n\r\n") {
        assert_ne!(caller.read_buf(&mut answer).await.unwrap(), 0);
    }
    assert_eq!(records.stats.report(&StatsQuery::default()).in_flight, 1);
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    let report = records.stats.report(&StatsQuery::default());
    assert_eq!((report.in_flight, report.totals.cancelled), (0, 1));
}

/// One event, then nothing for ever.
struct Endless(Option<Bytes>);

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.take().map_or(Poll::Pending, |event| Poll::Ready(Some(Ok(Frame::data(event)))))
    }
}
