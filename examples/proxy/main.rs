//! A complete LLM gateway in one process: the layers of this crate as a server.
//!
//! `cargo run --release --example proxy` answers at once, from two embedded demo upstreams, one of
//! which fails. All settings come from the environment or a `.env` file; `settings.rs` lists them.
//! Channels may stand in a file; `channels.rs` reads it.

mod admin;
mod banner;
#[cfg(test)]
mod canary_tests;
mod channels;
mod custom_headers;
mod demo;
#[cfg(test)]
mod demo_tests;
mod demotions;
mod environment;
mod gateway;
#[cfg(test)]
#[path = "../../src/test_helpers/listen.rs"]
mod listen;
mod log_files;
mod logs;
mod otel_logs;
mod records;
#[cfg(test)]
#[path = "../../src/test_helpers/refusing.rs"]
mod refusing;
mod server;
mod settings;
mod telemetry;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use tokio::task::JoinSet;

use crate::banner::Banner;
use crate::channels::Routing;
use crate::environment::Environment;
use crate::gateway::Gateway;
use crate::records::Records;
use crate::settings::Settings;

/// What is said of a request is freed by those who write it down, on threads of theirs: most
/// allocators take long over that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code for a setting that cannot be used.
const BAD_SETTING: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Environment::load(Path::new(".env")).and_then(|env| Settings::read(&env));
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("bad setting: {error}");
            return ExitCode::from(BAD_SETTING);
        }
    };
    match run(&settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the gateway stopped: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let logs = logs::start(&settings.logs)?;
    tracing::info!("settings: {}", settings.listing);
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    // Dropped, and so ended, when the proxy has let its last stream finish.
    let mut background = JoinSet::new();
    if let Some(losses) = logs.losses.clone() {
        background.spawn(async {
            losses.tell().await;
            Ok(())
        });
    }
    let records = Records::start(&settings.records).await?;
    let routing = Routing::start(settings, &records, &mut background).await?;
    let prober = routing.channels.prober(gateway::client(settings, &routing).build());
    background.spawn(async {
        prober.await;
        Ok(())
    });
    let gateway = Gateway::new(settings, &routing, &records)?;
    let listener = server::bind(settings).await?;
    println!("{}", Banner { settings, routing: &routing, address: listener.local_addr()? });
    let log = records.log.clone();
    // Its subscribers would listen until they are cut.
    let stopping = move || log.close();
    let served = server::serve(listener, server::routes(settings, gateway), stopping).await;
    records.finish().await;
    Ok(served?)
}
