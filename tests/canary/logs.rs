//! All that is logged at any level, by whichever crate, as text and as JSON.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::listen::Log;
use crate::secrets::Outputs;

/// The logs of this process.
pub(crate) struct Logs {
    text: Log,
    json: Log,
}

impl Logs {
    pub(crate) fn install() -> Self {
        let (text, json) = (Log::default(), Log::default());
        let to_text =
            fmt::layer().with_ansi(false).with_span_events(FmtSpan::FULL).with_writer(text.clone());
        let to_json = fmt::layer().json().with_span_events(FmtSpan::FULL).with_writer(json.clone());
        let all = LevelFilter::TRACE;
        tracing_subscriber::registry().with(to_text).with(to_json).with(all).init();
        Self { text, json }
    }

    pub(crate) fn show(&self, outputs: &mut Outputs) {
        outputs.add("the log as text", self.text.text());
        outputs.add("the log as JSON", self.json.text());
    }

    /// That there is something in which a secret could have been found.
    pub(crate) fn hold_what_they_should(&self) {
        for log in [&self.text, &self.json] {
            let text = log.text();
            for said in ["llm_request", "channel chosen", "attempt failed", "TRACE", "DEBUG"] {
                assert!(text.contains(said), "nothing was said of {said:?}");
            }
        }
    }
}
