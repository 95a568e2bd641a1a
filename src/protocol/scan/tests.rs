use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::test_helpers::corpus::cases;
use Protocol::*;

fn document(protocol: Protocol, pieces: &[&[u8]]) -> Observed {
    watch(Observer::document(protocol), pieces)
}

fn events(protocol: Protocol, pieces: &[&[u8]]) -> Observed {
    watch(Observer::events(protocol), pieces)
}

fn watch(mut observer: Observer, pieces: &[&[u8]]) -> Observed {
    for piece in pieces {
        observer.push(piece);
    }
    observer.finish();
    observer.observed().clone()
}

/// input, cache_read, cache_write, cache_write_1h, output, reasoning
fn counts(observed: &Observed) -> Option<[u64; 6]> {
    let usage = observed.usage.as_ref()?;
    Some([
        usage.input,
        usage.cache_read,
        usage.cache_write,
        usage.cache_write_1h,
        usage.output,
        usage.reasoning,
    ])
}

#[test]
fn usage_is_disjoint() {
    let rows: &[(Protocol, &str, Option<[u64; 6]>)] = &[
        (
            Anthropic,
            r#"{"usage":{"input_tokens":4,"cache_read_input_tokens":10,"cache_creation_input_tokens":6,
                "cache_creation":{"ephemeral_1h_input_tokens":2,"ephemeral_5m_input_tokens":4},
                "output_tokens":9,"output_tokens_details":{"thinking_tokens":5},
                "iterations":[{"input_tokens":99}]}}"#,
            Some([4, 10, 6, 2, 4, 5]),
        ),
        (
            OpenAiChat,
            r#"{"usage":{"prompt_tokens":20,"completion_tokens":9,"total_tokens":29,
                "prompt_tokens_details":{"cached_tokens":8,"cache_write_tokens":2},
                "completion_tokens_details":{"reasoning_tokens":5}}}"#,
            Some([10, 8, 2, 0, 4, 5]),
        ),
        (
            OpenAiChat,
            r#"{"usage":{"prompt_tokens":9,"prompt_cache_hit_tokens":4}}"#,
            Some([5, 4, 0, 0, 0, 0]),
        ),
        (
            OpenAiChat,
            r#"{"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":16,
                "completion_tokens_details":{"reasoning_tokens":3}}}"#,
            Some([9, 0, 0, 0, 4, 3]),
        ),
        (OpenAiChat, r#"{"usage":null,"model":"m"}"#, None),
        (OpenAiChat, r#"{"usage":{}}"#, None),
        (
            OpenAiChat,
            r#"{"usage":{"prompt_tokens":-3,"completion_tokens":2.0}}"#,
            Some([0, 0, 0, 0, 2, 0]),
        ),
        (
            OpenAiChat,
            r#"{"usage":{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":7}}}"#,
            Some([0, 1, 0, 0, 0, 0]),
        ),
        (
            OpenAiResponses,
            r#"{"usage":{"input_tokens":20,"input_tokens_details":{"cached_tokens":8},
                "output_tokens":9,"output_tokens_details":{"reasoning_tokens":5}}}"#,
            Some([12, 8, 0, 0, 4, 5]),
        ),
        (OpenAiResponses, r#"{"object":"response.input_tokens","input_tokens":20}"#, None),
        (
            Gemini,
            r#"{"usageMetadata":{"promptTokenCount":20,"cachedContentTokenCount":8,
                "toolUsePromptTokenCount":3,"candidatesTokenCount":9,"thoughtsTokenCount":5}}"#,
            Some([15, 8, 0, 0, 9, 5]),
        ),
        (
            DashScope,
            r#"{"usage":{"input_tokens":20,"output_tokens":9,
                "prompt_tokens_details":{"cached_tokens":8,"cache_creation_input_tokens":2},
                "output_tokens_details":{"reasoning_tokens":5}}}"#,
            Some([10, 8, 2, 0, 4, 5]),
        ),
    ];
    for (protocol, text, expected) in rows {
        assert_eq!(counts(&document(*protocol, &[text.as_bytes()])), *expected, "{text}");
    }
}

