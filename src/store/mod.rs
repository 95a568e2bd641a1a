//! What is kept between requests, behind small traits: in memory, or wherever the host wants it.
//!
//! # The vault of seals
//!
//! Vendors sign or encrypt the thinking of their models and want it back, unaltered, with the next
//! request of the conversation. Callers of Chat Completions and DashScope have no place for it, so
//! [`ProviderTranslateLayer`](crate::ProviderTranslateLayer) deposits it in a [`SealVault`], under
//! the id of the tool call that the caller will name again.
//!
//! ```
//! use bytes::Bytes;
//! use tower_llm_gateway::protocol::VendorTag;
//! use tower_llm_gateway::store::{MemoryVault, SealVault, VaultKey};
//!
//! let vault = MemoryVault::new().max_entries(1000);
//! let (one, two) = (VendorTag::of("api.example.com"), VendorTag::of("api.example.net"));
//! let key = VaultKey::new("team-a", one, "", "toolu_01");
//! vault.put(key, Bytes::from_static(b"sealed"));
//! assert_eq!(vault.get(&key).as_deref(), Some(&b"sealed"[..]));
//! // Another principal, another vendor: another key.
//! assert_eq!(vault.get(&VaultKey::new("team-b", one, "", "toolu_01")), None);
//! assert_eq!(vault.get(&VaultKey::new("team-a", two, "", "toolu_01")), None);
//! ```
//!
//! # The states of keys
//!
//! A pool of keys (feature `key-pool`) saves in a `KeyStore` what it learns of its keys: the end
//! of a cooldown, how many there were, which key was moved behind the others.
//!
//! # The live log
//!
//! A line of it is a [`LogEntry`]; a [`LogFilter`] chooses among them. `daily` (feature
//! `request-log`) keeps them in files.
//!
//! # The request log
//!
//! A `RequestLogStore` (feature `request-log`) keeps a row for each request and each attempt, and
//! answers who asked for what, and how it went: `MemoryRequestLog`, or `SqlStore` (features
//! `sqlite` and `postgres`), which keeps the states of keys too.

#[cfg(feature = "request-log")]
pub mod daily;
#[cfg(any(feature = "session", feature = "request-log"))]
mod error;
#[cfg(feature = "request-log")]
mod first;
#[cfg(any(feature = "key-pool", feature = "sqlite", feature = "postgres"))]
mod keys;
mod log_entry;
mod lru;
mod memory;
mod page;
#[cfg(feature = "request-log")]
mod private;
#[cfg(feature = "request-log")]
mod request_log;
#[cfg(feature = "session")]
mod sessions;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod sql;
mod vault;

pub use crate::calendar::parse as parse_time;
#[cfg(any(feature = "session", feature = "request-log"))]
pub use error::{StoreError, StoreFuture};
#[cfg(feature = "request-log")]
pub(crate) use first::first;
#[cfg(any(feature = "key-pool", feature = "sqlite", feature = "postgres"))]
pub use keys::{KeyState, KeyStore, MAX_REMEMBERED_KEYS, MemoryKeys};
pub use log_entry::{LogEntry, LogFilter, LogLevel, UnknownLevel};
pub use memory::{DEFAULT_MAX_BYTES, DEFAULT_MAX_ENTRIES, DEFAULT_TTL, MemoryVault};
pub use page::Pagination;
#[cfg(feature = "request-log")]
pub use request_log::{
    AttemptRow, BodyText, DEFAULT_MAX_ROWS, DEFAULT_PAGE, LogBatch, LogQuery, MAX_PAGE,
    MAX_PRINCIPALS, MemoryRequestLog, Page, PrincipalCalls, RequestLogStore, RequestRow,
};
#[cfg(feature = "session")]
pub use sessions::{
    DEFAULT_MAX_SESSION_BYTES, DEFAULT_MAX_TURNS, DEFAULT_SESSION_TTL, MemorySessions,
    SessionStore, Turn, TurnKey,
};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sql::{SqlStore, SqlWorker};
pub use vault::{SealVault, VaultKey};
