//! The state that Responses keeps at the vendor: what a request asks for, and whose the answer is.

use bytes::{Bytes, BytesMut};

use super::splice::{Item, Object, Splices};
use super::{EditError, Edited};
use crate::protocol::json::{Cursor, JsonError, JsonStr, Kind, ObjectWriter, push_plain};

/// Most items of one input that are taken apart.
pub const MAX_INPUT_ITEMS: usize = 100_000;

const PREVIOUS: &str = "previous_response_id";
const SEALED_THINKING: &str = "reasoning.encrypted_content";

/// A request to Responses and what it says of the state between requests.
///
/// ```
/// use tower_llm_gateway::protocol::edit::{Edited, StatefulRequest};
///
/// let body = br#"{"input":"And now?","previous_response_id":"resp_1"}"#;
/// let request = StatefulRequest::read(body)?;
/// assert!(request.stores() && request.previous().is_some_and(|id| *id == *"resp_1"));
/// let history = [br#"{"role":"user","content":"Hi"}"#.as_slice().into()];
/// let expected = concat!(
///     r#"{"store":false,"input":[{"role":"user","content":"Hi"},"#,
///     r#"{"type":"message","role":"user","content":"And now?"}],"previous_response_id":null}"#,
/// );
/// assert_eq!(request.without_state(&history)?, Edited::Changed(expected.into()));
/// # Ok::<(), tower_llm_gateway::protocol::edit::EditError>(())
/// ```
#[derive(Debug, Clone)]
pub struct StatefulRequest<'a> {
    text: &'a str,
    root: Object<'a>,
    previous: Option<JsonStr<'a>>,
    store: bool,
    /// A member that only the vendor's own store could serve.
    foreign: Option<&'static str>,
}

impl<'a> StatefulRequest<'a> {
    /// Reads a whole body.
    ///
    /// # Errors
    /// When it is no JSON object in UTF-8, or one of the members that it looks at stands twice or
    /// is malformed.
    pub fn read(body: &'a [u8]) -> Result<Self, EditError> {
        let names =
            ["input", PREVIOUS, "store", "include", "reasoning", "conversation", "background"];
        let (text, root) = object(body, &names)?;
        let previous = present(&root, PREVIOUS)?
            .map(|item| item.as_str().ok_or(EditError::Shape(PREVIOUS)))
            .transpose()?;
        let store = match present(&root, "store")?.map(|item| item.text) {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => return Err(EditError::Shape("store")),
        };
        let conversation = present(&root, "conversation")?.map(|_| "conversation");
        let background = present(&root, "background")?.filter(Item::is_true);
        let foreign = conversation.or(background.map(|_| "background"));
        Ok(Self { text, root, previous, store, foreign })
    }

