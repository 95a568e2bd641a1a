//! What the caller cannot carry, between its requests.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use super::layer::Config;
use crate::context::{Exchange, Principal, Upstream};
use crate::protocol::VendorTag;
use crate::protocol::translate::{Deposit, KnownCall};
use crate::store::{SealVault, VaultKey};

/// Headers in which clients name their conversation, the most usual first.
const CONVERSATION: [&str; 4] =
    ["conversation_id", "session_id", "x-conversation-id", "x-session-id"];

/// The vault as one caller of one upstream sees it.
#[derive(Clone)]
pub(super) struct Keeping {
    vault: Option<Arc<dyn SealVault>>,
    principal: Option<Principal>,
    vendor: VendorTag,
    conversation: Option<Arc<str>>,
}

impl Keeping {
    pub(super) fn new(
        config: &Config,
        exchange: &Exchange,
        upstream: &Upstream,
        headers: &HeaderMap,
    ) -> Self {
        let principal = exchange.read(|facts| facts.principal.clone());
        let named = CONVERSATION.iter().find_map(|name| headers.get(*name)?.to_str().ok());
        let conversation = named.filter(|name| !name.is_empty()).map(Into::into);
        let vault = config.vault.clone();
        Self { vault, principal, vendor: upstream.vendor_tag(), conversation }
    }

    /// In this conversation, unless a header named one.
    pub(super) fn within(mut self, conversation: Option<&str>) -> Self {
        self.conversation = self.conversation.or(conversation.map(Into::into));
        self
    }

    pub(super) fn recall(&self, call: &KnownCall<'_>) -> Option<Bytes> {
        let conversation = self.conversation.as_deref().or(call.conversation);
        self.vault.as_ref()?.get(&self.key(conversation, call.id))
    }

    pub(super) fn keep(&self, deposits: Vec<Deposit>) {
        let Some(vault) = &self.vault else { return };
        for deposit in deposits {
            let key = self.key(self.conversation.as_deref(), &deposit.call_id);
            vault.put(key, deposit.value);
        }
    }

    fn key(&self, conversation: Option<&str>, call_id: &str) -> VaultKey {
        let principal = self.principal.as_ref().map_or("", Principal::id);
        VaultKey::new(principal, self.vendor, conversation.unwrap_or_default(), call_id)
    }
}

impl fmt::Debug for Keeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeping").finish_non_exhaustive()
    }
}
