//! Free text out of the object that it was wrapped into.

use crate::protocol::json::{JsonStr, Kind, Raw, find_special};
use crate::protocol::model::ToolArguments;

/// Most bytes of streamed inputs that are held back, where one does not begin as the wrapping object
/// should: 1 MiB. A longer one is passed on as it is.
pub const MAX_HELD_INPUT: usize = 1 << 20;

/// How much of a stream is looked at for `{"input":"`.
const MAX_OPENING: usize = 64;

/// The text in `{"input":"text"}`; arguments of any other form are text as they are.
pub(super) fn text<'x>(arguments: &'x ToolArguments<'_>) -> JsonStr<'x> {
    let object = arguments.to_object();
    let input = object.as_ref().and_then(|object| object.member("input"));
    let input = input.filter(|input| input.kind() == Kind::String);
    if let Some(text) = input.as_ref().and_then(Raw::as_json_str) {
        return text.into_owned();
    }
    match arguments {
        ToolArguments::Text(text) => text.borrow(),
        ToolArguments::Json(raw) => JsonStr::from_plain(raw.as_str()),
    }
}

/// Takes the text out of the object as its pieces come.
///
/// The arguments are JSON within a JSON string, so their text is escaped twice. Once the object
/// has begun as it should, the text of its member is passed on piece by piece, with one level
/// of escapes taken away; what follows the text is not looked at. Any other beginning is held back
/// until it is whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Unwrap {
    state: State,
    /// Before the text: what came, as it came. Inside: the text that is not passed on yet,
    /// escaped once.
    held: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum State {
    /// Nothing says yet what it is.
    #[default]
    Before,
    /// In the text.
    Inside,
    /// Behind the text.
    Behind,
    /// Another form: collected.
    Other,
    /// Another form, too long to be collected.
    AsItIs,
}

type Sink<'s> = &'s mut dyn FnMut(JsonStr<'_>);

impl Unwrap {
    /// How many bytes are held back.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// More of the arguments; `held` is what all inputs of the stream hold back.
    pub(super) fn push(&mut self, piece: &JsonStr<'_>, held: usize, sink: Sink<'_>) {
        match self.state {
            State::Before => {
                self.held.push_str(piece.escaped());
                self.open(held + piece.escaped().len(), sink);
            }
            State::Inside => {
                peel(piece.escaped(), &mut self.held);
                self.inside(sink);
            }
            State::Behind => {}
            State::Other => {
                self.held.push_str(piece.escaped());
                self.bound(held + piece.escaped().len(), sink);
            }
            State::AsItIs => sink(piece.borrow()),
        }
    }

    /// The arguments are complete.
    pub(super) fn finish(self, sink: Sink<'_>) {
        if matches!(self.state, State::Before | State::Other) && !self.held.is_empty() {
            sink(text(&ToolArguments::Text(JsonStr::from_escaped(self.held))));
        }
    }

    fn open(&mut self, held: usize, sink: Sink<'_>) {
        let mut peeled = String::with_capacity(self.held.len());
        peel(&self.held, &mut peeled);
        match opening(&peeled) {
            Opening::Text(at) => {
                self.held = peeled.split_off(at);
                self.state = State::Inside;
                self.inside(sink);
            }
            Opening::Unknown if self.held.len() <= MAX_OPENING => {}
            Opening::Unknown | Opening::Other => {
                self.state = State::Other;
                self.bound(held, sink);
            }
        }
    }

    fn bound(&mut self, held: usize, sink: Sink<'_>) {
        if held > MAX_HELD_INPUT {
            self.state = State::AsItIs;
            sink(JsonStr::from_escaped(std::mem::take(&mut self.held)));
        }
    }

    /// Passes on what is complete of the text.
    fn inside(&mut self, sink: Sink<'_>) {
        let mut text = String::with_capacity(self.held.len());
        let mut rest = self.held.as_str();
        loop {
            let (plain, special) = rest.split_at(find_special(rest.as_bytes(), 0));
            text.push_str(plain);
            rest = special;
            match rest.as_bytes() {
                [] => break,
                [b'"', ..] => {
                    self.state = State::Behind;
                    rest = "";
                    break;
                }
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => {
                    text.push_str(&rest[..2]);
                    rest = &rest[2..];
                }
                [b'\\', b'u', hex @ ..] if hex.iter().take(4).all(u8::is_ascii_hexdigit) => {
                    if hex.len() < 4 {
                        break;
                    }
                    text.push_str(&rest[..6]);
                    rest = &rest[6..];
                }
                [b'\\'] => break,
                // No escape that JSON has: models write such. It means what it shows.
                [b'\\', ..] => {
                    text.push_str("\\\\");
                    rest = &rest[1..];
                }
                // A bare control character, which JSON would have escaped.
                _ => {
                    text.push_str(JsonStr::from_plain(&rest[..1]).escaped());
                    rest = &rest[1..];
                }
            }
        }
        self.held = rest.to_owned();
        if !text.is_empty() {
            sink(JsonStr::from_escaped(text));
        }
    }
}

/// What arguments begin as.
#[derive(Debug, PartialEq)]
enum Opening {
    /// The text begins at this byte.
    Text(usize),
    /// Too short to tell.
    Unknown,
    Other,
}

/// Looks for `{"input":"`, with any white space.
fn opening(arguments: &str) -> Opening {
    let mut rest = arguments;
    for token in ["{", "\"input\"", ":", "\""] {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        match rest.strip_prefix(token) {
            Some(behind) => rest = behind,
            None if token.starts_with(rest) => return Opening::Unknown,
            None => return Opening::Other,
        }
    }
    Opening::Text(arguments.len() - rest.len())
}

/// Takes one level of escapes away. Escapes of characters beyond ASCII stay: they mean the same
/// one level deeper, and half of a surrogate pair can only stay an escape.
fn peel(escaped: &str, out: &mut String) {
    let mut rest = escaped;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = &rest[at..];
        let (character, length) = match escape.as_bytes().get(1) {
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(b'u') => {
                let unit = escape.get(2..6).and_then(|hex| u8::from_str_radix(hex, 16).ok());
                match unit.filter(u8::is_ascii) {
                    Some(ascii) => (char::from(ascii), 6),
                    None => {
                        out.push_str(escape.get(..6).unwrap_or_default());
                        rest = escape.get(6..).unwrap_or_default();
                        continue;
                    }
                }
            }
            Some(other) => (char::from(*other), 2),
            None => return,
        };
        out.push(character);
        rest = escape.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
}
