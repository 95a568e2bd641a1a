//! What the models of an upstream need, and what requests had to give up, through the whole layer.

use super::*;
use crate::protocol::profile::Profiles;

fn sse(event: &str, data: &Value) -> Step {
    Step::Data(Bytes::from(format!("event:{event}\ndata:{data}\n\n")))
}

#[tokio::test]
async fn a_model_that_thinks_only_in_streams_answers_whole() {
    let piece = |text: &str, finish: &str| {
        let message = json!({"role": "assistant", "content": text});
        let choices = json!([{"message": message, "finish_reason": finish}]);
        let usage = json!({"input_tokens": 3, "output_tokens": 2, "total_tokens": 5});
        json!({"output": {"choices": choices}, "usage": usage, "request_id": "r"})
    };
    let stream = vec![
        sse("result", &piece("Hel", "null")),
        Step::Pending,
        sse("result", &piece("lo", "stop")),
    ];
    let layer = ProviderTranslateLayer::to(upstream(Protocol::DashScope));
    let asked = CHAT.replace("gpt-x", "qwen3-32b");
    let request = post("/v1/chat/completions", &asked);
    let (response, seen) = send(layer, request, (200, "text/event-stream", stream)).await;
    let (parts, body) = seen.unwrap();
    assert_eq!(parts.headers["x-dashscope-sse"], "enable");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["parameters"]["incremental_output"], true);
    // The caller wanted no stream, and gets none.
    assert_eq!(response.headers()["content-type"], "application/json");
    let answer: Value = serde_json::from_str(&text(steps(&mut response.into_body()))).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello");
}

#[tokio::test]
async fn rules_of_ones_own_go_before_what_is_known() {
    let profiles = Profiles::default()
        .set(Protocol::OpenAiChat, "gpt-x", |target| target.legacy_max_tokens = true);
    for (upstream, name) in [
        (upstream(Protocol::OpenAiChat), "max_completion_tokens"),
        (upstream(Protocol::OpenAiChat).profiles(profiles), "max_tokens"),
    ] {
        // Rules go by the name that the upstream knows.
        let layer = ProviderTranslateLayer::to(upstream.map_model("claude-x", "gpt-x"));
        let answer = vec![Step::Data(Bytes::from(CHAT_ANSWER))];
        let request = post("/v1/messages", MESSAGES);
        let (_, seen) = send(layer, request, (200, "application/json", answer)).await;
        let body: Value = serde_json::from_slice(&seen.unwrap().1).unwrap();
        assert_eq!(body[name], 9, "{body}");
    }
}

#[tokio::test]
async fn free_text_and_odd_names_come_back_in_a_stream() {
    let asked = json!({"model": "m", "stream": true, "input": "Hi", "tools": [
        {"type": "custom", "name": "apply.patch", "format": {"type": "text"}}]});
    let layer = || ProviderTranslateLayer::to(upstream(Protocol::Anthropic));
    let (_, seen) = send(
        layer(),
        post("/v1/responses", &asked.to_string()),
        (200, "application/json", Vec::new()),
    )
    .await;
    let body: Value = serde_json::from_slice(&seen.unwrap().1).unwrap();
    let name = body["tools"][0]["name"].as_str().unwrap();
    assert!(name.starts_with("apply_patch_"), "{name}");
    assert_eq!(body["tools"][0]["input_schema"]["required"], json!(["input"]));

    let call = json!({"type": "tool_use", "id": "t", "name": name, "input": {}});
    let input = |piece: &str| {
        let delta = json!({"type": "input_json_delta", "partial_json": piece});
        sse("x", &json!({"type": "content_block_delta", "index": 0, "delta": delta}))
    };
    let usage = json!({"input_tokens": 1, "output_tokens": 1});
    let message = json!({"id": "m", "type": "message", "role": "assistant", "model": "m",
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage});
    let stream = vec![
        sse("x", &json!({"type": "message_start", "message": message})),
        sse("x", &json!({"type": "content_block_start", "index": 0, "content_block": call})),
        input(r#"{"inp"#),
        Step::Pending,
        input(r#"ut": "*** Beg"#),
        input(r#"in\n\"a\""#),
        input(r#""}"#),
        sse("x", &json!({"type": "content_block_stop", "index": 0})),
        sse(
            "x",
            &json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage}),
        ),
        sse("x", &json!({"type": "message_stop"})),
    ];
    let request = post("/v1/responses", &asked.to_string());
    let (response, _) = send(layer(), request, (200, "text/event-stream", stream)).await;
    let answer = text(steps(&mut response.into_body()));
    let done = answer
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .find(|event| event["type"] == "response.output_item.done")
        .unwrap();
    assert_eq!(done["item"]["type"], "custom_tool_call");
    assert_eq!(done["item"]["name"], "apply.patch");
    assert_eq!(done["item"]["input"], "*** Begin\n\"a\"");
    // It was passed on as it was written.
    assert!(answer.matches("response.custom_tool_call_input.delta").count() > 2, "{answer}");
}
