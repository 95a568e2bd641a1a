//! An item of a request to Responses, and how the API lists it afterwards.

use bytes::BytesMut;

use super::splice::{Item, Object, Splices};
use super::stateful::{object, present, quoted};
use super::{EditError, Edited};
use crate::protocol::json::{ArrayWriter, JsonStr, Kind};

/// An item of a request to Responses.
///
/// A caller may send it shorter than the API lists it: without an id, a type or a status, and a
/// message's content as a text.
///
/// ```
/// use tower_llm_gateway::protocol::edit::{Edited, InputItem};
///
/// let item = InputItem::read(br#"{"role":"user","content":"Hi"}"#)?;
/// assert_eq!((item.id()?, item.id_prefix()?), (None, "msg_"));
/// let listed = concat!(
///     r#"{"id":"msg_1","type":"message","status":"completed","#,
///     r#""role":"user","content":[{"type":"input_text","text":"Hi"}]}"#,
/// );
/// assert_eq!(item.listed("msg_1")?, Edited::Changed(listed.into()));
/// # Ok::<(), tower_llm_gateway::protocol::edit::EditError>(())
/// ```
#[derive(Debug, Clone)]
pub struct InputItem<'a> {
    text: &'a str,
    root: Object<'a>,
}

impl<'a> InputItem<'a> {
    /// Reads a whole item.
    ///
    /// # Errors
    /// When it is no JSON object in UTF-8.
    pub fn read(item: &'a [u8]) -> Result<Self, EditError> {
        let (text, root) = object(item, &["id", "type", "role", "status", "content"])?;
        Ok(Self { text, root })
    }

    /// Its own id, if it has one.
    ///
    /// # Errors
    /// [`EditError::Duplicate`] when it stands twice.
    pub fn id(&self) -> Result<Option<JsonStr<'a>>, EditError> {
        let id = present(&self.root, "id")?.and_then(|id| id.as_str());
        Ok(id.filter(|id| !id.is_empty()))
    }

    /// What the ids of its kind begin with at the vendor: `msg_`, `fc_`, `ctc_`, `rs_`, or `item_`
    /// for all others.
    ///
    /// # Errors
    /// [`EditError::Duplicate`] when its type stands twice.
    pub fn id_prefix(&self) -> Result<&'static str, EditError> {
        let kind = self.kind()?;
        let kind = kind.as_ref().map(JsonStr::decode);
        Ok(match kind.as_deref() {
            Some("message") => "msg_",
            Some("function_call" | "function_call_output") => "fc_",
            Some("custom_tool_call" | "custom_tool_call_output") => "ctc_",
            Some("reasoning") => "rs_",
            _ => "item_",
        })
    }

    /// A message needs no type.
    fn kind(&self) -> Result<Option<JsonStr<'a>>, EditError> {
        let kind = present(&self.root, "type")?.and_then(|kind| kind.as_str());
        let message = present(&self.root, "role")?.map(|_| JsonStr::from_plain("message"));
        Ok(kind.or(message))
    }

    /// The item as the API lists it, under this id; what it does not lack stays as it stood.
    ///
    /// # Errors
    /// [`EditError::Duplicate`] when a member that would change stands twice.
    pub fn listed(&self, id: &str) -> Result<Edited, EditError> {
        let mut splices = Splices::default();
        self.set(&mut splices, "id", quoted(id))?;
        let kind = self.kind()?;
        if let Some(kind) = &kind {
            if present(&self.root, "type")?.is_none() {
                self.set(&mut splices, "type", quoted(&kind.decode()))?;
            }
            // Nothing of an input is under way.
            let has_status = ["message", "function_call", "function_call_output"]
                .iter()
                .any(|name| *kind == **name);
            if has_status && present(&self.root, "status")?.is_none() {
                self.set(&mut splices, "status", quoted("completed"))?;
            }
        }
        if kind.is_some_and(|kind| kind == *"message")
            && let Some(content) = present(&self.root, "content")?
            && content.kind() == Some(Kind::String)
        {
            splices.replace(content.range(), self.part(&content)?);
        }
        Ok(splices.apply(self.text))
    }

    /// The list of the one part that a text is short for.
    fn part(&self, text: &Item<'_>) -> Result<BytesMut, EditError> {
        let role = present(&self.root, "role")?.and_then(|role| role.as_str());
        let said = role.is_some_and(|role| role == *"assistant");
        let mut out = BytesMut::new();
        let mut parts = ArrayWriter::begin(&mut out);
        parts.object(|part| {
            part.plain("type", if said { "output_text" } else { "input_text" });
            part.key("text").extend_from_slice(text.text.as_bytes());
            if said {
                part.array("annotations", |_| {});
            }
        });
        parts.end();
        Ok(out)
    }

    fn set(
        &self,
        splices: &mut Splices,
        name: &'static str,
        value: BytesMut,
    ) -> Result<(), EditError> {
        match self.root.get(name)? {
            Some(item) => splices.replace(item.range(), value),
            None => splices.insert_member(&self.root, name, &value),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(item: &str) -> String {
        match InputItem::read(item.as_bytes()).unwrap().listed("i").unwrap() {
            Edited::Unchanged => item.to_owned(),
            Edited::Changed(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    #[test]
    fn items_are_listed_whole() {
        for (item, expected) in [
            (
                r#"{"type":"message","role":"assistant","content":"\u00e9"}"#,
                r#"{"id":"i","status":"completed","type":"message","role":"assistant","content":[{"type":"output_text","text":"\u00e9","annotations":[]}]}"#,
            ),
            (
                r#"{"role":"user","type":null, "id":"mine","content":[{"type":"input_text"}]}"#,
                r#"{"status":"completed","role":"user","type":"message", "id":"i","content":[{"type":"input_text"}]}"#,
            ),
            (
                r#"{"type":"function_call_output","call_id":"c","status":"incomplete"}"#,
                r#"{"id":"i","type":"function_call_output","call_id":"c","status":"incomplete"}"#,
            ),
            (r#"{"type":"reasoning","id":"i"}"#, r#"{"type":"reasoning","id":"i"}"#),
            ("{}", r#"{"id":"i"}"#),
            (r#"{"type":"new","content":"x"}"#, r#"{"id":"i","type":"new","content":"x"}"#),
        ] {
            assert_eq!(listed(item), expected);
        }
    }

    #[test]
    fn ids_begin_as_their_kind_has_it() {
        for (item, prefix) in [
            (r#"{"role":"user"}"#, "msg_"),
            (r#"{"type":"function_call"}"#, "fc_"),
            (r#"{"type":"custom_tool_call_output"}"#, "ctc_"),
            (r#"{"type":"reasoning"}"#, "rs_"),
            (r#"{"type":"new"}"#, "item_"),
            ("{}", "item_"),
        ] {
            assert_eq!(InputItem::read(item.as_bytes()).unwrap().id_prefix(), Ok(prefix), "{item}");
        }
    }

    #[test]
    fn what_stands_twice_is_not_changed() {
        let twice = InputItem::read(br#"{"id":"a","id":"b"}"#).unwrap();
        assert_eq!(twice.id(), Err(EditError::Duplicate("id")));
        assert_eq!(twice.listed("i"), Err(EditError::Duplicate("id")));
        let id = |item: &str| InputItem::read(item.as_bytes()).unwrap().id().unwrap().is_some();
        assert!(id(r#"{"id":"a"}"#) && !id(r#"{"id":""}"#) && !id(r#"{"id":null}"#));
        assert!(InputItem::read(b"7").is_err());
    }
}
