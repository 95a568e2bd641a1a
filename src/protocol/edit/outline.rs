use std::borrow::Cow;

use bytes::BytesMut;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::splice::{Object, Splices};
use super::system::{self, SystemEdit};
use super::{EditError, Edited, path};
use crate::protocol::Protocol;
use crate::protocol::json::{Cursor, JsonError, JsonStr, push_plain};

const DASHSCOPE_SSE: HeaderName = HeaderName::from_static("x-dashscope-sse");

/// The members of a request's top level that an edit or a reader of facts may want.
const MEMBERS: [&str; 14] = [
    "model",
    "stream",
    "stream_options",
    "metadata",
    "safety_identifier",
    "user",
    "prompt_cache_key",
    "previous_response_id",
    "system",
    "messages",
    "instructions",
    "input",
    "systemInstruction",
    "system_instruction",
];

/// A request body and where its members stand. Made in one pass, without a copy.
#[derive(Debug, Clone)]
pub struct Outline<'a> {
    pub(super) protocol: Protocol,
    pub(super) text: &'a str,
    pub(super) root: Object<'a>,
}

/// What a request says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The model asked for; in Gemini's path, else in the body.
    pub model: Option<JsonStr<'a>>,
    /// Whether a stream is asked for: in the body, for Gemini in the path, for DashScope in the
    /// headers.
    pub stream: bool,
    /// The end user: `metadata.user_id` (Messages, Responses), else `safety_identifier`, else `user`.
    pub user: Option<JsonStr<'a>>,
    /// `prompt_cache_key`.
    pub cache_key: Option<JsonStr<'a>>,
    /// `previous_response_id`.
    pub previous_response_id: Option<JsonStr<'a>>,
}

impl<'a> Outline<'a> {
    /// Reads a whole body.
    ///
    /// # Errors
    /// [`EditError::NotJson`] when it is no JSON object in UTF-8.
    pub fn read(protocol: Protocol, body: &'a [u8]) -> Result<Self, EditError> {
        let text = std::str::from_utf8(body)
            .map_err(|error| JsonError::new("invalid UTF-8", error.valid_up_to()))?;
        let mut cursor = Cursor::new(text);
        let root = Object::read(&mut cursor, 0, &MEMBERS)?;
        cursor.end()?;
        Ok(Self { protocol, text, root })
    }

    /// What the request says of itself. Values that are no strings count as absent.
    ///
    /// # Errors
    /// [`EditError::Duplicate`] when one of the members stands twice: nobody knows which one the
    /// upstream takes.
    pub fn facts(&self, uri: &Uri, headers: &HeaderMap) -> Result<Facts<'a>, EditError> {
        let string = |name| Ok::<_, EditError>(self.root.get(name)?.and_then(|item| item.as_str()));
        let stream = self.root.get("stream")?.is_some_and(|item| item.is_true());
        let (model, stream) = match self.protocol {
            Protocol::Gemini => {
                let model = path::gemini_model(uri.path()).map(Cow::into_owned);
                (model.map(JsonStr::from_plain), path::gemini_streams(uri.path()))
            }
            Protocol::DashScope => (string("model")?, dashscope_streams(headers)),
            _ => (string("model")?, stream),
        };
        let user = match (self.metadata_user()?, string("safety_identifier")?) {
            (Some(user), _) | (None, Some(user)) => Some(user),
            (None, None) => string("user")?,
        };
        Ok(Facts {
            model,
            stream,
            user,
            cache_key: string("prompt_cache_key")?,
            previous_response_id: string("previous_response_id")?,
        })
    }

    fn metadata_user(&self) -> Result<Option<JsonStr<'a>>, EditError> {
        match (self.protocol, self.root.get("metadata")?) {
            (Protocol::Anthropic | Protocol::OpenAiResponses, Some(metadata))
                if metadata.text.starts_with('{') =>
            {
                let metadata = Object::of(&metadata, &["user_id"])?;
                Ok(metadata.get("user_id")?.and_then(|item| item.as_str()))
            }
            _ => Ok(None),
        }
    }

    /// Asks for another model. For Gemini it is put into the path and the body stays.
    ///
    /// # Errors
    /// [`EditError::Duplicate`] when `model` stands twice; for Gemini those of
    /// [`set_gemini_model`](super::set_gemini_model).
    pub fn set_model(&self, uri: &mut Uri, model: &str) -> Result<Edited, EditError> {
        if self.protocol == Protocol::Gemini {
            path::set_gemini_model(uri, model)?;
            return Ok(Edited::Unchanged);
        }
        let present = self.root.get("model")?;
        if present.and_then(|item| item.as_str()).is_some_and(|name| name == model) {
            return Ok(Edited::Unchanged);
        }
        let mut splices = Splices::default();
        let mut value = BytesMut::with_capacity(model.len() + 2);
        push_plain(&mut value, model);
        match present {
            Some(item) => splices.replace(item.range(), value),
            None => splices.insert_member(&self.root, "model", &value),
        }
        Ok(splices.apply(self.text))
    }

    /// Asks for a stream or for one document: in the body, for Gemini in the path, for DashScope
    /// in the headers. Without a stream `stream_options` goes too, which OpenAI refuses then.
    ///
    /// # Errors
    /// [`EditError::Duplicate`] when the member stands twice; for Gemini those of
    /// [`set_gemini_stream`](super::set_gemini_stream).
    pub fn set_stream(
        &self,
        uri: &mut Uri,
        headers: &mut HeaderMap,
        stream: bool,
    ) -> Result<Edited, EditError> {
        match self.protocol {
            Protocol::Gemini => path::set_gemini_stream(uri, stream)?,
            Protocol::DashScope => set_dashscope_stream(headers, stream),
            _ => return self.set_stream_member(stream),
        }
        Ok(Edited::Unchanged)
    }

    fn set_stream_member(&self, stream: bool) -> Result<Edited, EditError> {
        let mut splices = Splices::default();
        let value = if stream { "true" } else { "false" };
        match self.root.get("stream")? {
            Some(item) => splices.replace(item.range(), value.into()),
            None if stream => splices.insert_member(&self.root, "stream", value.as_bytes()),
            None => {}
        }
        if let (false, Some(options)) = (stream, self.root.get("stream_options")?) {
            splices.remove(self.text, &options, &options);
        }
        Ok(splices.apply(self.text))
    }

    /// The texts of the system prompt, in their order.
    ///
    /// # Errors
    /// [`EditError::Shape`] and [`EditError::Duplicate`] when the system prompt cannot be read
    /// without doubt.
    pub fn system_texts(&self) -> Result<Vec<JsonStr<'a>>, EditError> {
        system::texts(self)
    }

    /// Edits the system prompt.
    ///
    /// # Errors
    /// As [`Outline::system_texts`].
    pub fn edit_system(&self, edit: &SystemEdit) -> Result<Edited, EditError> {
        system::apply(self, edit)
    }
}

fn dashscope_streams(headers: &HeaderMap) -> bool {
    let holds = |name: &HeaderName, word: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.to_ascii_lowercase().contains(word)
    };
    holds(&DASHSCOPE_SSE, "enable") || holds(&ACCEPT, "text/event-stream")
}

fn set_dashscope_stream(headers: &mut HeaderMap, stream: bool) {
    if stream {
        headers.insert(DASHSCOPE_SSE, HeaderValue::from_static("enable"));
    } else if dashscope_streams(headers) {
        headers.remove(DASHSCOPE_SSE);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    }
}
