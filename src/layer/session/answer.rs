//! An answer becomes ours: its id, and what is kept of it.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::history::can_be_replayed;
use crate::protocol::Transcode;
use crate::protocol::edit::{EditError, Edited, OwnedResponse, ResponseOwner};
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
    pub(super) input: Vec<Bytes>,
    /// Whether it is kept when it has ended.
    pub(super) stored: bool,
}

impl OpenTurn {
    /// The answer that is no stream, under its id of ours; kept if it has ended.
    pub(super) fn claim_document(&mut self, body: &Bytes) -> Result<Bytes, EditError> {
        let response = OwnedResponse::document(body)?;
        let claimed = changed(response.claim(&self.owner())?, body);
        if let Some(output) = response.output()? {
            self.keep(output, claimed.clone());
        }
        Ok(claimed)
    }

    /// The same of an event's data; `None` for an event that carries no response.
    fn claim_event(&mut self, data: &str) -> Result<Option<Bytes>, EditError> {
        let Some(response) = OwnedResponse::event(data)? else { return Ok(None) };
        let claimed = match response.claim(&self.owner())? {
            Edited::Unchanged => Bytes::copy_from_slice(data.as_bytes()),
            Edited::Changed(bytes) => bytes,
        };
        if let Some(output) = response.output()? {
            let text = std::str::from_utf8(&claimed).unwrap_or_default();
            let response = OwnedResponse::event(text)?.map_or("", |response| response.text());
            self.keep(output, Bytes::copy_from_slice(response.as_bytes()));
        }
        Ok(Some(claimed))
    }

    fn owner(&self) -> ResponseOwner<'_> {
        let previous = self.previous.as_deref();
        ResponseOwner { id: &self.key.id, previous, stored: self.stored }
    }

    fn keep(&mut self, mut output: Vec<Bytes>, response: Bytes) {
        if !self.stored {
            return;
        }
        output.retain(|item| can_be_replayed(item));
        let (previous, input) = (self.previous.clone(), std::mem::take(&mut self.input));
        self.store.put(self.key.clone(), Turn { previous, input, output, response });
    }
}

fn changed(edited: Edited, before: &Bytes) -> Bytes {
    match edited {
        Edited::Unchanged => before.clone(),
        Edited::Changed(bytes) => bytes,
    }
}

impl fmt::Debug for OpenTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenTurn").field("key", &self.key).finish_non_exhaustive()
    }
}

/// A stream whose events that carry the response are ours; all others pass as they are, byte for
/// byte and comments with them.
#[derive(Debug)]
pub(super) struct ClaimStream {
    turn: Box<OpenTurn>,
    ends: EventEnds,
    /// The beginning of an event whose end has not come, at most [`DEFAULT_MAX_EVENT`].
    begun: BytesMut,
    failed: bool,
}

impl ClaimStream {
    pub(super) fn new(turn: OpenTurn) -> Self {
        Self {
            turn: Box::new(turn),
            ends: EventEnds::default(),
            begun: BytesMut::new(),
            failed: false,
        }
    }

    fn event(&mut self, raw: &[u8], out: &mut BytesMut) {
        // Most events carry a piece of text, and need no second look.
        if memchr::memmem::find(raw, br#""response""#).is_none() {
            out.extend_from_slice(raw);
            return;
        }
        let mut claimed = false;
        let mut decoder = Decoder::new();
        let turn = &mut self.turn;
        let mut claim = |event: Event<'_>| {
            if let Ok(Some(data)) = turn.claim_event(event.data) {
                put_data(raw, event, &data, out);
                claimed = true;
            }
        };
        let read = decoder.push(raw, &mut claim).and_then(|()| decoder.finish(&mut claim));
        if !claimed && read.is_ok() {
            out.extend_from_slice(raw);
        }
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
        self.failed = true;
        out.extend_from_slice(BROKEN);
    }

    fn is_done(&self) -> bool {
        self.failed
    }
}
