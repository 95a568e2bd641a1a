//! Requests of Gemini: what they are in the hub, and that they come back as they stood.

use bytes::BytesMut;
use http::HeaderMap;
use serde_json::{Value, json};

use crate::protocol::gemini::request;
use crate::protocol::json::{JsonStr, Number};
use crate::protocol::model::{
    Content, Effort, OutputFormat, Part, ReasoningMode, Request, Role, Show, ToolChoice, ToolKind,
};
use crate::protocol::report::{Mode, Reporter, Severity};
use crate::protocol::translate::{RequestOptions, TranslatedRequest};
use crate::protocol::{Head, Protocol, Target, translate};
use crate::test_helpers::corpus::parse;

fn read(text: &str) -> Request<'_> {
    request::read(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn write(request: &Request<'_>, source: &str) -> Value {
    let mut report = Reporter::new(source);
    let mut out = BytesMut::new();
    request::write(request, &Target::default(), &mut report, &mut out);
    assert!(report.finish().is_empty(), "{source}");
    parse(&out)
}

fn to(protocol: Protocol, body: &Value) -> (Value, TranslatedRequest) {
    let options = RequestOptions { mode: Mode::Lenient, ..RequestOptions::default() };
    let body = body.to_string();
    let translated = translate::request(Protocol::Gemini, protocol, body.as_bytes(), &options);
    let translated = translated.unwrap();
    (parse(&translated.body), translated)
}

#[test]
fn every_form_comes_back() {
    for text in [
        r#"{}"#,
        r#"{"contents":[]}"#,
        r#"{"contents":null,"tools":null}"#,
        r#"{"contents":"Hi"}"#,
        r#"{"contents":["Hi",{"role":"model","parts":[{"text":"Ho"}]}]}"#,
        r#"{"contents":{"parts":{"text":"Hi"}}}"#,
        r#"{"contents":[{"parts":[{"text":"no role"}]}]}"#,
        r#"{"contents":[{"role":"","parts":"bare"}]}"#,
        r#"{"contents":[{"role":"function","parts":[{"functionResponse":{"name":"f","response":{}}}]}]}"#,
        r#"{"contents":[{"role":"model"},{"role":"user","parts":null,"x":1}]}"#,
        r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}],"x":1}]}"#,
        r#"{"systemInstruction":"Be","contents":[]}"#,
        r#"{"system_instruction":{"parts":{"text":"Be"}},"contents":[]}"#,
        r#"{"systemInstruction":{"parts":[{"text":"Be"}],"role":"user"}}"#,
        r#"{"systemInstruction":{"parts":[{"text":"Be"},{"text":"kind"}],"x":null}}"#,
        r#"{"systemInstruction":{}}"#,
        r#"{"model":"models/gemini-2.5-pro","contents":[],"store":true,"serviceTier":"flex","yet":{}}"#,
        r#"{"generation_config":{"max_output_tokens":"64","stop_sequences":["a"],"thinking_config":{"thinking_budget":-1}},
            "tool_config":{"function_calling_config":{"mode":"any"},"retrieval_config":{}},
            "safety_settings":[{}],"cached_content":"cachedContents/1","labels":{"a":"b"},
            "tools":[{"function_declarations":[{"name":"f","parameters_json_schema":{"type":"object"}}]},{"google_search":{}}]}"#,
        r#"{"generationConfig":{"responseSchema":{"type":"STRING"},"topK":null,"speechConfig":{}},
            "tools":{"functionDeclarations":{"name":"f","behavior":"BLOCKING"},"codeExecution":{}}}"#,
        r#"{"generateContentRequest":{"contents":[]}}"#,
    ] {
        assert_eq!(write(&read(text), text), parse(text.as_bytes()), "{text}");
    }
}

#[test]
fn another_model_is_asked_for_in_the_body_too() {
    let text = r#"{"model":"models/a","contents":[]}"#;
    let mut request = read(text);
    request.model = JsonStr::from_plain("b");
    assert_eq!(write(&request, text), json!({"model": "b", "contents": []}));
}

#[test]
fn edits_of_the_conversation_are_written() {
    for text in [
        r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}"#,
        r#"{"contents":[{"parts":[{"text":"Hi"}],"yet":1}]}"#,
        r#"{"contents":[{"role":"function","parts":[{"text":"Hi"}]}]}"#,
    ] {
        let mut request = read(text);
        request.turns[0].parts.push(Part::text(JsonStr::from_plain("Ho")));
        let mut wanted = parse(text.as_bytes());
        wanted["contents"][0]["parts"] = json!([{"text": "Hi"}, {"text": "Ho"}]);
        assert_eq!(write(&request, text), wanted);
    }
}