    /// A member that only the vendor's own store could serve: `conversation`, `background`, or an
    /// item of the input that stands for one kept there.
    ///
    /// # Errors
    /// As [`Self::input`].
    pub fn foreign_state(&self) -> Result<Option<&'static str>, EditError> {
        let mut foreign = self.foreign;
        if let Some(input) = present(&self.root, "input")?.filter(|i| i.kind() == Some(Kind::Array))
        {
            input.each(|item| {
                let kind = Cursor::new(item.text).peek_str("type");
                if kind.is_some_and(|kind| kind == *"item_reference") {
                    foreign = Some("item_reference");
                }
                Ok(foreign.is_none())
            })?;
        }
        Ok(foreign)
    }

    /// The answer that this request goes on from.
    #[must_use]
    pub fn previous(&self) -> Option<&JsonStr<'a>> {
        self.previous.as_ref()
    }

    /// Whether the answer is to be kept. True where nothing is said, as the vendor has it.
    #[must_use]
    pub fn stores(&self) -> bool {
        self.store
    }

    /// Its own input as items, each as it stood; a text is one message of the user.
    ///
    /// # Errors
    /// [`EditError::Shape`] when `input` is neither a text nor a list.
    pub fn input(&self) -> Result<Vec<Bytes>, EditError> {
        let Some(input) = present(&self.root, "input")? else { return Ok(Vec::new()) };
        match input.kind() {
            Some(Kind::String) => Ok(vec![message(&input).freeze()]),
            Some(Kind::Array) => items(&input),
            _ => Err(EditError::Shape("input")),
        }
    }

    /// The request for an upstream that keeps nothing: `history` stands before its input,
    /// `previous_response_id` is null, `store` is false. Where it asks for thinking it also asks
    /// for its sealed form, without which such an upstream could not go on thinking.
    ///
    /// # Errors
    /// [`EditError::Shape`] when `input` is neither a text nor a list.
    pub fn without_state(&self, history: &[Bytes]) -> Result<Edited, EditError> {
        let mut splices = self.expanded(history)?;
        match self.root.get("store")? {
            Some(item) => splices.replace(item.range(), "false".into()),
            None => splices.insert_member(&self.root, "store", b"false"),
        }
        if self.store && present(&self.root, "reasoning")?.is_some() {
            self.ask_for_seals(&mut splices)?;
        }
        Ok(splices.apply(self.text))
    }

    /// As [`Self::without_state`] for a request that stores nothing anyway: a count.
    ///
    /// # Errors
    /// As [`Self::without_state`].
    pub fn with_history(&self, history: &[Bytes]) -> Result<Edited, EditError> {
        Ok(self.expanded(history)?.apply(self.text))
    }

    fn expanded(&self, history: &[Bytes]) -> Result<Splices, EditError> {
        let mut splices = Splices::default();
        // Not taken out: it may be the only member, where the others need no comma.
        if let Some(item) = self.root.get(PREVIOUS)? {
            splices.replace(item.range(), "null".into());
        }
        if history.is_empty() {
            return Ok(splices);
        }
        let joined = history.join(&b","[..]);
        let input = self.root.get("input")?;
        match input.and_then(|item| Some((item, item.kind()?))) {
            Some((item, Kind::Array)) => {
                splices.insert_first(&item, BytesMut::from(&joined[..]));
            }
            Some((item, Kind::String)) => {
                splices.replace(item.range(), list(&joined, &message(&item)));
            }
            Some((item, Kind::Null)) => splices.replace(item.range(), list(&joined, b"")),
            Some(_) => return Err(EditError::Shape("input")),
            None => splices.insert_member(&self.root, "input", &list(&joined, b"")),
        }
        Ok(splices)
    }

    fn ask_for_seals(&self, splices: &mut Splices) -> Result<(), EditError> {
        let include = self.root.get("include")?;
        let mut wanted = BytesMut::new();
        push_plain(&mut wanted, SEALED_THINKING);
        match include.and_then(|item| Some((item, item.kind()?))) {
            None => splices.insert_member(&self.root, "include", &list(&wanted, b"")),
            Some((item, Kind::Null)) => splices.replace(item.range(), list(&wanted, b"")),
            Some((item, Kind::Array)) => {
                let mut asked = false;
                item.each(|each| {
                    asked |= each.as_str().is_some_and(|name| name == *SEALED_THINKING);
                    Ok(!asked)
                })?;
                if !asked {
                    splices.insert_first(&item, wanted);
                }
            }
            Some(_) => return Err(EditError::Shape("include")),
        }
        Ok(())
    }
}

/// Whose an answer of Responses is, when not the vendor keeps it but we do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseOwner<'o> {
    /// Our id for it.
    pub id: &'o str,
    /// The answer that it goes on from.
    pub previous: Option<&'o str>,
    /// Whether it is kept.
    pub stored: bool,
}

/// The `response` of an answer of Responses: a whole document, or a member of an event.
#[derive(Debug, Clone)]
pub struct OwnedResponse<'a> {
    text: &'a str,
    response: Item<'a>,
    root: Object<'a>,
    /// Whether nothing of it comes any more.
    ended: bool,
}

