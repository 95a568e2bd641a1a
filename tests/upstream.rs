//! The client at the bottom together with the layer right around it.

#[path = "../src/test_helpers/refusing.rs"]
mod refusing;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt};
use tower_llm_gateway::CatchErrorLayer;
use tower_llm_gateway::body::Collect;
use tower_llm_gateway::protocol::model::{Fault, FaultKind, FaultOrigin};
use tower_llm_gateway::upstream::HttpUpstream;

use crate::refusing::Refusing;

#[tokio::test]
async fn a_refused_connection_becomes_a_bad_gateway_without_its_address() {
    let nobody = Refusing::new();
    let uri = format!("http://{}/v1/messages?key=sk-canary", nobody.address());
    let request = Request::post(uri).body(Full::<Bytes>::default()).unwrap();

    let service = CatchErrorLayer::new().layer(HttpUpstream::default());
    let response = service.oneshot(request).await.unwrap();

    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    let fault = *response.extensions().get::<Fault>().unwrap();
    assert_eq!((fault.kind, fault.origin), (FaultKind::Transport, FaultOrigin::Transport));
    let body = Collect::new(response.into_body(), 1024).await.unwrap().bytes;
    assert_eq!(
        body,
        r#"{"type":"error","error":{"type":"api_error","message":"the upstream could not be reached"}}"#
    );
}
