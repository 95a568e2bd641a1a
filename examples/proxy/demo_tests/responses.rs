use serde_json::{Value, json};

use super::{RESPONSES, answer, post, refusal, text};

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn tools() -> Value {
    let place = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    json!([
        {"type": "function", "name": "weather", "parameters": place},
        {"type": "custom", "name": "patch"},
        {"type": "web_search"},
    ])
}

fn events(stream: &str) -> Vec<Value> {
    let mut events = Vec::new();
    for event in stream.split_terminator("\n\n") {
        let (name, data) = event.split_once('\n').unwrap();
        let event: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name, format!("event: {}", event["type"].as_str().unwrap()));
        assert_eq!(event["sequence_number"], json!(events.len()));
        events.push(event);
    }
    events
}

#[tokio::test]
async fn input_is_read_strictly() {
    let call = json!({"type": "function_call", "call_id": "a", "name": "t", "arguments": "{}"});
    let output = json!({"type": "function_call_output", "call_id": "a", "output": "x"});
    let forged = json!({"type": "reasoning", "summary": [], "encrypted_content": "forged"});
    let lonely = json!({"type": "reasoning", "id": "rs_demo1", "summary": []});
    let answer =
        |kind: &str| json!({"role": "assistant", "content": [{"type": kind, "text": "x"}]});
    for (input, expected) in [
        (json!([]), "Missing required"),
        (json!([output]), "No tool call"),
        (json!([call]), "No tool output"),
        (json!([forged, answer("output_text")]), "could not be verified"),
        (json!([lonely]), "required following item"),
        (json!([lonely, user("x")]), "required following item"),
        (json!([answer("input_text")]), "input_text"),
        (json!([{"role": "tool", "content": "x"}]), "tool"),
        (json!([{"role": "user", "content": [{"type": "text", "text": "x"}]}]), "text"),
    ] {
        let message = refusal(RESPONSES, &json!({"model": "demo", "input": input})).await;
        assert!(message.contains(expected), "{message}");
    }
    for (member, value, expected) in [
        ("max_output_tokens", json!(15), ">= 16"),
        ("previous_response_id", json!("resp_1"), "not found"),
        ("stop", json!(["x"]), "Unknown parameter: stop"),
    ] {
        let mut body = json!({"model": "demo", "input": "x"});
        body[member] = value;
        let message = refusal(RESPONSES, &body).await;
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn streams_hold_what_whole_answers_do() {
    let thinking = json!({"effort": "low", "summary": "auto"});
    let sealed = json!(["reasoning.encrypted_content"]);
    for (model, more, kinds) in [
        ("demo", json!({}), vec!["message"]),
        ("demo-large-2", json!({}), vec!["message"]),
        ("demo", json!({"max_output_tokens": 16}), vec!["message"]),
        ("demo-thinking", json!({}), vec!["reasoning", "message"]),
        ("demo", json!({"reasoning": thinking, "include": sealed}), vec!["reasoning", "message"]),
        ("demo-tool", json!({"tools": tools()}), vec!["function_call"]),
        (
            "demo-parallel",
            json!({"tools": tools(), "reasoning": thinking}),
            vec!["reasoning", "function_call", "custom_tool_call"],
        ),
    ] {
        let mut body = more;
        body["model"] = json!(model);
        body["input"] = json!([user(&"alpha ".repeat(20))]);
        let whole = answer(RESPONSES, &body).await;
        let items = whole["output"].as_array().unwrap();
        let found: Vec<&str> = items.iter().map(|item| item["type"].as_str().unwrap()).collect();
        assert_eq!(found, kinds);
        body["stream"] = json!(true);
        let events = events(&text(post(RESPONSES, &body)).await);
        let [created, _, .., last] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(created["response"]["output"], json!([]));
        let mut streamed = last["response"].clone();
        // The prompt is longer by the wish for a stream.
        for pointer in ["/usage/input_tokens", "/usage/total_tokens"] {
            *streamed.pointer_mut(pointer).unwrap() = whole.pointer(pointer).unwrap().clone();
        }
        assert_eq!(streamed, whole);
        let short = body.get("max_output_tokens").is_some();
        let kind = if short { "response.incomplete" } else { "response.completed" };
        assert_eq!(last["type"], kind);
        let done = events.iter().filter(|event| event["type"] == "response.output_item.done");
        assert_eq!(done.map(|event| event["item"].clone()).collect::<Value>(), whole["output"]);
        let deltas = events.iter().filter(|event| event["delta"].is_string());
        let said: String = deltas.map(|event| event["delta"].as_str().unwrap()).collect();
        let texts = items.iter().flat_map(|item| {
            let summary = item["summary"][0]["text"].as_str();
            let text = item["content"][0]["text"].as_str();
            summary
                .into_iter()
                .chain(text)
                .chain(item["arguments"].as_str())
                .chain(item["input"].as_str())
        });
        assert_eq!(said, texts.collect::<String>());
    }
}

#[tokio::test]
async fn a_turn_is_played_back() {
    let body = json!({
        "model": "demo-thinking", "tools": tools(), "tool_choice": "required",
        "input": [user("x")], "include": ["reasoning.encrypted_content"], "store": false,
    });
    let first = answer(RESPONSES, &body).await;
    let mut next = body.clone();
    let history = next["input"].as_array_mut().unwrap();
    history.extend(first["output"].as_array().unwrap().iter().cloned());
    let id = history.last().unwrap()["call_id"].clone();
    history.push(json!({"type": "function_call_output", "call_id": id, "output": "sun"}));
    let second = answer(RESPONSES, &next).await;
    assert_eq!(second["output"][1]["content"][0]["text"], "The tool said: sun");
    next["input"][1].as_object_mut().unwrap().remove("encrypted_content");
    let (status, _) = super::ask(&crate::demo::Demo::new().router(), post(RESPONSES, &next)).await;
    assert_eq!(status, http::StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_stream_fails_as_the_real_one_does() {
    let body = json!({"model": "demo-error-stream", "input": "x", "stream": true});
    let events = events(&text(post(RESPONSES, &body)).await);
    let [.., error, failed] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(error["error"]["code"], "server_error");
    assert_eq!(
        (&failed["type"], &failed["response"]["status"]),
        (&json!("response.failed"), &json!("failed"))
    );
}
