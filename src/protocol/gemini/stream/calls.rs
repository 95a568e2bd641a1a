//! Calls, whole or in pieces.

use super::reader::{Open, Reader};
use crate::protocol::json::{JsonStr, Kind};
use crate::protocol::model::{
    Delta, PartStart, Rest, Spelling, StreamEvent, ToolArguments, ToolCall,
};
use crate::protocol::stream_reader::{Broken, Sink, Step};

impl Reader {
    /// A call, or a piece of one: `{name, willContinue}`, then `{partialArgs, willContinue}`, and
    /// at last one that does not go on, often empty.
    pub(super) fn call(
        &mut self,
        at: usize,
        call: ToolCall<'_>,
        rest: Rest<'_>,
        sink: Sink<'_>,
    ) -> Step {
        let pieces = rest.get("partialArgs").or_else(|| rest.get("partial_args"));
        let goes_on = ["willContinue", "will_continue"]
            .iter()
            .any(|name| rest.get(name).is_some_and(|raw| raw.as_str() == "true"));
        let is_open = matches!(self.candidates[at].open, Open::Call(..));
        if !call.name.is_empty() {
            let in_pieces = goes_on || pieces.is_some();
            if !in_pieces {
                self.whole_call(at, call, rest, sink);
                return Ok(());
            }
            self.begin_call(at, &call, sink);
        } else if !call.spelling.has(Spelling::NO_ARGUMENTS) {
            return Err(Broken("a tool call came without its name"));
        } else if !is_open {
            return Ok(());
        }
        if let (Open::Call(_, arguments), Some(pieces)) = (&mut self.candidates[at].open, pieces) {
            if pieces.kind() == Kind::Array {
                arguments.add(pieces)?;
            }
        }
        if !goes_on {
            self.close(at, sink);
        }
        Ok(())
    }

    fn begin_call(&mut self, at: usize, call: &ToolCall<'_>, sink: Sink<'_>) {
        self.close(at, sink);
        let index = self.start_part(at, start_of(call), Rest::default(), sink);
        self.candidates[at].calls = true;
        self.candidates[at].open = Open::Call(index, Box::default());
    }

    fn whole_call(&mut self, at: usize, call: ToolCall<'_>, rest: Rest<'_>, sink: Sink<'_>) {
        self.close(at, sink);
        self.candidates[at].calls = true;
        let index = self.start_part(at, start_of(&call), rest, sink);
        let arguments = match call.arguments {
            ToolArguments::Json(raw) => JsonStr::from_plain(raw.as_str().to_owned()),
            ToolArguments::Text(text) => text,
        };
        sink(StreamEvent::Delta { index, delta: Delta::Arguments(arguments) });
        sink(StreamEvent::PartStop { index });
    }
}

fn start_of<'c>(call: &'c ToolCall<'_>) -> PartStart<'c> {
    PartStart::ToolCall {
        id: call.id.borrow(),
        name: call.name.borrow(),
        kind: call.kind,
        seal: call.seal.clone(),
        cache: None,
    }
}
