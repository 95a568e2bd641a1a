//! Gives an answer what its request had to give up: names of tools, tools of free text.

use super::model::{Response, StreamEvent};

/// What was changed in a request, and is to be changed back in its answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Restore {}

impl Restore {
    /// Changes a finished answer back.
    pub fn response(&self, _response: &mut Response<'_>) {}

    /// Changes an event of a streamed answer back.
    pub fn event(&mut self, event: StreamEvent<'_>, sink: &mut dyn FnMut(StreamEvent<'_>)) {
        sink(event);
    }
}
