//! Requests of other protocols, under the rules of Gemini.

use bytes::BytesMut;
use serde_json::{Value, json};

use crate::protocol::Protocol::{Anthropic, OpenAiChat};
use crate::protocol::gemini::request;
use crate::protocol::json::{JsonStr, Number, Raw};
use crate::protocol::model::{
    Content, Effort, Instruction, Part, Place, Reasoning, ReasoningMode, Request, Rest, Role, Seal,
    SealKind, Show, Spelling, ToolArguments, ToolCall, ToolCallKind, Turn, Vendor,
};
use crate::protocol::profile::Profiles;
use crate::protocol::report::{Mode, Reporter, Severity};
use crate::protocol::translate::{RequestOptions, TranslatedRequest};
use crate::protocol::{Protocol, Target, ThinkingScale, translate};
use crate::test_helpers::corpus::parse;

use Severity::{Degrade, Fatal, Ignore};

fn translated(from: Protocol, body: &Value, target: &Target) -> (Value, TranslatedRequest) {
    let profiles = Profiles::always(target.clone());
    let mode = Mode::Lenient;
    let options = RequestOptions { profiles: &profiles, mode, ..RequestOptions::default() };
    let body = body.to_string();
    let translated = translate::request(from, Protocol::Gemini, body.as_bytes(), &options);
    let translated = translated.unwrap_or_else(|e| panic!("{body}: {e}"));
    (parse(&translated.body), translated)
}

fn lost(translated: &TranslatedRequest) -> Vec<(&str, Severity)> {
    let losses = translated.report.losses().iter();
    losses.map(|loss| (loss.pointer.as_str(), loss.severity)).collect()
}

fn written(request: &Request<'_>, target: &Target) -> Value {
    let mut out = BytesMut::new();
    request::write(request, target, &mut Reporter::new(""), &mut out);
    parse(&out)
}

fn call<'a>(id: &'a str, seal: Option<Seal<'a>>) -> Part<'a> {
    Part::new(Content::ToolCall(ToolCall {
        id: JsonStr::from_plain(id),
        name: JsonStr::from_plain("f"),
        arguments: ToolArguments::Json(Raw::literal("{}")),
        kind: ToolCallKind::Function,
        seal,
        item_id: None,
        spelling: Spelling::default(),
    }))
}

fn seal(vendor: Vendor) -> Seal<'static> {
    Seal { vendor, kind: SealKind::ThoughtSignature, data: JsonStr::from_plain("c2ln") }
}

fn asking(turns: Vec<(Role, Vec<Part<'static>>)>) -> Request<'static> {
    let mut request = Request::new(OpenAiChat);
    request.turns =
        turns.into_iter().map(|(role, parts)| Turn { parts, ..Turn::new(role) }).collect();
    request
}

#[test]
fn results_follow_their_calls_in_their_order() {
    let (value, translated) = translated(
        Anthropic,
        &json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [
                {"type": "text", "text": "so"},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "{\"b\": [2]}"},
                {"type": "text", "text": "between"},
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "gone", "is_error": true}]},
            {"role": "user", "content": "and"}]}),
        &Target::default(),
    );
    assert_eq!(
        value["contents"],
        json!([
            {"role": "user", "parts": [{"text": "go"}]},
            {"role": "model", "parts": [
                {"text": "so"},
                {"functionCall": {"id": "toolu_1", "name": "f", "args": {"a": 1}}},
                {"functionCall": {"id": "toolu_2", "name": "g", "args": {}}}]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "toolu_1", "name": "f", "response": {"error": "gone"}}},
                {"functionResponse": {"id": "toolu_2", "name": "g", "response": {"b": [2]}}}]},
            {"role": "user", "parts": [{"text": "between"}, {"text": "and"}]}
        ])
    );
    assert!(translated.report.is_empty(), "{}", translated.report);
}

#[test]
fn what_tools_answered() {
    for (content, response) in [
        (json!("plain"), json!({"output": "plain"})),
        (json!("{\"a\":1}"), json!({"a": 1})),
        (json!(" {\"a\":1}\n"), json!({"a": 1})),
        (json!("[1]"), json!({"output": "[1]"})),
        (json!("{broken"), json!({"output": "{broken"})),
        (json!(""), json!({"output": ""})),
        (
            json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
            json!({"output": "a\nb"}),
        ),
    ] {
        let body = json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": content}]}]});
        let (value, _) = translated(Anthropic, &body, &Target::default());
        let found = &value["contents"][2]["parts"][0]["functionResponse"]["response"];
        assert_eq!(found, &response, "{content}");
    }
}

