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

#[cfg(feature = "request-log")]
pub mod daily;
#[cfg(feature = "key-pool")]
mod keys;
mod log_entry;
mod lru;
mod memory;
mod page;
#[cfg(feature = "session")]
mod sessions;
mod vault;

#[cfg(feature = "key-pool")]
pub use keys::{KeyState, KeyStore, MAX_REMEMBERED_KEYS, MemoryKeys};
pub use log_entry::{LogEntry, LogFilter, LogLevel, UnknownLevel};
pub use memory::{DEFAULT_MAX_BYTES, DEFAULT_MAX_ENTRIES, DEFAULT_TTL, MemoryVault};
pub use page::Pagination;
#[cfg(feature = "session")]
pub use sessions::{
    DEFAULT_MAX_SESSION_BYTES, DEFAULT_MAX_TURNS, DEFAULT_SESSION_TTL, MemorySessions,
    SessionStore, StoreError, StoreFuture, Turn, TurnKey,
};
pub use vault::{SealVault, VaultKey};
