//! What the readers of all protocols share: pieces of JSON, and what every vendor refuses.

use serde_json::Value;

use super::generate::Refusal;

/// The text of a string, or nothing.
pub(super) fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The items of a list, or none.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The texts of a list of strings.
pub(super) fn strings(value: &Value) -> Vec<String> {
    list(value).iter().map(text_of).collect()
}

/// One string, or a list of them.
pub(super) fn one_or_more(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        list => strings(list),
    }
}

/// A list that must hold something.
pub(super) fn nonempty<'a>(
    value: &'a Value,
    complaint: &'static str,
) -> Result<&'a [Value], Refusal> {
    let items = value.as_array().filter(|items| !items.is_empty());
    items.map(Vec::as_slice).ok_or(Refusal::new(complaint))
}

/// The media type of a `data:` URL; `url` for any other.
pub(super) fn media_type(url: &Value) -> String {
    let data = url.as_str().and_then(|url| url.strip_prefix("data:"));
    data.and_then(|data| data.split_once(';')).map_or("url", |(kind, _)| kind).to_owned()
}

/// Refuses a member that is not among `members`, in the vendor's words.
pub(super) fn known(object: &Value, members: &[&str], complaint: &str) -> Result<(), Refusal> {
    let mut names = object.as_object().into_iter().flat_map(|object| object.keys());
    match names.find(|name| !members.contains(&name.as_str())) {
        Some(name) => Err(Refusal::naming(complaint, name)),
        None => Ok(()),
    }
}

/// Refuses an id or a name that is empty, longer than `most`, or holds other characters than
/// letters, digits and those in `marks`.
pub(super) fn legal(value: &Value, most: usize, marks: &str) -> Result<(), Refusal> {
    let text = value.as_str().unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
    if (1..=most).contains(&text.len()) && text.chars().all(allowed) {
        return Ok(());
    }
    Err(Refusal::naming("not a name or id as it must be", text))
}

/// The calls that an answer made and those that were answered.
#[derive(Debug, Default)]
pub(super) struct Calls<'a>(Vec<&'a str>);

impl<'a> Calls<'a> {
    pub(super) fn open(&mut self, id: &'a Value) {
        self.0.extend(id.as_str());
    }

    /// Whether there was such a call, still without a result.
    pub(super) fn close(&mut self, id: &Value) -> bool {
        let found = self.0.iter().position(|open| *id == **open);
        found.map(|at| self.0.remove(at)).is_some()
    }

    pub(super) fn are_closed(&self) -> bool {
        self.0.is_empty()
    }
}
