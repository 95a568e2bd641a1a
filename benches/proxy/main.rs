//! End to end over loopback sockets: what the layers cost, as ratios to a bare hyper proxy built
//! from the same parts in the same run.
//!
//! `cargo bench --bench proxy` prints a table; `-- --seconds 5 --rounds 5` measures longer, and
//! `--load json` or `--load streams` one of the two. The proxy has one thread, upstream and load
//! share another. CPU is what the kernel charged to the proxy's thread. Rounds of all modes are
//! interleaved and the median stands, because machines are noisy.

#![expect(clippy::disallowed_methods, reason = "a server spawns its connections")]

mod load;
mod server;
mod stacks;
mod upstream;
mod watchers;
mod wire;

use std::time::Duration;

use load::{Load, Sample, measure};
use server::{Running, serve};
use upstream::serve_upstream;

/// As the example proxy has it, for the bare proxy too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Events of one streamed answer.
const EVENTS: usize = 200;

/// All layers are to cost at most a quarter more than the passing ones.
const ARMED_GOAL: f64 = 0.8;

/// What everything on is to be of the bare proxy.
const EVERYTHING_GOAL: f64 = 0.65;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Proxy {
    Floor,
    Pass,
    /// With statistics, live log, request log and OpenTelemetry.
    Watched,
    Armed,
    /// All layers, watched by all.
    Everything,
    Translate,
}

impl Proxy {
    const ALL: [Self; 6] =
        [Self::Floor, Self::Pass, Self::Watched, Self::Armed, Self::Everything, Self::Translate];

    fn name(self) -> &'static str {
        match self {
            Self::Floor => "bare hyper",
            Self::Pass => "layers, pass",
            Self::Watched => "layers, pass, all logs",
            Self::Armed => "all layers, failover armed",
            Self::Everything => "all layers, all logs",
            Self::Translate => "layers, Messages to Chat",
        }
    }

    /// All carry Chat, but for the last one, whose caller speaks Messages.
    fn path(self) -> &'static str {
        if self == Self::Translate { "/v1/messages" } else { "/v1/chat/completions" }
    }
}

fn main() {
    let mut seconds = 2.0;
    let mut rounds = 5;
    let mut loads = vec![Load::Json, Load::Stream];
    let args: Vec<String> = std::env::args().collect();
    for pair in args.windows(2) {
        match pair[0].as_str() {
            "--seconds" => seconds = pair[1].parse().expect("--seconds takes a number"),
            "--rounds" => rounds = pair[1].parse().expect("--rounds takes a number"),
            "--load" => loads.retain(|load| load.name() == pair[1]),
            _ => {}
        }
    }
    let upstream = serve_upstream();
    let proxies = Proxy::ALL.map(|proxy| serve(proxy, upstream));
    for load in loads {
        let mut samples = vec![Vec::new(); proxies.len()];
        for _ in 0..rounds {
            for (running, samples) in proxies.iter().zip(&mut samples) {
                samples.push(measure(running, load, Duration::from_secs_f64(seconds)));
            }
        }
        print_table(load, &proxies, &samples);
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print_table(load: Load, proxies: &[Running], samples: &[Vec<Sample>]) {
    println!("\n{}", load.title());
    println!(
        "{:<26} {:>11} {:>7} {:>12} {:>7} {:>14} {:>7}",
        "",
        load.unit(),
        "ratio",
        "CPU µs each",
        "ratio",
        "first byte µs",
        "ratio"
    );
    let columns: [fn(&Sample) -> f64; 3] =
        [|s| s.per_second, |s| s.cpu_micros, |s| s.first_byte_micros];
    let floor = columns.map(|of| median(samples[0].iter().map(of)));
    for (running, samples) in proxies.iter().zip(samples) {
        let [rate, cpu, first] = columns.map(|of| median(samples.iter().map(of)));
        println!(
            "{:<26} {:>11.0} {:>7.2} {:>12.2} {:>7.2} {:>14.0} {:>7.2}",
            running.proxy.name(),
            rate,
            rate / floor[0],
            cpu,
            cpu / floor[1],
            first,
            first / floor[2],
        );
    }
    let of = |proxy| {
        let place = proxies.iter().position(|running| running.proxy == proxy);
        &samples[place.expect("all of them run")]
    };
    // Within a round both had the same machine.
    let compare = |what: &str, one, other, goal: f64| {
        let rounds = || of(one).iter().zip(of(other));
        let rate = median(rounds().map(|(one, other)| one.per_second / other.per_second));
        let cpu = median(rounds().map(|(one, other)| other.cpu_micros / one.cpu_micros));
        println!("{what}: {rate:.2}, by CPU {cpu:.2} (goal {goal:.2})");
    };
    let armed = "all layers, failover armed, to the passing layers alone";
    compare(armed, Proxy::Armed, Proxy::Pass, ARMED_GOAL);
    let watched = "the passing layers with all logs to the bare proxy";
    compare(watched, Proxy::Watched, Proxy::Floor, EVERYTHING_GOAL);
    let everything = "all layers with all logs to the bare proxy";
    compare(everything, Proxy::Everything, Proxy::Floor, EVERYTHING_GOAL);
}
