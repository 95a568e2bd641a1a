//! A complete LLM gateway in one process: the layers of this crate as a server.
//!
//! `cargo run --release --example proxy` answers at once, from an embedded demo upstream. All
//! settings come from the environment or a `.env` file; `settings.rs` lists them.

mod banner;
mod demo;
#[cfg(test)]
mod demo_tests;
mod environment;
mod gateway;
mod server;
mod settings;

use std::error::Error;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use tokio::task::JoinSet;

use crate::banner::Banner;
use crate::demo::Demo;
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
    tracing_subscriber::fmt()
        .with_env_filter(&settings.log)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    // Dropped, and so ended, when the proxy has let its last stream finish.
    let mut background = JoinSet::new();
    let base = match &settings.upstream_url {
        Some(url) => url.clone(),
        None => Demo::new().pace(settings.demo_pace).start(&mut background).await?,
    };
    let gateway = Gateway::new(settings, &base)?;
    let listener = server::bind(settings).await?;
    println!("{}", Banner { settings, address: listener.local_addr()? });
    server::serve(listener, server::routes(settings, gateway)).await?;
    Ok(())
}
