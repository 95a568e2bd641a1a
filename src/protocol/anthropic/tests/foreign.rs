//! Requests and answers of other protocols, under the rules of Messages.

use bytes::BytesMut;
use serde_json::{Value, json};

use crate::protocol::Protocol;
use crate::protocol::anthropic::{request, response};
use crate::protocol::json::{Cursor, JsonStr, Number, Raw};
use crate::protocol::model::{
    Candidate, Content, Effort, Instruction, Media, MediaKind, MediaSource, OutputFormat, Part,
    Place, ReasoningMode, Request, Response, Rest, Role, Seal, SealKind, Show, Spelling, Stop,
    StopReason, Tool, ToolArguments, ToolCall, ToolCallKind, ToolChoice, ToolKind, ToolResult,
    Turn, Usage, Vendor,
};
use crate::protocol::report::{Reporter, Severity, TranslationReport};
use crate::protocol::target::{Answer, Target, ThinkingScale};
use crate::test_helpers::corpus::parse;

fn text(text: &str) -> JsonStr<'_> {
    JsonStr::from_plain(text)
}

fn number(text: &str) -> Number<'_> {
    Cursor::new(text).number().unwrap()
}

fn words(words: &str) -> Part<'_> {
    Part::text(text(words))
}

fn turn<'a>(role: Role, parts: Vec<Part<'a>>) -> Turn<'a> {
    Turn { parts, ..Turn::new(role) }
}

fn call<'a>(id: &'a str, arguments: &'a str) -> Part<'a> {
    Part::new(Content::ToolCall(ToolCall {
        id: text(id),
        name: text("f"),
        arguments: ToolArguments::Text(text(arguments)),
        kind: ToolCallKind::Function,
        seal: None,
        item_id: None,
        spelling: Spelling::default(),
    }))
}

fn result<'a>(id: &'a str, answer: &'a str) -> Part<'a> {
    Part::new(Content::ToolResult(ToolResult {
        call_id: text(id),
        name: None,
        parts: vec![words(answer)],
        plain: true,
        is_error: None,
        kind: ToolCallKind::Function,
        spelling: Spelling::default(),
    }))
}

fn tool<'a>(name: &'a str, kind: ToolKind<'a>) -> Tool<'a> {
    Tool {
        name: text(name),
        kind,
        description: None,
        strict: None,
        cache: None,
        rest: Rest::default(),
        outer_rest: Rest::default(),
        spelling: Spelling::default(),
    }
}

fn function(name: &str) -> Tool<'_> {
    tool(name, ToolKind::Function { schema: None, type_name: None })
}

fn instruction<'a>(place: Place, parts: Vec<Part<'a>>) -> Instruction<'a> {
    let rest = Rest::default();
    Instruction { developer: false, place, parts, plain: true, name: None, rest }
}

/// A Chat request with one user turn.
fn chat<'a>() -> Request<'a> {
    Request {
        turns: vec![turn(Role::User, vec![words("hi")])],
        ..Request::new(Protocol::OpenAiChat)
    }
}

fn write_to(request: &Request<'_>, target: &Target) -> (Value, TranslationReport) {
    let mut report = Reporter::new("");
    let mut out = BytesMut::new();
    request::write(request, target, &mut report, &mut out);
    (parse(&out), report.finish())
}

fn write(request: &Request<'_>) -> (Value, TranslationReport) {
    write_to(request, &Target::default())
}

/// The worst that was reported.
fn worst(report: &TranslationReport) -> Option<Severity> {
    report.losses().iter().map(|loss| loss.severity).max()
}

#[test]
fn least_request() {
    let (body, report) = write(&chat());
    let expected = json!({
        "model": "", "max_tokens": 4096, "messages": [{"role": "user", "content": "hi"}],
    });
    assert_eq!(body, expected);
    assert!(report.is_empty());
}

