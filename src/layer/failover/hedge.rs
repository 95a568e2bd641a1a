//! When a second attempt is worth its price: the latencies of late. Pure but for its lock.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

/// Good answers that must be known before anything is hedged.
pub const HEDGE_MIN_SAMPLES: u64 = 20;

/// For how long latencies count: at least one window, at most two.
pub const HEDGE_WINDOW: Duration = Duration::from_secs(60);

/// Longer latencies count as this.
pub const HEDGE_MAX_LATENCY: Duration = Duration::from_secs(600);

/// How long a delay that was computed is used.
const FRESH: Duration = Duration::from_secs(1);

/// A second attempt beside one that is slow.
///
/// It starts when the first has taken longer than this share of the good answers of late, streams
/// and other answers counted apart, and not before `min_delay`. Only generations are timed and
/// hedged. The first good answer wins; the
/// other attempt is dropped, and its connection with it. At most two run at once. A hedge is an
/// attempt and a repeat: it counts for `max_attempts` and is paid from the budget. What the slower
/// upstream has computed until then may be billed.
///
/// ```
/// use std::time::Duration;
/// use tower_llm_gateway::layer::failover::{FailoverLayer, Hedge};
///
/// let hedge = Hedge { min_delay: Duration::from_secs(2), ..Hedge::default() };
/// let layer = FailoverLayer::new().hedge(hedge);
/// # let _ = layer;
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hedge {
    /// Share of answers that are faster, from 0 to 1. Default 0.95.
    pub percentile: f64,
    /// Least time until the second attempt. Default 1 s.
    pub min_delay: Duration,
}

impl Default for Hedge {
    fn default() -> Self {
        Self { percentile: 0.95, min_delay: Duration::from_secs(1) }
    }
}

/// How long good answers took, until their commit point.
#[derive(Debug)]
pub(super) struct Latencies {
    hedge: Hedge,
    /// Of whole answers and of streams.
    of: [Mutex<Window>; 2],
}

impl Latencies {
    pub(super) fn new(hedge: Hedge, now: Instant) -> Self {
        Self { hedge, of: [(); 2].map(|()| Mutex::new(Window::new(now))) }
    }

    pub(super) fn record(&self, stream: bool, latency: Duration, now: Instant) {
        self.window(stream, |window| window.record(latency, now));
    }

    /// How long to wait before a second attempt; `None` while too little is known.
    pub(super) fn delay(&self, stream: bool, now: Instant) -> Option<Duration> {
        let percentile = self.window(stream, |window| window.delay(self.hedge.percentile, now))?;
        Some(percentile.max(self.hedge.min_delay))
    }

    fn window<T>(&self, stream: bool, use_it: impl FnOnce(&mut Window) -> T) -> T {
        let window = &self.of[usize::from(stream)];
        use_it(&mut window.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The latencies of this window and the one before, in milliseconds.
#[derive(Debug)]
struct Window {
    current: Histogram<u32>,
    previous: Histogram<u32>,
    began: Instant,
    delay: Option<Duration>,
    computed: Option<Instant>,
}

impl Window {
    fn new(now: Instant) -> Self {
        Self {
            current: histogram(),
            previous: histogram(),
            began: now,
            delay: None,
            computed: None,
        }
    }

    fn record(&mut self, latency: Duration, now: Instant) {
        self.turn(now);
        let millis = latency.min(HEDGE_MAX_LATENCY).as_millis();
        self.current.saturating_record(u64::try_from(millis).unwrap_or(u64::MAX).max(1));
    }

    fn delay(&mut self, percentile: f64, now: Instant) -> Option<Duration> {
        self.turn(now);
        let fresh = self.computed.is_some_and(|at| now.saturating_duration_since(at) < FRESH);
        if !fresh {
            let known = [&self.previous, &self.current];
            let known = known.into_iter().find(|window| window.len() >= HEDGE_MIN_SAMPLES);
            self.delay = known.map(|window| {
                Duration::from_millis(window.value_at_quantile(percentile.clamp(0.0, 1.0)))
            });
            // What is not known yet is asked for again at once.
            self.computed = self.delay.map(|_| now);
        }
        self.delay
    }

    fn turn(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.began);
        if age < HEDGE_WINDOW {
            return;
        }
        std::mem::swap(&mut self.current, &mut self.previous);
        self.current.reset();
        if age >= 2 * HEDGE_WINDOW {
            self.previous.reset();
        }
        self.began = now;
        self.computed = None;
    }
}

fn histogram() -> Histogram<u32> {
    // Two digits suffice to tell slow from fast, and cost 8 KiB.
    let most = HEDGE_MAX_LATENCY.as_millis() as u64;
    Histogram::new_with_bounds(1, most, 2).expect("these bounds are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn near(delay: Option<Duration>, millis: f64) -> bool {
        delay.is_some_and(|delay| (delay.as_secs_f64() * 1000.0 / millis - 1.0).abs() < 0.02)
    }

    #[test]
    fn the_percentile_of_late_counts() {
        let start = Instant::now();
        let mut window = Window::new(start);
        for n in 1..HEDGE_MIN_SAMPLES {
            window.record(ms(n * 10), start);
            assert_eq!(window.delay(0.5, start), None);
        }
        window.record(ms(200), start);
        assert!(near(window.delay(0.5, start), 100.0));
        window.record(ms(60_000), start);
        assert!(near(window.delay(1.0, start), 100.0), "what was computed serves a while");
        assert!(near(window.delay(1.0, start + FRESH), 60_000.0));

        let later = start + HEDGE_WINDOW;
        assert!(near(window.delay(1.0, later), 60_000.0), "the window before");
        assert_eq!(window.delay(1.0, later + HEDGE_WINDOW), None, "what is old is forgotten");
        assert_eq!(window.delay(1.0, start), None, "a clock may stand still");
    }

    #[test]
    fn extremes_are_clamped() {
        let start = Instant::now();
        let mut window = Window::new(start);
        for _ in 0..HEDGE_MIN_SAMPLES {
            window.record(Duration::MAX, start);
            window.record(Duration::ZERO, start);
        }
        assert!(near(window.delay(7.0, start), 600_000.0));
        assert!(near(window.delay(-1.0, start + FRESH), 1.0));
    }

    #[test]
    fn streams_are_counted_apart_and_the_least_delay_holds() {
        let start = Instant::now();
        let latencies = Latencies::new(Hedge::default(), start);
        for _ in 0..HEDGE_MIN_SAMPLES {
            latencies.record(false, ms(30_000), start);
            latencies.record(true, ms(5), start);
        }
        assert!(near(latencies.delay(false, start), 30_000.0));
        assert_eq!(latencies.delay(true, start), Some(Duration::from_secs(1)));
    }
}
