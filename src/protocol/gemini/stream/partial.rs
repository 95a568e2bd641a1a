//! Arguments that come in pieces (`streamFunctionCallArguments`): each piece names a place by a
//! JSONPath and brings the value for it, of a string some letters at a time.

use crate::protocol::gemini::chunk::each;
use crate::protocol::gemini::names::camel;
use crate::protocol::json::{Cursor, JsonStr, Kind, Raw};
use crate::protocol::stream_reader::{Broken, Step};

/// Most bytes of the arguments of one call that comes in pieces, where each value counts
/// 256 more. A stream with more fails.
pub const MAX_PARTIAL_ARGUMENTS: usize = 4 << 20;

/// Most steps of a path. A stream with more fails.
pub const MAX_PATH_STEPS: usize = 64;

/// What a value counts beside its text, so that many small ones are bounded too.
const NODE_SIZE: usize = 256;

const CONTRADICTION: Broken = Broken("the pieces of a call's arguments contradict each other");

/// The arguments of a call so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Arguments {
    root: Node,
    size: usize,
}

/// A value that grows. Texts and names are kept escaped.
#[derive(Debug, Clone, PartialEq, Default)]
enum Node {
    #[default]
    Unset,
    Object(Vec<(String, Node)>),
    List(Vec<Node>),
    Text(String),
    /// A number or a word.
    Whole(String),
}

/// A step of a path.
enum PathStep<'p> {
    Name(JsonStr<'p>),
    Item(usize),
}

impl Arguments {
    /// Takes in a list of pieces (`partialArgs`).
    pub(super) fn add(&mut self, pieces: &Raw<'_>) -> Step {
        let mut added = Ok(());
        let walked = each(pieces, |_, c| {
            let piece = Piece::read(c)?;
            if added.is_ok() {
                added = self.piece(&piece);
            }
            Ok(())
        });
        added?;
        walked.map_err(|_| Broken("the upstream sent pieces of arguments of an unknown form"))
    }

    fn piece(&mut self, piece: &Piece<'_>) -> Step {
        let Some(path) = &piece.path else { return Ok(()) };
        let path = path.decode();
        let path = steps(&path).ok_or(Broken("the path of an argument is not valid"))?;
        if path.len() > MAX_PATH_STEPS {
            return Err(Broken("the path of an argument is too long"));
        }
        let mut node = &mut self.root;
        for step in path {
            node = node.at(step, &mut self.size)?;
        }
        match &piece.value {
            Value::None => {}
            Value::Text(more) => {
                self.size += more.escaped().len();
                node.push(more)?;
            }
            Value::Whole(text) => {
                self.size += text.len();
                if !matches!(node, Node::Unset | Node::Whole(_)) {
                    return Err(CONTRADICTION);
                }
                *node = Node::Whole((*text).to_owned());
            }
        }
        if self.size > MAX_PARTIAL_ARGUMENTS {
            return Err(Broken("the arguments of a call are too large"));
        }
        Ok(())
    }

    /// The arguments as JSON.
    pub(super) fn to_json(&self) -> String {
        let mut json = String::with_capacity(self.size.min(MAX_PARTIAL_ARGUMENTS));
        match &self.root {
            Node::Object(_) => self.root.write(&mut json),
            _ => json.push_str("{}"),
        }
        json
    }
}

impl Node {
    /// The place that a step leads to; made where it is not there yet.
    fn at(&mut self, step: PathStep<'_>, size: &mut usize) -> Result<&mut Self, Broken> {
        match step {
            PathStep::Name(name) => {
                if *self == Self::Unset {
                    *self = Self::Object(Vec::new());
                }
                let Self::Object(members) = self else { return Err(CONTRADICTION) };
                let found = members.iter().rposition(|(known, _)| known == name.escaped());
                let at = found.unwrap_or_else(|| {
                    let name = name.escaped().to_owned();
                    *size += NODE_SIZE + name.len();
                    members.push((name, Self::Unset));
                    members.len() - 1
                });
                members.get_mut(at).map(|(_, node)| node).ok_or(CONTRADICTION)
            }
            PathStep::Item(at) => {
                if *self == Self::Unset {
                    *self = Self::List(Vec::new());
                }
                let Self::List(items) = self else { return Err(CONTRADICTION) };
                if at == items.len() {
                    *size += NODE_SIZE;
                    items.push(Self::Unset);
                }
                items.get_mut(at).ok_or(Broken("an item of an argument's list was left out"))
            }
        }
    }

