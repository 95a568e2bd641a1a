use Protocol::{Anthropic, DashScope, OpenAiChat};

use super::*;
use crate::protocol::model::{CacheMark, Instruction, Place};
use crate::protocol::report::Severity;

const MARK: CacheMark<'static> = CacheMark(Raw::literal(r#"{"type":"ephemeral","ttl":"1h"}"#));

/// A request with a mark on its tool, its instruction, four words and a result within and without.
fn marked<'a>() -> Request<'a> {
    let mut request = history("1 2 3 4|f/1|=1");
    request.tools = vec![Tool { cache: Some(MARK), ..function("f") }];
    let mut told = Part::text(text("s"));
    told.cache = Some(MARK);
    request.instructions = vec![Instruction {
        developer: false,
        place: Place::Top,
        parts: vec![told],
        plain: true,
        name: None,
        rest: Rest::default(),
    }];
    request.turns[0].parts.iter_mut().for_each(|part| part.cache = Some(MARK));
    let answered = &mut request.turns[2].parts[0];
    answered.cache = Some(MARK);
    if let Content::ToolResult(result) = &mut answered.content {
        result.parts[0].cache = Some(MARK);
    }
    request
}

fn kept(request: &Request<'_>) -> String {
    let mut kept = String::new();
    let mut note = |name: &str, mark: &Option<CacheMark<'_>>| {
        assert!(mark.as_ref().is_none_or(|mark| *mark == MARK));
        kept.push_str(if mark.is_some() { name } else { "" });
    };
    note("t", &request.tools[0].cache);
    note("s", &request.instructions[0].parts[0].cache);
    for (part, name) in request.turns[0].parts.iter().zip(["1", "2", "3", "4"]) {
        note(name, &part.cache);
    }
    let answered = &request.turns[2].parts[0];
    if let Content::ToolResult(result) = &answered.content {
        note("i", &result.parts[0].cache);
    }
    note("r", &answered.cache);
    note("q", &request.cache);
    kept
}

#[test]
fn the_last_four_stay() {
    for (to, expected, losses) in
        [(Anthropic, "34ir", 4), (DashScope, "t34ir", 3), (OpenAiChat, "ts1234ir", 0)]
    {
        let mut request = marked();
        let (_, report) = run(&mut request, to, &Target::DEFAULT);
        assert_eq!(kept(&request), expected, "{to}");
        let losses: Vec<_> = vec![Severity::Ignore; losses];
        assert_eq!(report.losses().iter().map(|l| l.severity).collect::<Vec<_>>(), losses);
    }
    let mut request = marked();
    request.cache = Some(MARK);
    run(&mut request, Anthropic, &Target::DEFAULT);
    assert_eq!(kept(&request), "4irq");
}

#[test]
fn four_are_not_too_many() {
    let mut request = marked();
    request.turns[0].parts.iter_mut().for_each(|part| part.cache = None);
    assert!(run(&mut request, Anthropic, &Target::DEFAULT).1.is_empty());
    assert_eq!(kept(&request), "tsir");
}

#[test]
fn only_what_is_written_counts() {
    let with_mark = |content| Part { cache: Some(MARK), ..Part::new(content) };
    let empty = || with_mark(Content::Text { text: text(""), citations: None });
    let called = || with_mark(Content::ToolCall(call("f", "2")));
    for (more, to, expected) in [
        (empty(), Anthropic, "34ir"),
        (empty(), DashScope, "t34ir"),
        // Calls have marks in Messages alone.
        (called(), Anthropic, "4ir"),
        (called(), DashScope, "t34ir"),
    ] {
        let mut request = marked();
        request.turns[1].parts.push(more);
        run(&mut request, to, &Target::DEFAULT);
        assert_eq!(kept(&request), expected, "{to}");
    }
}