#[test]
fn roles_and_contents() {
    let text = r#"{"contents":[{"parts":[{"text":"a"}]},{"role":"MODEL","parts":[]},
        {"role":"function","parts":{"text":"b"}},"c"]}"#;
    let request = read(text);
    let roles: Vec<_> = request.turns.iter().map(|turn| turn.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User, Role::User]);
    assert_eq!(request.turns[2].parts.len(), 1);
    assert!(request.turns[3].plain);
}

#[test]
fn settings_are_read_in_every_spelling() {
    let camel = r#"{"generationConfig":{"temperature":0.5,"topP":0.9,"topK":40,"candidateCount":2,
        "maxOutputTokens":64,"stopSequences":["a","b"],"seed":7,"presencePenalty":0.1,
        "frequencyPenalty":0.2,"responseMimeType":"application/json","responseLogprobs":true,
        "logprobs":3,"thinkingConfig":{"thinkingBudget":1024,"includeThoughts":true},
        "responseModalities":["TEXT"],"mediaResolution":"MEDIA_RESOLUTION_LOW"}}"#;
    let snake = r#"{"generation_config":{"temperature":"0.5","top_p":0.9,"top_k":"40",
        "candidate_count":2,"max_output_tokens":"64","stop_sequences":["a","b"],"seed":"7",
        "presence_penalty":0.1,"frequency_penalty":0.2,"response_mime_type":"application/json",
        "response_logprobs":true,"logprobs":3,
        "thinking_config":{"thinking_budget":"1024","include_thoughts":true},
        "response_modalities":["text"],"media_resolution":"MEDIA_RESOLUTION_LOW"}}"#;
    for text in [camel, snake] {
        let request = read(text);
        let sampling = &request.sampling;
        let plain = |number: &Option<Number<'_>>| number.as_ref().unwrap().as_f64().unwrap();
        let numbers = [
            &sampling.temperature,
            &sampling.top_p,
            &sampling.top_k,
            &sampling.candidates,
            &request.max_output_tokens,
            &sampling.seed,
            &sampling.presence_penalty,
            &sampling.frequency_penalty,
            &request.logprobs.top,
            &request.reasoning.budget,
        ];
        let numbers: Vec<_> = numbers.into_iter().map(plain).collect();
        assert_eq!(numbers, [0.5, 0.9, 40.0, 2.0, 64.0, 7.0, 0.1, 0.2, 3.0, 1024.0]);
        assert_eq!(sampling.stop.as_ref().unwrap().len(), 2);
        assert_eq!(request.logprobs.enabled, Some(true));
        assert_eq!(request.reasoning.show, Some(Show::Summary));
        assert!(matches!(request.output, Some(OutputFormat::JsonObject)));
        assert_eq!(request.settings_rest.0.len(), 1);
    }
}