#[test]
fn media_of_results_stand_where_the_model_looks() {
    let image = json!({"type": "image", "source":
        {"type": "base64", "media_type": "image/png", "data": "aGk="}});
    let body = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "1", "name": "f", "input": {}},
            {"type": "tool_use", "id": "2", "name": "f", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "1", "content": [image, {"type": "text", "text": "see"}]},
            {"type": "tool_result", "tool_use_id": "2", "content": "x"}]}]});
    let data = json!({"inlineData": {"mimeType": "image/png", "data": "aGk="}});
    let (value, _) = translated(Anthropic, &body, &Target::default());
    let parts = value["contents"][2]["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[0]["functionResponse"]["response"], json!({"output": "see"}));
    assert_eq!(parts[2], data);
    let target = Target { media_in_results: true, ..Target::default() };
    let (value, _) = translated(Anthropic, &body, &target);
    let parts = value["contents"][2]["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 2);
    assert_eq!(parts[0]["functionResponse"]["parts"], json!([data]));
}

#[test]
fn ids_of_our_own_making_are_not_sent() {
    for (id, sent) in [
        ("toolu_1", true),
        ("call_1", true),
        ("", false),
        ("call_1_0", false),
        ("call_00112233445566778899aabb", false),
    ] {
        let request = asking(vec![(Role::Assistant, vec![call(id, None)])]);
        let value = written(&request, &Target::default());
        let call = &value["contents"][0]["parts"][0]["functionCall"];
        assert_eq!(call.get("id").is_some(), sent, "{id}");
    }
}

#[test]
fn signatures_and_what_stands_for_them() {
    let stand_in = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";
    let own = || Some(seal(Vendor::Gemini));
    for (calls, asked, wanted) in [
        (vec![None, None], true, [Some(stand_in), None]),
        (vec![None, None], false, [None, None]),
        (vec![own(), None], true, [Some("c2ln"), None]),
        (vec![None, own()], true, [None, Some("c2ln")]),
        (vec![Some(seal(Vendor::OpenAi)), None], true, [Some(stand_in), None]),
        (vec![Some(seal(Vendor::Gateway)), None], false, [None, None]),
    ] {
        let target = Target { stand_in_signatures: asked, ..Target::default() };
        let mut parts = vec![Part::text(JsonStr::from_plain("so"))];
        parts.extend(calls.into_iter().map(|seal| call("x", seal)));
        let value = written(&asking(vec![(Role::Assistant, parts)]), &target);
        let parts = value["contents"][0]["parts"].as_array().unwrap();
        assert!(parts[0].get("thoughtSignature").is_none());
        let found = [1, 2].map(|at: usize| parts[at]["thoughtSignature"].as_str());
        assert_eq!(found, wanted);
    }
}

#[test]
fn parts_are_joined_to_turns_and_not_to_each_other() {
    let text = |text: &'static str| Part::text(JsonStr::from_plain(text));
    let signed = |words| Part { seal: Some(seal(Vendor::Gemini)), ..text(words) };
    let thought = |vendor| {
        Part::new(Content::Reasoning {
            text: Some(JsonStr::from_plain("hm")),
            seal: Some(seal(vendor)),
            id: None,
            raw: None,
        })
    };
    let request = asking(vec![
        (Role::User, vec![text("a"), text("")]),
        (Role::User, vec![text("b")]),
        (Role::Assistant, vec![thought(Vendor::Anthropic), text("c"), signed("")]),
        (Role::Assistant, vec![signed("d"), thought(Vendor::Gemini)]),
        (Role::User, vec![text("")]),
        (Role::Assistant, vec![text("e")]),
    ]);
    assert_eq!(
        written(&request, &Target::default()),
        json!({"contents": [
            {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
            {"role": "model", "parts": [
                {"text": "c"},
                {"text": "", "thoughtSignature": "c2ln"},
                {"text": "d", "thoughtSignature": "c2ln"},
                {"text": "hm", "thought": true, "thoughtSignature": "c2ln"},
                {"text": "e"}]}
        ]})
    );
}

#[test]
fn instructions_lead() {
    let (value, translated) = translated(
        OpenAiChat,
        &json!({"model": "m", "messages": [
            {"role": "developer", "content": "one"},
            {"role": "user", "content": "go"},
            {"role": "system", "content": "two"},
            {"role": "user", "content": "on"}]}),
        &Target::default(),
    );
    assert_eq!(
        value,
        json!({"systemInstruction": {"parts": [{"text": "one"}, {"text": "two"}]},
            "contents": [{"role": "user", "parts": [{"text": "go"}, {"text": "on"}]}]})
    );
    assert_eq!(
        lost(&translated),
        [("/messages/0/content", Ignore), ("/messages/2/content", Degrade)]
    );
    // Alone they are what is said.
    let mut request = Request::new(OpenAiChat);
    request.instructions.push(Instruction {
        developer: false,
        place: Place::Top,
        parts: vec![Part::text(JsonStr::from_plain("one"))],
        plain: true,
        name: None,
        rest: Rest::default(),
    });
    let content = json!({"contents": [{"role": "user", "parts": [{"text": "one"}]}]});
    assert_eq!(written(&request, &Target::default()), content);
}

#[test]
fn media() {
    let url = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
    for (part, wanted, severity) in [
        (
            url("data:image/png;base64,aGk="),
            Some(json!({"inlineData": {"mimeType": "image/png", "data": "aGk="}})),
            None,
        ),
        (
            url("gs://b/o.webp"),
            Some(json!({"fileData": {"mimeType": "image/webp", "fileUri": "gs://b/o.webp"}})),
            None,
        ),
        (
            url("https://x.test/a"),
            Some(json!({"fileData": {"mimeType": "image/jpeg", "fileUri": "https://x.test/a"}})),
            Some(Degrade),
        ),
        (
            url("https://youtu.be/x"),
            Some(json!({"fileData": {"mimeType": "video/mp4", "fileUri": "https://youtu.be/x"}})),
            None,
        ),
        (
            url("https://generativelanguage.googleapis.com/v1beta/files/x"),
            Some(
                json!({"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x"}}),
            ),
            None,
        ),
        (json!({"type": "file", "file": {"file_id": "file-1"}}), None, Some(Fatal)),
        (
            json!({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}),
            Some(json!({"inlineData": {"mimeType": "audio/wav", "data": "aGk="}})),
            None,
        ),
    ] {
        let body = json!({"model": "m", "messages": [
            {"role": "user", "content": [{"type": "text", "text": "see"}, part]}]});
        let (value, translated) = translated(OpenAiChat, &body, &Target::default());
        assert_eq!(value["contents"][0]["parts"].get(1), wanted.as_ref(), "{part}");
        let losses = translated.report.losses().iter().map(|loss| loss.severity);
        assert_eq!(losses.max(), severity, "{part}: {}", translated.report);
    }
}

#[test]
fn thinking() {
    use ReasoningMode::{Adaptive, Off, On};
    let tokens = Target::default();
    let thinking = ThinkingScale::Words;
    let mut words = Target { thinking, efforts: (Effort::Low, Effort::High), ..Target::default() };
    type Row = (Option<ReasoningMode>, Option<Effort>, Option<u64>, Option<Show>, Value, Value);
    let rows: [Row; 12] = [
        (None, None, None, None, json!(null), json!(null)),
        (
            Some(Off),
            None,
            None,
            None,
            json!({"thinkingBudget": 0}),
            json!({"thinkingLevel": "LOW"}),
        ),
        (
            None,
            Some(Effort::None),
            None,
            Some(Show::Summary),
            json!({"thinkingBudget": 0}),
            json!({"thinkingLevel": "LOW", "includeThoughts": true}),
        ),
        (
            None,
            Some(Effort::Minimal),
            None,
            None,
            json!({"thinkingBudget": 1024, "includeThoughts": true}),
            json!({"thinkingLevel": "LOW", "includeThoughts": true}),
        ),
        (
            None,
            Some(Effort::Medium),
            None,
            None,
            json!({"thinkingBudget": 8192, "includeThoughts": true}),
            json!({"thinkingLevel": "MEDIUM", "includeThoughts": true}),
        ),
        (
            None,
            Some(Effort::Max),
            None,
            None,
            json!({"thinkingBudget": 65536, "includeThoughts": true}),
            json!({"thinkingLevel": "HIGH", "includeThoughts": true}),
        ),
        (
            Some(On),
            None,
            Some(2000),
            None,
            json!({"thinkingBudget": 2000, "includeThoughts": true}),
            json!({"thinkingLevel": "MEDIUM", "includeThoughts": true}),
        ),
        (
            Some(On),
            Some(Effort::High),
            Some(2000),
            Some(Show::Hidden),
            json!({"thinkingBudget": 2000}),
            json!({"thinkingLevel": "HIGH"}),
        ),
        (
            Some(Adaptive),
            None,
            None,
            None,
            json!({"thinkingBudget": -1, "includeThoughts": true}),
            json!({"includeThoughts": true}),
        ),
        (
            Some(Adaptive),
            Some(Effort::Low),
            None,
            Some(Show::Full),
            json!({"thinkingBudget": 1024, "includeThoughts": true}),
            json!({"thinkingLevel": "LOW", "includeThoughts": true}),
        ),
        (
            None,
            None,
            None,
            Some(Show::Summary),
            json!({"includeThoughts": true}),
            json!({"includeThoughts": true}),
        ),
        (None, None, None, Some(Show::Hidden), json!(null), json!(null)),
    ];
    for (mode, effort, budget, show, in_tokens, in_words) in rows {
        let mut request = asking(vec![(Role::User, vec![Part::text(JsonStr::from_plain("a"))])]);
        let budget = budget.map(Number::from);
        request.reasoning = Reasoning { mode, effort, budget, show, rest: Rest::default() };
        for (target, wanted) in [(&tokens, in_tokens), (&words, in_words)] {
            let value = written(&request, target);
            let found = &value["generationConfig"]["thinkingConfig"];
            assert_eq!(found, &wanted, "{mode:?} {effort:?} {:?}", request.reasoning.budget);
        }
    }
    // No range of efforts is a mistake that panics.
    words.efforts = (Effort::Max, Effort::None);
    let mut request = Request::new(OpenAiChat);
    request.reasoning.effort = Some(Effort::Low);
    assert!(written(&request, &words)["generationConfig"]["thinkingConfig"].is_object());
}

#[test]
fn schemas_in_either_language() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "go"}],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters":
                {"type": "object", "properties": {"a": {"type": ["string", "null"]}},
                 "additionalProperties": false}}},
            {"type": "function", "function": {"name": "g", "parameters":
                {"type": "object", "properties": {}}}},
            {"type": "function", "function": {"name": "h"}}],
        "response_format": {"type": "json_schema", "json_schema":
            {"name": "n", "schema": {"type": "integer"}}}});
    let (value, _) = translated(OpenAiChat, &body, &Target::default());
    assert_eq!(
        value["tools"],
        json!([{"functionDeclarations": [
            {"name": "f", "description": "d", "parametersJsonSchema":
                body["tools"][0]["function"]["parameters"]},
            {"name": "g", "parametersJsonSchema": {"type": "object", "properties": {}}},
            {"name": "h"}]}])
    );
    let config = json!({"responseMimeType": "application/json",
        "responseJsonSchema": {"type": "integer"}});
    assert_eq!(value["generationConfig"], config);
    let target = Target { json_schema: false, ..Target::default() };
    let (value, translated) = translated(OpenAiChat, &body, &target);
    assert_eq!(
        value["tools"],
        json!([{"functionDeclarations": [
            {"name": "f", "description": "d", "parameters": {"type": "OBJECT", "properties":
                {"a": {"type": "STRING", "nullable": true}}}},
            {"name": "g"},
            {"name": "h"}]}])
    );
    let config =
        json!({"responseMimeType": "application/json", "responseSchema": {"type": "INTEGER"}});
    assert_eq!(value["generationConfig"], config);
    let pointer = "/tools/0/function/parameters/additionalProperties";
    let name = "/response_format/json_schema/name";
    assert_eq!(lost(&translated), [(pointer, Ignore), (name, Ignore)]);
}

