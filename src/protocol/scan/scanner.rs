//! One pass over a JSON document that comes in pieces.

use std::borrow::Cow;
use std::fmt;

use super::paths::{Field, Members, Node};
use crate::protocol::json::Raw;

/// Longest name or value that is captured, in bytes as it stands in the document: 4 KiB. Of a
/// longer value only its presence is known.
pub const MAX_CAPTURE: usize = 4 << 10;

/// Room for the names and values of nearly all answers.
const USUAL_CAPTURE: usize = 64;

/// Deepest path that is followed; the trees in `paths.rs` are less deep.
const MAX_PATH: usize = 8;

/// What the scanner found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Found<'a> {
    /// A string that is not empty, decoded.
    Text(Field, &'a str),
    /// A number, as it stands.
    Number(Field, &'a str),
    /// A value that is not empty: an array, an object, a text that is too long, or one that the
    /// field does not want to read.
    Filled(Field),
    /// The document is complete. Of an array, each item is a document.
    Complete,
}

/// A container on the way to a known path.
#[derive(Debug, Clone, Copy)]
enum Frame {
    Object(Members),
    Array(&'static Node),
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// A value must follow.
    Value,
    /// A first member or item, or the end of the container.
    First,
    /// A key must follow.
    Key,
    /// A colon must follow.
    Colon,
    /// A comma or the end of the container.
    After,
    /// In a string.
    Text { role: Role, escaped: bool },
    /// In a number, `true`, `false` or `null`.
    Word(Option<Field>),
    /// In a container that nobody looks into.
    Skip,
    /// Behind the document.
    Done,
    /// This is no JSON.
    Broken,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Role {
    Key,
    Value(Field),
    Ignored,
    /// Inside a container that nobody looks into.
    Skipped,
}

impl Role {
    fn wants_text(self) -> bool {
        match self {
            Self::Key => true,
            Self::Value(field) => field.wants_text(),
            Self::Ignored | Self::Skipped => false,
        }
    }
}

/// Follows known paths through one document. Its memory is [`MAX_CAPTURE`], whatever comes.
///
/// It checks only what it must to find its way: the inside of a value that nobody looks into may
/// be nonsense.
#[derive(Clone)]
pub(super) struct Scanner {
    root: &'static Node,
    frames: [Option<Frame>; MAX_PATH],
    depth: usize,
    /// Open containers that nobody looks into.
    skipped: u64,
    /// Reported when the container that is skipped has something in it.
    filled: Option<Field>,
    /// What the value that comes next is.
    next: Option<&'static Node>,
    state: State,
    captured: Vec<u8>,
    /// Length of the text so far, captured or not.
    length: usize,
}

// What is captured may be the caller's or the vendor's words.
impl fmt::Debug for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scanner")
            .field("state", &self.state)
            .field("captured", &self.captured.len())
            .finish_non_exhaustive()
    }
}

impl Scanner {
    pub(super) fn new(root: &'static Node) -> Self {
        Self {
            root,
            frames: [None; MAX_PATH],
            depth: 0,
            skipped: 0,
            filled: None,
            next: Some(root),
            state: State::Value,
            captured: Vec::with_capacity(USUAL_CAPTURE),
            length: 0,
        }
    }

    /// Begins another document.
    pub(super) fn reset(&mut self) {
        self.depth = 0;
        self.skipped = 0;
        self.filled = None;
        self.next = Some(self.root);
        self.state = State::Value;
        self.clear();
    }

    /// Takes the next piece. Any cut of a document finds the same.
    pub(super) fn push(&mut self, bytes: &[u8], report: &mut impl FnMut(Found<'_>)) {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at = match self.state {
                State::Text { role, escaped } => self.text(bytes, at, role, escaped, report),
                State::Skip => self.skip(bytes, at, report),
                State::Word(field) => self.word(bytes, at, field, report),
                State::Done | State::Broken => return,
                _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => at + 1,
                state => {
                    self.structure(state, byte, report);
                    // The first byte of a word belongs to it.
                    at + usize::from(!matches!(self.state, State::Word(_)))
                }
            };
        }
    }

    /// Whether this turned out to be no JSON.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.state, State::Broken)
    }

    /// Whether the document is closed.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn top(&self) -> Option<Frame> {
        self.frames.get(self.depth.checked_sub(1)?).copied().flatten()
    }

    fn structure(&mut self, state: State, byte: u8, report: &mut impl FnMut(Found<'_>)) {
        match (state, byte, self.top()) {
            (State::First | State::After, b'}', Some(Frame::Object(_)))
            | (State::First | State::After, b']', Some(Frame::Array(_))) => self.close(report),
            (State::First | State::Key, b'"', Some(Frame::Object(_))) => self.begin_text(Role::Key),
            (State::First, _, Some(Frame::Array(item))) => {
                self.next = Some(item);
                self.value(byte);
            }
            (State::Value, ..) => self.value(byte),
            (State::Colon, b':', _) => self.state = State::Value,
            (State::After, b',', Some(Frame::Object(_))) => self.state = State::Key,
            (State::After, b',', Some(Frame::Array(item))) => {
                self.next = Some(item);
                self.state = State::Value;
            }
            _ => self.state = State::Broken,
        }
    }

    /// A value begins with `byte`.
    fn value(&mut self, byte: u8) {
        let node = self.next.take();
        let field = node.and_then(Node::field);
        match byte {
            b'"' => self.begin_text(field.map_or(Role::Ignored, Role::Value)),
            b'{' | b'[' => self.open(byte, node),
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' if self.depth > 0 => {
                self.clear();
                self.state = State::Word(field);
            }
            _ => self.state = State::Broken,
        }
    }

    fn open(&mut self, byte: u8, node: Option<&'static Node>) {
        let frame = match (byte, node) {
            (b'{', Some(Node::Object(members) | Node::Either(_, members))) => {
                Some(Frame::Object(members))
            }
            (b'[', Some(Node::List(item))) => Some(Frame::Array(item)),
            (b'[', Some(root)) if self.depth == 0 => Some(Frame::Array(root)),
            _ => None,
        };
        match (frame, self.frames.get_mut(self.depth)) {
            (Some(frame), Some(slot)) => {
                *slot = Some(frame);
                self.depth += 1;
                self.state = State::First;
            }
            _ => {
                self.skipped = 1;
                self.filled = node.and_then(Node::field);
                self.state = State::Skip;
            }
        }
    }

    fn close(&mut self, report: &mut impl FnMut(Found<'_>)) {
        let listed = matches!(self.frames[0], Some(Frame::Array(_)));
        self.depth -= 1;
        self.state = if self.depth == 0 { State::Done } else { State::After };
        if self.depth == usize::from(listed) && !(listed && self.depth == 0) {
            report(Found::Complete);
        }
    }

    fn begin_text(&mut self, role: Role) {
        self.clear();
        self.state = State::Text { role, escaped: false };
    }

    /// Goes on in a string from `at`; returns where it stopped.
    fn text(
        &mut self,
        bytes: &[u8],
        at: usize,
        role: Role,
        escaped: bool,
        report: &mut impl FnMut(Found<'_>),
    ) -> usize {
        // The byte behind a backslash is never special.
        let end = end_of_piece(bytes, at + usize::from(escaped));
        let piece = &bytes[at..end];
        match bytes.get(end) {
            // As a rule it is here whole and plain: there is no need to keep it.
            Some(b'"') if self.length == 0 => {
                let text = Text { bytes: piece, length: piece.len(), escaped: false };
                self.end_text(role, &text, report);
            }
            Some(b'"') => {
                self.keep(role.wants_text(), piece);
                let captured = std::mem::take(&mut self.captured);
                let escaped = memchr::memchr(b'\\', &captured).is_some();
                let text = Text { bytes: &captured, length: self.length, escaped };
                self.end_text(role, &text, report);
                self.captured = captured;
            }
            Some(_) => {
                self.keep(role.wants_text(), piece);
                self.keep(role.wants_text(), b"\\");
                self.state = State::Text { role, escaped: true };
            }
            None => {
                self.keep(role.wants_text(), piece);
                self.state = State::Text { role, escaped: false };
                return end;
            }
        }
        end + 1
    }

    fn end_text(&mut self, role: Role, text: &Text<'_>, report: &mut impl FnMut(Found<'_>)) {
        self.state = match role {
            Role::Key => State::Colon,
            Role::Skipped => State::Skip,
            Role::Value(_) | Role::Ignored => State::After,
        };
        match role {
            Role::Key => self.next = self.lookup(text),
            Role::Value(field) if field.wants_text() && text.is_whole() => {
                if let Some(text) = text.decode().filter(|text| !text.is_empty()) {
                    report(Found::Text(field, &text));
                }
            }
            Role::Value(field) if text.length > 0 => report(Found::Filled(field)),
            _ => {}
        }
    }

    /// The node of the member with this key.
    fn lookup(&self, key: &Text<'_>) -> Option<&'static Node> {
        let Some(Frame::Object(members)) = self.top() else { return None };
        let find = |key: &[u8]| {
            members.iter().find(|(name, _)| name.as_bytes() == key).map(|(_, node)| node)
        };
        match key {
            _ if !key.is_whole() => None,
            Text { escaped: false, bytes, .. } => find(bytes),
            _ => find(key.decode()?.as_bytes()),
        }
    }

    /// Goes on in a number or a literal from `at`; returns where it stopped.
    fn word(
        &mut self,
        bytes: &[u8],
        at: usize,
        field: Option<Field>,
        report: &mut impl FnMut(Found<'_>),
    ) -> usize {
        let ends = |b: &u8| matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
        let length = bytes[at..].iter().position(ends);
        let end = length.map_or(bytes.len(), |length| at + length);
        self.keep(field.is_some(), &bytes[at..end]);
        if length.is_none() {
            return end;
        }
        self.state = State::After;
        if let Some(field) = field {
            match std::str::from_utf8(&self.captured).ok().filter(|_| self.length <= MAX_CAPTURE) {
                Some("true" | "false" | "null") => {}
                Some(text) if is_number(text) => report(Found::Number(field, text)),
                _ => self.state = State::Broken,
            }
        }
        end
    }

    /// Goes on in a container that nobody looks into; returns where it stopped.
    fn skip(&mut self, bytes: &[u8], mut at: usize, report: &mut impl FnMut(Found<'_>)) -> usize {
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            if let Some(field) = self.filled {
                match byte {
                    b' ' | b'\t' | b'\n' | b'\r' => continue,
                    b'}' | b']' => {}
                    _ => report(Found::Filled(field)),
                }
                self.filled = None;
            }
            match byte {
                b'"' => {
                    self.begin_text(Role::Skipped);
                    return at;
                }
                b'{' | b'[' => self.skipped += 1,
                b'}' | b']' => self.skipped -= 1,
                _ => {}
            }
            if self.skipped == 0 {
                self.state = State::After;
                return at;
            }
        }
        at
    }

    fn keep(&mut self, wanted: bool, piece: &[u8]) {
        self.length += piece.len();
        if wanted && self.length <= MAX_CAPTURE {
            self.captured.extend_from_slice(piece);
        }
    }

    fn clear(&mut self) {
        self.captured.clear();
        self.length = 0;
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) || Raw::parse(text).is_ok()
}

/// A string that was read to its end.
struct Text<'a> {
    /// As it stands in the document; of one that is longer than [`MAX_CAPTURE`] not all.
    bytes: &'a [u8],
    length: usize,
    /// Whether there are escapes in it.
    escaped: bool,
}

impl<'a> Text<'a> {
    fn is_whole(&self) -> bool {
        self.length <= MAX_CAPTURE
    }

    /// What it says; `None` where it is no valid string.
    fn decode(&self) -> Option<Cow<'a, str>> {
        let text = std::str::from_utf8(self.bytes).ok()?;
        if text.bytes().any(|byte| byte < b' ') {
            return None;
        }
        if !self.escaped {
            return Some(text.into());
        }
        let quoted = format!("\"{text}\"");
        let decoded = Raw::parse(&quoted).ok()?.as_json_str()?.decode().into_owned();
        Some(decoded.into())
    }
}

/// Where the quote or the backslash is that ends a piece of a string, or the end of the bytes.
fn end_of_piece(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    memchr::memchr2(b'"', b'\\', rest).map_or(bytes.len(), |at| from + at)
}
