//! What OpenTelemetry says of itself, as that a collector is away.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// How often a thing is said that goes on: OpenTelemetry itself would say it with every batch.
const SAY_EVERY: Duration = Duration::from_secs(5 * 60);

/// Lets warnings and errors of OpenTelemetry's crates into the log, each at most once in
/// [`SAY_EVERY`]; what others say is not touched.
///
/// What they say at finer levels never gets there, whatever the filter of the log: it shows the
/// endpoint with its password, and the words of the collector.
#[derive(Debug, Default)]
pub(crate) struct OtelLogs {
    /// When each was said last. They are as many as places in the code that say something.
    said: Mutex<HashMap<Identifier, Instant>>,
}

impl OtelLogs {
    /// Whether something is to be said now, and then it counts as said.
    fn is_due(&self, what: Identifier) -> bool {
        let now = Instant::now();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let due = said.get(&what).is_none_or(|last| now.duration_since(*last) >= SAY_EVERY);
        if due {
            said.insert(what, now);
        }
        due
    }
}

impl<S: Subscriber> Layer<S> for OtelLogs {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        !of_otel(metadata) || *metadata.level() <= Level::WARN
    }

    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        !of_otel(event.metadata()) || self.is_due(event.metadata().callsite())
    }
}

/// Their targets are the names of their packages.
fn of_otel(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("opentelemetry")
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::listen::{Log, listen};

    #[tokio::test(start_paused = true)]
    async fn what_goes_on_is_said_seldom_and_details_never() {
        let log = Log::default();
        let lines = tracing_subscriber::fmt::layer().without_time().with_ansi(false);
        let lines = lines.with_writer(log.clone());
        let _listening =
            listen(tracing_subscriber::registry().with(OtelLogs::default()).with(lines));
        for _ in 0..3 {
            for _ in 0..3 {
                tracing::error!(target: "opentelemetry_sdk", "away");
                tracing::warn!(target: "opentelemetry-otlp", "late");
                tracing::info!(target: "opentelemetry", "detail");
                tracing::debug!(target: "opentelemetry-otlp", "secret");
            }
            tracing::debug!("ours");
            advance(SAY_EVERY / 2).await;
        }
        let told = log.text();
        let said = |word: &str| told.lines().filter(|line| line.ends_with(word)).count();
        assert_eq!((said("away"), said("late"), said("ours")), (2, 2, 3), "{told}");
        assert_eq!(told.lines().count(), 7, "{told}");
    }
}