#[test]
fn choices_of_tools() {
    let tools = json!([{"type": "function", "function": {"name": "f"}},
        {"type": "function", "function": {"name": "g"}}]);
    let allowed = |mode: &str, names: &[&str]| {
        let tools: Vec<_> = names
            .iter()
            .map(|name| json!({"type": "function", "function": {"name": name}}))
            .collect();
        json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}})
    };
    for (choice, config, declared) in [
        (json!("auto"), json!(null), 2),
        (json!("none"), json!({"mode": "NONE"}), 2),
        (json!("required"), json!({"mode": "ANY"}), 2),
        (
            json!({"type": "function", "function": {"name": "g"}}),
            json!({"mode": "ANY", "allowedFunctionNames": ["g"]}),
            2,
        ),
        (
            allowed("required", &["f", "g"]),
            json!({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}),
            2,
        ),
        (allowed("auto", &["g"]), json!(null), 1),
    ] {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "go"}],
            "tools": tools, "tool_choice": choice});
        let (value, _) = translated(OpenAiChat, &body, &Target::default());
        assert_eq!(value["toolConfig"]["functionCallingConfig"], config, "{choice}");
        let functions = value["tools"][0]["functionDeclarations"].as_array().unwrap();
        assert_eq!(functions.len(), declared, "{choice}");
    }
}

