//! Brings a configuration up to date and checks it. Pure.

use std::collections::HashSet;
use std::fmt::{self, Write};

use sha2::{Digest, Sha256};

use super::{ChannelConfig, ChannelStatus, Config, ConfigError, MAX_CHANNELS, MAX_KEYS};

/// A configuration that can be used.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// What to use.
    pub config: Config,
    /// What is other than it stands in the file, for the log. Not empty: it is worth saving.
    pub changes: Vec<Change>,
    /// Why it was not saved, where it should have been: the file can be read, and used, but not
    /// written.
    pub unsaved: Option<ConfigError>,
}

/// What was changed in a configuration, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Of an older file, all channels of a list but the current one were disabled.
    Migrated {
        /// The member that the list is.
        list: &'static str,
        /// Which one stays.
        active: String,
    },
    /// A channel has no key and cannot take requests.
    Suspended {
        /// Which one.
        channel: String,
    },
    /// A channel got a stable name.
    Named {
        /// The name.
        id: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Migrated { list, active } => {
                write!(f, "{list}: only channel `{active}` stays active, as in the older file")
            }
            Self::Suspended { channel } => {
                write!(f, "channel `{channel}` has no key and is suspended")
            }
            Self::Named { id } => write!(f, "a channel without an id is now `{id}`"),
        }
    }
}

/// `has_status`: for each list, in the order of [`Config::lists`], whether a channel of it says its
/// status.
pub(super) fn check(mut config: Config, has_status: [bool; 3]) -> Result<Loaded, ConfigError> {
    let mut changes = Vec::new();
    let mut ids = HashSet::new();
    for (_, channels) in config.lists() {
        for channel in channels.iter().filter(|channel| !channel.id.is_empty()) {
            if !ids.insert(channel.id.clone()) {
                let reason = format!("another channel has the id `{}` too", channel.id);
                return Err(ConfigError::channel(channel, reason));
            }
        }
    }
    for ((list, channels, current), has_status) in config.lists_mut().into_iter().zip(has_status) {
        if channels.len() > MAX_CHANNELS {
            return Err(ConfigError::TooMany { what: list, most: MAX_CHANNELS });
        }
        for channel in channels.iter_mut() {
            if channel.api_keys.len() > MAX_KEYS {
                return Err(ConfigError::TooMany { what: "apiKeys", most: MAX_KEYS });
            }
            if channel.id.is_empty() {
                channel.id = name(list, channel, &mut ids);
                changes.push(Change::Named { id: channel.id.clone() });
            }
            channel.upstreams()?;
        }
        if let Some(current) = current.filter(|_| !has_status) {
            changes.extend(migrate(list, channels, current));
        }
        for channel in channels.iter_mut().filter(|channel| channel.is_active()) {
            if channel.api_keys.iter().all(|key| key.expose().trim().is_empty()) {
                channel.status = ChannelStatus::Suspended;
                changes.push(Change::Suspended { channel: channel.title().to_owned() });
            }
        }
    }
    Ok(Loaded { config, changes, unsaved: None })
}

/// Older files had one current channel, and no status anywhere in the list.
fn migrate(list: &'static str, channels: &mut [ChannelConfig], current: i64) -> Option<Change> {
    let current = usize::try_from(current).unwrap_or_default();
    let current = if current < channels.len() { current } else { 0 };
    for (_, channel) in channels.iter_mut().enumerate().filter(|(index, _)| *index != current) {
        channel.status = ChannelStatus::Disabled;
    }
    let active = channels.get(current)?.title().to_owned();
    Some(Change::Migrated { list, active })
}

/// A name made of what a channel is, so that it is the same where nobody saves it.
fn name(list: &'static str, channel: &ChannelConfig, ids: &mut HashSet<String>) -> String {
    let mut copy = 0_usize;
    loop {
        let mut hash = Sha256::new();
        for part in [list, &channel.name, &channel.base_url, &copy.to_string()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut id = String::from("ch_");
        for byte in &hash.finalize()[..6] {
            let _ = write!(id, "{byte:02x}");
        }
        if ids.insert(id.clone()) {
            return id;
        }
        copy += 1;
    }
}
