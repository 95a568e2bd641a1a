//! How layers talk to each other: typed values in the extensions of a request.
//!
//! Every value is optional to its reader, so each layer works alone. Facts that an outer layer
//! wants after the answer has gone by (or after the caller left) are in the [`Exchange`], a
//! handle that all layers of one request share.

mod attempt;
mod connection;
mod exchange;
mod model_map;
mod request_id;
mod upstream;

pub use attempt::{Attempt, AttemptId, ChannelId, MAX_ATTEMPTS};
pub use connection::Connection;
pub use exchange::{Exchange, ExchangeFacts, Observed, PeerAddr, Principal, RequestFacts};
pub use model_map::ModelMap;
pub use request_id::{MAX_REQUEST_ID, RequestId};
pub use upstream::{BadUpstream, KeyHeaders, MAX_PROVIDER_NAME, Upstream, UpstreamKey};
