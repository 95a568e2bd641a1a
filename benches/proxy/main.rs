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
mod wire;

use std::time::Duration;

use load::{Load, Sample, measure};
use server::{Running, serve};
use upstream::serve_upstream;

/// Events of one streamed answer.
const EVENTS: usize = 200;

/// All layers are to cost at most a quarter more than the passing ones.
const GOAL: f64 = 0.8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Proxy {
    Floor,
    Pass,
    Armed,
    Translate,
}

impl Proxy {
    const ALL: [Self; 4] = [Self::Floor, Self::Pass, Self::Armed, Self::Translate];

    fn name(self) -> &'static str {
        match self {
            Self::Floor => "bare hyper",
            Self::Pass => "layers, pass",
            Self::Armed => "all layers, failover armed",
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
    let rounds = || of(Proxy::Armed).iter().zip(of(Proxy::Pass));
    let rate = median(rounds().map(|(armed, pass)| armed.per_second / pass.per_second));
    let cpu = median(rounds().map(|(armed, pass)| pass.cpu_micros / armed.cpu_micros));
    println!(
        "all layers, failover armed, to the passing layers alone: {rate:.2}, by CPU {cpu:.2} \
         (goal {GOAL:.2})"
    );
}
