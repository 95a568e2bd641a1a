//! Where requests may go: the channels and their keys, as the file, the environment or the demo
//! says.

use std::error::Error;
use std::io;

use tokio::task::JoinSet;
use tower_llm_gateway::config::{
    self, ChannelConfig, Config, ConfigError, ConfigFile, LoadBalance,
};
use tower_llm_gateway::context::ChannelId;
use tower_llm_gateway::layer::channel::{Channel, ChannelStatus, Channels};
use tower_llm_gateway::layer::failover::DEFAULT_MAX_ATTEMPTS;
use tower_llm_gateway::layer::key_pool::{self, KeyError, KeyPool, KeyPools, PoolChange, Rescue};
use tower_llm_gateway::protocol::Protocol;
use tower_llm_gateway::secret::Secret;
use tower_llm_gateway::store::SqlStore;

use crate::demo::Demo;
use crate::demotions::Demotions;
use crate::records::Records;
use crate::settings::Settings;

/// The channels of the proxy.
#[derive(Debug)]
pub(crate) struct Routing {
    pub(crate) channels: Channels,
    pub(crate) keys: KeyPools,
    /// Whether the statuses of these upstreams mean nothing.
    pub(crate) fuzzy: bool,
    /// Whether they are the demo's, on this machine, where no proxy leads.
    pub(crate) embedded: bool,
    /// For people, in the order of the channels.
    pub(crate) lines: Vec<Line>,
}

/// One channel for people. Nothing in it is secret.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) about: String,
}

impl Routing {
    /// As configured. What it starts lives in `background`.
    pub(crate) async fn start(
        settings: &Settings,
        records: &Records,
        background: &mut JoinSet<io::Result<()>>,
    ) -> Result<Self, Box<dyn Error>> {
        let store = records.requests.as_ref().map(|requests| &requests.store);
        if let Some(path) = &settings.config_file {
            let file = ConfigFile::new(path);
            let config = load(&file)?;
            let demotions = Demotions::new();
            let routing = Self::of(settings, store, &config, &demotions)?;
            background.spawn(demotions.write_to(file));
            return Ok(routing);
        }
        if let Some(url) = &settings.upstream_url {
            return Self::at(settings, store, &[("upstream", url)]);
        }
        let demo = Demo::new().pace(settings.demo_pace);
        let failing = demo.clone().failing().start(background).await?;
        let healthy = demo.start(background).await?;
        let mut routing = Self::at(settings, store, &[("demo-a", &failing), ("demo-b", &healthy)])?;
        routing.embedded = true;
        for (line, about) in routing.lines.iter_mut().zip(["fails on purpose", "answers"]) {
            line.about = format!("embedded, {about}");
        }
        Ok(routing)
    }

    /// Upstreams as the environment describes them, by name and base URL.
    pub(crate) fn at(
        settings: &Settings,
        store: Option<&SqlStore>,
        bases: &[(&str, &str)],
    ) -> Result<Self, Box<dyn Error>> {
        let (keys, mut list) = (KeyPools::new(), Vec::new());
        for (name, base) in bases {
            if settings.upstream_keys.len() > 1 {
                let rules = key_pool::Settings::new(*name).cooldown(settings.cooldown.clone());
                let pool = pool(rules, store, &settings.upstream_keys)?;
                keys.set(ChannelId::new(*name), pool);
            }
            list.push(Channel::new(*name, settings.upstream(base)?));
        }
        let line = |(name, base): &(&str, &str)| Line {
            name: (*name).to_owned(),
            about: (*base).to_owned(),
        };
        Ok(Self {
            channels: Channels::new(list)?,
            keys,
            fuzzy: false,
            embedded: false,
            lines: bases.iter().map(line).collect(),
        })
    }

    /// The channels of a file. A demotion of one of their keys is noted in `demotions`.
    pub(crate) fn of(
        settings: &Settings,
        store: Option<&SqlStore>,
        config: &Config,
        demotions: &Demotions,
    ) -> Result<Self, Box<dyn Error>> {
        let (keys, mut list, mut lines) = (KeyPools::new(), Vec::new(), Vec::new());
        for List { described, balance, callers } in lists(config) {
            for (place, described) in described.iter().enumerate() {
                let demotions = demotions.clone();
                let rules = key_pool::Settings::new(&*described.id)
                    .strategy(strategy(balance))
                    .cooldown(settings.cooldown.clone())
                    .on_change(move |channel, change| match change {
                        PoolChange::Demoted { order } => demotions.note(channel, order),
                        PoolChange::Recovered { key } => {
                            tracing::info!(channel, %key, "the key is well again");
                        }
                        _ => {}
                    });
                let pool = pool(rules, store, &described.api_keys)?;
                lines.push(line(described, pool.snapshot().len()));
                keys.set(ChannelId::new(&*described.id), pool);
                let channel = channel(settings, described, place)?;
                list.push(match &callers {
                    Some(callers) => channel.callers(callers.iter().copied()),
                    None => channel,
                });
            }
        }
        if list.is_empty() {
            tracing::warn!("the file has no channel: every request will be answered 503");
        }
        let channels = Channels::new(list)?;
        Ok(Self { channels, keys, fuzzy: config.fuzzy, embedded: false, lines })
    }

    /// Attempts for one request, where nobody said how many: one for each channel at least.
    pub(crate) fn attempts(&self) -> usize {
        self.active().count().max(DEFAULT_MAX_ATTEMPTS)
    }

    /// Whether a failed request could go on somewhere else.
    pub(crate) fn has_alternative(&self) -> bool {
        let ways: usize = self.active().map(|channel| channel.upstreams().len()).sum();
        ways > 1 || self.keys.all().iter().any(|(_, pool)| pool.snapshot().len() > 1)
    }

