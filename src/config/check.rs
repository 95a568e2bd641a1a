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

pub(super) fn check(mut config: Config) -> Result<Loaded, ConfigError> {
    let (mut changes, mut ids) = (Vec::new(), HashSet::new());
    for (list, channels, current) in config.lists_mut() {
        if channels.len() > MAX_CHANNELS {
            return Err(ConfigError::TooMany { what: list, most: MAX_CHANNELS });
        }
        for channel in channels.iter_mut() {
            if channel.api_keys.len() > MAX_KEYS {
                return Err(ConfigError::TooMany { what: "apiKeys", most: MAX_KEYS });
            }
            name(list, channel, &mut ids, &mut changes)?;
            channel.upstreams()?;
        }
        if let Some(current) = current {
            changes.extend(migrate(list, channels, current));
        }
        for channel in channels.iter_mut().filter(|channel| channel.is_active()) {
            if channel.api_keys.iter().all(|key| key.expose().trim().is_empty()) {
                channel.status = ChannelStatus::Suspended;
                changes.push(Change::Suspended { channel: channel.title().to_owned() });
            }
        }
    }
    Ok(Loaded { config, changes })
}

/// Older files had one current channel; a file with a status anywhere in the list is none such.
fn migrate(list: &'static str, channels: &mut [ChannelConfig], current: i64) -> Option<Change> {
    let current = usize::try_from(current).unwrap_or_default();
    let current = if current < channels.len() { current } else { 0 };
    if channels.iter().any(|channel| !channel.is_active()) {
        return None;
    }
    for (_, channel) in channels.iter_mut().enumerate().filter(|(index, _)| *index != current) {
        channel.status = ChannelStatus::Disabled;
    }
    let active = channels.get(current)?.title().to_owned();
    Some(Change::Migrated { list, active })
}

/// Gives a channel a name made of what it is, so that it is the same where nobody saves it.
fn name(
    list: &'static str,
    channel: &mut ChannelConfig,
    ids: &mut HashSet<String>,
    changes: &mut Vec<Change>,
) -> Result<(), ConfigError> {
    if !channel.id.is_empty() {
        return match ids.insert(channel.id.clone()) {
            true => Ok(()),
            false => Err(ConfigError::channel(channel, "another channel has its id".to_owned())),
        };
    }
    for copy in 0..=MAX_CHANNELS {
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
            channel.id.clone_from(&id);
            changes.push(Change::Named { id });
            break;
        }
    }
    Ok(())
}