#[test]
fn instructions_lead() {
    let mut request = chat();
    request.instructions = vec![instruction(Place::Before(0), vec![words("one")])];
    let (body, report) = write(&request);
    assert_eq!((&body["system"], report.is_empty()), (&json!("one"), true));

    request.instructions.push(Instruction {
        developer: true,
        ..instruction(Place::Before(1), vec![words("two"), words("")])
    });
    let (body, report) = write(&request);
    let blocks = json!([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]);
    assert_eq!(body["system"], blocks);
    assert_eq!(report.losses().len(), 1);
    assert_eq!(report.losses()[0].reason, "moved to the front");

    request.turns.clear();
    let (body, _) = write(&request);
    assert_eq!(body["messages"], json!([{"role": "user", "content": blocks}]));
    assert!(body.get("system").is_none());
}

#[test]
fn turns_alternate() {
    let mut request = chat();
    request.turns = vec![
        turn(Role::User, vec![words("a"), words(" \n")]),
        turn(Role::User, vec![words("b")]),
        turn(Role::Assistant, vec![words("")]),
        turn(Role::Assistant, vec![call("x", "{}"), call("y", "")]),
        turn(Role::User, vec![result("y", "2"), result("x", "1")]),
        turn(Role::User, vec![words("behind")]),
        turn(Role::Assistant, vec![words("hm")]),
        turn(Role::User, vec![words(" ")]),
        turn(Role::Assistant, vec![words("well")]),
    ];
    let (body, report) = write(&request);
    let text = |text: &str| json!({"type": "text", "text": text});
    let call =
        |id: &str, input: Value| json!({"type": "tool_use", "id": id, "name": "f", "input": input});
    let result =
        |id: &str, text: &str| json!({"type": "tool_result", "tool_use_id": id, "content": text});
    let expected = json!([
        {"role": "user", "content": [text("a"), text("b")]},
        {"role": "assistant", "content": [call("x", json!({})), call("y", json!({}))]},
        {"role": "user", "content": [result("y", "2"), result("x", "1"), text("behind")]},
        {"role": "assistant", "content": [text("hm"), text("well")]},
    ]);
    assert_eq!(body["messages"], expected);
    assert!(report.is_empty());
}

#[test]
fn a_call_turn_without_user_behind_it_gets_one() {
    let mut request = chat();
    request.turns.push(turn(Role::Assistant, vec![call("x", "{}")]));
    request.turns.push(turn(Role::Assistant, vec![words("more")]));
    request.turns.push(turn(Role::User, vec![result("x", "1")]));
    let (body, _) = write(&request);
    let roles: Vec<_> = body["messages"].as_array().unwrap().iter().map(|m| &m["role"]).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
}

