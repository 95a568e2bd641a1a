//! An LLM gateway as composable tower layers.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod body;
pub mod context;
pub mod error;
pub mod layer;
pub mod protocol;
pub mod secret;
pub mod sse;
#[cfg(feature = "upstream")]
pub mod upstream;

#[cfg(test)]
mod test_helpers;

pub use error::BoxError;
pub use layer::api_key_auth::ApiKeyAuthLayer;
pub use layer::catch_error::CatchErrorLayer;
pub use layer::hop_by_hop::HopByHopFilterLayer;
pub use layer::provider_translate::ProviderTranslateLayer;
