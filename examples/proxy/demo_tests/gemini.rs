use http::StatusCode;
use serde_json::{Value, json};

use super::{GEMINI, answer, ask, post, refusal, text};
use crate::demo::Demo;

const STREAM: &str = "/v1/models/demo:streamGenerateContent";

fn user(text: &str) -> Value {
    json!({"role": "user", "parts": [{"text": text}]})
}

fn tools() -> Value {
    let place = json!({"type": "OBJECT", "properties": {"city": {"type": "STRING"}}});
    let functions = json!([{"name": "weather", "parameters": place}, {"name": "time"}]);
    json!([{"functionDeclarations": functions}])
}

/// The chunks of server-sent events.
fn chunks(stream: &str) -> Vec<Value> {
    let events = stream.split_terminator("\r\n\r\n");
    let chunk = |event: &str| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
    events.map(chunk).collect()
}

fn parts(chunks: &[Value]) -> Vec<Value> {
    let parts = chunks.iter().map(|chunk| &chunk["candidates"][0]["content"]["parts"]);
    parts.flat_map(|parts| parts.as_array().unwrap().clone()).collect()
}

#[tokio::test]
async fn contents_are_read_strictly() {
    let call = json!({"role": "model", "parts": [{"functionCall": {"name": "t", "args": {}}}]});
    let result = json!({"functionResponse": {"name": "t", "response": {"output": "x"}}});
    let bare = json!({"functionResponse": {"name": "t", "response": "x"}});
    let forged = json!({"role": "model", "parts": [{"text": "x", "thoughtSignature": "forged"}]});
    let results = |parts: Value| json!({"role": "user", "parts": parts});
    for (contents, expected) in [
        (json!([]), "not specified"),
        (json!([{"role": "user", "parts": []}]), "must not be empty"),
        (json!([{"role": "assistant", "parts": [{"text": "x"}]}]), "valid role"),
        (json!([{"role": "user", "parts": [{}]}]), "one initialized field"),
        (json!([results(json!([result]))]), "number of function response parts"),
        (json!([call, results(json!([result, result]))]), "number of function response parts"),
        (json!([call, user("x")]), "number of function response parts"),
        (json!([call]), "without a response"),
        (json!([call, results(json!([bare]))]), "no object"),
        (json!([forged, user("x")]), "Corrupted thought signature"),
    ] {
        let message = refusal(GEMINI, &json!({"contents": contents})).await;
        assert!(message.contains(expected), "{message}");
    }
    for (member, value, expected) in [
        ("stop_words", json!(["x"]), "stopWords"),
        ("thinking_config", json!({"thinking_level": "low", "thinking_budget": 1}), "exclude"),
        ("responseSchema", json!({"additionalProperties": false}), "additionalProperties"),
        ("responseJsonSchema", json!({"type": "object"}), "application/json"),
    ] {
        let body = json!({"contents": [user("x")], "generation_config": {member: value}});
        let message = refusal(GEMINI, &body).await;
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn streams_hold_what_whole_answers_do_in_either_form() {
    let thoughts = json!({"thinkingConfig": {"includeThoughts": true}});
    for (model, more) in [
        ("demo", json!({})),
        ("demo", json!({"generationConfig": thoughts})),
        ("demo-thinking", json!({})),
        ("demo-parallel", json!({"tools": tools(), "generation_config": thoughts})),
    ] {
        let mut body = more;
        body["contents"] = json!([user("x")]);
        let at = |form: &str| format!("/v1beta/models/{model}:{form}");
        let whole = answer(&at("generateContent"), &body).await;
        let events = text(post(&at("streamGenerateContent?alt=sse"), &body)).await;
        let mut list = chunks(&events);
        let array = text(post(&at("streamGenerateContent"), &body)).await;
        let array: Vec<Value> = serde_json::from_str(&array).unwrap();
        assert_eq!(array, list);
        let (streamed, said) = (parts(&list), parts(std::slice::from_ref(&whole)));
        let told = |parts: &[Value], thought: bool| -> String {
            let parts = parts.iter().filter(|part| (part["thought"] == true) == thought);
            parts.filter_map(|part| part["text"].as_str()).collect()
        };
        for thought in [false, true] {
            assert_eq!(told(&streamed, thought), told(&said, thought));
        }
        for name in ["functionCall", "thoughtSignature"] {
            let all = |parts: &[Value]| -> Value {
                parts.iter().filter_map(|part| part.get(name).cloned()).collect()
            };
            assert_eq!(all(&streamed), all(&said));
        }
        let last = list.pop().unwrap();
        assert_eq!(last["candidates"][0]["finishReason"], "STOP");
        assert_eq!(last["usageMetadata"], whole["usageMetadata"]);
        assert!(list.iter().all(|chunk| chunk["candidates"][0].get("finishReason").is_none()));
    }
}

#[tokio::test]
async fn what_was_signed_must_come_back() {
    let body = json!({
        "contents": [user("x")], "tools": tools(),
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    });
    let path = "/v1beta/models/demo-thinking:generateContent";
    let first = answer(path, &body).await;
    let mut next = body.clone();
    let result = json!({"name": "weather", "response": {"output": "sun"}});
    let answered = json!({"role": "user", "parts": [{"functionResponse": result}]});
    next["contents"] = json!([user("x"), first["candidates"][0]["content"], answered]);
    let second = answer(path, &next).await;
    assert_eq!(parts(&[second])[0]["text"], "The tool said: sun");
    let signature = next["contents"][1]["parts"][0]["thoughtSignature"].take();
    assert!(signature.is_string());
    assert!(refusal(path, &next).await.contains("missing a thought_signature"));
    next["contents"][1]["parts"][0]["thoughtSignature"] = json!("skip_thought_signature_validator");
    answer(path, &next).await;
}

#[tokio::test]
async fn errors_stand_in_a_list_where_the_stream_would() {
    let router = Demo::new().key("sk").router();
    let (status, error) = ask(&router, post(STREAM, &json!({}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(error[0]["error"]["details"][0]["reason"], "API_KEY_INVALID");
    let path = "/v1/models/demo-error-stream:streamGenerateContent";
    let broken = text(post(path, &json!({"contents": [user("x")]}))).await;
    let broken: Vec<Value> = serde_json::from_str(&broken).unwrap();
    assert_eq!(broken.last().unwrap()["error"]["status"], "UNAVAILABLE");
}