    fn push(&mut self, more: &JsonStr<'_>) -> Step {
        match self {
            Self::Unset => *self = Self::Text(more.escaped().to_owned()),
            Self::Text(text) => text.push_str(more.escaped()),
            _ => return Err(CONTRADICTION),
        }
        Ok(())
    }

    /// The depth is that of the longest path.
    fn write(&self, json: &mut String) {
        match self {
            Self::Unset => json.push_str("null"),
            Self::Whole(text) => json.push_str(text),
            Self::Text(text) => push_all(json, ["\"", text, "\""]),
            Self::List(items) => {
                json.push('[');
                for (i, item) in items.iter().enumerate() {
                    json.push_str(if i > 0 { "," } else { "" });
                    item.write(json);
                }
                json.push(']');
            }
            Self::Object(members) => {
                json.push('{');
                for (i, (name, value)) in members.iter().enumerate() {
                    push_all(json, [if i > 0 { ",\"" } else { "\"" }, name, "\":"]);
                    value.write(json);
                }
                json.push('}');
            }
        }
    }
}

fn push_all(json: &mut String, pieces: [&str; 3]) {
    for piece in pieces {
        json.push_str(piece);
    }
}

/// An item of `partialArgs`.
struct Piece<'a> {
    path: Option<JsonStr<'a>>,
    value: Value<'a>,
}

enum Value<'a> {
    None,
    Text(JsonStr<'a>),
    Whole(&'a str),
}

impl<'a> Piece<'a> {
    fn read(c: &mut Cursor<'a>) -> Result<Self, crate::protocol::json::JsonError> {
        let mut piece = Self { path: None, value: Value::None };
        c.object(|key, c| {
            let kind = c.kind()?;
            match (&*camel(&key), kind) {
                ("jsonPath", Kind::String) => piece.path = Some(c.string()?),
                // Numbers that JSON has none for (`"NaN"`) are strings.
                ("stringValue" | "numberValue", Kind::String) => {
                    piece.value = Value::Text(c.string()?);
                }
                ("numberValue", Kind::Number) | ("boolValue", Kind::Bool) => {
                    piece.value = Value::Whole(c.raw_str()?);
                }
                ("nullValue", _) => {
                    c.raw()?;
                    piece.value = Value::Whole("null");
                }
                _ => drop(c.raw()?),
            }
            Ok(())
        })?;
        Ok(piece)
    }
}

/// Reads a path that names one place: `$.a.b[0]['c d']` (RFC 9535).
fn steps(path: &str) -> Option<Vec<PathStep<'_>>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, behind) = after.split_at(end);
            if name.is_empty() {
                return None;
            }
            steps.push(PathStep::Name(JsonStr::from_plain(name)));
            rest = behind;
            continue;
        }
        let after = rest.strip_prefix('[')?;
        match after.chars().next()? {
            quote @ ('\'' | '"') => {
                let (name, behind) = quoted(quote, &after[1..])?;
                steps.push(PathStep::Name(JsonStr::from_plain(name)));
                rest = behind.strip_prefix(']')?;
            }
            _ => {
                let (digits, behind) = after.split_once(']')?;
                steps.push(PathStep::Item(digits.parse().ok()?));
                rest = behind;
            }
        }
    }
    Some(steps)
}