impl<'a> OwnedResponse<'a> {
    /// The document of an answer that is no stream.
    ///
    /// # Errors
    /// When it is no JSON object in UTF-8.
    pub fn document(body: &'a [u8]) -> Result<Self, EditError> {
        let (text, root) = object(body, &MEMBERS)?;
        let status = present(&root, "status")?.and_then(|item| item.as_str());
        let ended = status.is_none_or(|s| s == *"completed" || s == *"incomplete");
        Ok(Self { text, response: Item::whole(text), root, ended })
    }

    /// The response that the data of an event carries; `None` for an event without one.
    ///
    /// # Errors
    /// When the data is no JSON object.
    pub fn event(data: &'a str) -> Result<Option<Self>, EditError> {
        let (text, event) = object(data.as_bytes(), &["type", "response"])?;
        let Some(response) = present(&event, "response")? else { return Ok(None) };
        if response.kind() != Some(Kind::Object) {
            return Ok(None);
        }
        let root = Object::of(&response, &MEMBERS)?;
        // The event says it, whatever a clone forgets to write into the response.
        let kind = present(&event, "type")?.and_then(|item| item.as_str());
        let ended = kind
            .is_some_and(|kind| kind == *"response.completed" || kind == *"response.incomplete");
        Ok(Some(Self { text, response, root, ended }))
    }

    /// The same answer under its owner's name; all other bytes stay.
    ///
    /// # Errors
    /// [`EditError::Duplicate`] when a member that would change stands twice.
    pub fn claim(&self, owner: &ResponseOwner<'_>) -> Result<Edited, EditError> {
        let mut splices = Splices::default();
        let stored = if owner.stored { "true" } else { "false" };
        self.set(&mut splices, "id", quoted(owner.id), true)?;
        let previous = owner.previous.map_or_else(|| BytesMut::from("null"), quoted);
        self.set(&mut splices, PREVIOUS, previous, owner.previous.is_some())?;
        self.set(&mut splices, "store", stored.into(), false)?;
        Ok(splices.apply(self.text))
    }

    fn set(
        &self,
        splices: &mut Splices,
        name: &'static str,
        value: BytesMut,
        insert: bool,
    ) -> Result<(), EditError> {
        match self.root.get(name)? {
            Some(item) => splices.replace(item.range(), value),
            None if insert => splices.insert_member(&self.root, name, &value),
            None => {}
        }
        Ok(())
    }

    /// Whether it has ended, and well.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Its items.
    ///
    /// # Errors
    /// When `output` is no list or stands twice.
    pub fn output(&self) -> Result<Vec<Bytes>, EditError> {
        match present(&self.root, "output")? {
            None => Ok(Vec::new()),
            Some(output) if output.kind() == Some(Kind::Array) => items(&output),
            Some(_) => Err(EditError::Shape("output")),
        }
    }

    /// The response's own text.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.response.text
    }
}

const MEMBERS: [&str; 5] = ["id", PREVIOUS, "store", "status", "output"];

pub(super) fn object<'a>(
    body: &'a [u8],
    names: &[&'static str],
) -> Result<(&'a str, Object<'a>), EditError> {
    let text = std::str::from_utf8(body)
        .map_err(|error| JsonError::new("invalid UTF-8", error.valid_up_to()))?;
    let mut cursor = Cursor::new(text);
    let root = Object::read(&mut cursor, 0, names)?;
    cursor.end()?;
    Ok((text, root))
}

/// A member that is there and not null.
pub(super) fn present<'a>(
    root: &Object<'a>,
    name: &'static str,
) -> Result<Option<Item<'a>>, EditError> {
    Ok(root.get(name)?.filter(|item| item.text != "null"))
}

