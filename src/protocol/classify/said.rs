//! What the body of an error says, in whatever form.

use crate::protocol::json::{Cursor, JsonError, Kind, Raw};

/// The words of an error, in lower case.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Its code, where that is a word.
    pub(super) code: String,
    /// Its type.
    pub(super) type_word: String,
    /// All that is told to people, a line each, without what it quotes.
    pub(super) text: String,
    /// Whether it names a parameter of the request.
    pub(super) has_param: bool,
}

/// The JSON document that an error is read from: the body, the data of an event in it, or the
/// answer that a Responses event carries.
pub(super) fn document(body: &str) -> Option<&str> {
    let body = body.trim();
    let body = if body.starts_with(['{', '[']) {
        body
    } else {
        // DashScope answers a failed stream with an event, also where the status is no 200.
        body.lines().find_map(|line| line.strip_prefix("data:"))?.trim()
    };
    Raw::parse(body).ok()?;
    let mut c = Cursor::new(body);
    let mut inner = None;
    if c.kind().ok()? == Kind::Object {
        c.object(|key, c| {
            let is_object = c.kind()? == Kind::Object;
            let raw = c.raw_str()?;
            if is_object && key == *"response" {
                inner = Some(raw);
            }
            Ok(())
        })
        .ok()?;
    }
    inner.or(Some(body))
}

impl Said {
    /// Reads what [`document`] found.
    pub(super) fn read(document: &str) -> Self {
        let mut said = Self::default();
        let mut c = Cursor::new(document);
        // The text was checked; a form yet unknown leaves what was found before it.
        let _ = match c.kind() {
            Ok(Kind::Array) => c.array(|_, c| said.error(c, false)),
            _ => said.error(&mut c, false),
        };
        said
    }

    /// An object with the words in it, or the bare message. What is `inner` goes over what stands
    /// around it.
    fn error(&mut self, c: &mut Cursor<'_>, inner: bool) -> Result<(), JsonError> {
        match c.kind()? {
            Kind::Object => c.object(|key, c| self.member(&key.decode(), c, inner)),
            Kind::String => {
                self.tell(&c.string()?.decode());
                Ok(())
            }
            _ => c.raw().map(drop),
        }
    }

    fn member(&mut self, name: &str, c: &mut Cursor<'_>, inner: bool) -> Result<(), JsonError> {
        let is_text = c.kind()? == Kind::String;
        match name {
            "error" | "upstream_error" => return self.error(c, true),
            "message" | "Message" | "msg" | "detail" if is_text => self.tell(&c.string()?.decode()),
            "code" if is_text => set(&mut self.code, &c.string()?.decode(), inner),
            "type" if is_text => set(&mut self.type_word, &c.string()?.decode(), inner),
            "param" if is_text => self.has_param |= !c.string()?.is_empty(),
            _ => drop(c.raw()?),
        }
        Ok(())
    }

    fn tell(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&without_quotes(&text.to_lowercase()));
    }

    /// Its names alone, which the upstream chose and no request can.
    pub(super) fn names(&self) -> Self {
        let (code, type_word) = (self.code.clone(), self.type_word.clone());
        Self { code, type_word, text: String::new(), has_param: self.has_param }
    }
}

/// Where the rest of a message is what the client sent, as pydantic writes it.
const ECHOES: [&str; 4] = ["input_value=", "input=", "'input':", "\"input\":"];

/// A message without what it quotes: that may be the client's words, who could blame a key with
/// them. The marks stay. What is left open goes to the end, as in an echo that was cut.
fn without_quotes(text: &str) -> String {
    let echo = ECHOES.iter().filter_map(|echo| text.find(echo)).min();
    let text = &text[..echo.unwrap_or(text.len())];
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(open) = chars.next() {
        out.push(open);
        // An apostrophe stands behind a letter.
        let quotes = open != '\'' || !before.is_alphanumeric();
        before = open;
        let Some(close) = closing(open).filter(|_| quotes) else { continue };
        let mut depth = 1;
        while let Some(c) = chars.next() {
            let next_is_letter = chars.peek().is_some_and(|c| c.is_alphanumeric());
            if c == '\\' {
                chars.next();
            } else if c == close && !(c == '\'' && next_is_letter) {
                depth -= 1;
            } else if c == open && c != close {
                depth += 1;
            }
            if depth == 0 {
                out.push(close);
                before = close;
                break;
            }
        }
    }
    out
}

fn closing(open: char) -> Option<char> {
    Some(match open {
        '"' | '\'' | '`' => open,
        '“' => '”',
        '‘' => '’',
        '「' => '」',
        '[' => ']',
        '{' => '}',
        _ => return None,
    })
}

fn set(slot: &mut String, word: &str, inner: bool) {
    if inner || slot.is_empty() {
        *slot = word.to_lowercase();
    }
}
