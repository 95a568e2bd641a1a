//! Requests and answers of other protocols.

use bytes::BytesMut;
use serde_json::{Value, json};

use crate::protocol::dashscope::{request, response};
use crate::protocol::json::{JsonStr, Number, Raw};
use crate::protocol::model::{
    CacheMark, Candidate, Content, Effort, Instruction, Media, MediaKind, MediaSource,
    OutputFormat, Part, Place, ReasoningMode, Request, Response, Rest, Role, Seal, SealKind,
    Spelling, Stop, StopReason, Tool, ToolArguments, ToolCall, ToolCallKind, ToolChoice, ToolKind,
    ToolResult, Turn, Usage, Vendor,
};
use crate::protocol::report::{Reporter, Severity, TranslationReport};
use crate::protocol::{Answer, Layout, Protocol, Target, ThinkingScale};
use crate::test_helpers::corpus::parse;

fn text(plain: &str) -> JsonStr<'_> {
    JsonStr::from_plain(plain)
}

fn words(plain: &str) -> Part<'_> {
    Part::text(text(plain))
}

fn number(plain: &'static str) -> Number<'static> {
    Raw::literal(plain).source_cursor().unwrap().number().unwrap()
}

fn turn<'a>(role: Role, parts: Vec<Part<'a>>) -> Turn<'a> {
    Turn { parts, ..Turn::new(role) }
}

fn media(kind: MediaKind, source: MediaSource<'static>) -> Part<'static> {
    Part::new(Content::Media(Media {
        kind,
        source,
        detail: None,
        title: None,
        context: None,
        citations: None,
        spelling: Spelling::default(),
    }))
}

fn base64(media_type: &'static str) -> MediaSource<'static> {
    MediaSource::Base64 { media_type: text(media_type), data: text("AA") }
}

fn call(id: &'static str, arguments: ToolArguments<'static>) -> Part<'static> {
    Part::new(Content::ToolCall(ToolCall {
        id: text(id),
        name: text("f"),
        arguments,
        kind: ToolCallKind::Function,
        seal: None,
        item_id: None,
        spelling: Spelling::default(),
    }))
}

fn result(id: &'static str, parts: Vec<Part<'static>>) -> Part<'static> {
    Part::new(Content::ToolResult(ToolResult {
        call_id: text(id),
        name: Some(text("f")),
        parts,
        plain: false,
        is_error: None,
        kind: ToolCallKind::Function,
        spelling: Spelling::default(),
    }))
}

