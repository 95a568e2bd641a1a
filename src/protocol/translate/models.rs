//! Lists of models, in the shape that the caller knows.

use bytes::BytesMut;

use super::codec::codec;
use super::{TranslateError, utf8};
use crate::protocol::Protocol;
use crate::protocol::json::{Cursor, JsonError, JsonStr};
use crate::protocol::model::ModelInfo;

/// Most models of a list that are kept: no vendor has as many.
pub const MAX_MODELS: usize = 10_000;

/// How one protocol lists models.
pub(super) struct Models {
    /// Where the list is.
    pub(super) path: &'static str,
    /// Query that asks for all of it.
    pub(super) query: Option<&'static str>,
    /// The member that holds the list.
    pub(super) member: &'static str,
    pub(super) read: for<'a> fn(&mut Cursor<'a>) -> Result<ModelInfo<'a>, JsonError>,
    pub(super) write: fn(&ModelInfo<'_>, &mut BytesMut),
    pub(super) write_list: fn(&[ModelInfo<'_>], &mut BytesMut),
}

fn models(protocol: Protocol) -> Result<&'static Models, TranslateError> {
    codec(protocol).models.as_ref().ok_or(TranslateError::Unsupported(protocol))
}

/// Path and query of the list of models at an upstream.
///
/// # Errors
/// When the protocol has none (DashScope).
pub fn models_endpoint(
    to: Protocol,
) -> Result<(&'static str, Option<&'static str>), TranslateError> {
    let models = models(to)?;
    Ok((models.path, models.query))
}

/// Translates a list of models, or one of them. A list is always one page: the upstream is asked
/// for as many as it gives at once.
///
/// # Errors
/// When it is neither.
pub fn models_answer(
    from: Protocol,
    to: Protocol,
    body: &[u8],
    one: bool,
) -> Result<BytesMut, TranslateError> {
    let (source, target) = (models(from)?, models(to)?);
    let text = utf8(body)?;
    let mut out = BytesMut::with_capacity(text.len());
    if one {
        let model = (source.read)(&mut Cursor::new(text))?;
        (target.write)(&model, &mut out);
        return Ok(out);
    }
    let mut found = Vec::new();
    Cursor::new(text).object(|key, c| {
        if key != source.member {
            return c.raw().map(drop);
        }
        c.array(|_, c| {
            let model = (source.read)(c)?;
            if !model.id.is_empty() && found.len() < MAX_MODELS {
                found.push(model);
            }
            Ok(())
        })
    })?;
    (target.write_list)(&found, &mut out);
    Ok(out)
}

/// A list of models by their names alone.
///
/// # Errors
/// When the protocol has no such list.
pub fn write_models<'n>(
    to: Protocol,
    names: impl IntoIterator<Item = &'n str>,
) -> Result<BytesMut, TranslateError> {
    let found: Vec<_> =
        names.into_iter().map(|name| ModelInfo::new(JsonStr::from_plain(name))).collect();
    let mut out = BytesMut::new();
    (models(to)?.write_list)(&found, &mut out);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Protocol::{Anthropic, Gemini, OpenAiChat, OpenAiResponses};

    #[test]
    fn lists() {
        let of_openai = br#"{"object":"list","data":[
            {"id":"gpt","object":"model","created":1700000000,"owned_by":"openai"}]}"#;
        let rows = [
            (
                Anthropic,
                concat!(
                    r#"{"data":[{"type":"model","id":"gpt","display_name":"gpt","#,
                    r#""created_at":"2023-11-14T22:13:20Z"}],"has_more":false,"#,
                    r#""first_id":"gpt","last_id":"gpt"}"#
                ),
            ),
            (
                Gemini,
                concat!(
                    r#"{"models":[{"name":"models/gpt","displayName":"gpt","#,
                    r#""supportedGenerationMethods":["generateContent","streamGenerateContent","countTokens"]}]}"#
                ),
            ),
            (
                OpenAiResponses,
                r#"{"object":"list","data":[{"id":"gpt","object":"model","created":1700000000,"owned_by":"openai"}]}"#,
            ),
        ];
        for (to, expected) in rows {
            assert_eq!(models_answer(OpenAiChat, to, of_openai, false).unwrap(), expected, "{to}");
        }
        let of_anthropic = br#"{"data":[{"type":"model","id":"claude","display_name":"Claude",
            "created_at":"2023-11-14T22:13:20Z"}],"has_more":true}"#;
        assert_eq!(
            models_answer(Anthropic, OpenAiChat, of_anthropic, false).unwrap(),
            r#"{"object":"list","data":[{"id":"claude","object":"model","created":1700000000,"owned_by":"upstream"}]}"#
        );
    }

    #[test]
    fn one_model() {
        let of_gemini = br#"{"name":"models/g","displayName":"G","inputTokenLimit":7}"#;
        assert_eq!(
            models_answer(Gemini, OpenAiChat, of_gemini, true).unwrap(),
            r#"{"id":"g","object":"model","created":0,"owned_by":"upstream"}"#
        );
        assert_eq!(
            models_answer(Gemini, Anthropic, of_gemini, true).unwrap(),
            concat!(
                r#"{"type":"model","id":"g","display_name":"G","#,
                r#""created_at":"1970-01-01T00:00:00Z","max_input_tokens":7}"#
            )
        );
        assert!(models_answer(Gemini, Anthropic, b"[]", true).is_err());
    }

    #[test]
    fn nobody_lists_for_dashscope() {
        let error = TranslateError::Unsupported(Protocol::DashScope);
        assert_eq!(models_endpoint(Protocol::DashScope), Err(error));
        assert_eq!(
            write_models(OpenAiChat, ["a"]).unwrap(),
            r#"{"object":"list","data":[{"id":"a","object":"model","created":0,"owned_by":"upstream"}]}"#
        );
    }
}