#[test]
fn stop_reasons() {
    use StopReason::*;
    let rows: &[(Protocol, &str, Option<StopReason>)] = &[
        (Anthropic, r#"{"stop_reason":"end_turn"}"#, Some(End)),
        (Anthropic, r#"{"stop_reason":"pause_turn"}"#, Some(Pause)),
        (Anthropic, r#"{"stop_reason":"model_context_window_exceeded"}"#, Some(ContextWindow)),
        (Anthropic, r#"{"stop_reason":null}"#, None),
        (Anthropic, r#"{"stop_reason":"\u0065nd_turn"}"#, Some(End)),
        (OpenAiChat, r#"{"choices":[{"finish_reason":"length"}]}"#, Some(MaxTokens)),
        (
            OpenAiChat,
            r#"{"choices":[{"finish_reason":"stop","message":{"tool_calls":[{}]}}]}"#,
            Some(ToolUse),
        ),
        (
            OpenAiChat,
            r#"{"choices":[{"finish_reason":"stop","message":{"tool_calls":[ ]}}]}"#,
            Some(End),
        ),
        (OpenAiChat, r#"{"choices":[{"finish_reason":"eos"}]}"#, Some(Other)),
        (
            OpenAiResponses,
            r#"{"status":"completed","output":[{"type":"function_call"}]}"#,
            Some(ToolUse),
        ),
        (
            OpenAiResponses,
            r#"{"output":[{"type":"message","content":[{"type":"refusal"}]}],"status":"completed"}"#,
            Some(Refusal),
        ),
        (
            OpenAiResponses,
            r#"{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}"#,
            Some(MaxTokens),
        ),
        (
            OpenAiResponses,
            r#"{"incomplete_details":{"reason":"content_filter"},"status":"incomplete"}"#,
            Some(ContentFilter),
        ),
        (OpenAiResponses, r#"{"status":"in_progress"}"#, None),
        (
            Gemini,
            r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]},"finishReason":"STOP"}]}"#,
            Some(ToolUse),
        ),
        (Gemini, r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#, Some(ContentFilter)),
        (Gemini, r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#, Some(Error)),
        (DashScope, r#"{"output":{"choices":[{"finish_reason":"null"}]}}"#, None),
        (DashScope, r#"{"output":{"text":"x","finish_reason":"stop"}}"#, Some(End)),
    ];
    for (protocol, text, expected) in rows {
        assert_eq!(document(*protocol, &[text.as_bytes()]).stop, *expected, "{text}");
    }
}

#[test]
fn errors() {
    use FaultKind::*;
    let rows: &[(Protocol, &str, Option<FaultKind>)] = &[
        (
            Anthropic,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            Some(Overloaded),
        ),
        (
            Anthropic,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 3 > 2"}}"#,
            Some(ContextTooLong),
        ),
        (
            OpenAiChat,
            r#"{"error":{"message":"x","type":"invalid_request_error","code":"context_length_exceeded"}}"#,
            Some(ContextTooLong),
        ),
        (
            OpenAiChat,
            r#"{"error":{"message":"x","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            Some(Billing),
        ),
        (OpenAiChat, r#"{"error":{"message":"x","code":502}}"#, Some(Upstream)),
        (OpenAiChat, r#"{"error":"no such thing"}"#, Some(Upstream)),
        (OpenAiChat, r#"{"error":null}"#, None),
        (
            OpenAiResponses,
            r#"{"type":"error","code":"rate_limit_exceeded","message":"x"}"#,
            Some(RateLimit),
        ),
        (
            OpenAiResponses,
            r#"{"type":"response.failed","response":{"error":{"code":"server_error"},"status":"failed"}}"#,
            Some(Upstream),
        ),
        (OpenAiResponses, r#"{"error":null,"status":"completed"}"#, None),
        (
            Gemini,
            r#"{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED"}}"#,
            Some(RateLimit),
        ),
        (Gemini, r#"[{"error":{"code":503,"status":"UNAVAILABLE"}}]"#, Some(Overloaded)),
        (
            Gemini,
            r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#,
            Some(Auth),
        ),
        (DashScope, r#"{"code":"Throttling.RateQuota","message":"x"}"#, Some(RateLimit)),
        (DashScope, r#"{"code":"","message":"","output":{"text":"x"}}"#, None),
    ];
    for (protocol, text, expected) in rows {
        assert_eq!(document(*protocol, &[text.as_bytes()]).error, *expected, "{text}");
    }
}

#[test]
fn a_stream_begins_with_the_first_meaningful_event() {
    let rows: &[(Protocol, &[&str])] = &[
        (OpenAiChat, &[r#"{"choices":[{"delta":{"refusal":null,"content":"x"}}]}"#]),
        (
            Anthropic,
            &[
                r#"{"type":"message_start","message":{"content":[],"usage":{"input_tokens":1}}}"#,
                r#"{"type":"ping"}"#,
                r#"{"type":"content_block_start","content_block":{"type":"text","text":""}}"#,
                r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"x"}}"#,
            ],
        ),
        (
            Anthropic,
            &[
                r#"{"type":"message_start","message":{}}"#,
                r#"{"type":"content_block_start","content_block":{"type":"tool_use","input":{}}}"#,
            ],
        ),
        (
            OpenAiChat,
            &[
                r#"{"choices":[{"delta":{"role":"assistant","content":"","refusal":null}}]}"#,
                r#"{"choices":[{"delta":{"reasoning_content":"x"}}]}"#,
            ],
        ),
        (OpenAiChat, &[r#"{"choices":[]}"#, r#"{"error":{"message":"x"}}"#]),
        (
            OpenAiResponses,
            &[
                r#"{"type":"response.created","response":{"output":[],"status":"in_progress"}}"#,
                r#"{"type":"response.output_item.added","item":{"type":"message","content":[]}}"#,
                r#"{"type":"response.output_text.delta","delta":"x"}"#,
            ],
        ),
        (
            Gemini,
            &[
                r#"{"candidates":[{"content":{"parts":[{"text":""}]}}]}"#,
                r#"{"candidates":[{"content":{"parts":[{"text":"x"}]}}]}"#,
            ],
        ),
        (
            DashScope,
            &[
                r#"{"output":{"choices":[{"message":{"content":[]}}]}}"#,
                r#"{"output":{"choices":[{"message":{"content":[{"text":"x"}]}}]}}"#,
            ],
        ),
    ];
    for (protocol, all) in rows {
        let mut observer = Observer::events(*protocol);
        for (at, data) in all.iter().enumerate() {
            observer.push(format!("data: {data}\n\n").as_bytes());
            assert_eq!(observer.observed().first_event, at + 1 == all.len(), "{data}");
        }
    }
}

#[test]
fn a_stream_counts_what_came_last() {
    let stream = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"c\",",
        "\"usage\":{\"input_tokens\":25,\"cache_read_input_tokens\":3,\"output_tokens\":1}}}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},",
        "\"usage\":{\"output_tokens\":8}}\n\n",
    );
    let observed = events(Anthropic, &[stream.as_bytes()]);
    assert_eq!(counts(&observed), Some([25, 3, 0, 0, 8, 0]));
    assert_eq!(observed.model.as_deref(), Some("c"));
    assert_eq!(observed.stop, Some(StopReason::End));
    let gemini = concat!(
        "data: {\"usageMetadata\":{\"promptTokenCount\":9,\"thoughtsTokenCount\":2}}\r\n\r\n",
        "data: {\"usageMetadata\":{\"promptTokenCount\":8,\"candidatesTokenCount\":1}}\r\n\r\n",
    );
    assert_eq!(counts(&events(Gemini, &[gemini.as_bytes()])), Some([8, 0, 0, 0, 1, 0]));
}

#[test]
fn nonsense_is_unknown() {
    for text in [
        "",
        "null",
        "7",
        "<html>",
        "{]",
        "{\"model\":",
        "{\"model\"}",
        "{,}",
        "[1,]",
        "{\"model\":nope}",
        "{\"model\":\"a\n\"}",
        "{\"model\":\"m\",\"usage\":{\"prompt_tokens\":5",
        "\"model\"",
        "}",
    ] {
        assert_eq!(document(OpenAiChat, &[text.as_bytes()]), Observed::default(), "{text}");
    }
    let array = br#"[{"usageMetadata":{"promptTokenCount":9},"modelVersion":"g"},oops"#;
    let observed = document(Gemini, &[array]);
    assert_eq!((observed.usage, observed.model.as_deref()), (None, Some("g")));
}

#[test]
fn long_values_are_not_kept() {
    let long = "x".repeat(MAX_CAPTURE + 1);
    let text = format!(
        r#"{{"{long}":1,"model":"{long}","error":"{long}","usage":{{"prompt_tokens":3}}}}"#
    );
    let observed = document(OpenAiChat, &[text.as_bytes()]);
    assert_eq!(observed.model, None);
    assert_eq!(observed.error, Some(FaultKind::Upstream));
    assert_eq!(counts(&observed), Some([3, 0, 0, 0, 0, 0]));
    let longest = format!(r#"{{"model":"{}"}}"#, &long[1..]);
    assert_eq!(document(OpenAiChat, &[longest.as_bytes()]).model.as_deref(), Some(&long[1..]));
}

#[test]
fn a_large_event_ends_the_watch() {
    let mut observer = Observer::events(OpenAiChat);
    observer.push(b"data: {\"model\":\"m\",\"usage\":{\"prompt_tokens\":3}}\n\n");
    assert!(observer.observed().usage.is_some());
    observer.push(b"data: \"");
    observer.push(&vec![b'x'; MAX_EVENT + 1]);
    observer.push(b"\"\n\ndata: {\"usage\":{\"prompt_tokens\":4}}\n\n");
    assert_eq!(observer.observed().usage, None);
    assert_eq!(observer.observed().model.as_deref(), Some("m"));
}

#[test]
fn deep_nesting_needs_no_stack() {
    let deep = format!(
        r#"{{"x":{}{},"usage":{{"prompt_tokens":3}}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_eq!(counts(&document(OpenAiChat, &[deep.as_bytes()])), Some([3, 0, 0, 0, 0, 0]));
}

/// Answers of the corpus: protocol, case, bytes, whether it is a stream.
fn corpus() -> Vec<(Protocol, String, Vec<u8>, bool)> {
    let mut answers = Vec::new();
    for protocol in Protocol::ALL {
        for (name, path) in cases(&format!("dev/{protocol}")) {
            for (file, stream) in [("response.json", false), ("response.sse", true)] {
                if let Ok(bytes) = std::fs::read(path.join(file)) {
                    answers.push((protocol, format!("{protocol}/{name}"), bytes, stream));
                }
            }
        }
    }
    answers
}

/// The oracle: input and output tokens as an independent reading of the whole document has them.
fn oracle(protocol: Protocol, value: &Value) -> Option<(u64, u64)> {
    let value = match value {
        Value::Array(items) => items.iter().rev().find(|v| v.get("usageMetadata").is_some())?,
        value => value,
    };
    let usage = ["usage", "usageMetadata"]
        .iter()
        .find_map(|name| value.get(name))
        .or_else(|| value.pointer("/response/usage"))
        .filter(|usage| usage.as_object().is_some_and(|u| u.values().any(Value::is_u64)))?;
    let sum = |names: &[&str]| {
        names.iter().filter_map(|name| usage.get(*name)).filter_map(Value::as_u64).sum::<u64>()
    };
    Some(match protocol {
        Anthropic => (
            sum(&["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]),
            sum(&["output_tokens"]),
        ),
        Gemini => (
            sum(&["promptTokenCount", "toolUsePromptTokenCount"]),
            sum(&["candidatesTokenCount", "thoughtsTokenCount"]),
        ),
        _ => {
            let input = sum(&["prompt_tokens", "input_tokens"]);
            let output = sum(&["completion_tokens", "output_tokens"]);
            let thinking = ["completion_tokens_details", "output_tokens_details"]
                .iter()
                .find_map(|name| usage.get(*name)?.get("reasoning_tokens")?.as_u64())
                .unwrap_or(0);
            let beside = thinking > output
                || (thinking > 0 && sum(&["total_tokens"]) == input + output + thinking);
            (input, if beside { output + thinking } else { output })
        }
    })
}

fn totals(observed: &Observed) -> Option<(u64, u64)> {
    observed.usage.as_ref().map(|usage| (usage.input_total(), usage.output_total()))
}

#[test]
fn the_corpus_is_read_as_an_oracle_reads_it() {
    for (protocol, case, bytes, stream) in corpus() {
        if stream {
            let observed = events(protocol, &[&bytes]);
            let text = String::from_utf8_lossy(&bytes);
            let data: Vec<Value> = text
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .filter_map(|data| serde_json::from_str(data.trim_start()).ok())
                .collect();
            // Messages spreads its counts over two events.
            let last = data.iter().rev().find_map(|value| oracle(protocol, value));
            let expected = if protocol == Anthropic {
                let start = data.iter().find_map(|v| v.pointer("/message/usage").cloned());
                let delta = data.iter().rev().find_map(|v| v.get("usage").cloned());
                start.map(|mut usage| {
                    if let (Some(usage), Some(Value::Object(delta))) =
                        (usage.as_object_mut(), delta)
                    {
                        usage.extend(delta);
                    }
                    oracle(protocol, &serde_json::json!({ "usage": usage })).unwrap()
                })
            } else {
                last
            };
            assert_eq!(totals(&observed), expected, "{case}");
            // Two answers end before the first word.
            let silent = totals(&observed).is_some_and(|(_, output)| output <= 5);
            assert!(observed.first_event || silent || data.is_empty(), "{case}");
        } else {
            let observed = document(protocol, &[&bytes]);
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(totals(&observed), oracle(protocol, &value), "{case}");
            let first = if let Value::Array(items) = &value { &items[0] } else { &value };
            let model = first.get("model").or_else(|| first.get("modelVersion"));
            assert_eq!(observed.model.as_deref(), model.and_then(Value::as_str), "{case}");
            let failed = first.get("error").is_some_and(|error| !error.is_null())
                || (protocol == DashScope && first.get("code").is_some());
            assert_eq!(observed.error.is_some(), failed, "{case}");
        }
    }
}

#[test]
fn any_cut_of_the_corpus_gives_the_same() {
    for (protocol, case, bytes, stream) in corpus() {
        let make =
            || if stream { Observer::events(protocol) } else { Observer::document(protocol) };
        let whole = watch(make(), &[&bytes]);
        for size in [1, 7] {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            assert_eq!(watch(make(), &pieces), whole, "{case} in pieces of {size}");
        }
    }
}

/// Texts that come whole are read where they stand, others are put together first.
#[test]
fn any_cut_of_a_text_gives_the_same() {
    let (longest, too_long) = ("x".repeat(MAX_CAPTURE), "x".repeat(MAX_CAPTURE + 1));
    let escaped = format!(r"{}\u0041", &longest[6..]);
    let decoded = format!("{}A", &longest[6..]);
    let rows: [(&[u8], Option<&str>); 16] = [
        (b"", None),
        (b"m", Some("m")),
        (br"\u006d", Some("m")),
        (br"\ud83d\ude00", Some("\u{1f600}")),
        (br#"\""#, Some("\"")),
        (br"\\", Some("\\")),
        (br#"\\\"x"#, Some("\\\"x")),
        ("\u{e9}\u{1f600}".as_bytes(), Some("\u{e9}\u{1f600}")),
        // No valid strings.
        (br"\x", None),
        (br"\u00", None),
        (b"a\nb", None),
        (b"\\\n", None),
        (b"\xff", None),
        (longest.as_bytes(), Some(&longest)),
        (escaped.as_bytes(), Some(&decoded)),
        (too_long.as_bytes(), None),
    ];
    for key in ["model", r"mod\u0065l"] {
        for (text, model) in rows {
            let tail = br#"","usage":{"prompt_tokens":7}}"#;
            let bytes = [format!(r#"{{"{key}":""#).as_bytes(), text, tail].concat();
            let whole = document(OpenAiChat, &[&bytes]);
            let name = String::from_utf8_lossy(&text[..text.len().min(20)]);
            assert_eq!(whole.model.as_deref(), model, "{key} {name}");
            assert_eq!(whole.usage.as_ref().map(|usage| usage.input), Some(7), "{key} {name}");
            let near_an_end = |at: &usize| *at < 40 || bytes.len() - *at < 60;
            for (head, rest) in (0..=bytes.len()).filter(near_an_end).map(|at| bytes.split_at(at)) {
                let at = head.len();
                assert_eq!(document(OpenAiChat, &[head, rest]), whole, "{key} {name} at {at}");
            }
            let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(document(OpenAiChat, &pieces), whole, "{key} {name} byte by byte");
        }
    }
}

proptest! {
    #[test]
    fn any_cut_of_anything_gives_the_same(
        text in r#"([\[\]{}",:\\ ]|model|usage|error|choices|prompt_tokens|null|[0-9e.-]|x){0,60}"#,
        cuts in prop::collection::vec(0usize..200, 0..6),
    ) {
        let bytes = text.as_bytes();
        let whole = document(OpenAiChat, &[bytes]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts {
            pieces.push(&bytes[start..cut]);
            start = cut;
        }
        pieces.push(&bytes[start..]);
        prop_assert_eq!(document(OpenAiChat, &pieces), whole);
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for protocol in Protocol::ALL {
            document(protocol, &[&bytes]);
            events(protocol, &[&bytes]);
        }
    }

    #[test]
    fn values_anywhere_are_found(
        model in any::<String>(),
        other in any::<String>(),
        input in 0u64..1_000_000,
        nested in prop::collection::vec(any::<String>(), 0..5),
    ) {
        let value = serde_json::json!({
            "a": {"model": other, "usage": {"prompt_tokens": 1}, "n": nested},
            "model": model,
            "usage": {"prompt_tokens": input, "x": [{"prompt_tokens": 2}]},
            "z": nested,
        });
        let observed = document(OpenAiChat, &[&serde_json::to_vec(&value).unwrap()]);
        prop_assert_eq!(observed.model.as_deref().unwrap_or(""), model);
        prop_assert_eq!(observed.usage.unwrap().input, input);
    }
}

#[test]
fn each_item_of_an_array_counts_as_it_completes() {
    let mut observer = Observer::document(Gemini);
    observer.push(br#"[{"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":1}}"#);
    assert_eq!(counts(observer.observed()), Some([9, 0, 0, 0, 1, 0]));
    observer.push(br#", {"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":4}"#);
    assert_eq!(counts(observer.observed()), Some([9, 0, 0, 0, 1, 0]));
    observer.push(b"}]");
    observer.finish();
    assert_eq!(counts(observer.observed()), Some([9, 0, 0, 0, 4, 0]));
}

#[test]
fn chunks_of_words_alone_are_passed_over() {
    for (chunk, matters) in [
        (r#"{"choices":[{"delta":{"content":"x"},"finish_reason":null}],"usage":null}"#, false),
        (r#"{"choices":[{"delta":{"content":"x"}}]}"#, false),
        (r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#, true),
        (r#"{"choices":[{"delta":{},"finish_reason" : "stop"}]}"#, true),
        (r#"{"choices":[{"finish_reason":null},{"finish_reason":"stop"}]}"#, true),
        (r#"{"choices":[{"delta":{"tool_calls":[{}]},"finish_reason":null}]}"#, true),
        (r#"{"choices":[{"delta":{"function_call":{}},"finish_reason":null}]}"#, true),
        (r#"{"choices":[],"usage":{"prompt_tokens":1}}"#, true),
        (r#"{"error":"x"}"#, true),
    ] {
        assert_eq!(chunk_matters(chunk.as_bytes()), matters, "{chunk}");
    }
}

/// An answer that is all there is never taken for one that was cut, and one that was cut is found.
#[test]
fn whole_answers_are_complete() {
    for (protocol, case, bytes, stream) in corpus() {
        let end = bytes.trim_ascii_end().len();
        let seen = |bytes: &[u8]| {
            let mut observer =
                if stream { Observer::events(protocol) } else { Observer::document(protocol) };
            observer.push(bytes);
            observer.finish();
            (observer.is_complete(), observer.observed().error.is_some())
        };
        let (complete, failed) = seen(&bytes);
        assert!(complete || failed, "{case}");
        if !stream {
            assert!(!seen(&bytes[..end - 1]).0, "cut {case}");
        }
    }
}

#[test]
fn the_event_of_an_error_is_kept() {
    let mut observer = Observer::events(OpenAiChat);
    observer.push(b"data: {\"choices\":[]}\n\ndata: {\"error\":{\"message\":\"m\"}}\n\ndata: {\"error\":1}\n\n");
    assert_eq!(observer.error_event(), Some(r#"{"error":{"message":"m"}}"#));
    let mut observer = Observer::events(OpenAiChat);
    let long = "m".repeat(MAX_ERROR_EVENT);
    observer.push(format!("data: {{\"error\":{{\"message\":\"{long}\"}}}}\n\n").as_bytes());
    assert!(observer.observed().error.is_some());
    assert_eq!(observer.error_event(), None);
}