fn items(list: &Item<'_>) -> Result<Vec<Bytes>, EditError> {
    let mut items = Vec::new();
    list.each(|item| {
        if items.len() == MAX_INPUT_ITEMS {
            return Err(EditError::TooMany("input"));
        }
        items.push(Bytes::copy_from_slice(item.text.as_bytes()));
        Ok(true)
    })?;
    Ok(items)
}

fn message(text: &Item<'_>) -> BytesMut {
    let mut out = BytesMut::new();
    let mut message = ObjectWriter::begin(&mut out);
    message.plain("type", "message");
    message.plain("role", "user");
    message.key("content").extend_from_slice(text.text.as_bytes());
    message.end();
    out
}

fn list(items: &[u8], last: &[u8]) -> BytesMut {
    let comma: &[u8] = if last.is_empty() { b"" } else { b"," };
    BytesMut::from_iter([&b"["[..], items, comma, last, b"]"].concat())
}

pub(super) fn quoted(text: &str) -> BytesMut {
    let mut out = BytesMut::new();
    push_plain(&mut out, text);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(edited: Result<Edited, EditError>, before: &str) -> String {
        match edited.unwrap() {
            Edited::Unchanged => before.to_owned(),
            Edited::Changed(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    #[test]
    fn requests_lose_their_state() {
        let rows = [
            (r#"{"input":"a"}"#, "", r#"{"store":false,"input":"a"}"#),
            (r#"{"input":"a","store":false}"#, "", r#"{"input":"a","store":false}"#),
            (r#"{"input":"a", "store" : true }"#, "", r#"{"input":"a", "store" : false }"#),
            (
                r#"{"previous_response_id":"r"}"#,
                "",
                r#"{"store":false,"previous_response_id":null}"#,
            ),
            (r#"{"store":null,"input":[]}"#, "H", r#"{"store":false,"input":[H]}"#),
            (r#"{"store":false,"input":[1, 2]}"#, "H", r#"{"store":false,"input":[H,1, 2]}"#),
            (
                r#"{"store":false,"input":"\u00e9"}"#,
                "H",
                r#"{"store":false,"input":[H,{"type":"message","role":"user","content":"\u00e9"}]}"#,
            ),
            (r#"{"store":false,"input":null}"#, "H", r#"{"store":false,"input":[H]}"#),
            (r#"{"store":false}"#, "H", r#"{"input":[H],"store":false}"#),
            ("{}", "H", r#"{"input":[H],"store":false}"#),
        ];
        for (before, history, after) in rows {
            let history: Vec<Bytes> = (!history.is_empty())
                .then(|| Bytes::copy_from_slice(history.as_bytes()))
                .into_iter()
                .collect();
            let request = StatefulRequest::read(before.as_bytes()).unwrap();
            assert_eq!(text(request.without_state(&history), before), after, "{before}");
        }
    }

    #[test]
    fn who_thinks_gets_the_seals_of_it() {
        let rows = [
            (
                r#"{"reasoning":{},"store":true}"#,
                r#"{"include":["reasoning.encrypted_content"],"reasoning":{},"store":false}"#,
            ),
            (
                r#"{"reasoning":{},"store":true,"include":["x"]}"#,
                r#"{"reasoning":{},"store":false,"include":["reasoning.encrypted_content","x"]}"#,
            ),
            (
                r#"{"reasoning":{},"include":["reasoning.encrypted_content"],"store":true}"#,
                r#"{"reasoning":{},"include":["reasoning.encrypted_content"],"store":false}"#,
            ),
            (r#"{"reasoning":null,"store":true}"#, r#"{"reasoning":null,"store":false}"#),
            (r#"{"reasoning":{},"store":false}"#, r#"{"reasoning":{},"store":false}"#),
        ];
        for (before, after) in rows {
            let request = StatefulRequest::read(before.as_bytes()).unwrap();
            assert_eq!(text(request.without_state(&[]), before), after, "{before}");
        }
    }

    #[test]
    fn counts_keep_what_they_say_of_storing() {
        let before = r#"{"input":[],"previous_response_id":"r"}"#;
        let request = StatefulRequest::read(before.as_bytes()).unwrap();
        let history = [Bytes::from_static(b"H")];
        assert_eq!(
            text(request.with_history(&history), before),
            r#"{"input":[H],"previous_response_id":null}"#
        );
    }

    #[test]
    fn malformed_state_is_named() {
        for (body, error) in [
            (r#"{"store":1}"#, EditError::Shape("store")),
            (r#"{"previous_response_id":7}"#, EditError::Shape(PREVIOUS)),
            (r#"{"store":true,"store":false}"#, EditError::Duplicate("store")),
        ] {
            assert_eq!(StatefulRequest::read(body.as_bytes()).unwrap_err(), error);
        }
        let request = StatefulRequest::read(br#"{"input":7}"#).unwrap();
        assert_eq!(request.input().unwrap_err(), EditError::Shape("input"));
        assert!(matches!(StatefulRequest::read(b"[]"), Err(EditError::NotJson(_))));
    }

    #[test]
    fn answers_get_their_owner() {
        let owner = ResponseOwner { id: "resp_ours", previous: Some("resp_0"), stored: true };
        let rows = [
            (
                r#"{"id":"theirs","store":false,"previous_response_id":null,"x":1}"#,
                r#"{"id":"resp_ours","store":true,"previous_response_id":"resp_0","x":1}"#,
            ),
            (r#"{"id":"theirs"}"#, r#"{"previous_response_id":"resp_0","id":"resp_ours"}"#),
            ("{}", r#"{"id":"resp_ours","previous_response_id":"resp_0"}"#),
        ];
        for (before, after) in rows {
            let response = OwnedResponse::document(before.as_bytes()).unwrap();
            assert_eq!(text(response.claim(&owner), before), after);
            let event = |response: &str| format!(r#"{{"type":"t","response":{response},"n":1}}"#);
            let before = event(before);
            let response = OwnedResponse::event(&before).unwrap().unwrap();
            assert_eq!(text(response.claim(&owner), &before), event(after));
        }
        assert!(OwnedResponse::event(r#"{"type":"t","delta":"response"}"#).unwrap().is_none());
    }

    #[test]
    fn only_what_has_ended_is_kept() {
        for (status, ended) in
            [("completed", true), ("incomplete", true), ("in_progress", false), ("failed", false)]
        {
            let text = format!(r#"{{"status":"{status}","output":[{{}},{{}}]}}"#);
            let response = OwnedResponse::document(text.as_bytes()).unwrap();
            assert_eq!((response.has_ended(), response.output().unwrap().len()), (ended, 2));
        }
        for (kind, ended) in [("response.created", false), ("response.completed", true)] {
            let text = format!(r#"{{"type":"{kind}","response":{{}}}}"#);
            let response = OwnedResponse::event(&text).unwrap().unwrap();
            assert_eq!((response.has_ended(), response.output().unwrap().len()), (ended, 0));
        }
    }

    #[test]
    fn what_only_the_vendor_keeps_is_named() {
        for (body, foreign) in [
            (r#"{"input":[{"type":"message"},{"type":"item_reference"}]}"#, Some("item_reference")),
            (r#"{"conversation":"c"}"#, Some("conversation")),
            (r#"{"background":true}"#, Some("background")),
            (r#"{"background":false,"conversation":null,"input":[{}]}"#, None),
        ] {
            let request = StatefulRequest::read(body.as_bytes()).unwrap();
            assert_eq!(request.foreign_state().unwrap(), foreign, "{body}");
        }
    }

    #[test]
    fn inputs_are_bounded() {
        let body = format!(r#"{{"input":[{}1]}}"#, "1,".repeat(MAX_INPUT_ITEMS));
        let request = StatefulRequest::read(body.as_bytes()).unwrap();
        assert_eq!(request.input().unwrap_err(), EditError::TooMany("input"));
    }
}
