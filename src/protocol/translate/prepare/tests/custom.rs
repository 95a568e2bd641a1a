use Protocol::{Anthropic, DashScope, Gemini, OpenAiChat, OpenAiResponses};
use serde_json::{Value, json};

use super::*;
use crate::protocol::report::Severity;

fn custom(format: Option<&'static str>) -> ToolKind<'static> {
    ToolKind::Custom { format: format.map(Raw::literal) }
}

fn schema(tool: &Tool<'_>) -> Value {
    match &tool.kind {
        ToolKind::Function { schema: Some(schema), .. } => {
            serde_json::from_str(schema.as_str()).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn free_text_is_wrapped_where_it_must_be() {
    let mut clone = Target::DEFAULT;
    clone.custom_tools = false;
    let rows = [
        (Anthropic, Target::DEFAULT, true),
        (Gemini, Target::DEFAULT, true),
        (DashScope, Target::DEFAULT, true),
        (OpenAiChat, Target::DEFAULT, false),
        (OpenAiResponses, Target::DEFAULT, false),
        (OpenAiChat, clone.clone(), true),
        (Anthropic, clone, true),
    ];
    for (to, target, wraps) in rows {
        let mut request = history("patch/1 f/2|=1 =2");
        request.tools = vec![tool("patch", custom(None)), function("f")];
        for part in &mut request.turns[0].parts {
            if let Content::ToolCall(call) = &mut part.content {
                if call.name == "patch" {
                    call.kind = ToolCallKind::Custom;
                    call.arguments = ToolArguments::Text(text("*** \"a\"\n"));
                }
            }
        }
        let (restore, report) = run(&mut request, to, &target);
        assert!(report.is_empty());
        assert_eq!(restore.is_empty(), !wraps, "{to}");
        let Content::ToolCall(call) = &request.turns[0].parts[0].content else { panic!() };
        let Content::ToolResult(result) = &request.turns[1].parts[0].content else { panic!() };
        if wraps {
            let expected = Raw::literal(r#"{"input":"*** \"a\"\n"}"#);
            assert_eq!(call.arguments, ToolArguments::Json(expected));
            assert_eq!((call.kind, result.kind), (ToolCallKind::Function, ToolCallKind::Function));
            let schema = schema(&request.tools[0]);
            assert_eq!(schema["properties"]["input"]["type"], "string");
            assert_eq!(schema["required"], json!(["input"]));
            assert_eq!(schema["additionalProperties"], false);
        } else {
            assert_eq!(call.arguments, ToolArguments::Text(text("*** \"a\"\n")));
            // The result has learned from its call what it is.
            assert_eq!((call.kind, result.kind), (ToolCallKind::Custom, ToolCallKind::Custom));
            assert!(matches!(request.tools[0].kind, ToolKind::Custom { .. }));
        }
    }
}

#[test]
fn a_grammar_is_told() {
    let rows = [
        (r#"{"type":"text"}"#, None),
        (r#"{"type":"grammar","syntax":"lark","definition":"a: \"b\"\n"}"#, Some("lark")),
        (
            r#"{"type":"grammar","grammar":{"syntax":"regex","definition":"a: \"b\"\n"}}"#,
            Some("regex"),
        ),
        (r#"{"type":"grammar","definition":7}"#, None),
        ("7", None),
    ];
    for (format, syntax) in rows {
        let mut request = Request::new(OpenAiChat);
        request.tools = vec![tool("patch", custom(Some(format)))];
        let (_, report) = run(&mut request, Anthropic, &Target::DEFAULT);
        let schema = schema(&request.tools[0]);
        let told = schema["properties"]["input"]["description"].as_str().unwrap();
        let losses: Vec<_> = report.losses().iter().map(|loss| loss.severity).collect();
        match syntax {
            Some(syntax) => {
                assert!(told.contains(syntax) && told.ends_with("a: \"b\"\n"), "{told}");
                assert_eq!(losses, [Severity::Degrade]);
            }
            None => assert!(losses.is_empty() && told.ends_with("free text."), "{told}"),
        }
    }
}

#[test]
fn a_changed_name_is_unwrapped_too() {
    let mut request = Request::new(OpenAiChat);
    request.tools = vec![tool("apply.patch", custom(None))];
    let (restore, _) = run(&mut request, Anthropic, &Target::DEFAULT);
    let mut expected = Restore::default();
    let name = request.tools[0].name.decode().into_owned();
    assert_ne!(name, "apply.patch");
    expected.rename("apply.patch".to_owned(), name.clone());
    expected.wrap(name);
    assert_eq!(restore, expected);
}