fn tool(name: &'static str) -> Tool<'static> {
    Tool {
        name: text(name),
        kind: ToolKind::Function { schema: Some(Raw::literal("{}")), type_name: None },
        description: None,
        strict: None,
        cache: None,
        rest: Rest::default(),
        outer_rest: Rest::default(),
        spelling: Spelling::default(),
    }
}

fn asked(turns: Vec<Turn<'static>>) -> Request<'static> {
    Request { model: text("m"), turns, ..Request::new(Protocol::Anthropic) }
}

fn write_for(request: &Request<'_>, target: &Target) -> (Value, TranslationReport) {
    let mut report = Reporter::new("");
    let mut out = BytesMut::new();
    request::write(request, target, &mut report, &mut out);
    (parse(&out), report.finish())
}

fn write(request: &Request<'_>) -> (Value, TranslationReport) {
    write_for(request, &Target::default())
}

fn hello() -> Vec<Turn<'static>> {
    vec![turn(Role::User, vec![words("Hi")])]
}

#[test]
fn a_plain_request() {
    let mut request = asked(hello());
    request.stream = Some(true);
    request.max_output_tokens = Some(number("9"));
    request.instructions = vec![Instruction {
        developer: true,
        place: Place::Top,
        parts: vec![words("Be brief."), words("Please.")],
        plain: false,
        name: None,
        rest: Rest::default(),
    }];
    let (body, report) = write(&request);
    let expected = json!({"model": "m", "input": {"messages": [
        {"role": "system", "content": "Be brief.\n\nPlease."}, {"role": "user", "content": "Hi"}]},
        "parameters": {"result_format": "message", "incremental_output": true, "max_tokens": 9}});
    assert_eq!(body, expected);
    assert!(report.is_empty());
    let endpoint = request::endpoint(&request, &Target::default());
    assert_eq!(endpoint.path, "/api/v1/services/aigc/text-generation/generation");
    let headers: Vec<_> = endpoint
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    assert_eq!(headers, [("accept", "text/event-stream"), ("x-dashscope-sse", "enable")]);
}

#[test]
fn tools_and_results() {
    let mut request = asked(vec![
        turn(Role::User, vec![words("a"), words("b")]),
        turn(
            Role::Assistant,
            vec![
                words("x"),
                words("y"),
                call("c", ToolArguments::Json(Raw::literal(r#"{"a":1}"#))),
                call("d", ToolArguments::Text(text(""))),
            ],
        ),
        turn(Role::User, vec![result("c", vec![words("1")]), result("d", vec![]), words("go on")]),
    ]);
    request.tools = vec![tool("f"), tool("g")];
    let (body, report) = write(&request);
    let call = |index: u32, id: &str, arguments: &str| {
        json!({"index": index, "id": id, "type": "function",
            "function": {"name": "f", "arguments": arguments}})
    };
    assert_eq!(
        body["input"]["messages"],
        json!([
            {"role": "user", "content": "a\n\nb"},
            {"role": "assistant", "content": "xy",
             "tool_calls": [call(0, "c", "{\"a\":1}"), call(1, "d", "{}")]},
            {"role": "tool", "tool_call_id": "c", "content": "1"},
            {"role": "tool", "tool_call_id": "d", "content": ""},
            {"role": "user", "content": "go on"},
        ])
    );
    assert_eq!(body["parameters"]["parallel_tool_calls"], true);
    assert_eq!(body["parameters"]["tools"][1]["function"]["name"], "g");
    assert!(report.is_empty());
    request.parallel_tool_calls = Some(false);
    assert_eq!(write(&request).0["parameters"]["parallel_tool_calls"], false);
    request.tools.clear();
    let parameters = &write(&request).0["parameters"];
    assert_eq!(*parameters, json!({"result_format": "message"}));
}

#[test]
fn choices() {
    let named = |name: &str| json!({"type": "function", "function": {"name": name}});
    let allowed = |required, names: &[&'static str]| ToolChoice::Allowed {
        required,
        names: names.iter().map(|name| text(name)).collect(),
        raw: Raw::literal("{}"),
    };
    // choice, tools, written, tools written, losses
    let rows = [
        (ToolChoice::Auto, 2, json!("auto"), 2, 0),
        (ToolChoice::None, 2, json!("none"), 2, 0),
        (ToolChoice::Tool(text("g")), 2, named("g"), 2, 0),
        (ToolChoice::Required, 1, named("f"), 1, 0),
        (ToolChoice::Required, 2, json!("auto"), 2, 1),
        (allowed(true, &["g"]), 2, named("g"), 1, 0),
        (allowed(false, &["g"]), 2, json!("auto"), 1, 0),
        (allowed(true, &["f", "g"]), 2, json!("auto"), 2, 1),
        (ToolChoice::Other(Raw::literal("7")), 2, Value::Null, 2, 1),
    ];
    for (choice, tools, expected, left, losses) in rows {
        let mut request = asked(hello());
        request.tools = [tool("f"), tool("g")].into_iter().take(tools).collect();
        request.tool_choice = Some(choice);
        let (body, report) = write(&request);
        assert_eq!(body["parameters"]["tool_choice"], expected, "{request:?}");
        assert_eq!(body["parameters"]["tools"].as_array().unwrap().len(), left);
        assert_eq!(report.losses().len(), losses);
        assert!(report.losses().iter().all(|loss| loss.severity == Severity::Degrade));
    }
}

#[test]
fn thinking() {
    let target = Target::default();
    let in_words = Target { thinking: ThinkingScale::Words, ..Target::default() };
    let rows = [
        (Some(ReasoningMode::Off), None, None, &target, json!({"enable_thinking": false})),
        (None, Some(Effort::None), None, &target, json!({"enable_thinking": false})),
        (None, None, Some("0"), &target, json!({"enable_thinking": false})),
        (
            None,
            Some(Effort::Low),
            None,
            &target,
            json!({"enable_thinking": true, "thinking_budget": 1024}),
        ),
        (
            None,
            Some(Effort::High),
            None,
            &in_words,
            json!({"enable_thinking": true, "reasoning_effort": "high"}),
        ),
        (
            Some(ReasoningMode::On),
            None,
            Some("77"),
            &target,
            json!({"enable_thinking": true, "thinking_budget": 77}),
        ),
        (None, None, Some("-1"), &target, json!({"enable_thinking": true})),
        (Some(ReasoningMode::Adaptive), None, None, &target, json!({"enable_thinking": true})),
        (None, None, None, &target, json!({})),
    ];
    for (mode, effort, budget, target, expected) in rows {
        let mut request = asked(hello());
        request.reasoning.mode = mode;
        request.reasoning.effort = effort;
        request.reasoning.budget = budget.map(number);
        let (body, report) = write_for(&request, target);
        let mut found = body["parameters"].clone();
        found.as_object_mut().unwrap().remove("result_format");
        assert_eq!(found, expected);
        assert!(report.is_empty());
    }
}

#[test]
fn media_go_to_the_other_endpoint() {
    let audio = media(MediaKind::Audio, base64("wav"));
    let request = asked(vec![
        turn(
            Role::User,
            vec![
                media(MediaKind::Image, MediaSource::Url(text("https://i"))),
                media(MediaKind::Image, base64("image/png")),
                audio,
                words("what?"),
            ],
        ),
        turn(Role::Assistant, vec![call("c", ToolArguments::Json(Raw::literal("{}")))]),
        turn(
            Role::User,
            vec![result("c", vec![words("see"), media(MediaKind::Image, base64("image/gif"))])],
        ),
    ]);
    let (body, report) = write(&request);
    assert_eq!(
        body["input"]["messages"],
        json!([
            {"role": "user", "content": [{"image": "https://i"},
                {"image": "data:image/png;base64,AA"}, {"audio": "data:audio/wav;base64,AA"},
                {"text": "what?"}]},
            {"role": "assistant", "content": [], "tool_calls": [{"index": 0, "id": "c",
                "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": [{"text": "see"}]},
            {"role": "user", "content": [{"image": "data:image/gif;base64,AA"}]},
        ])
    );
    assert!(report.is_empty());
    let path = |request: &Request<'_>, target: &Target| request::endpoint(request, target).path;
    let multimodal = "/api/v1/services/aigc/multimodal-generation/generation";
    assert_eq!(path(&request, &Target::default()), multimodal);
    let target = Target { multimodal_endpoint: true, ..Target::default() };
    let request = asked(hello());
    assert_eq!(path(&request, &target), multimodal);
    let (body, _) = write_for(&request, &target);
    assert_eq!(body["input"]["messages"][0]["content"], json!([{"text": "Hi"}]));
}

#[test]
fn documents() {
    let inline = MediaSource::Text { media_type: text("text/plain"), data: text("doc") };
    let parts = MediaSource::Parts { parts: vec![words("in parts")], plain: false };
    let rows = [
        (MediaKind::Document, inline, Some("doc")),
        (MediaKind::Document, parts, Some("in parts")),
        (MediaKind::Document, base64("application/pdf"), None),
        (MediaKind::Document, MediaSource::Url(text("u")), None),
        (MediaKind::Image, MediaSource::File(text("file")), None),
        (MediaKind::Image, MediaSource::Other(Raw::literal("{}")), None),
    ];
    for (kind, source, expected) in rows {
        let request = asked(vec![turn(Role::User, vec![words("a"), media(kind, source)])]);
        let (body, report) = write(&request);
        let content = &body["input"]["messages"][0]["content"];
        match expected {
            Some(inlined) => {
                assert_eq!(*content, format!("a\n\n{inlined}"));
                assert!(report.is_empty());
            }
            None => assert_eq!(report.losses()[0].severity, Severity::Fatal, "{request:?}"),
        }
    }
}

#[test]
fn cache_marks_stay_on_content() {
    let marked = |plain: &'static str, mark: &'static str| Part {
        cache: Some(CacheMark(Raw::literal(mark))),
        ..words(plain)
    };
    let ephemeral = r#"{"type":"ephemeral"}"#;
    let (body, report) = write(&asked(vec![turn(Role::User, vec![marked("x", ephemeral)])]));
    let mark = json!({"type": "ephemeral"});
    let content = json!([{"type": "text", "text": "x", "cache_control": mark}]);
    assert_eq!(body["input"]["messages"][0]["content"], content);
    assert!(report.is_empty());
    // There is no place for a mark on nothing, or on a call.
    let cache = || Some(CacheMark(Raw::literal(ephemeral)));
    let called = Part { cache: cache(), ..call("c", ToolArguments::Json(Raw::literal("{}"))) };
    for (role, part) in [
        (Role::User, marked("", ephemeral)),
        (Role::Assistant, marked("", ephemeral)),
        (Role::Assistant, called),
        (Role::User, Part { cache: cache(), ..result("c", Vec::new()) }),
    ] {
        let (body, report) = write(&asked(vec![turn(role, vec![part])]));
        assert!(!body.to_string().contains("cache_control"), "{body}");
        assert_eq!(report.losses().len(), 1, "{body}");
    }
    let hour = marked("x", r#"{"type":"ephemeral","ttl":"1h"}"#);
    let (body, report) = write(&asked(vec![
        turn(Role::User, vec![words("a")]),
        turn(Role::Assistant, vec![hour]),
        turn(Role::User, vec![words("b")]),
    ]));
    assert_eq!(body["input"]["messages"][1]["content"][0]["cache_control"], mark);
    // What has no mark has had one, or will have: its form stays.
    assert_eq!(body["input"]["messages"][0]["content"], json!([{"type": "text", "text": "a"}]));
    assert_eq!(report.losses()[0].severity, Severity::Ignore);
}

#[test]
fn thinking_of_a_history() {
    let thought = |vendor: Option<Vendor>| {
        let seal = vendor.map(|vendor| Seal { vendor, kind: SealKind::Signature, data: text("s") });
        Part::new(Content::Reasoning { text: Some(text("hm")), seal, id: None, raw: None })
    };
    let rows = [
        (None, Some("hm"), None, 0),
        (Some(Vendor::Unknown), Some("hm"), None, 0),
        (Some(Vendor::Gateway), Some("hm"), Some("s"), 0),
        (Some(Vendor::DashScope), Some("hm"), Some("s"), 0),
        (Some(Vendor::Anthropic), None, None, 1),
    ];
    for (vendor, reasoning, signature, losses) in rows {
        let turns = vec![
            turn(Role::Assistant, vec![thought(vendor), words("a")]),
            turn(Role::User, vec![words("b")]),
        ];
        let (body, report) = write(&asked(turns));
        let message = &body["input"]["messages"][0];
        assert_eq!(message["reasoning_content"].as_str(), reasoning, "{vendor:?}");
        assert_eq!(message["reasoning_signature"].as_str(), signature, "{vendor:?}");
        assert_eq!(report.losses().len(), losses);
    }
}

#[test]
fn a_beginning_is_continued() {
    let turns =
        || vec![turn(Role::User, vec![words("a")]), turn(Role::Assistant, vec![words("It is")])];
    for (origin, continued) in [(Protocol::Anthropic, true), (Protocol::OpenAiChat, false)] {
        let (body, _) = write(&Request { origin, ..asked(turns()) });
        let partial = body["input"]["messages"][1]["partial"].as_bool().unwrap_or(false);
        assert_eq!(partial, continued, "{origin}");
    }
}

#[test]
fn what_is_lost_is_reported() {
    let full = |change: &dyn Fn(&mut Request<'static>)| {
        let mut request = asked(hello());
        change(&mut request);
        let (body, report) = write(&request);
        (body, report.losses().iter().map(|loss| loss.severity).collect::<Vec<_>>())
    };
    use Severity::{Degrade, Fatal, Ignore};
    type Change = &'static dyn Fn(&mut Request<'static>);
    let rows: &[(Change, &[Severity])] = &[
        (&|r| r.sampling.frequency_penalty = Some(number("1")), &[Degrade]),
        (&|r| r.sampling.logit_bias = Some(Raw::literal(r#"{"1":2}"#)), &[Degrade]),
        (&|r| r.sampling.temperature = Some(number("2.0")), &[Degrade]),
        (&|r| r.sampling.candidates = Some(number("9")), &[Degrade]),
        (&|r| r.sampling.top_k = Some(number("9")), &[]),
        (&|r| r.end_user = Some(text("u")), &[Ignore]),
        (&|r| r.metadata = Some(Raw::literal(r#"{"a":1}"#)), &[Ignore]),
        (&|r| r.service_tier = Some(text("flex")), &[Ignore]),
        (&|r| r.verbosity = Some(text("low")), &[Ignore]),
        (&|r| r.cache_key = Some(text("k")), &[Ignore]),
        (&|r| r.cache = Some(CacheMark(Raw::literal("{}"))), &[Ignore]),
        (&|r| r.safety = Some(Raw::literal("[1]")), &[Degrade]),
        (&|r| r.state.store = Some(true), &[Ignore]),
        (&|r| r.state.previous_response_id = Some(text("p")), &[Fatal]),
        (&|r| r.state.conversation = Some(Raw::literal("7")), &[Fatal]),
        (&|r| r.state.cached_content = Some(text("p")), &[Fatal]),
        (&|r| r.rest.keep(text("audio"), Raw::literal("7")), &[Degrade]),
        (&|r| r.settings_rest.keep(text("x"), Raw::literal("7")), &[Ignore]),
        (&|r| r.input_rest.keep(text("x"), Raw::literal("7")), &[Ignore]),
        (&|r| r.tools = vec![Tool { strict: Some(true), ..tool("f") }], &[Degrade]),
        (
            &|r| {
                let kind = ToolKind::Server { kind: text("s"), raw: Raw::literal("{}") };
                r.tools = vec![Tool { kind, ..tool("f") }];
            },
            &[Degrade],
        ),
        (&|r| r.turns[0].name = Some(text("n")), &[Ignore]),
        (&|r| r.output = Some(OutputFormat::Other(Raw::literal("{}"))), &[Degrade]),
        (
            &|r| {
                let raw = Raw::literal("{}");
                r.turns[0].parts.push(Part::new(Content::Other { kind: text("k"), raw }));
            },
            &[Fatal],
        ),
    ];
    for (index, (change, expected)) in rows.iter().enumerate() {
        let (body, found) = full(change);
        assert_eq!(found, *expected, "row {index}: {body}");
    }
    let (body, _) = full(&|r| r.sampling.temperature = Some(number("2")));
    assert_eq!(body["parameters"]["temperature"], json!(1.99));
}

fn answer_of(parts: Vec<Part<'static>>, reason: StopReason) -> Response<'static> {
    Response {
        origin: Protocol::Anthropic,
        id: text("msg_1"),
        model: text("claude"),
        created: None,
        candidates: vec![Candidate {
            index: 0,
            parts,
            stop: Some(Stop::new(reason)),
            logprobs: None,
            spelling: Spelling::default(),
            message_rest: Rest::default(),
            rest: Rest::default(),
        }],
        usage: Some(Usage { input: 3, cache_read: 2, output: 4, reasoning: 1, ..Usage::default() }),
        rest: Rest::default(),
    }
}

fn write_answer(response: &Response<'_>, layout: Layout) -> (Value, TranslationReport) {
    let mut answer = Answer::new("asked", 0, 1);
    answer.layout = layout;
    let mut report = Reporter::new("");
    let mut out = BytesMut::new();
    response::write(response, &mut answer, &mut report, &mut out);
    (parse(&out), report.finish())
}

#[test]
fn answers_in_each_layout() {
    let thought = Content::Reasoning { text: Some(text("hm")), seal: None, id: None, raw: None };
    let said = || vec![Part::new(thought.clone()), words("a"), words("b")];
    let usage = json!({"total_tokens": 10, "input_tokens": 5, "output_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 2}, "output_tokens_details": {"reasoning_tokens": 1}});
    let whole = |output: Value| json!({"output": output, "usage": usage, "request_id": "msg_1"});
    let choice = |message: Value, word: &str| {
        whole(json!({"choices": [{"finish_reason": word, "index": 0, "message": message}]}))
    };
    let lists = Layout { content_list: true, ..Layout::default() };
    let bare = Layout { text_only: true, ..Layout::default() };
    let rows = [
        (
            Layout::default(),
            choice(
                json!({"role": "assistant", "content": "ab", "reasoning_content": "hm"}),
                "stop",
            ),
        ),
        (
            lists,
            choice(
                json!({"role": "assistant", "content": [{"text": "ab"}], "reasoning_content": "hm"}),
                "stop",
            ),
        ),
        (bare, whole(json!({"text": "ab", "finish_reason": "stop"}))),
    ];
    for (layout, expected) in rows {
        let (body, report) = write_answer(&answer_of(said(), StopReason::End), layout);
        assert_eq!(body, expected);
        assert_eq!(report.is_empty(), layout != bare);
    }
    let calls = answer_of(vec![call("c", ToolArguments::Text(text("")))], StopReason::ToolUse);
    let (body, _) = write_answer(&calls, bare);
    let choice = &body["output"]["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["arguments"], "{}");
    let mut nameless =
        answer_of(vec![call("", ToolArguments::Text(text("")))], StopReason::ToolUse);
    nameless.id = JsonStr::default();
    nameless.usage = None;
    let (body, _) = write_answer(&nameless, lists);
    let message = &body["output"]["choices"][0]["message"];
    assert_eq!(message["content"], json!([]));
    assert!(message["tool_calls"][0]["id"].as_str().unwrap().starts_with("call_"));
    assert!(!body["request_id"].as_str().unwrap().is_empty());
    assert_eq!(body["usage"]["input_tokens"], 0);
}

#[test]
fn cited_pages_are_search_results() {
    let cited = Part::new(Content::Text {
        text: text("a"),
        citations: Some(Raw::literal(
            r#"[{"type":"web_search_result_location","url":"u","title":"t"},{"type":"char_location"}]"#,
        )),
    });
    let expected = json!({"search_results": [{"index": 1, "title": "t", "url": "u"}]});
    for text_only in [false, true] {
        let layout = Layout { text_only, ..Layout::default() };
        let answer = answer_of(vec![cited.clone()], StopReason::End);
        let (body, report) = write_answer(&answer, layout);
        assert_eq!(body["output"]["search_info"], expected);
        let lost: Vec<_> = report.losses().iter().map(|loss| loss.reason).collect();
        assert_eq!(lost, ["it cites no page"]);
    }
}

#[test]
fn endings_without_a_word_are_fatal() {
    let refusal = || vec![Part::new(Content::Refusal(text("no")))];
    let rows = [
        (refusal(), StopReason::Refusal, None),
        (vec![words("partial")], StopReason::Refusal, Some(Severity::Fatal)),
        (vec![], StopReason::ContentFilter, Some(Severity::Fatal)),
        (vec![], StopReason::Error, Some(Severity::Fatal)),
    ];
    for (parts, reason, expected) in rows {
        let (body, report) = write_answer(&answer_of(parts, reason), Layout::default());
        assert_eq!(report.losses().first().map(|loss| loss.severity), expected, "{reason:?}");
        if expected.is_none() {
            let choice = &body["output"]["choices"][0];
            assert_eq!(
                (&choice["finish_reason"], &choice["message"]["content"]),
                (&json!("stop"), &json!("no"))
            );
        }
    }
}
