//! The layers, one folder each, all of the same shape.

pub mod api_key_auth;
pub mod catch_error;
#[cfg(feature = "channel")]
pub mod channel;
#[cfg(feature = "failover")]
pub mod failover;
#[cfg(feature = "failover")]
pub mod first_event;
pub mod hop_by_hop;
#[cfg(feature = "key-pool")]
pub mod key_pool;
#[cfg(feature = "limit")]
pub mod limit;
pub mod live_log;
#[cfg(feature = "otel")]
pub mod otel;
pub mod provider_translate;
#[cfg(feature = "request-log")]
pub mod request_log;
#[cfg(feature = "session")]
pub mod session;
pub mod stats;
pub mod system_prompt;
