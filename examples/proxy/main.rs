//! A complete LLM gateway in one process: the layers of this crate as a server.
//!
//! `cargo run --release --example proxy` answers at once, from two embedded demo upstreams, one of
//! which fails. All settings come from the environment or a `.env` file; `settings.rs` lists them.
//! Channels may stand in a file; `channels.rs` reads it.

mod admin;
mod banner;
mod channels;
mod custom_headers;
mod demo;
#[cfg(test)]
mod demo_tests;
mod demotions;
mod environment;
mod gateway;
mod log_files;
mod logs;
mod server;
mod settings;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use tokio::task::JoinSet;

use crate::banner::Banner;
use crate::channels::Routing;
use crate::environment::Environment;
use crate::gateway::Gateway;
use crate::settings::Settings;

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
    let routing = Routing::start(settings, &mut background).await?;
    let prober = routing.channels.prober(gateway::client(settings, &routing).build());
    background.spawn(async {
        prober.await;
        Ok(())
    });
    let gateway = Gateway::new(settings, &routing)?;
    let listener = server::bind(settings).await?;
    println!("{}", Banner { settings, routing: &routing, address: listener.local_addr()? });
    server::serve(listener, server::routes(settings, gateway)).await?;
    Ok(())
}
