use std::{fmt, mem, str};

use memchr::{memchr, memchr2};

use super::Event;

/// The default of [`Limits::line`]: 16 MiB.
pub const DEFAULT_MAX_LINE: usize = 16 << 20;

/// The default of [`Limits::event`]: 16 MiB.
pub const DEFAULT_MAX_EVENT: usize = 16 << 20;

/// The capacity that a buffer keeps for the next event. More is given back, so that one large
/// event does not hold its memory for the rest of a long stream.
const KEPT_CAPACITY: usize = 64 << 10;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// How much of a stream a [`Decoder`] holds at most.
///
/// ```
/// use tower_llm_gateway::sse::{Decoder, Limits, SseError};
///
/// let mut decoder = Decoder::with_limits(Limits { line: 8, ..Limits::default() });
/// assert_eq!(decoder.push(b"data: 123456", &mut |_| {}), Err(SseError::LineTooLong));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The bytes of one line without its end, comments included. Default [`DEFAULT_MAX_LINE`].
    pub line: usize,
    /// The bytes of one event: its name, its id and its joined data. Default
    /// [`DEFAULT_MAX_EVENT`].
    pub event: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { line: DEFAULT_MAX_LINE, event: DEFAULT_MAX_EVENT }
    }
}

/// Why a stream is not read further. No bytes of a stream are an error but too many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SseError {
    /// A line is longer than [`Limits::line`].
    LineTooLong,
    /// An event is longer than [`Limits::event`].
    EventTooLong,
}

impl fmt::Display for SseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LineTooLong => "line of an event stream is longer than the limit",
            Self::EventTooLong => "event of an event stream is longer than the limit",
        })
    }
}

impl std::error::Error for SseError {}

type OnEvent<'a> = &'a mut dyn FnMut(Event<'_>);

/// Bytes in, events out, by the grammar of the [WHATWG].
///
/// Any cut of the stream into pushes gives the same events. An event that stands whole in one
/// push is borrowed from it, several data lines excepted; what is cut between pushes is copied,
/// into buffers that all events share. Invalid UTF-8 is read as U+FFFD.
///
/// It differs from a browser in three things: an event shows its own `id` and `retry` only,
/// [`finish`](Self::finish) takes an event without its blank line, and there are [`Limits`].
///
/// ```
/// use tower_llm_gateway::sse::Decoder;
///
/// let mut decoder = Decoder::new();
/// let mut seen = Vec::new();
/// for bytes in ["event: gre", "eting\r", "\ndata: hello\n\ndata: bye"] {
///     decoder.push(bytes.as_bytes(), &mut |event| seen.push(event.data.to_owned()))?;
/// }
/// assert_eq!(seen, ["hello"]);
/// decoder.finish(&mut |event| seen.push(event.data.to_owned()))?;
/// assert_eq!(seen, ["hello", "bye"]);
/// # Ok::<(), tower_llm_gateway::sse::SseError>(())
/// ```
///
/// [WHATWG]: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
#[derive(Default, Clone, PartialEq)]
pub struct Decoder {
    limits: Limits,
    /// How many bytes of a leading BOM have matched; its length when that is decided.
    bom: usize,
    /// The last line ended with the last byte, a CR: a LF that comes next belongs to it.
    after_cr: bool,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    kept: Kept,
    failed: Option<SseError>,
}

impl Decoder {
    /// A decoder with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder with these limits.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Reads on, and hands each event that is complete to `on_event`.
    ///
    /// # Errors
    ///
    /// Beyond a limit; the events before it have been handed on. The decoder stays failed: every
    /// later call answers the same.
    pub fn push(&mut self, bytes: &[u8], on_event: OnEvent<'_>) -> Result<(), SseError> {
        self.unless_failed(|this| this.read(bytes, on_event))
    }

    /// Ends the stream: a last line without its end and a last event without its blank line
    /// count as complete, because model servers leave both out.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn finish(&mut self, on_event: OnEvent<'_>) -> Result<(), SseError> {
        self.unless_failed(|this| {
            let mut fresh = Fresh::default();
            if !this.line.is_empty() {
                this.end_line(b"", &mut fresh, on_event)?;
            }
            this.kept.dispatch(&mut fresh, on_event);
            Ok(())
        })
    }

    /// Whether no line and no event has begun that is not complete: another event may be
    /// appended to the raw bytes here.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        let in_bom = (1..BOM.len()).contains(&self.bom);
        self.failed.is_none() && !in_bom && self.line.is_empty() && self.kept.is_empty()
    }

    fn unless_failed(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(), SseError>,
    ) -> Result<(), SseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let result = read(self);
        if let Err(error) = result {
            *self = Self { failed: Some(error), ..Self::with_limits(self.limits) };
        }
        result
    }

    fn read(&mut self, bytes: &[u8], on_event: OnEvent<'_>) -> Result<(), SseError> {
        let mut rest = self.strip_bom(bytes);
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        let mut fresh = Fresh::default();
        while let Some(end) = memchr2(b'\n', b'\r', rest) {
            let (line, ending) = rest.split_at(end);
            rest = match ending {
                [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
                [] => ending,
            };
            self.after_cr = ending == b"\r";
            self.end_line(line, &mut fresh, on_event)?;
        }
        if self.line.len() + rest.len() > self.limits.line {
            return Err(SseError::LineTooLong);
        }
        self.line.extend_from_slice(rest);
        self.kept.keep(&mut fresh);
        Ok(())
    }

    /// Takes a leading BOM off, also when it comes in pieces.
    fn strip_bom<'i>(&mut self, mut bytes: &'i [u8]) -> &'i [u8] {
        while self.bom < BOM.len() {
            let Some((first, rest)) = bytes.split_first() else { break };
            if *first != BOM[self.bom] {
                self.line.extend_from_slice(&BOM[..self.bom]);
                self.bom = BOM.len();
                break;
            }
            self.bom += 1;
            bytes = rest;
        }
        bytes
    }

    /// Reads the line that ends with `tail`.
    fn end_line<'i>(
        &mut self,
        tail: &'i [u8],
        fresh: &mut Fresh<'i>,
        on_event: OnEvent<'_>,
    ) -> Result<(), SseError> {
        if self.line.len() + tail.len() > self.limits.line {
            return Err(SseError::LineTooLong);
        }
        if self.line.is_empty() {
            if tail.is_empty() {
                self.kept.dispatch(fresh, on_event);
                return Ok(());
            }
            self.kept.read_line(tail, fresh);
        } else {
            // It is the first to end in this push, so nothing is fresh.
            self.line.extend_from_slice(tail);
            let mut held = Fresh::default();
            self.kept.read_line(&self.line, &mut held);
            self.kept.keep(&mut held);
            reset(&mut self.line);
        }
        if self.kept.len(fresh) > self.limits.event {
            return Err(SseError::EventTooLong);
        }
        Ok(())
    }
}

