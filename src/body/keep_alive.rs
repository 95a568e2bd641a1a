use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Tells when nothing has been sent for a while.
///
/// Proxies between a gateway and its caller close a connection that is silent for a minute or so,
/// while a model may think for longer.
///
/// The timer is made when there is first something to wait for, so a body that never waits needs
/// no runtime. Afterwards a frame costs one look at the clock.
pub(crate) struct KeepAlive {
    interval: Duration,
    last: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl KeepAlive {
    /// Tells of each `interval` of silence; one that is zero, or longer than a year, never comes.
    pub(crate) fn new(interval: Duration) -> Self {
        const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        let interval = if interval.is_zero() { LONGEST } else { interval.min(LONGEST) };
        Self { interval, last: Instant::now(), sleep: None }
    }

    /// Something was sent.
    pub(crate) fn sent(&mut self) {
        self.last = Instant::now();
    }

    /// Ready when nothing was sent for the interval; then it begins again.
    pub(crate) fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { interval, last, sleep } = self;
        let sleep =
            sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(*last + *interval)));
        loop {
            ready!(sleep.as_mut().poll(cx));
            let due = *last + *interval;
            if Instant::now() >= due {
                *last = Instant::now();
                sleep.as_mut().reset(*last + *interval);
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
    }
}

impl fmt::Debug for KeepAlive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeepAlive").field("interval", &self.interval).finish_non_exhaustive()
    }
}
