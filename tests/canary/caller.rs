//! The callers: each key in each place, each vendor in each mood.

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request, Response};
use serde_json::json;
use tower::ServiceExt;
use tower_llm_gateway::protocol::Protocol;

use crate::secrets::{self, Outputs};
use crate::stack::{Gateway, UPSTREAMS};

/// What the vendor is asked for: errors of a status, and others.
const MOODS: [&str; 10] = ["ok", "400", "401", "403", "429", "500", "503", "text", "stream", "cut"];

/// Where a caller puts its key.
#[derive(Debug, Clone, Copy)]
enum Place {
    XApiKey,
    Bearer,
    GoogKey,
    Query,
    ApiKey,
}

const PLACES: [Place; 5] =
    [Place::XApiKey, Place::Bearer, Place::GoogKey, Place::Query, Place::ApiKey];

pub(crate) async fn ask_everything(gateway: &Gateway, outputs: &mut Outputs) {
    let mut places = PLACES.iter().cycle();
    let mut succeeded = 0;
    for upstream in UPSTREAMS {
        for caller in Protocol::ALL {
            for mood in MOODS {
                let place = *places.next().unwrap();
                let stream = mood == "stream";
                let request = ask(caller, place, &format!("leak-{mood}"), stream);
                let (head, _) = send(gateway, upstream, request).await;
                succeeded += usize::from(head.status < 400);
                outputs.add("a translation report", head.report);
            }
            refuse(gateway, upstream, caller, outputs).await;
        }
    }
    assert!(succeeded > 15, "{succeeded} succeeded");
}

/// Requests that the gateway answers itself: its words are searched, too.
async fn refuse(gateway: &Gateway, upstream: Protocol, caller: Protocol, outputs: &mut Outputs) {
    let good = || ask(caller, Place::XApiKey, "leak-ok", false);
    let mut unknown = good();
    unknown.headers_mut().insert("x-api-key", secrets::UNKNOWN.parse().unwrap());
    let mut basic = good();
    basic.headers_mut().remove("x-api-key");
    let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, secrets::BASIC);
    basic.headers_mut().insert("authorization", format!("Basic {encoded}").parse().unwrap());
    let (mut broken, mut wrong) = (good(), good());
    let text = format!("{{\"api_key\": \"{}\", \"prompt\": {}", secrets::MEMBER, secrets::PROMPT);
    *broken.body_mut() = Body::from(text);
    *wrong.body_mut() = Body::from(json!([secrets::PROMPT]).to_string());
    for (what, request) in
        [("an unknown key", unknown), ("Basic", basic), ("no JSON", broken), ("no object", wrong)]
    {
        let (head, body) = send(gateway, upstream, request).await;
        // What nobody must translate goes to the vendor as it is.
        let is_vendors = what.starts_with("no ") && caller == upstream;
        if !is_vendors {
            assert!(head.status >= 400, "{what}: {}", head.status);
            outputs.add(format!("the refusal of {what}"), body);
        }
    }
}

fn ask(caller: Protocol, place: Place, model: &str, stream: bool) -> Request<Body> {
    let key = match place {
        Place::XApiKey => secrets::IN_X_API_KEY,
        Place::Bearer => secrets::IN_BEARER,
        Place::GoogKey => secrets::IN_GOOG_KEY,
        Place::Query => secrets::IN_QUERY,
        Place::ApiKey => secrets::IN_API_KEY,
    };
    let mut path = path(caller, model, stream);
    if let Place::Query = place {
        let sign = if path.contains('?') { '&' } else { '?' };
        path.push_str(&format!("{sign}key={key}"));
    }
    let request = Request::post(path)
        .header("content-type", "application/json")
        .header("anthropic-version", "2023-06-01")
        .header("cookie", format!("session={}", secrets::COOKIE));
    let request = match place {
        Place::XApiKey => request.header("x-api-key", key),
        Place::Bearer => request.header("authorization", format!("Bearer {key}")),
        Place::GoogKey => request.header("x-goog-api-key", key),
        Place::ApiKey => request.header("api-key", key),
        Place::Query => request,
    };
    request.body(Body::from(body(caller, model, stream))).unwrap()
}

fn path(caller: Protocol, model: &str, stream: bool) -> String {
    match caller {
        Protocol::Anthropic => "/v1/messages".to_owned(),
        Protocol::OpenAiChat => "/v1/chat/completions".to_owned(),
        Protocol::OpenAiResponses => "/v1/responses".to_owned(),
        Protocol::Gemini if stream => {
            format!("/v1beta/models/{model}:streamGenerateContent?alt=sse")
        }
        Protocol::Gemini => format!("/v1beta/models/{model}:generateContent"),
        _ => "/api/v1/services/aigc/text-generation/generation".to_owned(),
    }
}

/// With a key in the prompt, and one in a member that no protocol has.
fn body(caller: Protocol, model: &str, stream: bool) -> String {
    let prompt = format!("my key is {}, keep it", secrets::PROMPT);
    let messages = json!([{"role": "user", "content": prompt}]);
    let mut body = match caller {
        Protocol::Gemini => json!({"contents": [{"role": "user", "parts": [{"text": prompt}]}]}),
        Protocol::OpenAiResponses => json!({"model": model, "stream": stream, "input": prompt}),
        Protocol::DashScope => json!({"model": model, "input": {"messages": messages}}),
        _ => json!({"model": model, "max_tokens": 64, "stream": stream, "messages": messages}),
    };
    body["api_key"] = json!(secrets::MEMBER);
    body.to_string()
}

struct Head {
    status: u16,
    report: Vec<u8>,
}

async fn send(gateway: &Gateway, upstream: Protocol, request: Request<Body>) -> (Head, Vec<u8>) {
    let answer: Response<Body> = gateway.stack(upstream).oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    // One that breaks off has been seen to its end, too.
    let body = to_bytes(body, 1 << 20).await.map(Vec::from).unwrap_or_default();
    (Head { status: parts.status.as_u16(), report: report(&parts.headers) }, body)
}

fn report(headers: &HeaderMap) -> Vec<u8> {
    headers.get("x-translation-report").map(|value| value.as_bytes().to_vec()).unwrap_or_default()
}
