use std::sync::Arc;
use std::time::Duration;

use crate::protocol::model::FaultKind;

/// What has become of a key. Keys are named by their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolChange {
    /// A key is left alone for a while.
    Cooling {
        /// Which.
        key: Arc<str>,
        /// Why.
        fault: FaultKind,
        /// How long.
        lasts: Duration,
    },
    /// A key that had cooled down succeeded.
    Recovered {
        /// Which.
        key: Arc<str>,
    },
    /// Keys that were out of quota stand behind the others now. A host that keeps its keys in a
    /// list writes them down in this order.
    Demoted {
        /// All keys, first to last.
        order: Vec<Arc<str>>,
    },
}
