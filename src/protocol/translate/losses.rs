use crate::protocol::Protocol;
use crate::protocol::model::{Delta, PartStart, StreamEvent};
use crate::protocol::report::{Loss, Severity, TranslationReport};

/// What a stream could not carry, told by the kinds of its events: each kind once, however often it
/// comes, so that it stays as small as the table below.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct StreamLosses(TranslationReport);

impl StreamLosses {
    /// Notes what `event` holds that has no place in a stream of `to`, another protocol than its own.
    pub(super) fn note(&mut self, event: &StreamEvent<'_>, to: Protocol) {
        let Some((reason, severity)) = lost(event, to) else { return };
        if self.0.losses().iter().all(|loss| loss.reason != reason) {
            // There is no document to point into.
            self.0.add(Loss { pointer: String::new(), reason, severity });
        }
    }

    pub(super) fn report(&self) -> &TranslationReport {
        &self.0
    }
}

fn lost(event: &StreamEvent<'_>, to: Protocol) -> Option<(&'static str, Severity)> {
    use Protocol::{Anthropic, Gemini, OpenAiChat, OpenAiResponses};
    let (among, reason, severity): (&[Protocol], _, _) = match event {
        StreamEvent::PartStart { candidate: 1.., .. } => {
            (&[Anthropic, OpenAiResponses], "one candidate only", Severity::Degrade)
        }
        StreamEvent::PartStart { part: PartStart::Other { .. }, .. }
        | StreamEvent::Delta { delta: Delta::Other(_), .. } => {
            (&Protocol::ALL, "a piece that only the upstream's protocol has", Severity::Degrade)
        }
        StreamEvent::PartStart { part: PartStart::Media(_), .. } => {
            (&[Anthropic, OpenAiChat], "no media in an answer", Severity::Degrade)
        }
        StreamEvent::Delta { delta: Delta::Citation(_), .. } => {
            (&[Anthropic, Gemini], "no citations in this form", Severity::Degrade)
        }
        StreamEvent::Logprobs { .. } => {
            (&[Anthropic, Gemini], "no token probabilities in this form", Severity::Ignore)
        }
        _ => return None,
    };
    among.contains(&to).then_some((reason, severity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json::Raw;

    #[test]
    fn each_kind_is_told_once() {
        let mut losses = StreamLosses::default();
        for _ in 0..1000 {
            let logprobs = StreamEvent::Logprobs { candidate: 0, raw: Raw::literal("{}") };
            let delta = Delta::Other(Raw::literal("{}"));
            for event in [logprobs, StreamEvent::Delta { index: 0, delta }, StreamEvent::Ping] {
                losses.note(&event, Protocol::Anthropic);
            }
        }
        let reasons: Vec<_> = losses.report().losses().iter().map(|loss| loss.reason).collect();
        assert_eq!(
            reasons,
            [
                "no token probabilities in this form",
                "a piece that only the upstream's protocol has"
            ]
        );
        assert_eq!(losses.report().omitted(), 0);
    }
}