#[test]
fn thinking_is_read() {
    for (config, mode, effort) in [
        (r#"{"thinkingBudget":0}"#, Some(ReasoningMode::Off), None),
        (r#"{"thinkingBudget":-1}"#, Some(ReasoningMode::Adaptive), None),
        (r#"{"thinkingBudget":5}"#, Some(ReasoningMode::On), None),
        (r#"{"thinkingLevel":"HIGH"}"#, None, Some(Effort::High)),
        (r#"{"thinking_level":"minimal"}"#, None, Some(Effort::Minimal)),
        (r#"{"thinkingLevel":"THINKING_LEVEL_UNSPECIFIED"}"#, None, None),
        (r#"{"thinkingLevel":"yet unknown"}"#, None, None),
        (r#"{}"#, None, None),
    ] {
        let text = format!(r#"{{"generationConfig":{{"thinkingConfig":{config}}}}}"#);
        let reasoning = read(&text).reasoning;
        assert_eq!((reasoning.mode, reasoning.effort), (mode, effort), "{config}");
        assert_eq!(reasoning.rest.0.len(), usize::from(config.contains("yet")), "{config}");
    }
}

#[test]
fn output_forms_are_read() {
    for (config, kind) in [
        (r#"{"responseMimeType":"application/json"}"#, "object"),
        (r#"{"responseMimeType":"application/json","responseSchema":{"type":"STRING"}}"#, "schema"),
        (r#"{"response_json_schema":{"type":"string"}}"#, "schema"),
        (r#"{"responseMimeType":"text/plain"}"#, "text"),
        (r#"{"responseMimeType":"text/x.enum","responseSchema":{"type":"STRING"}}"#, "other"),
        (r#"{}"#, "none"),
    ] {
        let text = format!(r#"{{"generationConfig":{config}}}"#);
        let found = match read(&text).output {
            Some(OutputFormat::JsonObject) => "object",
            Some(OutputFormat::JsonSchema { schema: Some(schema), .. }) => {
                assert_eq!(schema.as_str(), r#"{"type":"string"}"#);
                "schema"
            }
            Some(OutputFormat::Text) => "text",
            Some(OutputFormat::Other(_)) => "other",
            Some(OutputFormat::JsonSchema { .. }) => "schemaless",
            None => "none",
        };
        assert_eq!(found, kind, "{config}");
    }
}

#[test]
fn tools_and_choices_are_read() {
    let text = r#"{"tools":[
        {"functionDeclarations":[{"name":"f","description":"d","parameters":{"type":"OBJECT"}},
            {"name":"g","parameters_json_schema":{"type":"object"},"response":{"type":"STRING"}}],
         "googleSearch":{"a":1}},
        {"url_context":{}},{"codeExecution":null}]}"#;
    let request = read(text);
    let tools: Vec<_> = request
        .tools
        .iter()
        .map(|tool| match &tool.kind {
            ToolKind::Function { schema, .. } => {
                let schema = schema.as_ref().unwrap().as_str();
                format!("{} {schema}", tool.name.decode())
            }
            ToolKind::Server { kind, raw } => format!("{} {}", kind.decode(), raw.as_str()),
            ToolKind::Custom { .. } => panic!("{tool:?}"),
        })
        .collect();
    assert_eq!(
        tools,
        [
            r#"f {"type":"object"}"#,
            r#"g {"type":"object"}"#,
            r#"googleSearch {"googleSearch":{"a":1}}"#,
            r#"urlContext {"url_context":{}}"#,
        ]
    );
    for (config, choice) in [
        (r#"{"mode":"AUTO"}"#, "auto"),
        (r#"{"mode":"none"}"#, "none"),
        (r#"{"mode":"any"}"#, "required"),
        (r#"{"mode":"ANY","allowedFunctionNames":["f"]}"#, "f"),
        (r#"{"mode":"ANY","allowed_function_names":["f","g"]}"#, "all of 2"),
        (r#"{"mode":"VALIDATED","allowedFunctionNames":["f"]}"#, "some of 1"),
        (r#"{"mode":"VALIDATED"}"#, "auto"),
        (r#"{"mode":"LATER"}"#, "other"),
        (r#"{"mode":null}"#, "unsaid"),
        (r#"{"mode":"MODE_UNSPECIFIED"}"#, "unsaid"),
    ] {
        let text = format!(r#"{{"toolConfig":{{"functionCallingConfig":{config}}}}}"#);
        let found = match read(&text).tool_choice {
            Some(ToolChoice::Auto) => "auto".to_owned(),
            Some(ToolChoice::None) => "none".to_owned(),
            Some(ToolChoice::Required) => "required".to_owned(),
            Some(ToolChoice::Tool(name)) => name.decode().into_owned(),
            Some(ToolChoice::Allowed { required, names, .. }) => {
                format!("{} of {}", if required { "all" } else { "some" }, names.len())
            }
            Some(ToolChoice::Other(_)) => "other".to_owned(),
            None => "unsaid".to_owned(),
        };
        assert_eq!(found, choice, "{config}");
    }
}

#[test]
fn errors_name_their_place() {
    for (text, pointer) in [
        (r#"[]"#, ""),
        (r#"{"contents":5}"#, "/contents"),
        (r#"{"contents":[{"role":"system","parts":[]}]}"#, "/contents/0"),
        (r#"{"contents":[{"role":"user","parts":[{"text":1}]}]}"#, "/contents/0/parts/0/text"),
        (r#"{"generationConfig":{"temperature":"hot"}}"#, "/generationConfig/temperature"),
        (r#"{"generation_config":{"seed":"7x"}}"#, "/generation_config/seed"),
        (
            r#"{"tools":[{"functionDeclarations":[{"name":5}]}]}"#,
            "/tools/0/functionDeclarations/0/name",
        ),
        (
            r#"{"toolConfig":{"functionCallingConfig":{"mode":1}}}"#,
            "/toolConfig/functionCallingConfig/mode",
        ),
    ] {
        assert_eq!(request::read(text).unwrap_err().pointer(), pointer, "{text}");
    }
}

#[test]
fn the_head_says_model_and_stream() {
    for (path, query, model, stream, json_array) in [
        ("/v1beta/models/m:generateContent", None, "m", Some(false), false),
        ("/v1beta/models/m:streamGenerateContent", Some("alt=sse"), "m", Some(true), false),
        ("/v1beta/models/m:streamGenerateContent", Some("key=1"), "m", Some(true), true),
        ("/v1beta/tunedModels/m%3Ax:generateContent", None, "tunedModels/m:x", Some(false), false),
        (
            "/v1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent",
            None,
            "m",
            Some(true),
            true,
        ),
        ("/v1/messages", None, "body", None, false),
    ] {
        let mut request = read(r#"{"model":"body"}"#);
        let head = Head { path, query, headers: &HeaderMap::new() };
        request::read_head(&mut request, &head);
        assert_eq!(request.model, model, "{path}");
        assert_eq!(request.stream, stream, "{path}");
        assert_eq!(request.layout.json_array, json_array, "{path}");
    }
}

#[test]
fn the_endpoint_names_model_and_action() {
    for (model, stream, path, query) in [
        ("gemini-2.5-pro", None, "/v1beta/models/gemini-2.5-pro:generateContent", None),
        ("models/m", Some(true), "/v1beta/models/m:streamGenerateContent", Some("alt=sse")),
        ("tunedModels/m", Some(false), "/v1beta/tunedModels/m:generateContent", None),
        (
            "x:streamGenerateContent?alt=json#",
            None,
            "/v1beta/models/x%3AstreamGenerateContent%3Falt%3Djson%23:generateContent",
            None,
        ),
    ] {
        let mut request = Request::new(Protocol::OpenAiChat);
        request.model = JsonStr::from_plain(model);
        request.stream = stream;
        let endpoint = request::endpoint(&request, &Target::default());
        assert_eq!((&*endpoint.path, endpoint.query), (path, query), "{model}");
        assert!(http::uri::PathAndQuery::try_from(&*endpoint.path).is_ok());
    }
}

#[test]
fn others_get_json_schema_and_plain_base64() {
    let (value, translated) = to(
        Protocol::Anthropic,
        &json!({
            "contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": "a-_k"}}]}],
            "tools": [{"functionDeclarations": [{"name": "f", "parameters":
                {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": true}}}}]}],
            "generationConfig": {"responseMimeType": "application/json",
                "responseSchema": {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}}}
        }),
    );
    let schema = json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}}});
    assert_eq!(value["tools"][0]["input_schema"], schema);
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    assert_eq!(value["output_config"]["format"]["schema"], schema);
    assert_eq!(value["messages"][0]["content"][0]["source"]["data"], "a+/k");
    assert!(translated.report.is_empty(), "{}", translated.report);
}

#[test]
fn others_get_calls_paired_with_their_results() {
    let (value, translated) = to(
        Protocol::Anthropic,
        &json!({"contents": [
            {"parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"function_call": {"name": "f", "args": null}},
                {"function_call": {"name": "g", "args": {"a": 1}}}]},
            {"parts": [{"function_response": {"name": "g", "response": {"error": "no"}}},
                {"function_response": {"name": "f", "response": {"result": "yes"}}}]}
        ]}),
    );
    let calls = value["messages"][1]["content"].as_array().unwrap();
    assert_eq!(calls[0]["input"], json!({}));
    let results = value["messages"][2]["content"].as_array().unwrap();
    let result = |call: usize| {
        let id = &calls[call]["id"];
        results.iter().find(|result| result["tool_use_id"] == *id).unwrap()
    };
    assert_eq!(result(0)["content"], "yes");
    assert_eq!(result(1)["content"], "no");
    assert_eq!(result(1)["is_error"], true);
    assert!(translated.report.is_empty(), "{}", translated.report);
}

#[test]
fn others_say_what_they_leave_out() {
    let (_, translated) = to(
        Protocol::Anthropic,
        &json!({
            "contents": [{"role": "user", "parts": [{"text": "Hi", "videoMetadata": {"fps": 1}}]}],
            "toolConfig": {"retrievalConfig": {"languageCode": "de"}},
            "generationConfig": {"speechConfig": {"a": 1}, "responseModalities": ["AUDIO"]},
            "safetySettings": [{"category": "c"}], "cachedContent": "c/1", "labels": {"a": "b"}
        }),
    );
    let lost: Vec<_> =
        translated.report.losses().iter().map(|loss| (&*loss.pointer, loss.severity)).collect();
    for wanted in [
        ("/contents/0/parts/0/videoMetadata", Severity::Ignore),
        ("/toolConfig/retrievalConfig", Severity::Ignore),
        ("/generationConfig/speechConfig", Severity::Degrade),
        ("/generationConfig/responseModalities", Severity::Degrade),
        ("/safetySettings", Severity::Degrade),
        ("/cachedContent", Severity::Fatal),
        ("/labels", Severity::Ignore),
    ] {
        assert!(lost.contains(&wanted), "{wanted:?} of {lost:?}");
    }
}

#[test]
fn a_text_with_a_signature_stays_one_part() {
    let text = r#"{"contents":[{"role":"model","parts":[{"text":"a"},{"text":"b","thoughtSignature":"c2ln"},{"text":""}]}]}"#;
    let request = read(text);
    let parts = &request.turns[0].parts;
    assert_eq!(parts.len(), 3);
    assert!(parts[1].seal.is_some() && parts[0].seal.is_none());
    assert!(matches!(&parts[2].content, Content::Text { text, .. } if text.is_empty()));
}
