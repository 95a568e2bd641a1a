use Protocol::{Anthropic, DashScope, Gemini, OpenAiChat};
use proptest::prelude::*;

use super::*;
use crate::protocol::model::{Candidate, Response, StreamEvent, ToolChoice};
use crate::protocol::play::play;
use crate::protocol::report::Severity;

fn names(request: &Request<'_>) -> Vec<String> {
    request.tools.iter().map(|tool| tool.name.decode().into_owned()).collect()
}

/// An answer that calls these tools.
fn answer<'a>(from: Protocol, names: &'a [String]) -> Response<'a> {
    let parts = names.iter().map(|name| Part::new(Content::ToolCall(call(name, "i")))).collect();
    let candidate = Candidate {
        index: 0,
        parts,
        stop: None,
        logprobs: None,
        spelling: Spelling::default(),
        message_rest: Rest::default(),
        rest: Rest::default(),
    };
    Response {
        origin: from,
        id: text("r"),
        model: text("m"),
        created: None,
        candidates: vec![candidate],
        usage: None,
        rest: Rest::default(),
    }
}

/// The names that a caller reads in an answer, finished and streamed.
fn restored(restore: &Restore, called: &[String]) -> (Vec<String>, Vec<String>) {
    let mut response = answer(OpenAiChat, called);
    let mut streamed = Vec::new();
    let mut streaming = restore.clone();
    play(&response, &mut |event| {
        streaming.event(event, &mut |event| {
            if let StreamEvent::PartStart {
                part: crate::protocol::model::PartStart::ToolCall { name, .. },
                ..
            } = event
            {
                streamed.push(name.decode().into_owned());
            }
        });
    });
    restore.clone().response(&mut response);
    let finished = response.candidates[0].parts.iter().map(|part| match &part.content {
        Content::ToolCall(call) => call.name.decode().into_owned(),
        other => panic!("{other:?}"),
    });
    (finished.collect(), streamed)
}

#[test]
fn names_that_the_target_takes() {
    let long = "n".repeat(65);
    let rows = [
        ("get_weather-2", Anthropic, true),
        (&long, Anthropic, true),
        (&long, OpenAiChat, false),
        (&long, Gemini, false),
        ("mcp.files:read", Gemini, true),
        ("mcp.files:read", OpenAiChat, false),
        ("mcp.files:read", Anthropic, false),
        ("2nd", OpenAiChat, true),
        ("2nd", Gemini, false),
        ("wetter für\u{1F326}", DashScope, false),
        ("", Anthropic, false),
    ];
    for (name, to, stays) in rows {
        let mut request = Request::new(OpenAiChat);
        request.tools = vec![function(name)];
        let (restore, report) = run(&mut request, to, &Target::DEFAULT);
        let names = names(&request);
        assert_eq!(names[0] == name, stays, "{name} to {to}: {names:?}");
        assert_eq!(restore.is_empty(), stays);
        assert!(report.is_empty());
        let back = restored(&restore, &names);
        assert_eq!(back, (vec![name.to_owned()], vec![name.to_owned()]));
    }
}

#[test]
fn a_changed_name_can_be_read() {
    let mut request = Request::new(OpenAiChat);
    request.tools = vec![function("mcp.files:read")];
    run(&mut request, Anthropic, &Target::DEFAULT);
    let changed = &names(&request)[0];
    assert!(changed.starts_with("mcp_files_read_") && changed.len() == 23, "{changed}");
}

#[test]
fn a_name_changes_wherever_it_stands() {
    let mut request = history("a.b/1 c/2|=1 =2");
    request.tools = vec![function("a.b"), function("c")];
    request.tool_choice = Some(ToolChoice::Tool(text("a.b")));
    run(&mut request, Anthropic, &Target::DEFAULT);
    let changed = names(&request)[0].clone();
    assert_eq!(short(&request), format!("{changed}/1 c/2|=1@{changed} =2@c"));
    assert!(matches!(&request.tool_choice, Some(ToolChoice::Tool(name)) if *name == *changed));
    let mut request = Request::new(OpenAiChat);
    let allowed = vec![text("a.b"), text("c")];
    request.tool_choice =
        Some(ToolChoice::Allowed { required: true, names: allowed, raw: Raw::literal("{}") });
    run(&mut request, Anthropic, &Target::DEFAULT);
    let Some(ToolChoice::Allowed { names, .. }) = &request.tool_choice else { panic!() };
    assert_eq!(*names, [text(&changed), text("c")]);
}

#[test]
fn a_changed_name_meets_no_other() {
    let mut request = Request::new(OpenAiChat);
    request.tools = vec![function("a.b")];
    run(&mut request, Anthropic, &Target::DEFAULT);
    let first = names(&request)[0].clone();
    let mut request = Request::new(OpenAiChat);
    request.tools = vec![function(&first), function("a.b")];
    let (restore, _) = run(&mut request, Anthropic, &Target::DEFAULT);
    let changed = names(&request);
    assert_eq!(changed[0], first);
    assert_ne!(changed[1], first);
    assert_eq!(restored(&restore, &changed).0, [first, "a.b".to_owned()]);
}

#[test]
fn a_tool_is_declared_once() {
    let schema = |raw| ToolKind::Function { schema: Some(Raw::literal(raw)), type_name: None };
    let server = || ToolKind::Server { kind: text("s"), raw: Raw::literal("{}") };
    let mut request = Request::new(OpenAiChat);
    request.tools = vec![
        tool("f", schema("{}")),
        tool("", server()),
        tool("f", schema("{}")),
        tool("g", schema("{}")),
        tool("", server()),
        tool("f", schema("[]")),
    ];
    let (_, report) = run(&mut request, Gemini, &Target::DEFAULT);
    assert_eq!(names(&request), ["f", "", "g", ""]);
    let losses: Vec<_> = report.losses().iter().map(|loss| loss.severity).collect();
    assert_eq!(losses, [Severity::Ignore, Severity::Degrade]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any names: taken by the target, unlike each other, and read back.
    #[test]
    fn names_come_back(
        given in proptest::collection::hash_set("[a-c.:é ]{0,3}|[a-z.]{60,70}", 1..8),
        to in proptest::sample::select(&Protocol::ALL[..]),
    ) {
        let given: Vec<String> = given.into_iter().collect();
        let mut request = Request::new(OpenAiChat);
        request.tools = given.iter().map(|name| function(name)).collect();
        let (restore, _) = run(&mut request, to, &Target::DEFAULT);
        let names = names(&request);
        let taken = |name: &str| {
            let signs = if to == Gemini { "_-.:" } else { "_-" };
            let longest = if to == Anthropic { 128 } else { 64 };
            let first = name.chars().next().unwrap_or('-');
            (1..=longest).contains(&name.len())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || signs.contains(c))
                && (to != Gemini || first == '_' || first.is_ascii_alphabetic())
        };
        prop_assert!(names.iter().all(|name| taken(name)), "{:?}", names);
        prop_assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), given.len());
        let (finished, streamed) = restored(&restore, &names);
        prop_assert_eq!(&finished, &given);
        prop_assert_eq!(streamed, given);
    }
}
