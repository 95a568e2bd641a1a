//! What one vendor is not told of another: keys, accounts, cookies, and whose conversation it is.

use super::*;
use crate::store::MemoryVault;

#[tokio::test]
async fn a_key_in_the_query_takes_the_upstreams_form() {
    let gemini = "/v1beta/models/g:generateContent?key=callers%2Bkey";
    for (protocol, header, value) in [
        (Protocol::Anthropic, "x-api-key", "callers+key"),
        (Protocol::OpenAiChat, "authorization", "Bearer callers+key"),
        (Protocol::DashScope, "authorization", "Bearer callers+key"),
    ] {
        let layer = ProviderTranslateLayer::to(Upstream::new("http://u", protocol).unwrap());
        let mut request = post(gemini, r#"{"contents":[{"parts":[{"text":"Hi"}]}]}"#);
        request.headers_mut().remove("authorization");
        let (_, seen) = send(layer, request, (200, "application/json", vec![])).await;
        let parts = seen.unwrap().0;
        assert_eq!(parts.headers[header], value, "{protocol}");
        assert!(!parts.uri.to_string().contains("callers"), "{}", parts.uri);
    }
    // An endpoint of nobody, at an upstream whose form is another.
    let layer = ProviderTranslateLayer::to(Upstream::new("http://u", Protocol::Anthropic).unwrap());
    let request = post("/people?key=k&a=b", "{}");
    let (_, seen) = send(layer, request, (200, "application/json", vec![])).await;
    let parts = seen.unwrap().0;
    assert_eq!(
        (parts.uri.query(), &parts.headers["x-api-key"]),
        (Some("a=b"), &"callers-key".parse().unwrap())
    );
}

/// Headers that mean something to one vendor only.
const FOREIGN: [&str; 5] = [
    "anthropic-beta",
    "openai-organization",
    "openai-project",
    "x-goog-user-project",
    "x-dashscope-workspace",
];

#[tokio::test]
async fn headers_of_one_vendor_go_to_no_other() {
    for (protocol, own) in [
        (Protocol::Anthropic, FOREIGN.to_vec()),
        (Protocol::OpenAiChat, vec!["openai-organization", "openai-project"]),
        (Protocol::Gemini, vec!["x-goog-user-project"]),
        (Protocol::DashScope, vec!["x-dashscope-workspace"]),
    ] {
        let mut request = post("/v1/messages", MESSAGES);
        for name in FOREIGN {
            request.headers_mut().insert(name, "x".parse().unwrap());
        }
        let layer = ProviderTranslateLayer::to(upstream(protocol));
        let (_, seen) = send(layer, request, (200, "application/json", vec![])).await;
        let headers = seen.unwrap().0.headers;
        let sent: Vec<_> = FOREIGN.into_iter().filter(|name| headers.contains_key(*name)).collect();
        assert_eq!(sent, own, "{protocol}");
    }
}

/// A cookie is a credential: it passes where the caller's own key passes as it is, and nowhere else.
#[tokio::test]
async fn cookies_stay_where_keys_do() {
    let to = |protocol| Upstream::new("http://u", protocol).unwrap();
    for (upstream, passes) in [
        (to(Protocol::OpenAiChat), true),
        (to(Protocol::OpenAiChat).key("k").unwrap(), false),
        (to(Protocol::OpenAiChat).no_key(), false),
        (to(Protocol::Anthropic), false),
        (to(Protocol::Anthropic).key("k").unwrap(), false),
        (Upstream::same_protocol("http://u").unwrap(), true),
        (Upstream::same_protocol("http://u").unwrap().key("k").unwrap(), false),
    ] {
        for (path, body) in
            [("/v1/chat/completions", CHAT), ("/v1/embeddings", r#"{"model":"m","input":"Hi"}"#)]
        {
            let mut request = post(path, body);
            for cookie in ["session=1", "other=2"] {
                request.headers_mut().append("cookie", cookie.parse().unwrap());
            }
            let layer = ProviderTranslateLayer::to(upstream.clone());
            let (_, seen) = send(layer, request, (200, "application/json", vec![])).await;
            // What this upstream has no endpoint for never comes there.
            let Some((parts, _)) = seen else { continue };
            let sent = parts.headers.get_all("cookie").iter().count();
            assert_eq!(sent, if passes { 2 } else { 0 }, "{path} {upstream:?}");
        }
    }
}

#[tokio::test]
async fn accounts_and_cookies_of_the_upstream_stay_there() {
    const TOLD: [&str; 4] =
        ["set-cookie", "openai-organization", "openai-version", "x-ratelimit-limit-requests"];
    for (path, body, told) in [
        ("/v1/messages", MESSAGES, vec!["x-ratelimit-limit-requests"]),
        ("/v1/chat/completions", CHAT, TOLD.to_vec()),
    ] {
        let mut answer = Response::builder().header("content-type", "application/json");
        for name in TOLD {
            answer = answer.header(name, "1");
        }
        let answer = answer.body(Frames::new(vec![Step::from(CHAT_ANSWER)])).unwrap();
        let layer = ProviderTranslateLayer::to(upstream(Protocol::OpenAiChat));
        let (response, _) = send_for(layer, post(path, body), answer).await;
        let headers = response.headers();
        let found: Vec<_> = TOLD.into_iter().filter(|name| headers.contains_key(*name)).collect();
        assert_eq!(found, told, "{path}");
    }
}

/// A vendor whose calls count from zero.
const CALL: &str = r#"{"id":"m","type":"message","role":"assistant","model":"c","content":[
    {"type":"thinking","thinking":"t","signature":"SIG"},
    {"type":"tool_use","id":"call_0","name":"f","input":{}}],
    "stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}"#;

fn asked(named: &str) -> String {
    CHAT.replacen('{', &format!("{{{named}"), 1)
}

fn continued(named: &str) -> String {
    let turns = r#"[{"role":"user","content":"Hi"},
        {"role":"assistant","tool_calls":[{"id":"call_0","type":"function","function":{"name":"f","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"call_0","content":"x"}]"#;
    format!(r#"{{{named}"model":"m","messages":{turns}}}"#)
}

#[tokio::test]
async fn a_conversation_that_has_a_name_is_no_other() {
    let (one, two) = (r#""prompt_cache_key":"one","#, r#""prompt_cache_key":"two","#);
    let user = r#""user":"one","#;
    // asked, its header, continued, its header, found
    for (first, told, second, tells, found) in [
        ("", None, "", None, true),
        (one, None, one, None, true),
        (one, None, two, None, false),
        (user, None, user, None, true),
        (user, None, "", None, false),
        (one, Some("s"), two, Some("s"), true),
        (one, Some("s"), one, Some("t"), false),
    ] {
        let layer = ProviderTranslateLayer::to(upstream(Protocol::Anthropic));
        let layer = layer.vault(Arc::new(MemoryVault::new()));
        let post = |body: &str, session: Option<&'static str>| {
            let mut request = post("/v1/chat/completions", body);
            if let Some(session) = session {
                request.headers_mut().insert("session_id", session.parse().unwrap());
            }
            request
        };
        let answer = || (200, "application/json", vec![CALL.into()]);
        send(layer.clone(), post(&asked(first), told), answer()).await;
        let (_, seen) = send(layer, post(&continued(second), tells), answer()).await;
        let sent = text(vec![Step::Data(seen.unwrap().1)]);
        assert_eq!(sent.contains("SIG"), found, "{first} {told:?} {second} {tells:?}: {sent}");
    }
}
