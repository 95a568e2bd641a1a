//! Counting the tokens of a prompt, where the caller's protocol has a question for it.

use std::borrow::Cow;

use bytes::BytesMut;

use super::TranslateError;
use super::codec::codec;
use super::request::{self, RequestOptions, TranslatedRequest};
use crate::protocol::json::{JsonError, JsonStr, ObjectWriter, Raw};
use crate::protocol::model::{
    Content, Media, MediaKind, MediaSource, Part, Request, ToolArguments, ToolKind,
};
use crate::protocol::{Endpoint, Protocol};

/// A translated question for a count.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum CountRequest {
    /// The upstream counts.
    Ask(Box<TranslatedRequest>),
    /// The upstream has no such question: an estimate, see [`estimate`].
    Estimate {
        /// Tokens, about.
        tokens: u64,
        /// The model that the caller named.
        model: String,
    },
}

/// How one protocol asks for a count and answers.
pub(super) struct Count {
    /// What is to be counted, out of its wrapper.
    pub(super) unwrap: fn(&str) -> Result<Cow<'_, str>, JsonError>,
    /// Members that may stand in the question.
    pub(super) members: &'static [&'static str],
    /// Puts a request into its wrapper.
    pub(super) wrap: fn(&str, &str, &mut BytesMut),
    /// Where the question goes, by where the request itself would.
    pub(super) endpoint: fn(&Endpoint) -> Endpoint,
    pub(super) read_answer: fn(&str) -> Option<u64>,
    pub(super) write_answer: fn(u64, &mut BytesMut),
}

/// Translates a question for a count.
///
/// # Errors
/// As [`request`](super::request); [`TranslateError::Unsupported`] where the caller's protocol has
/// no such question.
pub fn count_request(
    from: Protocol,
    to: Protocol,
    body: &[u8],
    options: &RequestOptions<'_>,
) -> Result<CountRequest, TranslateError> {
    let asked = codec(from).count.as_ref().ok_or(TranslateError::Unsupported(from))?;
    let text = (asked.unwrap)(super::utf8(body)?)?;
    let Some(answering) = codec(to).count.as_ref() else {
        let mut request = (codec(from).read_request)(&text)?;
        if let Some(head) = &options.head {
            (codec(from).read_head)(&mut request, head);
        }
        let model = request.model.decode().into_owned();
        return Ok(CountRequest::Estimate { tokens: estimate(&request), model });
    };
    let mut translated = request::request(from, to, text.as_bytes(), options)?;
    let whole = std::mem::take(&mut translated.body);
    let whole = String::from_utf8_lossy(&whole);
    let mut kept = BytesMut::with_capacity(whole.len());
    keep_members(&whole, answering.members, &mut kept)?;
    let model = &translated.upstream_model;
    (answering.wrap)(model, &String::from_utf8_lossy(&kept), &mut translated.body);
    translated.endpoint = (answering.endpoint)(&translated.endpoint);
    Ok(CountRequest::Ask(Box::new(translated)))
}

/// An [`estimate`] for a question for a count, as it came.
///
/// # Errors
/// When the body is not of its protocol, or that has no such question.
pub fn estimate_count(from: Protocol, body: &[u8]) -> Result<u64, TranslateError> {
    let asked = codec(from).count.as_ref().ok_or(TranslateError::Unsupported(from))?;
    let text = (asked.unwrap)(super::utf8(body)?)?;
    Ok(estimate(&(codec(from).read_request)(&text)?))
}

/// The members of an object that are in the list.
fn keep_members(text: &str, members: &[&str], out: &mut BytesMut) -> Result<(), TranslateError> {
    let document = Raw::parse(text)?;
    let mut object = ObjectWriter::begin(out);
    document.cursor().object(|key, c| {
        let value = c.raw()?;
        if members.contains(&&*key.decode()) {
            object.raw(key.escaped(), &value);
        }
        Ok(())
    })?;
    object.end();
    Ok(())
}

/// Translates the answer to such a question.
///
/// # Errors
/// When it holds no count.
pub fn count_answer(from: Protocol, to: Protocol, body: &[u8]) -> Result<BytesMut, TranslateError> {
    let count = codec(from).count.as_ref().ok_or(TranslateError::Unsupported(from))?;
    let tokens = (count.read_answer)(super::utf8(body)?).ok_or(TranslateError::NoCount)?;
    write_count(to, tokens)
}

/// The answer of a protocol to a question for a count.
///
/// # Errors
/// When the protocol has none.
pub fn write_count(to: Protocol, tokens: u64) -> Result<BytesMut, TranslateError> {
    let count = codec(to).count.as_ref().ok_or(TranslateError::Unsupported(to))?;
    let mut out = BytesMut::new();
    (count.write_answer)(tokens, &mut out);
    Ok(out)
}

/// Tokens that an image is taken for.
const IMAGE_TOKENS: u64 = 1600;

/// Tokens that each message or tool costs beside its words.
const OVERHEAD: u64 = 4;

