use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ConfigError, Rest};
use crate::context::{Connection, Upstream};
use crate::protocol::Protocol;
use crate::protocol::dialect::Completions;
use crate::redact;
use crate::secret::Secret;

/// One channel, as it stands in the file. The [module docs](super) say what each member is.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ChannelConfig {
    /// Its stable name; never empty once the file was checked.
    pub id: String,
    /// For people.
    pub name: String,
    /// What its upstream speaks.
    pub service_type: ServiceType,
    /// Whose it is, as statistics and traces name it; empty for whose protocol it speaks.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider: String,
    /// Where it is.
    pub base_url: String,
    /// Where else the same vendor is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub base_urls: Vec<String>,
    /// Its keys, in the order in which they are tried.
    #[serde(serialize_with = "expose", deserialize_with = "conceal")]
    pub api_keys: Vec<Secret>,
    /// For people.
    pub description: String,
    /// For people.
    pub website: String,
    /// Whether any TLS certificate is taken.
    pub insecure_skip_verify: bool,
    /// Model names, asked to sent.
    pub model_mapping: BTreeMap<String, String>,
    /// Which models it serves; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Lower is asked first; 0 stands for its place in the list.
    pub priority: i64,
    /// For weighted choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Whether it takes requests.
    pub status: ChannelStatus,
    /// Until then it is asked first.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "write_time",
        deserialize_with = "read_time"
    )]
    pub promotion_until: Option<SystemTime>,
    /// Whether its circuit breaker stays closed whatever happens.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub never_trip: bool,
    /// Most requests at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<usize>,
    /// How long the headers of an answer may take, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers_timeout_ms: Option<u64>,
    /// How long the body of an answer may say nothing, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u64>,
    #[serde(flatten)]
    rest: Rest,
}

// Before a file is checked, a URL may hold a password, and a text anything.
impl fmt::Debug for ChannelConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelConfig")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("service_type", &self.service_type)
            .field("base_url", &redact::url(&self.base_url))
            .field("api_keys", &self.api_keys.len())
            .field("priority", &self.priority)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Whether a channel takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelStatus {
    /// It does.
    #[default]
    #[serde(alias = "")]
    Active,
    /// It does not for now: it has no key, or somebody paused it.
    Suspended,
    /// It is only kept in the file.
    Disabled,
}

/// What the upstream of a channel speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ServiceType {
    /// Anthropic Messages.
    #[default]
    #[serde(alias = "anthropic")]
    Claude,
    /// OpenAI Chat Completions.
    #[serde(alias = "openai-chat")]
    OpenAi,
    /// OpenAI Completions, from before Chat.
    OpenAiOld,
    /// OpenAI Responses.
    #[serde(alias = "openai-responses")]
    Responses,
    /// Gemini.
    Gemini,
    /// DashScope.
    DashScope,
}

impl ServiceType {
    /// The protocol that is spoken; that of Completions is Chat, in another dialect.
    #[must_use]
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Claude => Protocol::Anthropic,
            Self::OpenAi | Self::OpenAiOld => Protocol::OpenAiChat,
            Self::Responses => Protocol::OpenAiResponses,
            Self::Gemini => Protocol::Gemini,
            Self::DashScope => Protocol::DashScope,
        }
    }
}

impl ChannelConfig {
    /// A channel with one base URL and these keys; all else is the default.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        service_type: ServiceType,
        base_url: impl Into<String>,
        api_keys: impl IntoIterator<Item = impl Into<Secret>>,
    ) -> Self {
        Self {
            id: id.into(),
            service_type,
            base_url: base_url.into(),
            api_keys: api_keys.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Whether it takes requests.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status == ChannelStatus::Active
    }

    /// How people call it: its name, else its id.
    #[must_use]
    pub fn title(&self) -> &str {
        if self.name.is_empty() { &self.id } else { &self.name }
    }

    /// Its base URLs, each once, in their order.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        let all = std::iter::once(&self.base_url).chain(&self.base_urls).map(|url| url.trim());
        let same = |url: &str| url.trim_end_matches('/').to_owned();
        let mut seen = Vec::new();
        all.filter(move |url| {
            let new = !url.is_empty() && !seen.contains(&same(url));
            seen.push(same(url));
            new
        })
    }

    /// One upstream for each base URL, without a key.
    ///
    /// # Errors
    /// When there is no base URL, or one that is none.
    pub fn upstreams(&self) -> Result<Vec<Upstream>, ConfigError> {
        let upstreams = self.urls().map(|url| {
            let upstream = Upstream::new(url, self.service_type.protocol())
                .and_then(|upstream| match self.provider.as_str() {
                    "" => Ok(upstream),
                    name => upstream.provider(name),
                })
                .map_err(|error| ConfigError::channel(self, error.to_string()))?
                .models(self.model_mapping.clone().into_iter().collect())
                .connection(self.connection())
                .no_key();
            Ok(match self.service_type {
                ServiceType::OpenAiOld => upstream.dialect(Completions),
                _ => upstream,
            })
        });
        let upstreams: Vec<_> = upstreams.collect::<Result<_, ConfigError>>()?;
        if upstreams.is_empty() {
            return Err(ConfigError::channel(self, "it has no baseUrl".to_owned()));
        }
        Ok(upstreams)
    }

    fn connection(&self) -> Connection {
        let mut connection =
            Connection::default().danger_accept_invalid_certs(self.insecure_skip_verify);
        let timeout = |ms: Option<u64>| ms.filter(|ms| *ms > 0).map(Duration::from_millis);
        connection.headers_timeout = timeout(self.headers_timeout_ms);
        connection.idle_timeout = timeout(self.idle_timeout_ms);
        connection
    }
}

fn expose<S: Serializer>(keys: &[Secret], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(keys.iter().map(Secret::expose))
}

fn conceal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Secret>, D::Error> {
    let keys = Option::<Vec<String>>::deserialize(deserializer)?;
    Ok(keys.unwrap_or_default().into_iter().map(Secret::new).collect())
}

fn write_time<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(&humantime::format_rfc3339_seconds(*time)),
        None => serializer.serialize_none(),
    }
}

fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SystemTime>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let time = text.filter(|text| !text.is_empty()).map(|text| {
        time_with_offset(&text).ok_or_else(|| serde::de::Error::custom("no RFC 3339 time"))
    });
    time.transpose()
}

/// A time of RFC 3339; humantime reads those in UTC only.
fn time_with_offset(text: &str) -> Option<SystemTime> {
    let Some(at) = text.rfind(['+', '-']).filter(|at| text[..*at].contains('T')) else {
        return humantime::parse_rfc3339(text).ok();
    };
    let (local, offset) = text.split_at(at);
    let local = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let offset_by = Duration::from_secs((hours.min(24) * 60 + minutes.min(60)) * 60);
    if offset.starts_with('+') {
        local.checked_sub(offset_by)
    } else {
        local.checked_add(offset_by)
    }
}
