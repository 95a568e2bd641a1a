//! What the caller cannot carry, between its requests.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::layer::Config;
use crate::context::{Exchange, Principal};
use crate::protocol::Protocol;
use crate::protocol::translate::Deposit;
use crate::store::{SealVault, VaultKey};

/// The vault as one caller of one upstream sees it.
#[derive(Clone)]
pub(super) struct Keeping {
    vault: Option<Arc<dyn SealVault>>,
    principal: Option<Principal>,
    upstream: Protocol,
}

impl Keeping {
    pub(super) fn new(config: &Config, exchange: &Exchange, upstream: Protocol) -> Self {
        let principal = exchange.read(|facts| facts.principal.clone());
        Self { vault: config.vault.clone(), principal, upstream }
    }

    pub(super) fn recall(&self, call_id: &str) -> Option<Bytes> {
        self.vault.as_ref()?.get(&self.key(call_id))
    }

    pub(super) fn keep(&self, deposits: Vec<Deposit>) {
        let Some(vault) = &self.vault else { return };
        for deposit in deposits {
            vault.put(self.key(&deposit.call_id), deposit.value);
        }
    }

    fn key(&self, call_id: &str) -> VaultKey {
        let principal = self.principal.as_ref().map_or("", Principal::id);
        VaultKey::new(principal, self.upstream, call_id)
    }
}

impl fmt::Debug for Keeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeping").finish_non_exhaustive()
    }
}