#[test]
fn call_ids_and_arguments() {
    let mut request = chat();
    let calls = vec![call("functions.f:0", "{"), call("b", "[1]"), call("c", "{}")];
    request.turns.push(turn(Role::Assistant, calls));
    let results = vec![result("functions.f:0", "1"), result("b", "2"), result("c", "3")];
    request.turns.push(turn(Role::User, results));
    let (body, report) = write(&request);
    let ids = |message: usize, member: &str| -> Vec<String> {
        let blocks = body["messages"][message]["content"].as_array().unwrap();
        blocks.iter().map(|block| block[member].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(1, "id"), ids(2, "tool_use_id"));
    assert_eq!(ids(1, "id")[1..], ["b", "c"]);
    let inputs: Vec<_> =
        body["messages"][1]["content"].as_array().unwrap().iter().map(|b| &b["input"]).collect();
    assert_eq!(inputs, [&json!({"input": "{"}), &json!({"input": "[1]"}), &json!({})]);
    assert_eq!(worst(&report), Some(Severity::Degrade));
}

#[test]
fn foreign_content() {
    let seal = |vendor| Some(Seal { vendor, kind: SealKind::Signature, data: text("s") });
    let thought = |seal| Content::Reasoning { text: Some(text("hm")), seal, id: None, raw: None };
    let media = |kind, source| {
        Content::Media(Media {
            kind,
            source,
            detail: None,
            title: None,
            context: None,
            citations: None,
            spelling: Spelling::default(),
        })
    };
    let data = || MediaSource::Base64 { media_type: text("image/png"), data: text("QQ==") };
    let raw = Raw::literal(r#"{"type":"web_search_call"}"#);
    let rows = [
        (thought(None), None, Some(Severity::Degrade)),
        (thought(seal(Vendor::OpenAi)), None, Some(Severity::Degrade)),
        (
            thought(seal(Vendor::Anthropic)),
            Some(json!({"type": "thinking", "thinking": "hm", "signature": "s"})),
            None,
        ),
        (
            media(MediaKind::Image, data()),
            Some(json!({"type": "image", "source":
                {"type": "base64", "media_type": "image/png", "data": "QQ=="}})),
            None,
        ),
        (
            media(MediaKind::Document, MediaSource::Url(text("http://d"))),
            Some(json!({"type": "document", "source": {"type": "url", "url": "http://d"}})),
            None,
        ),
        (media(MediaKind::Audio, data()), None, Some(Severity::Fatal)),
        (media(MediaKind::Image, MediaSource::File(text("f"))), None, Some(Severity::Fatal)),
        (Content::Other { kind: text("x"), raw }, None, Some(Severity::Degrade)),
        (Content::Refusal(text("no")), Some(json!({"type": "text", "text": "no"})), None),
    ];
    for (content, expected, severity) in rows {
        let mut request = chat();
        let parts = vec![words("see"), Part::new(content)];
        request.turns = vec![turn(Role::Assistant, parts)];
        let (body, report) = write(&request);
        assert_eq!(body["messages"][0]["content"].get(1), expected.as_ref());
        assert_eq!(worst(&report), severity, "{report}");
    }
}

#[test]
fn tools_and_choices() {
    let names = vec![text("a")];
    let raw = || Raw::literal("{}");
    let allowed = |required| ToolChoice::Allowed { required, names: names.clone(), raw: raw() };
    let rows = [
        (None, None, json!(null)),
        (None, Some(true), json!(null)),
        (None, Some(false), json!({"type": "auto", "disable_parallel_tool_use": true})),
        (Some(ToolChoice::Auto), None, json!({"type": "auto"})),
        (Some(ToolChoice::None), Some(false), json!({"type": "none"})),
        (
            Some(ToolChoice::Required),
            Some(false),
            json!({"type": "any", "disable_parallel_tool_use": true}),
        ),
        (Some(ToolChoice::Tool(text("a"))), None, json!({"type": "tool", "name": "a"})),
        (Some(allowed(true)), None, json!({"type": "any"})),
        (Some(allowed(false)), None, json!({"type": "auto"})),
        (Some(ToolChoice::Other(raw())), None, json!(null)),
    ];
    for (choice, parallel, expected) in rows {
        let only_a = matches!(choice, Some(ToolChoice::Allowed { .. }));
        let mut request = chat();
        let server = ToolKind::Server { kind: text("web_search"), raw: Raw::literal("{\"x\":1}") };
        let custom = ToolKind::Custom { format: None };
        request.tools = vec![function("a"), tool("b", custom), tool("", server)];
        request.tool_choice = choice;
        request.parallel_tool_calls = parallel;
        let (body, report) = write(&request);
        assert_eq!(*body.get("tool_choice").unwrap_or(&Value::Null), expected);
        let a = json!({"name": "a", "input_schema": {"type": "object", "properties": {}}});
        let b = json!({"name": "b", "input_schema": {"type": "object",
            "properties": {"input": {"type": "string"}}, "required": ["input"]}});
        assert_eq!(body["tools"], if only_a { json!([a]) } else { json!([a, b]) });
        assert_eq!(worst(&report), Some(Severity::Degrade));
    }
    let mut request = chat();
    request.tool_choice = Some(ToolChoice::Required);
    let (body, report) = write(&request);
    assert!(body.get("tool_choice").is_none());
    assert_eq!(worst(&report), Some(Severity::Degrade));
}

#[test]
fn schemas_are_objects() {
    let rows = [
        ("{}", json!({"type": "object"})),
        (r#"{"properties":{}}"#, json!({"type": "object", "properties": {}})),
        (r#"{"type":"object","x":1}"#, json!({"type": "object", "x": 1})),
    ];
    for (schema, expected) in rows {
        let mut request = chat();
        let schema = Some(Raw::parse(schema).unwrap());
        request.tools = vec![tool("a", ToolKind::Function { schema, type_name: None })];
        assert_eq!(write(&request).0["tools"][0]["input_schema"], expected);
    }
}

#[test]
fn sampling_fits() {
    let mut request = chat();
    request.sampling.temperature = Some(number("1.5"));
    request.sampling.top_k = Some(number("4"));
    request.sampling.stop = Some(vec![text("END"), text(" "), text("")]);
    let (body, report) = write(&request);
    assert_eq!((&body["temperature"], &body["top_k"]), (&json!(1), &json!(4)));
    assert_eq!(body["stop_sequences"], json!(["END"]));
    assert_eq!(report.losses().len(), 3);

    request.sampling.temperature = Some(number("0.5"));
    request.sampling.stop = None;
    request.reasoning.effort = Some(Effort::Low);
    let (body, report) = write(&request);
    assert_eq!(body["thinking"], json!({"type": "enabled", "budget_tokens": 1024}));
    assert!(body.get("temperature").is_none() && body.get("top_k").is_none());
    assert_eq!(report.losses().len(), 2);
}

#[test]
fn what_has_no_effect_is_no_loss() {
    let mut request = chat();
    request.sampling.frequency_penalty = Some(number("0.0"));
    request.sampling.candidates = Some(number("1"));
    request.sampling.repetition_penalty = Some(number("1"));
    request.sampling.logit_bias = Some(Raw::literal("{}"));
    request.logprobs.enabled = Some(false);
    request.state.store = Some(false);
    request.output = Some(OutputFormat::Text);
    assert!(write(&request).1.is_empty());
}

#[test]
fn losses_by_severity() {
    type Change = fn(&mut Request<'_>);
    let rows: &[(Change, Severity)] = &[
        (|r| r.sampling.seed = Some(7.into()), Severity::Degrade),
        (|r| r.sampling.candidates = Some(2.into()), Severity::Degrade),
        (|r| r.sampling.presence_penalty = Some(1.into()), Severity::Degrade),
        (|r| r.sampling.logit_bias = Some(Raw::literal("{\"1\":1}")), Severity::Degrade),
        (|r| r.logprobs.enabled = Some(true), Severity::Degrade),
        (|r| r.output = Some(OutputFormat::JsonObject), Severity::Degrade),
        (|r| r.verbosity = Some(JsonStr::from_plain("low")), Severity::Degrade),
        (|r| r.turns[0].name = Some(JsonStr::from_plain("bob")), Severity::Degrade),
        (|r| r.state.store = Some(true), Severity::Ignore),
        (|r| r.metadata = Some(Raw::literal("{\"a\":\"b\"}")), Severity::Ignore),
        (|r| r.service_tier = Some(JsonStr::from_plain("flex")), Severity::Ignore),
        (|r| r.cache_key = Some(JsonStr::from_plain("k")), Severity::Ignore),
        (|r| r.rest.keep(JsonStr::from_plain("x"), Raw::literal("1")), Severity::Ignore),
        (|r| r.state.previous_response_id = Some(JsonStr::from_plain("resp_1")), Severity::Fatal),
    ];
    let (plain, _) = write(&chat());
    for (change, severity) in rows {
        let mut request = chat();
        change(&mut request);
        let (body, report) = write(&request);
        assert_eq!(body, plain);
        assert_eq!(report.losses().len(), 1, "{report}");
        assert_eq!(worst(&report), Some(*severity), "{report}");
    }
}

#[test]
fn other_members() {
    let mut request = chat();
    request.stream = Some(true);
    request.end_user = Some(text("u"));
    request.service_tier = Some(text("auto"));
    request.output = Some(OutputFormat::JsonSchema {
        name: Some(text("n")),
        schema: Some(Raw::literal("{\"type\":\"object\"}")),
        strict: Some(true),
        description: None,
        rest: Rest::default(),
    });
    let (body, report) = write(&request);
    assert_eq!(body["stream"], true);
    assert_eq!(body["metadata"], json!({"user_id": "u"}));
    assert_eq!(body["service_tier"], "auto");
    let format = json!({"type": "json_schema", "schema": {"type": "object"}});
    assert_eq!(body["output_config"], json!({"format": format}));
    // The name of the format is a label.
    assert_eq!((report.losses().len(), worst(&report)), (1, Some(Severity::Ignore)), "{report}");
}

#[test]
fn thinking_fits_into_the_limit() {
    let high = Some(Effort::High);
    let row = |limit: Option<u64>, change: fn(&mut Request<'_>)| {
        let mut request = chat();
        request.reasoning.effort = Some(Effort::High);
        request.max_output_tokens = limit.map(Number::from);
        change(&mut request);
        let (body, report) = write(&request);
        (body["max_tokens"].clone(), body["thinking"]["budget_tokens"].clone(), worst(&report))
    };
    let degrade = Some(Severity::Degrade);
    assert_eq!(row(None, |_| {}), (json!(28672), json!(24576), None));
    assert_eq!(row(Some(30000), |_| {}), (json!(30000), json!(24576), None));
    assert_eq!(row(Some(24576), |_| {}), (json!(24576), json!(24575), degrade));
    assert_eq!(row(Some(1025), |_| {}), (json!(1025), json!(1024), degrade));
    assert_eq!(row(Some(1024), |_| {}), (json!(1024), json!(null), degrade));
    let forced = row(None, |r| {
        r.tools = vec![function("a")];
        r.tool_choice = Some(ToolChoice::Required);
    });
    assert_eq!(forced, (json!(4096), json!(null), degrade));
    let in_a_tool_loop = row(None, |r| {
        r.turns.push(turn(Role::Assistant, vec![call("x", "{}")]));
        r.turns.push(turn(Role::User, vec![result("x", "1")]));
    });
    assert_eq!(in_a_tool_loop, (json!(4096), json!(null), degrade));

    let adaptive = Target { thinking: ThinkingScale::Words, ..Target::default() };
    let mut request = chat();
    request.reasoning.effort = high;
    request.reasoning.show = Some(Show::Summary);
    let (body, report) = write_to(&request, &adaptive);
    assert_eq!(body["thinking"], json!({"type": "adaptive", "display": "summarized"}));
    assert_eq!(body["output_config"], json!({"effort": "high"}));
    assert!(report.is_empty());
    request.reasoning.mode = Some(ReasoningMode::Off);
    let (body, _) = write_to(&request, &adaptive);
    assert_eq!(body["thinking"], json!({"type": "disabled"}));
    assert!(body.get("output_config").is_none());
}

fn candidate<'a>(index: u32, parts: Vec<Part<'a>>, reason: StopReason) -> Candidate<'a> {
    Candidate {
        index,
        parts,
        stop: Some(Stop { word: Some(text("stop")), ..Stop::new(reason) }),
        logprobs: None,
        spelling: Spelling::default(),
        message_rest: Rest::default(),
        rest: Rest::default(),
    }
}

#[test]
fn foreign_answers() {
    let seal = Seal { vendor: Vendor::OpenAi, kind: SealKind::Encrypted, data: text("e") };
    let thought =
        Content::Reasoning { text: Some(text("hm")), seal: Some(seal), id: None, raw: None };
    let parts = vec![Part::new(thought), words(""), call("c", "{\"a\":1}")];
    let mut answer = Response {
        origin: Protocol::OpenAiChat,
        id: text("chatcmpl-1"),
        model: JsonStr::default(),
        created: None,
        candidates: vec![
            candidate(0, parts, StopReason::End),
            candidate(1, vec![words("other")], StopReason::End),
        ],
        usage: Some(Usage { input: 3, cache_read: 2, output: 4, reasoning: 1, ..Usage::default() }),
        rest: Rest::default(),
    };
    let write = |answer: &Response<'_>| {
        let mut report = Reporter::new("");
        let mut out = BytesMut::new();
        response::write(answer, &mut Answer::new("asked", 0, 1), &mut report, &mut out);
        (parse(&out), report.finish())
    };
    let (body, report) = write(&answer);
    let expected = json!({
        "id": "msg_000000000000000100000000", "type": "message", "role": "assistant",
        "model": "asked", "stop_reason": "tool_use", "stop_sequence": null,
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": ""},
            {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}},
        ],
        "usage": {"input_tokens": 3, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 2, "output_tokens": 5,
            "output_tokens_details": {"thinking_tokens": 1}},
    });
    assert_eq!(body, expected);
    assert_eq!(worst(&report), Some(Severity::Degrade));

    answer.candidates = vec![candidate(0, vec![], StopReason::Error)];
    assert_eq!(worst(&write(&answer).1), Some(Severity::Fatal));
    answer.candidates.clear();
    assert_eq!(write(&answer).0["stop_reason"], "end_turn");
}
