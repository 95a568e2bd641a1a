use std::borrow::Cow;

use bytes::BytesMut;

use super::{AnswerPiece, Dialect, DialectError, NOT_JSON, Outgoing};
use crate::protocol::json::{ArrayWriter, JsonStr, ObjectWriter, Raw};
use crate::protocol::report::{Loss, Severity};

/// OpenAI's Completions, the API before Chat Completions: `POST /v1/completions`.
///
/// Many servers of open models still have only this one. What is said becomes one prompt: the
/// system texts, an empty line, then all other texts, one below the other. Tools and media cannot
/// be asked; roles, thinking and forms of output are reported as lost. The text of the answer is
/// the message of the assistant.
///
/// Source: <https://platform.openai.com/docs/api-reference/completions>.
#[derive(Debug, Clone, Copy, Default)]
pub struct Completions;

/// Members that Completions has too.
const SHARED: [&str; 13] = [
    "model",
    "temperature",
    "top_p",
    "n",
    "stream",
    "stream_options",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "user",
    "seed",
    "max_tokens",
];

impl Dialect for Completions {
    fn request(&self, request: &mut Outgoing<'_>) -> Result<(), DialectError> {
        request.set_path("/chat/completions", "/completions")?;
        let mut lost = Vec::new();
        request.rewrite(
            |name, value, object| {
                match name {
                    "messages" => {
                        object.str("prompt", &prompt(value)?);
                    }
                    "max_completion_tokens" => object.raw("max_tokens", value),
                    "tools" | "functions" if value.as_str() != "[]" => {
                        return Err(DialectError("Completions has no tools"));
                    }
                    name if SHARED.contains(&name) => object.raw(name, value),
                    name if value.as_str() != "null" => lost.push(format!("/{name}")),
                    _ => {}
                }
                Ok::<(), DialectError>(())
            },
            |_| {},
        )?;
        for pointer in lost {
            let reason = "not in Completions";
            request.report.add(Loss { pointer, reason, severity: Severity::Degrade });
        }
        Ok(())
    }

    fn answer<'a>(&self, document: &'a str, piece: AnswerPiece) -> Cow<'a, str> {
        as_chat(document, piece).map_or(Cow::Borrowed(document), Cow::Owned)
    }

    fn changes_answers(&self) -> bool {
        true
    }
}

