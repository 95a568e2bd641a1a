//! A finished answer as the events of a stream.

use super::json::JsonStr;
use super::model::{
    Candidate, Content, Delta, Part, PartStart, Response, SealKind, Stop, StopReason, StreamEvent,
    ToolArguments, Usage,
};

/// Plays `response` into `sink`, as if it had been streamed in one piece per part.
///
/// ```
/// use http::StatusCode;
/// use tower_llm_gateway::protocol::model::StreamEvent;
/// use tower_llm_gateway::protocol::{anthropic, play::play};
///
/// let text = r#"{"id":"m","type":"message","role":"assistant","model":"x","content":
///     [{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,
///     "usage":{"input_tokens":1,"output_tokens":1}}"#;
/// let response = anthropic::response::read(text)?;
/// let mut events = 0;
/// play(&response, &mut |event: StreamEvent<'_>| events += 1);
/// assert_eq!(events, 7); // start, part (3), stop, usage, end
/// # Ok::<(), tower_llm_gateway::protocol::json::JsonError>(())
/// ```
pub fn play(response: &Response<'_>, sink: &mut dyn FnMut(StreamEvent<'_>)) {
    sink(StreamEvent::Start {
        id: response.id.borrow(),
        model: response.model.borrow(),
        created: response.created.as_ref().and_then(super::json::Number::as_u64),
        usage: response.usage.as_ref().map(|usage| Usage {
            output: 0,
            reasoning: 0,
            ..usage.counts()
        }),
        rest: response.rest.clone(),
    });
    let mut index = 0;
    for candidate in &response.candidates {
        for part in &candidate.parts {
            play_part(part, index, candidate.index, sink);
            index += 1;
        }
        play_end(candidate, sink);
    }
    if let Some(usage) = &response.usage {
        sink(StreamEvent::Usage(usage.clone()));
    }
    sink(StreamEvent::End);
}

fn play_end(candidate: &Candidate<'_>, sink: &mut dyn FnMut(StreamEvent<'_>)) {
    if let Some(raw) = &candidate.logprobs {
        sink(StreamEvent::Logprobs { candidate: candidate.index, raw: raw.borrow() });
    }
    sink(StreamEvent::Stop {
        candidate: candidate.index,
        stop: candidate.stop.clone().unwrap_or_else(|| Stop::new(StopReason::End)),
        rest: candidate.rest.clone(),
    });
}

fn play_part(part: &Part<'_>, index: u32, candidate: u32, sink: &mut dyn FnMut(StreamEvent<'_>)) {
    let start = |part_start: PartStart<'_>, sink: &mut dyn FnMut(StreamEvent<'_>)| {
        sink(StreamEvent::PartStart {
            index,
            candidate,
            part: part_start,
            rest: part.rest.clone(),
        });
    };
    let delta = |delta: Delta<'_>, sink: &mut dyn FnMut(StreamEvent<'_>)| {
        sink(StreamEvent::Delta { index, delta });
    };
    match &part.content {
        Content::Text { text, citations } => {
            start(PartStart::Text { citations: citations.clone() }, sink);
            delta(Delta::Text(text.borrow()), sink);
        }
        Content::Refusal(text) => {
            start(PartStart::Refusal, sink);
            delta(Delta::Text(text.borrow()), sink);
        }
        Content::Reasoning { text, seal, .. } => {
            let (early, late) = match seal {
                Some(seal) if seal.kind == SealKind::Redacted => (Some(seal.clone()), None),
                seal => (None, seal.clone()),
            };
            start(PartStart::Reasoning { seal: early }, sink);
            if let Some(text) = text {
                delta(Delta::Reasoning(text.borrow()), sink);
            }
            if let Some(seal) = late {
                delta(Delta::Seal(seal), sink);
            }
        }
        Content::ToolCall(call) => {
            let part_start = PartStart::ToolCall {
                id: call.id.borrow(),
                name: call.name.borrow(),
                kind: call.kind,
                seal: call.seal.clone(),
                cache: part.cache.clone(),
            };
            start(part_start, sink);
            let arguments = match &call.arguments {
                ToolArguments::Text(text) => text.borrow(),
                ToolArguments::Json(raw) => JsonStr::from_plain(raw.as_str()),
            };
            delta(Delta::Arguments(arguments), sink);
        }
        Content::Other { kind, raw } => {
            start(PartStart::Other { kind: kind.borrow(), raw: raw.borrow() }, sink);
        }
        Content::Media(media) => start(PartStart::Media(media.clone()), sink),
        // A model does not answer with it; there is no event for it.
        Content::ToolResult(_) => return,
    }
    if let Some(seal) = &part.seal {
        delta(Delta::Seal(seal.clone()), sink);
    }
    sink(StreamEvent::PartStop { index });
}
