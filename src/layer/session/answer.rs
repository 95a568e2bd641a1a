//! An answer becomes ours: its id, and what is kept of it.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::history::can_be_replayed;
use crate::protocol::Transcode;
use crate::protocol::edit::{EditError, Edited, OwnedResponse, ResponseOwner};
use crate::protocol::json::Raw;
use crate::sse::{DEFAULT_MAX_EVENT, Decoder, Event, EventEnds, encode};
use crate::store::{SessionStore, Turn, TurnKey};

/// Says that a stream that was passed on broke. The API's reference has no other event for it.
const BROKEN: &[u8] = b"event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\
\"message\":\"the answer broke off\",\"param\":null,\"sequence_number\":0}\n\n";

/// A turn whose answer is under way.
pub(super) struct OpenTurn {
    pub(super) store: Arc<dyn SessionStore>,
    pub(super) key: TurnKey,
    pub(super) previous: Option<Arc<str>>,
    /// Empty where it is not kept.
    pub(super) input: Vec<Bytes>,
    /// Whether it is kept when it has ended.
    pub(super) stored: bool,
}

impl OpenTurn {
    /// The answer that is no stream, under its id of ours; kept if it has ended.
    pub(super) fn claim_document(&self, body: &Bytes) -> Result<Bytes, EditError> {
        let response = OwnedResponse::document(body)?;
        let claimed = match response.claim(&self.owner())? {
            Edited::Unchanged => body.clone(),
            Edited::Changed(bytes) => bytes,
        };
        if response.has_ended() {
            self.keep(response.output()?, claimed.clone());
        }
        Ok(claimed)
    }

    fn owner(&self) -> ResponseOwner<'_> {
        let previous = self.previous.as_deref();
        ResponseOwner { id: &self.key.id, previous, stored: self.stored }
    }

    fn keep(&self, mut output: Vec<Bytes>, response: Bytes) {
        if !self.stored {
            return;
        }
        output.retain(|item| can_be_replayed(item));
        let (previous, input) = (self.previous.clone(), self.input.clone());
        self.store.put(self.key.clone(), Turn { previous, input, output, response });
    }
}

impl fmt::Debug for OpenTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenTurn").field("key", &self.key).finish_non_exhaustive()
    }
}

/// A stream whose events that carry the response are ours; all others pass as they are, byte for
/// byte and comments with them.
pub(super) struct ClaimStream {
    turn: Box<OpenTurn>,
    ends: EventEnds,
    /// The beginning of an event whose end has not come, at most [`DEFAULT_MAX_EVENT`].
    begun: BytesMut,
    items: DoneItems,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The response has ended; there may be more of the stream.
    Ended,
    Failed,
}

/// The items that were told to be done, for an answer whose last event leaves them out. At most
/// [`DEFAULT_MAX_EVENT`] bytes, as much as that event could have held.
#[derive(Default)]
struct DoneItems {
    items: Vec<Bytes>,
    bytes: usize,
}

impl DoneItems {
    fn add(&mut self, data: &str) {
        let item = Raw::parse(data).ok();
        let Some(item) = item.as_ref().and_then(|data| data.member("item")) else { return };
        self.bytes = self.bytes.saturating_add(item.as_str().len());
        if self.bytes <= DEFAULT_MAX_EVENT {
            self.items.push(Bytes::copy_from_slice(item.as_str().as_bytes()));
        }
    }

    fn take(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.items)
    }
}

impl ClaimStream {
    pub(super) fn new(turn: OpenTurn) -> Self {
        let (ends, begun) = (EventEnds::default(), BytesMut::new());
        let items = DoneItems::default();
        Self { turn: Box::new(turn), ends, begun, items, state: State::Open }
    }

    fn event(&mut self, raw: &[u8], out: &mut BytesMut) {
        // Most events carry a piece of text, and need no second look.
        let holds = |needle: &[u8]| memchr::memmem::find(raw, needle).is_some();
        let is_item = self.turn.stored && holds(b"response.output_item.done");
        if !is_item && !holds(br#""response""#) {
            out.extend_from_slice(raw);
            return;
        }
        let (mut passed, mut failed) = (true, false);
        let mut see = |event: Event<'_>| match self.claim(event.data) {
            Ok(Some(data)) => {
                passed = false;
                put_data(raw, event, &data, out);
            }
            Ok(None) if is_item => self.items.add(event.data),
            Ok(None) => {}
            Err(_) => failed = true,
        };
        let mut decoder = Decoder::new();
        let read = decoder.push(raw, &mut see).and_then(|()| decoder.finish(&mut see));
        if failed || read.is_err() {
            self.abort(out);
        } else if passed {
            out.extend_from_slice(raw);
        }
    }

    /// The data of an event under our id; `None` for one that carries no response.
    fn claim(&mut self, data: &str) -> Result<Option<Bytes>, EditError> {
        let Some(response) = OwnedResponse::event(data)? else { return Ok(None) };
        let claimed = match response.claim(&self.turn.owner())? {
            Edited::Unchanged => Bytes::copy_from_slice(data.as_bytes()),
            Edited::Changed(bytes) => bytes,
        };
        if response.has_ended() {
            self.state = State::Ended;
            let output = Some(response.output()?).filter(|items| !items.is_empty());
            let output = output.unwrap_or_else(|| self.items.take());
            let text = std::str::from_utf8(&claimed).unwrap_or_default();
            let response = OwnedResponse::event(text)?.map_or("", |response| response.text());
            self.turn.keep(output, Bytes::copy_from_slice(response.as_bytes()));
        }
        Ok(Some(claimed))
    }
}

impl fmt::Debug for ClaimStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimStream")
            .field("turn", &self.turn)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// The event with other data; all around it stays, where the data stood on one line.
fn put_data(raw: &[u8], event: Event<'_>, data: &[u8], out: &mut BytesMut) {
    match memchr::memmem::find(raw, event.data.as_bytes()) {
        Some(at) => {
            out.extend_from_slice(&raw[..at]);
            out.extend_from_slice(data);
            out.extend_from_slice(&raw[at + event.data.len()..]);
        }
        None => {
            let data = std::str::from_utf8(data).unwrap_or_default();
            encode(out, &Event { data, ..event });
        }
    }
}

impl Transcode for ClaimStream {
    fn push(&mut self, input: &[u8], out: &mut BytesMut) {
        let mut rest = input;
        while let Some(end) = self.ends.next(rest) {
            let (piece, behind) = rest.split_at(end);
            rest = behind;
            if self.begun.is_empty() {
                self.event(piece, out);
            } else {
                self.begun.extend_from_slice(piece);
                let event = self.begun.split();
                self.event(&event, out);
            }
            if self.is_done() {
                return;
            }
        }
        if self.begun.len() + rest.len() > DEFAULT_MAX_EVENT {
            self.abort(out);
            return;
        }
        self.begun.extend_from_slice(rest);
    }

    fn finish(&mut self, out: &mut BytesMut) {
        // Model servers leave out the last empty line.
        let event = self.begun.split();
        self.event(&event, out);
    }

    fn abort(&mut self, out: &mut BytesMut) {
        self.begun.clear();
        // What breaks behind the end takes nothing from the answer.
        if self.state == State::Open {
            out.extend_from_slice(BROKEN);
        }
        self.state = State::Failed;
    }

    fn is_done(&self) -> bool {
        self.state == State::Failed
    }
}
