//! All that is logged at any level, by whichever crate, as text and as JSON.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::secrets::Outputs;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

impl Lines {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

/// The logs of this process.
pub(crate) struct Logs {
    text: Lines,
    json: Lines,
}

impl Logs {
    pub(crate) fn install() -> Self {
        let (text, json) = (Lines::default(), Lines::default());
        let to_text =
            fmt::layer().with_ansi(false).with_span_events(FmtSpan::FULL).with_writer(text.clone());
        let to_json = fmt::layer().json().with_span_events(FmtSpan::FULL).with_writer(json.clone());
        let all = LevelFilter::TRACE;
        tracing_subscriber::registry().with(to_text).with(to_json).with(all).init();
        Self { text, json }
    }

    pub(crate) fn show(&self, outputs: &mut Outputs) {
        outputs.add("the log as text", self.text.bytes());
        outputs.add("the log as JSON", self.json.bytes());
    }

    /// That there is something in which a secret could have been found.
    pub(crate) fn hold_what_they_should(&self) {
        for lines in [&self.text, &self.json] {
            let text = String::from_utf8(lines.bytes()).unwrap();
            for said in ["llm_request", "channel chosen", "attempt failed", "TRACE", "DEBUG"] {
                assert!(text.contains(said), "nothing was said of {said:?}");
            }
        }
    }
}
