//! Counts, lists of models, and endpoints that only one protocol has.

use super::*;

const COUNT: &str = r#"{"model":"claude-x","system":"Be brief.","messages":[{"role":"user","content":"Hello there, how are you?"}]}"#;

#[tokio::test]
async fn a_count_is_an_estimate_where_the_upstream_does_not_count() {
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
    let (response, seen) =
        send(layer, post("/v1/messages/count_tokens", COUNT), (200, "", vec![])).await;
    assert!(seen.is_none(), "the upstream is not asked");
    assert_eq!(response.headers()["x-token-count"], "estimate");
    assert_eq!(response.headers()["content-type"], "application/json");
    let tokens = body_json(response).await["input_tokens"].as_u64().unwrap();
    assert!((10..25).contains(&tokens), "{tokens}");
}

#[tokio::test]
async fn a_count_is_an_estimate_where_the_endpoint_turns_out_to_be_missing() {
    let gemini = r#"{"contents":[{"parts":[{"text":"Hello there, how are you?"}]}]}"#;
    let count = "/v1beta/models/g:countTokens";
    for (path, body, member) in
        [("/v1/messages/count_tokens", COUNT, "input_tokens"), (count, gemini, "totalTokens")]
    {
        for status in [404, 405, 501, 400] {
            let layer = ProviderTranslateLayer::to(upstream(Protocol::Anthropic));
            let answer = (status, "application/json", vec!["{}".into()]);
            let (response, seen) = send(layer, post(path, body), answer).await;
            let (parts, sent) = seen.unwrap();
            assert_eq!(parts.uri, "http://upstream/base/v1/messages/count_tokens");
            assert!(path == count || sent == body, "within one protocol it stays");
            assert_eq!(response.headers().contains_key("x-token-count"), status != 400);
            if status == 400 {
                assert_eq!(response.status(), 400, "{path}");
                continue;
            }
            assert_eq!(response.status(), 200, "{path} {status}");
            assert!(body_json(response).await[member].as_u64().unwrap() > 5, "{path} {status}");
        }
    }
}

