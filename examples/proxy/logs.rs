//! The proxy's own log: what `tracing` is told, on the console and in a file.

use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::Subscriber;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::{FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use crate::log_files::LogFile;
use crate::otel_logs::OtelLogs;
use crate::settings::{LogFormat, LogSettings};

/// Most lines that wait for the file; further ones are lost, and counted.
const MAX_QUEUED_LINES: usize = 8192;

/// How often it is looked whether lines were lost.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Keeps the log going. Dropped, it writes what waits for the file, which takes a second at most.
#[must_use]
#[derive(Debug)]
pub(crate) struct Logs {
    pub(crate) losses: Option<Losses>,
    _file: Option<WorkerGuard>,
}

/// From here on, everything in the process logs there.
///
/// # Errors
/// When the file cannot be opened, or there is a log already.
pub(crate) fn start(settings: &LogSettings) -> Result<Logs, Box<dyn Error>> {
    let ansi = io::stderr().is_terminal();
    let (subscriber, logs) = subscriber(settings, io::stderr, ansi)
        .map_err(|error| format!("the log file of LOG_DIR and LOG_FILE: {error}"))?;
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(logs)
}

fn subscriber(
    settings: &LogSettings,
    console: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
    ansi: bool,
) -> io::Result<(impl Subscriber + Send + Sync + 'static, Logs)> {
    let mut logs = Logs { losses: None, _file: None };
    let mut file = None;
    if let Some(rotation) = &settings.file {
        let failures = Arc::default();
        let log = LogFile::open(rotation.clone(), Arc::clone(&failures))?;
        let queue = NonBlockingBuilder::default().buffered_lines_limit(MAX_QUEUED_LINES);
        let (writer, guard) = queue.lossy(true).finish(log);
        logs.losses = Some(Losses { dropped: writer.error_counter(), failures });
        logs._file = Some(guard);
        file = Some(lines(settings.format, FileFields, writer, false));
    }
    let console =
        settings.console.then(|| lines(settings.format, DefaultFields::new(), console, ansi));
    let subscriber = tracing_subscriber::registry()
        .with(EnvFilter::new(&settings.filter))
        .with(OtelLogs::default())
        .with(console)
        .with(file);
    Ok((subscriber, logs))
}

/// Each line names the spans that it is said in, and so the request that it is about.
fn lines<S, F, W>(
    format: LogFormat,
    fields: F,
    writer: W,
    ansi: bool,
) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    F: for<'w> FormatFields<'w> + Send + Sync + 'static,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        LogFormat::Text => layer.with_ansi(ansi).fmt_fields(fields).boxed(),
        LogFormat::Json => layer.json().boxed(),
    }
}

/// The fields of spans are written once for all who write them alike: with a type of its own, the
/// file does not get the colours of the console.
struct FileFields;

impl<'w> FormatFields<'w> for FileFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        DefaultFields::new().format_fields(writer, fields)
    }
}

/// Lines that did not reach the file.
#[derive(Debug, Clone)]
pub(crate) struct Losses {
    dropped: ErrorCounter,
    failures: Arc<AtomicU64>,
}

impl Losses {
    /// Lines that found the queue full, and failures to write or rotate the file.
    fn counts(&self) -> (u64, u64) {
        (self.dropped.dropped_lines() as u64, self.failures.load(Ordering::Relaxed))
    }

    /// Says it when there were more, for ever.
    pub(crate) async fn tell(self) {
        let mut told = (0, 0);
        loop {
            tokio::time::sleep(TELL_EVERY).await;
            let (dropped, failures) = self.counts();
            if (dropped, failures) != told {
                tracing::warn!(dropped, failures, "the log file is not complete");
                told = (dropped, failures);
            }
        }
    }
}

#[cfg(test)]
#[path = "logs_tests.rs"]
mod tests;