#[test]
fn settings() {
    let (value, translated) = translated(
        OpenAiChat,
        &json!({"model": "m", "messages": [{"role": "user", "content": "go"}],
            "max_completion_tokens": 64, "temperature": 1.5, "top_p": 0.5, "seed": 7, "n": 2,
            "frequency_penalty": 0.1, "presence_penalty": 0.2, "logprobs": true, "top_logprobs": 3,
            "stop": ["a", "b", "c", "d"]}),
        &Target::default(),
    );
    assert_eq!(
        value["generationConfig"],
        json!({"maxOutputTokens": 64, "temperature": 1.5, "topP": 0.5, "seed": 7,
            "frequencyPenalty": 0.1, "presencePenalty": 0.2, "candidateCount": 2,
            "stopSequences": ["a", "b", "c", "d"], "responseLogprobs": true, "logprobs": 3})
    );
    assert!(translated.report.is_empty(), "{}", translated.report);
}

#[test]
fn losses() {
    let (value, translated) = translated(
        OpenAiChat,
        &json!({"model": "m", "messages": [
                {"role": "user", "name": "ann", "content": "go"}],
            "tools": [{"type": "function", "function": {"name": "f", "strict": true}}],
            "parallel_tool_calls": false, "logit_bias": {"1": 2}, "user": "u", "verbosity": "low",
            "metadata": {"a": "b"}, "service_tier": "flex", "prompt_cache_key": "k", "store": true,
            "modalities": ["text"], "stop": ["1", "2", "3", "4", "5", "6", ""]}),
        &Target::default(),
    );
    assert_eq!(value["generationConfig"]["stopSequences"].as_array().unwrap().len(), 5);
    let lost = lost(&translated);
    for wanted in [
        ("/messages/0/name", Degrade),
        ("/tools/0/function/name", Degrade),
        ("/parallel_tool_calls", Degrade),
        ("/logit_bias", Degrade),
        ("/user", Ignore),
        ("/verbosity", Degrade),
        ("/metadata", Ignore),
        ("/service_tier", Ignore),
        ("/prompt_cache_key", Ignore),
        ("/store", Ignore),
        ("/modalities", Ignore),
        ("/stop/5", Degrade),
    ] {
        assert!(lost.contains(&wanted), "{wanted:?} of {lost:?}");
    }
    assert_eq!(lost.len(), 12, "{lost:?}");
    let (_, translated) = self::translated(
        Anthropic,
        &json!({"model": "m", "max_tokens": 9, "system": [
                {"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
            "messages": [{"role": "user", "content": [{"type": "text", "text": "go",
                "cache_control": {"type": "ephemeral"}, "yet": 1}]}]}),
        &Target::default(),
    );
    let wanted = [
        ("/system/0/cache_control", Ignore),
        ("/messages/0/content/0/yet", Ignore),
        ("/messages/0/content/0/cache_control", Ignore),
    ];
    assert_eq!(self::lost(&translated), wanted);
}

#[test]
fn unknown_content_is_worse_to_lose_from_the_caller() {
    let unknown = json!({"type": "yet_unknown", "a": 1});
    let (value, translated) = translated(
        Anthropic,
        &json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "user", "content": [{"type": "text", "text": "go"}, unknown]},
            {"role": "assistant", "content": [{"type": "text", "text": "so"}, unknown]}]}),
        &Target::default(),
    );
    assert_eq!(
        value["contents"],
        json!([{"role": "user", "parts": [{"text": "go"}]},
            {"role": "model", "parts": [{"text": "so"}]}])
    );
    let wanted = [("/messages/0/content/1", Fatal), ("/messages/1/content/1", Degrade)];
    assert_eq!(lost(&translated), wanted);
}