#[tokio::test]
async fn a_count_passes_within_one_protocol() {
    let layer = ProviderTranslateLayer::to(upstream(Protocol::Anthropic));
    let answer = (200, "application/json", vec![r#"{ "input_tokens": 7 }"#.into()]);
    let (response, _) = send(layer, post("/v1/messages/count_tokens", COUNT), answer).await;
    assert_eq!(response.headers()["content-length"], "999");
    assert_eq!(text(steps(&mut response.into_body())), r#"{ "input_tokens": 7 }"#);
}

#[tokio::test]
async fn a_count_of_a_model_that_may_not_be_used_is_refused() {
    let mut request = post("/v1/messages/count_tokens", COUNT);
    let exchange = Exchange::of(request.extensions_mut());
    exchange.update(|facts| facts.principal = Some(Principal::new("p").models(["other"])));
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
    let (response, _) = send(layer, request, (200, "", vec![])).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn models_come_in_the_callers_shape() {
    let list = r#"{"object":"list","data":[{"id":"gpt","object":"model","created":1700000000,"owned_by":"o"}]}"#;
    let request = Request::get("/v1/models?limit=5")
        .header("anthropic-version", "2023-06-01")
        .header("x-api-key", "callers-key")
        .body(Full::default())
        .unwrap();
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
    let (response, seen) = send(layer, request, (200, "application/json", vec![list.into()])).await;
    let (parts, body) = seen.unwrap();
    assert_eq!((parts.method.as_str(), body.len()), ("GET", 0));
    assert_eq!(parts.uri, "http://upstream/base/v1/models");
    assert_eq!(parts.headers["authorization"], "Bearer upstream-key");
    assert!(!parts.headers.contains_key("x-api-key"));
    let found = body_json(response).await;
    assert_eq!(found["data"][0]["type"], "model");
    assert_eq!(found["data"][0]["created_at"], "2023-11-14T22:13:20Z");
    assert_eq!(found["has_more"], false);
}

#[tokio::test]
async fn one_model_is_asked_for_by_its_mapped_name() {
    let model = r#"{"id":"gpt/5","object":"model","created":0,"owned_by":"o"}"#;
    let request = Request::get("/v1beta/models/claude").body(Full::default()).unwrap();
    let upstream = upstream(Protocol::OpenAiChat).map_model("claude", "gpt/5");
    let (response, seen) = send(
        ProviderTranslateLayer::to(upstream),
        request,
        (200, "application/json", vec![model.into()]),
    )
    .await;
    assert_eq!(seen.unwrap().0.uri, "http://upstream/base/v1/models/gpt%2F5");
    assert_eq!(body_json(response).await["name"], "models/gpt/5");
}

#[tokio::test]
async fn the_name_of_a_model_may_hold_slashes() {
    let model = r#"{"id":"org/name","object":"model","created":0,"owned_by":"o"}"#;
    let answer = || (200, "application/json", vec![model.into()]);
    let request = || Request::get("/v1/models/org/name").body(Full::default()).unwrap();
    for (protocol, path) in [
        (Protocol::OpenAiChat, "/v1/models/org/name"),
        (Protocol::Anthropic, "/v1/models/org%2Fname"),
    ] {
        let layer = ProviderTranslateLayer::to(upstream(protocol));
        let (_, seen) = send(layer, request(), answer()).await;
        assert_eq!(seen.unwrap().0.uri.path(), format!("/base{path}"));
    }
}

#[tokio::test]
async fn where_the_upstream_lists_nothing_the_model_map_speaks() {
    let request = || Request::get("/v1/models").body(Full::default()).unwrap();
    let mapped = upstream(Protocol::DashScope).map_model("gpt-5", "qwen-max");
    let (response, seen) =
        send(ProviderTranslateLayer::to(mapped), request(), (200, "", vec![])).await;
    assert!(seen.is_none());
    assert_eq!(body_json(response).await["data"][0]["id"], "gpt-5");

    let bare = upstream(Protocol::DashScope);
    let (response, _) = send(ProviderTranslateLayer::to(bare), request(), (200, "", vec![])).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_error_instead_of_a_list_is_the_callers_error() {
    let request = Request::get("/v1/models").header("anthropic-version", "2023-06-01");
    let request = request.body(Full::default()).unwrap();
    let error = r#"{"error":{"message":"no","type":"x","param":null,"code":"invalid_api_key"}}"#;
    let (response, _) = send(
        ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat)),
        request,
        (401, "application/json", vec![error.into()]),
    )
    .await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(body_json(response).await["error"]["type"], "authentication_error");
}

#[tokio::test]
async fn what_only_one_protocol_has_is_passed_or_refused() {
    let embeddings = || post("/v1/embeddings", r#"{"model":"m","input":"x"}"#);
    for protocol in [Protocol::OpenAiChat, Protocol::OpenAiResponses] {
        let (_, seen) = send(
            ProviderTranslateLayer::to(upstream(protocol)),
            embeddings(),
            (200, "application/json", vec!["{}".into()]),
        )
        .await;
        assert_eq!(seen.unwrap().0.uri, "http://upstream/base/v1/embeddings");
    }
    let (response, seen) = send(
        ProviderTranslateLayer::to(upstream(Protocol::Anthropic)),
        embeddings(),
        (200, "", vec![]),
    )
    .await;
    assert!(seen.is_none());
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let message = &body_json(response).await["error"]["message"];
    assert_eq!(message, "an upstream of protocol anthropic has no such endpoint");
}

#[tokio::test]
async fn no_path_climbs_out_of_the_base() {
    for path in ["/v1/../../other/x", "/v1/%2e%2e/x", "/v1/a%2f..%2fx", "/v1/./x"] {
        let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
        let (response, seen) = send(layer, post(path, "{}"), (200, "", vec![])).await;
        assert!(seen.is_none(), "{path}");
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
    }
    let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
    let (_, seen) = send(layer, post("/v1/a..b/..c", "{}"), (200, "", vec![])).await;
    assert!(seen.is_some());
}