/// About how many tokens a request is: Chinese, Japanese and Korean characters by 1.5, other ones
/// but white space by 3.5, four for each message and tool, 1600 for an image; other media by their
/// size. Real tokenizers differ by a tenth or two to either side.
#[must_use]
pub fn estimate(request: &Request<'_>) -> u64 {
    let mut tally = Tally::default();
    for instruction in &request.instructions {
        tally.messages += 1;
        tally.parts(&instruction.parts);
    }
    for turn in &request.turns {
        tally.messages += 1;
        tally.parts(&turn.parts);
    }
    for tool in &request.tools {
        tally.messages += 1;
        tally.text(&tool.name);
        tool.description.iter().for_each(|text| tally.text(text));
        match &tool.kind {
            ToolKind::Function { schema, .. } => schema.iter().for_each(|raw| tally.raw(raw)),
            ToolKind::Custom { format } => format.iter().for_each(|raw| tally.raw(raw)),
            ToolKind::Server { raw, .. } => tally.raw(raw),
        }
    }
    tally.tokens()
}

#[derive(Default)]
struct Tally {
    wide: u64,
    narrow: u64,
    messages: u64,
    media: u64,
}

impl Tally {
    fn text(&mut self, text: &JsonStr<'_>) {
        self.plain(&text.decode());
    }

    fn raw(&mut self, raw: &Raw<'_>) {
        self.plain(raw.as_str());
    }

    fn plain(&mut self, text: &str) {
        for c in text.chars() {
            // From Hangul Jamo and the radicals on, without the emoji beyond.
            match c as u32 {
                0x1100..=0x11FF | 0x2E80..=0xD7FF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF => {
                    self.wide += 1;
                }
                _ if c.is_whitespace() => {}
                _ => self.narrow += 1,
            }
        }
    }

    fn parts(&mut self, parts: &[Part<'_>]) {
        for part in parts {
            match &part.content {
                Content::Text { text, .. } | Content::Refusal(text) => self.text(text),
                Content::Reasoning { text, .. } => text.iter().for_each(|text| self.text(text)),
                Content::ToolCall(call) => {
                    self.text(&call.name);
                    match &call.arguments {
                        ToolArguments::Json(raw) => self.raw(raw),
                        ToolArguments::Text(text) => self.text(text),
                    }
                }
                Content::ToolResult(result) => self.parts(&result.parts),
                Content::Media(media) => self.medium(media),
                Content::Other { raw, .. } => self.raw(raw),
            }
        }
    }

    fn medium(&mut self, media: &Media<'_>) {
        match &media.source {
            _ if media.kind == MediaKind::Image => self.media += IMAGE_TOKENS,
            // Four characters of base64 are three bytes; a page of PDF has far more bytes than words.
            MediaSource::Base64 { data, .. } => self.media += data.escaped().len() as u64 / 32,
            MediaSource::Text { data, .. } => self.text(data),
            MediaSource::Parts { parts, .. } => self.parts(parts),
            _ => self.media += IMAGE_TOKENS,
        }
    }

    fn tokens(&self) -> u64 {
        // In sevenths of a third, so that no floats are needed: 1/1.5 = 14/21 and 1/3.5 = 6/21.
        let words = (self.wide * 14 + self.narrow * 6).div_ceil(21);
        words + self.messages * OVERHEAD + self.media
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens_of(text: &str) -> u64 {
        let mut tally = Tally::default();
        tally.plain(text);
        tally.tokens()
    }

    #[test]
    fn words_are_weighed() {
        assert_eq!(tokens_of(""), 0);
        assert_eq!(tokens_of("hello world"), 3); // 10 / 3.5
        assert_eq!(tokens_of("你好世界"), 3); // 4 / 1.5
        assert_eq!(tokens_of("   "), 0);
    }

    #[test]
    fn only_what_may_be_counted_is_asked() {
        let body = br#"{"model":"m","max_tokens":9,"temperature":0.5,"stream":true,
            "system":"s","messages":[{"role":"user","content":"Hi"}]}"#;
        let mut out = BytesMut::new();
        keep_members(std::str::from_utf8(body).unwrap(), &["model", "messages"], &mut out).unwrap();
        assert_eq!(out, r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#);
    }

    #[test]
    fn an_upstream_without_the_question_is_estimated() {
        let body = br#"{"model":"m","messages":[{"role":"user","content":"Hello there"}]}"#;
        let options = RequestOptions::default();
        let found =
            count_request(Protocol::Anthropic, Protocol::OpenAiChat, body, &options).unwrap();
        assert_eq!(found, CountRequest::Estimate { tokens: 7, model: "m".to_owned() });
        let answer = write_count(Protocol::Anthropic, 7).unwrap();
        assert_eq!(answer, r#"{"input_tokens":7}"#);
        assert_eq!(
            count_request(Protocol::OpenAiChat, Protocol::Anthropic, body, &options),
            Err(TranslateError::Unsupported(Protocol::OpenAiChat))
        );
    }

    #[test]
    fn answers() {
        use Protocol::{Anthropic, Gemini, OpenAiResponses};
        let of_gemini = br#"{"totalTokens":31,"promptTokensDetails":[]}"#;
        assert_eq!(count_answer(Gemini, Anthropic, of_gemini).unwrap(), r#"{"input_tokens":31}"#);
        assert_eq!(
            count_answer(Anthropic, OpenAiResponses, br#"{"input_tokens":4}"#).unwrap(),
            r#"{"object":"response.input_tokens","input_tokens":4}"#
        );
        assert_eq!(count_answer(Gemini, Anthropic, b"{}"), Err(TranslateError::NoCount));
    }
}
