mod layer;
mod machine;
mod random;
mod waiting;

use std::time::Duration;

use super::{KeyPool, KeySnapshot, Lease, Settings};
use crate::protocol::model::{Fault, FaultKind, FaultOrigin};

const SECOND: Duration = Duration::from_secs(1);

/// A pool of keys `k0`, `k1`, ..
fn pool(settings: Settings, keys: usize) -> KeyPool {
    KeyPool::with(settings, (0..keys).map(|n| format!("k{n}"))).unwrap()
}

fn exclusive() -> Settings {
    Settings::new("test").max_in_flight(1)
}

fn text(lease: &Lease) -> String {
    lease.key().plain().to_str().unwrap().to_owned()
}

fn fault(kind: FaultKind) -> Fault {
    Fault::new(kind, kind.status(), FaultOrigin::Upstream)
}

fn key(pool: &KeyPool, at: usize) -> KeySnapshot {
    pool.snapshot().swap_remove(at)
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}