    /// Whether the gateway must keep the conversations of Responses, as no upstream could: an
    /// answer is known only where it was given.
    pub(crate) fn needs_sessions(&self) -> bool {
        let responses = Some(Protocol::OpenAiResponses);
        let mut serving = self.active().filter(|channel| channel.serves_caller(responses));
        let only = serving.next().filter(|_| serving.next().is_none());
        // Without a protocol it speaks the caller's.
        let speaks_it = only.is_some_and(|channel| match channel.upstreams() {
            [only] => only.protocol().is_none() || only.protocol() == responses,
            _ => false,
        });
        !speaks_it
    }

    fn active(&self) -> impl Iterator<Item = Channel> {
        let list = self.channels.list().into_iter();
        list.filter(|channel| channel.current_status() == ChannelStatus::Active)
    }
}

/// Reads the file, and tells what had to be changed in it.
fn load(file: &ConfigFile) -> Result<Config, ConfigError> {
    let path = file.path().display();
    if !file.path().exists() {
        tracing::info!(%path, "the file of channels is made");
    }
    let loaded = file.load_or_create()?;
    for change in &loaded.changes {
        tracing::warn!(%path, "{change}");
    }
    if let Some(error) = &loaded.unsaved {
        tracing::warn!(%path, "{error}: these changes are not in the file");
    }
    Ok(loaded.config)
}

/// One of the lists of the file.
struct List<'a> {
    described: &'a [ChannelConfig],
    /// How the keys of each take turns.
    balance: LoadBalance,
    /// Whom they serve; `None` for all, and for paths of no protocol.
    callers: Option<Vec<Protocol>>,
}

fn lists(config: &Config) -> [List<'_>; 3] {
    let (responses, gemini) = (&*config.responses_upstream, &*config.gemini_upstream);
    let is_elsewhere = |protocol: &Protocol| match protocol {
        Protocol::OpenAiResponses => !responses.is_empty(),
        Protocol::Gemini => !gemini.is_empty(),
        _ => false,
    };
    let common: Vec<_> = Protocol::ALL.into_iter().filter(|one| !is_elsewhere(one)).collect();
    [
        List {
            described: &config.upstream,
            balance: config.load_balance,
            callers: (common.len() < Protocol::ALL.len()).then_some(common),
        },
        List {
            described: responses,
            balance: config.responses_balance(),
            callers: Some(vec![Protocol::OpenAiResponses]),
        },
        List {
            described: gemini,
            balance: config.gemini_balance(),
            callers: Some(vec![Protocol::Gemini]),
        },
    ]
}

/// The channel at this place of its list.
fn channel(
    settings: &Settings,
    described: &ChannelConfig,
    place: usize,
) -> Result<Channel, Box<dyn Error>> {
    let upstreams = described.upstreams()?.into_iter();
    let mut upstreams = upstreams.map(|upstream| upstream.profiles(settings.profiles()));
    let first = upstreams.next().ok_or("a channel has no base URL")?;
    // 0 stands for the place in the channel's own list, and must not become that among all lists.
    let rank = if described.priority > 0 { described.priority } else { place as i64 };
    let mut channel = Channel::new(&*described.id, first)
        .priority(u32::try_from(rank.saturating_add(1)).unwrap_or(u32::MAX))
        .weight(described.weight.unwrap_or(1))
        .never_trip(described.never_trip)
        .status(match described.status {
            config::ChannelStatus::Active => ChannelStatus::Active,
            config::ChannelStatus::Suspended => ChannelStatus::Suspended,
            config::ChannelStatus::Disabled => ChannelStatus::Disabled,
        });
    channel = upstreams.fold(channel, Channel::also_at);
    if !described.models.is_empty() {
        channel = channel.models(described.models.iter().cloned());
    }
    if let Some(until) = described.promotion_until {
        channel = channel.promoted_until(until);
    }
    if let Some(most) = described.max_concurrent {
        channel = channel.max_concurrent(most);
    }
    Ok(channel)
}

/// The pool of a channel. A key that cannot be sent is left out: the others are worth a start.
/// What it learns of its keys is kept where there is a database.
fn pool(
    mut rules: key_pool::Settings,
    store: Option<&SqlStore>,
    keys: &[Secret],
) -> Result<KeyPool, KeyError> {
    if let Some(store) = store {
        rules = rules.store(store.clone());
    }
    // A channel whose keys have all failed is still asked: the upstream's own answer tells more.
    let rules = rules.rescue(Rescue::Always).max_keys(config::MAX_KEYS);
    let pool = KeyPool::with(rules, std::iter::empty::<Secret>())?;
    let keys = keys.iter().map(|key| key.expose().trim()).filter(|key| !key.is_empty());
    for (place, key) in keys.enumerate() {
        match pool.add(key) {
            Err(KeyError::Duplicate) | Ok(_) => {}
            Err(error) => tracing::warn!(place, %error, "a key of a channel is not used"),
        }
    }
    Ok(pool)
}

fn strategy(balance: LoadBalance) -> key_pool::Strategy {
    match balance {
        LoadBalance::RoundRobin => key_pool::Strategy::RoundRobin,
        LoadBalance::Random => key_pool::Strategy::Random,
        _ => key_pool::Strategy::Failover,
    }
}

fn line(described: &ChannelConfig, keys: usize) -> Line {
    let status = match described.status {
        config::ChannelStatus::Active => "active",
        config::ChannelStatus::Suspended => "suspended",
        config::ChannelStatus::Disabled => "disabled",
    };
    let protocol = described.service_type.protocol();
    let about = format!("{protocol}, {keys} key(s), {status}");
    Line { name: described.title().to_owned(), about }
}

#[cfg(test)]
#[path = "channels_tests.rs"]
mod tests;