/// A name up to its closing `quote`, and what stands behind it.
fn quoted(quote: char, text: &str) -> Option<(String, &str)> {
    let mut escape = false;
    let end = text.find(|c| match c {
        _ if escape => {
            escape = false;
            false
        }
        '\\' => {
            escape = true;
            false
        }
        c => c == quote,
    })?;
    // Its escapes are those of JSON, and `\'`.
    let (inner, behind) = (&text[..end], &text[end + 1..]);
    let json = inner.replace("\\'", "'").replace('"', "\\\"").replace("\\\\\"", "\\\"");
    let quoted = format!("\"{json}\"");
    let name = Cursor::new(&quoted).string().ok()?.decode().into_owned();
    Some((name, behind))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn built(pieces: &[&str]) -> Result<String, &'static str> {
        let mut arguments = Arguments::default();
        for piece in pieces {
            let list = format!("[{piece}]");
            arguments.add(&Raw::parse(&list).unwrap()).map_err(|Broken(reason)| reason)?;
        }
        Ok(arguments.to_json())
    }

    #[test]
    fn pieces_become_an_object() {
        let rows: &[(&[&str], &str)] = &[
            (&[], "{}"),
            (&[r#"{"jsonPath":"$"}"#], "{}"),
            (
                &[
                    r#"{"jsonPath":"$.a","stringValue":"x\n","willContinue":true}"#,
                    r#"{"jsonPath":"$.a","stringValue":"y"},{"jsonPath":"$.a","stringValue":""}"#,
                ],
                r#"{"a":"x\ny"}"#,
            ),
            (
                &[
                    r#"{"jsonPath":"$.l[0].n","numberValue":0.50}"#,
                    r#"{"json_path":"$.l[1].b","bool_value":true}"#,
                    r#"{"jsonPath":"$.l[0].z","nullValue":"NULL_VALUE"}"#,
                    r#"{"jsonPath":"$.s[0]","stringValue":""}"#,
                    r#"{"jsonPath":"$.e"}"#,
                ],
                r#"{"l":[{"n":0.50,"z":null},{"b":true}],"s":[""],"e":null}"#,
            ),
            (
                &[r#"{"jsonPath":"$['a b'][\"c\"]['it\\'s']['q\"']","stringValue":"v"}"#],
                r#"{"a b":{"c":{"it's":{"q\"":"v"}}}}"#,
            ),
            (&[r#"{"jsonPath":"$.n","numberValue":"NaN"}"#], r#"{"n":"NaN"}"#),
        ];
        for (pieces, expected) in rows {
            assert_eq!(built(pieces).as_deref(), Ok(*expected), "{pieces:?}");
        }
    }

    #[test]
    fn nonsense_is_named() {
        for pieces in [
            &[r#"{"jsonPath":"a","stringValue":"x"}"#][..],
            &[r#"{"jsonPath":"$.","stringValue":"x"}"#],
            &[r#"{"jsonPath":"$.a[x]","stringValue":"x"}"#],
            &[r#"{"jsonPath":"$.a['x]","stringValue":"x"}"#],
            &[r#"{"jsonPath":"$.a[1]","stringValue":"x"}"#],
            &[
                r#"{"jsonPath":"$.a","stringValue":"x"}"#,
                r#"{"jsonPath":"$.a.b","boolValue":true}"#,
            ],
            &[r#"{"jsonPath":"$.a","stringValue":"x"}"#, r#"{"jsonPath":"$.a","numberValue":1}"#],
            &[
                r#"{"jsonPath":"$.a.b","boolValue":true}"#,
                r#"{"jsonPath":"$.a[0]","boolValue":true}"#,
            ],
            &["5"],
        ] {
            assert!(built(pieces).is_err(), "{pieces:?}");
        }
    }

    #[test]
    fn they_are_bounded() {
        let long =
            format!(r#"{{"jsonPath":"${}","boolValue":true}}"#, "[0]".repeat(MAX_PATH_STEPS));
        assert!(built(&[&long]).is_ok());
        let too_long = long.replacen('$', "$.a", 1);
        assert_eq!(built(&[&too_long]), Err("the path of an argument is too long"));
        let text = "x".repeat(1 << 20);
        let piece = format!(r#"{{"jsonPath":"$.a","stringValue":"{text}"}}"#);
        assert!(built(&[&*piece; 3]).is_ok());
        assert_eq!(built(&[&*piece; 4]), Err("the arguments of a call are too large"));
        let many: Vec<_> =
            (0..20_000).map(|i| format!(r#"{{"jsonPath":"$.l[{i}]","nullValue":0}}"#)).collect();
        assert_eq!(built(&[&many.join(",")]), Err("the arguments of a call are too large"));
    }
}
