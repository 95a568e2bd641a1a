//! One event of a stream, borrowed. What is not of the right kind is as good as absent.

use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, Raw};

/// An event.
#[derive(Default)]
pub(super) struct Event<'a> {
    /// Its `type`.
    pub(super) kind: JsonStr<'a>,
    pub(super) response: Option<Raw<'a>>,
    pub(super) item: Option<Raw<'a>>,
    pub(super) part: Option<Raw<'a>>,
    pub(super) annotation: Option<Raw<'a>>,
    pub(super) logprobs: Option<Raw<'a>>,
    pub(super) error: Option<Raw<'a>>,
    pub(super) output_index: Option<u64>,
    /// `content_index` or `summary_index`.
    pub(super) place: u64,
    pub(super) delta: JsonStr<'a>,
    /// What an event that ends something repeats: `text`, `refusal`, `arguments` or `input`.
    pub(super) whole: JsonStr<'a>,
    /// It says `message` or `detail`, as errors of other servers do.
    pub(super) complains: bool,
}

impl<'a> Event<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, JsonError> {
        let mut event = Self::default();
        let mut c = Cursor::new(text);
        c.object(|key, c| event.member(&key, c))?;
        c.end()?;
        Ok(event)
    }

    fn member(&mut self, key: &JsonStr<'a>, c: &mut Cursor<'a>) -> Result<(), JsonError> {
        match (&*key.decode(), c.kind()?) {
            ("type", Kind::String) => self.kind = c.string()?,
            ("delta", Kind::String) => self.delta = c.string()?,
            ("text" | "refusal" | "arguments" | "input", Kind::String) => {
                self.whole = c.string()?;
            }
            ("output_index", Kind::Number) => self.output_index = c.number()?.as_u64(),
            ("content_index" | "summary_index", Kind::Number) => {
                self.place = c.number()?.as_u64().unwrap_or(0);
            }
            ("response", Kind::Object) => self.response = Some(c.raw()?),
            ("item", Kind::Object) => self.item = Some(c.raw()?),
            ("part", Kind::Object) => self.part = Some(c.raw()?),
            ("annotation", Kind::Object) => self.annotation = Some(c.raw()?),
            ("logprobs", Kind::Array) => self.logprobs = Some(c.raw()?),
            ("error", Kind::Object | Kind::String) => self.error = Some(c.raw()?),
            (name, _) => {
                self.complains |= matches!(name, "message" | "detail");
                c.raw()?;
            }
        }
        Ok(())
    }

    /// What a delta adds. Old servers of the summary say `text`.
    pub(super) fn piece(&self) -> &JsonStr<'a> {
        if self.delta.is_empty() { &self.whole } else { &self.delta }
    }
}