/// All that is said, as one text.
fn prompt(messages: &Raw<'_>) -> Result<JsonStr<'static>, DialectError> {
    let (mut system, mut said) = (Vec::new(), Vec::new());
    let mut bad = None;
    let walked = messages.cursor().array(|_, c| {
        let message = c.raw()?;
        let role = message.member("role");
        let role = role.as_ref().and_then(Raw::as_json_str);
        let leads = role.is_some_and(|role| role == "system" || role == "developer");
        let into = if leads { &mut system } else { &mut said };
        if message.member("tool_calls").is_some() {
            bad = Some(DialectError("Completions has no tools"));
        }
        if let Some(content) = message.member("content") {
            texts(&content, into).map_err(|error| bad = Some(error)).ok();
        }
        Ok(())
    });
    walked.map_err(|_| NOT_JSON)?;
    if let Some(error) = bad {
        return Err(error);
    }
    let (system, said) = (system.join("\\n"), said.join("\\n"));
    let between = if system.is_empty() || said.is_empty() { "" } else { "\\n\\n" };
    Ok(JsonStr::from_escaped(format!("{system}{between}{said}")))
}

/// The texts of a content, escaped.
fn texts(content: &Raw<'_>, into: &mut Vec<String>) -> Result<(), DialectError> {
    if let Some(text) = content.as_json_str() {
        into.push(text.escaped().to_owned());
        return Ok(());
    }
    if content.as_str() == "null" {
        return Ok(());
    }
    let mut bad = None;
    let walked = content.cursor().array(|_, c| {
        let part = c.raw()?;
        let text = part.member("text");
        match text.as_ref().and_then(Raw::as_json_str) {
            Some(text) => into.push(text.escaped().to_owned()),
            None => bad = Some(DialectError("Completions takes only text")),
        }
        Ok(())
    });
    walked.map_err(|_| NOT_JSON)?;
    bad.map_or(Ok(()), Err)
}

/// A `text_completion` as a completion of Chat; `None` for whatever is none.
fn as_chat(document: &str, piece: AnswerPiece) -> Option<String> {
    let member = if piece == AnswerPiece::Event { "delta" } else { "message" };
    let answer = Raw::parse(document).ok()?;
    answer.member("choices")?;
    let mut out = BytesMut::with_capacity(document.len() + 64);
    let mut object = ObjectWriter::begin(&mut out);
    let walked = answer.cursor().object(|key, c| {
        let value = c.raw()?;
        if key != "choices" {
            object.raw(key.escaped(), &value);
            return Ok(());
        }
        let mut items = ArrayWriter::begin(object.key("choices"));
        value.cursor().array(|_, c| {
            let choice = c.raw()?;
            items.object(|item| write_choice(&choice, member, item));
            Ok(())
        })?;
        items.end();
        Ok(())
    });
    object.end();
    walked.ok()?;
    String::from_utf8(out.to_vec()).ok()
}

fn write_choice(choice: &Raw<'_>, member: &str, item: &mut ObjectWriter<'_>) {
    // It was parsed, so it can be walked.
    let _ = choice.cursor().object(|key, c| {
        let value = c.raw()?;
        match &*key.decode() {
            "text" => item.object(member, |message| {
                message.plain("role", "assistant");
                message.raw("content", &value);
            }),
            // Its form is another one there.
            "logprobs" => {}
            _ => item.raw(key.escaped(), &value),
        }
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Uri};

    use super::*;
    use crate::protocol::report::TranslationReport;

    fn sent(body: &str) -> Result<(String, String, TranslationReport), DialectError> {
        let mut uri = Uri::from_static("https://h/v1/chat/completions?a=b");
        let (mut headers, mut body) = (HeaderMap::new(), BytesMut::from(body));
        let mut report = TranslationReport::default();
        Completions.request(&mut Outgoing {
            uri: &mut uri,
            headers: &mut headers,
            body: &mut body,
            report: &mut report,
        })?;
        Ok((uri.to_string(), String::from_utf8(body.to_vec()).unwrap(), report))
    }

    #[test]
    fn requests() {
        let (uri, body, report) = sent(
            r#"{"model":"m","messages":[{"role":"system","content":"Be \"brief\"."},
                {"role":"user","content":[{"type":"text","text":"a\nb"}]},
                {"role":"assistant","content":"c"},{"role":"user","content":"d"}],
                "max_completion_tokens":5,"stream":true,"reasoning_effort":"low","store":null}"#,
        )
        .unwrap();
        assert_eq!(uri, "https://h/v1/completions?a=b");
        assert_eq!(
            body,
            r#"{"model":"m","prompt":"Be \"brief\".\n\na\nb\nc\nd","max_tokens":5,"stream":true}"#
        );
        let pointers: Vec<_> = report.losses().iter().map(|loss| &*loss.pointer).collect();
        assert_eq!(pointers, ["/reasoning_effort"]);
    }

    #[test]
    fn what_cannot_be_asked() {
        for body in [
            r#"{"messages":[],"tools":[{"type":"function"}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]}"#,
            r#"{"messages":[{"role":"assistant","content":null,"tool_calls":[]}]}"#,
            "[]",
        ] {
            assert!(sent(body).is_err(), "{body}");
        }
    }

    #[test]
    fn answers() {
        let whole = r#"{"id":"c","object":"text_completion","choices":[{"text":"Hi","index":0,"logprobs":null,"finish_reason":"stop"}]}"#;
        assert_eq!(
            Completions.answer(whole, AnswerPiece::Whole),
            r#"{"id":"c","object":"text_completion","choices":[{"message":{"role":"assistant","content":"Hi"},"index":0,"finish_reason":"stop"}]}"#
        );
        let event = Completions.answer(whole, AnswerPiece::Event);
        assert!(event.contains(r#""delta":{"role":"assistant","content":"Hi"}"#), "{event}");
        for other in ["[DONE]", r#"{"error":{"message":"x"}}"#, ""] {
            assert_eq!(Completions.answer(other, AnswerPiece::Event), other);
        }
    }
}
