//! What tests ask the demo beside its protocols, all under `/demo`.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State as Extract};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};

use super::Demo;
use super::generate::{collect, echo, json_response};
use super::stream::{Live, Script, Step};

pub(super) fn router() -> Router<Demo> {
    Router::new()
        .route("/demo/state", get(state))
        .route("/demo/echo", any(dump))
        .route("/demo/echo/{*rest}", any(dump))
        .route("/demo/status/{status}", any(status))
        .route("/demo/redirect", any(redirect))
        .route("/demo/cookies", any(cookies))
        .route("/demo/trailers", any(trailers))
}

/// How many answers there were and are.
async fn state(Extract(demo): Extract<Demo>) -> Response {
    json_response(StatusCode::OK, &demo.state.json())
}

/// The request as it arrived, for any method, path and query.
async fn dump(request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    match collect(body).await {
        Ok(bytes) => json_response(StatusCode::OK, &echo(&parts, &bytes)),
        Err(_) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
    }
}

/// Any status, without a body.
async fn status(Path(status): Path<u16>) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST)
}

async fn redirect() -> Response {
    (StatusCode::FOUND, [(header::LOCATION, "/demo/echo")]).into_response()
}

async fn cookies() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    for cookie in ["a=1; Path=/", "b=2; Path=/"] {
        response.headers_mut().append(header::SET_COOKIE, HeaderValue::from_static(cookie));
    }
    response
}

async fn trailers(Extract(demo): Extract<Demo>) -> Response {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-demo-trailer", HeaderValue::from_static("end"));
    let steps = [Step::Data("body".into()), Step::Trailers(trailers)].into_iter();
    let script = Script::new(steps, demo.pace, Live::begin(&demo.state));
    ([(header::TRAILER, "x-demo-trailer")], Body::new(script)).into_response()
}