/// Streams carry prompts and answers, so their bytes are not shown.
impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("limits", &self.limits)
            .field("at_boundary", &self.at_boundary())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// The fields of the current event that are borrowed from the current push.
#[derive(Default, Clone, PartialEq)]
struct Fresh<'i> {
    name: Option<&'i str>,
    data: Option<&'i str>,
    id: Option<&'i str>,
}

/// The fields of the current event that had to be copied. A fresh one replaces its name and id.
#[derive(Default, Clone, PartialEq)]
struct Kept {
    name: String,
    data: String,
    has_data: bool,
    id: String,
    has_id: bool,
    retry: Option<u64>,
}

impl Kept {
    fn read_line<'i>(&mut self, line: &'i [u8], fresh: &mut Fresh<'i>) {
        let (name, value) = split_field(line);
        if !matches!(name, b"data" | b"event" | b"id" | b"retry") {
            return;
        }
        if let Ok(value) = str::from_utf8(value) {
            self.set(name, value, fresh);
        } else {
            self.keep(fresh);
            let repaired = String::from_utf8_lossy(value);
            let mut fresh = Fresh::default();
            self.set(name, &repaired, &mut fresh);
            self.keep(&mut fresh);
        }
    }

    fn set<'i>(&mut self, name: &[u8], value: &'i str, fresh: &mut Fresh<'i>) {
        match name {
            b"event" => fresh.name = Some(value),
            b"id" if !value.contains('\0') => fresh.id = Some(value),
            b"retry" => self.retry = milliseconds(value).or(self.retry),
            b"data" if self.has_data || fresh.data.is_some() => {
                self.keep(fresh);
                self.keep_data(value);
            }
            b"data" => fresh.data = Some(value),
            _ => {}
        }
    }

    fn keep(&mut self, fresh: &mut Fresh<'_>) {
        let Fresh { name, data, id } = mem::take(fresh);
        if let Some(name) = name {
            self.name.clear();
            self.name.push_str(name);
        }
        if let Some(id) = id {
            self.id.clear();
            self.id.push_str(id);
            self.has_id = true;
        }
        if let Some(data) = data {
            self.keep_data(data);
        }
    }

    fn keep_data(&mut self, line: &str) {
        if mem::replace(&mut self.has_data, true) {
            self.data.push('\n');
        }
        self.data.push_str(line);
    }

    /// Ends the event. One without a data line is none.
    fn dispatch(&mut self, fresh: &mut Fresh<'_>, on_event: OnEvent<'_>) {
        let Fresh { name, data, id } = mem::take(fresh);
        if let Some(data) = data.or(self.has_data.then_some(&self.data)) {
            on_event(Event {
                name: name.unwrap_or(&self.name),
                data,
                id: id.or(self.has_id.then_some(&self.id)),
                retry: self.retry,
            });
        }
        self.clear();
    }

    fn clear(&mut self) {
        for text in [&mut self.name, &mut self.data, &mut self.id] {
            text.clear();
            text.shrink_to(KEPT_CAPACITY);
        }
        (self.has_data, self.has_id, self.retry) = (false, false, None);
    }

    fn is_empty(&self) -> bool {
        self.name.is_empty() && !self.has_data && !self.has_id && self.retry.is_none()
    }

    /// The length of the current event.
    fn len(&self, fresh: &Fresh<'_>) -> usize {
        let length = |fresh: Option<&str>, kept: &String| fresh.map_or(kept.len(), str::len);
        length(fresh.name, &self.name) + length(fresh.data, &self.data) + length(fresh.id, &self.id)
    }
}

fn split_field(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(colon) = memchr(b':', line) else { return (line, b"") };
    let value = &line[colon + 1..];
    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
}

fn milliseconds(value: &str) -> Option<u64> {
    // A sign, which `parse` takes, is no digit.
    if value.bytes().all(|byte| byte.is_ascii_digit()) { value.parse().ok() } else { None }
}

fn reset(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(KEPT_CAPACITY);
}

#[cfg(test)]
mod tests;
