//! The file of channels: upstreams, their keys and how they are chosen.
//!
//! [`ConfigFile`] reads and writes it; [`Config`] is what stands in it. Nothing here knows a layer:
//! a host makes channels and key pools of it, as `examples/proxy` does.
//!
//! ```
//! use tower_llm_gateway::config::{Config, Loaded};
//!
//! let text = r#"{"upstream": [
//!     {"name": "main", "serviceType": "claude", "baseUrl": "https://api.example.com", "apiKeys": ["sk-1"]},
//!     {"name": "spare", "serviceType": "openai", "baseUrl": "https://other.example.com", "apiKeys": []}
//! ]}"#;
//! let Loaded { config, changes, .. } = Config::parse(text)?;
//! let spare = &config.upstream[1];
//! // Nobody can call a channel without a key.
//! assert!(!spare.is_active() && changes.iter().any(|change| change.to_string().contains("spare")));
//! assert_eq!(config.upstream[0].upstreams()?.len(), 1);
//! # Ok::<(), tower_llm_gateway::config::ConfigError>(())
//! ```
//!
//! # The file
//!
//! A JSON object of lists of channels: `upstream` for callers of Messages, Chat Completions and
//! DashScope, `responsesUpstream` for those of Responses, `geminiUpstream` for those of Gemini;
//! where one of the latter two is empty, its callers are served by `upstream`. Beside each stands
//! how the keys of a channel take turns: `loadBalance`, `responsesLoadBalance`,
//! `geminiLoadBalance`, each `failover`, `round-robin` or `random`. Members that nobody here knows
//! are kept.
//!
//! | member of a channel | default | |
//! |---|---|---|
//! | `id` | made of the others, then kept | its stable name |
//! | `name`, `description`, `website` | | for people |
//! | `serviceType` | | `claude`, `openai`, `openaiold`, `responses`, `gemini`, `dashscope` |
//! | `provider` | whose protocol it speaks | whose it is, as statistics and traces name it: `deepseek`, `groq` |
//! | `baseUrl`, `baseUrls` | | a `#` at the end of one forbids to add a version |
//! | `apiKeys` | `[]` | without one the channel is suspended |
//! | `status` | `active` | `active`, `suspended`, `disabled` |
//! | `priority` | its place in the list | lower is asked first; 0 is the default |
//! | `weight` | 1 | for weighted choice |
//! | `promotionUntil` | | RFC 3339; until then it is asked first |
//! | `modelMapping` | `{}` | model names, asked to sent |
//! | `models` | all | which models it serves; `*` at the end of a name stands for any rest |
//! | `neverTrip` | false | no circuit breaker |
//! | `maxConcurrent` | no limit | requests at a time |
//! | `insecureSkipVerify` | false | takes any TLS certificate |
//! | `headersTimeoutMs`, `idleTimeoutMs` | the client's | 0 stands for it too |
//!
//! Older files had no `status` but `currentUpstream`, an index: at that index stands the channel
//! that stays active, the others become disabled, and the member goes.

mod channel;
mod check;
mod error;
mod file;
#[cfg(test)]
mod tests;

pub use channel::{ChannelConfig, ChannelStatus, ServiceType};
pub use check::{Change, Loaded};
pub use error::ConfigError;
pub use file::{ConfigFile, MAX_BACKUPS, MAX_FILE_BYTES};

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Most channels of one list.
pub const MAX_CHANNELS: usize = 1000;

/// Most keys of one channel.
pub const MAX_KEYS: usize = 10_000;

/// What stands in the file. `Debug` shows no key.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    /// For callers of Messages, Chat Completions and DashScope.
    pub upstream: Vec<ChannelConfig>,
    /// How the keys of these take turns.
    pub load_balance: LoadBalance,
    /// For callers of Responses.
    pub responses_upstream: Vec<ChannelConfig>,
    /// How the keys of these take turns; absent as `load_balance`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responses_load_balance: Option<LoadBalance>,
    /// For callers of Gemini.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gemini_upstream: Vec<ChannelConfig>,
    /// How the keys of these take turns; absent as `load_balance`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gemini_load_balance: Option<LoadBalance>,
    /// Whether every failed answer moves on to the next channel, whatever its status says. Default
    /// false.
    #[serde(rename = "fuzzyModeEnabled")]
    pub fuzzy: bool,
    #[serde(skip_serializing)]
    current_upstream: Option<i64>,
    #[serde(skip_serializing)]
    current_responses_upstream: Option<i64>,
    #[serde(flatten)]
    rest: Rest,
}

/// Members that nobody here knows. `Debug` shows their number only: they may be secret.
#[derive(Clone, Default, Serialize, Deserialize, PartialEq)]
#[serde(transparent)]
struct Rest(Map<String, Value>);

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} members", self.0.len())
    }
}

/// How the keys of one channel take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LoadBalance {
    /// The first that works, in the order of the list.
    #[default]
    #[serde(alias = "")]
    Failover,
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
}

/// The members that are lists of channels.
const LISTS: [&str; 3] = ["upstream", "responsesUpstream", "geminiUpstream"];

/// Takes members out that are null, which other writers put where they have nothing to say.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

impl Config {
    /// Reads the text of a file, brings it up to date and checks it.
    ///
    /// # Errors
    /// When it is not JSON of this shape, or names what cannot be used.
    pub fn parse(text: &str) -> Result<Loaded, ConfigError> {
        let json = |error| ConfigError::json(&error);
        let mut value: Value = serde_json::from_str(text).map_err(json)?;
        without_nulls(&mut value);
        let has_status = LISTS.map(|list| {
            let channels = value.get(list).and_then(Value::as_array).into_iter().flatten();
            let mut status = channels.filter_map(|channel| channel.get("status"));
            status.any(|status| status.as_str().is_none_or(|status| !status.is_empty()))
        });
        // The text itself knows at which line it is wrong.
        let config = match serde_json::from_value(value) {
            Ok(config) => config,
            Err(_) => serde_json::from_str(text).map_err(json)?,
        };
        check::check(config, has_status)
    }

    /// How the keys of channels for callers of Responses take turns.
    #[must_use]
    pub fn responses_balance(&self) -> LoadBalance {
        self.responses_load_balance.unwrap_or(self.load_balance)
    }

    /// How the keys of channels for callers of Gemini take turns.
    #[must_use]
    pub fn gemini_balance(&self) -> LoadBalance {
        self.gemini_load_balance.unwrap_or(self.load_balance)
    }

    /// All lists, each with the name of its member.
    pub fn lists(&self) -> impl Iterator<Item = (&'static str, &[ChannelConfig])> {
        let lists = [&*self.upstream, &*self.responses_upstream, &*self.gemini_upstream];
        LISTS.into_iter().zip(lists)
    }

    fn lists_mut(&mut self) -> [(&'static str, &mut Vec<ChannelConfig>, Option<i64>); 3] {
        [
            (LISTS[0], &mut self.upstream, self.current_upstream.take()),
            (LISTS[1], &mut self.responses_upstream, self.current_responses_upstream.take()),
            (LISTS[2], &mut self.gemini_upstream, None),
        ]
    }
}
