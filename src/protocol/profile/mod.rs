//! What models need beyond their protocol, by their names.
//!
//! One protocol is spoken by many models, and a setting that one needs is an error at the next.
//! [`Profiles`] is a list of rules, each for a protocol and a pattern of names, that change a
//! [`Target`]; the later ones win. It begins with what is known of the usual families
//! (`families.rs` is that list), and takes rules of yours behind it.
//!
//! ```
//! use tower_llm_gateway::protocol::Protocol::{Anthropic, OpenAiChat};
//! use tower_llm_gateway::protocol::profile::Profiles;
//! use tower_llm_gateway::protocol::{Accepts, ThinkingScale};
//!
//! let profiles = Profiles::default()
//!     .set(OpenAiChat, "my-model*", |target| target.legacy_max_tokens = true)
//!     .every(|target| target.default_max_tokens = 8000);
//!
//! let target = profiles.target(OpenAiChat, "openai/gpt-5-mini");
//! assert_eq!(target.sampling, Accepts::Never);
//! let target = profiles.target(Anthropic, "claude-sonnet-4-5");
//! assert_eq!((target.thinking, target.default_max_tokens), (ThinkingScale::Tokens, 8000));
//! assert!(profiles.target(OpenAiChat, "My-Model-2").legacy_max_tokens);
//! ```

mod families;
mod pattern;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use super::{Protocol, Target};
use families::{FAMILIES, Family};
use pattern::matches;

/// What models need beyond their protocol: rules by protocol and name.
///
/// A pattern is a name in which `*` stands for any characters and `?` for one. Case does not
/// matter, and neither does what vendors put in front: `claude-*` is also
/// `anthropic/claude-opus-4.7` and `us.anthropic.claude-3-haiku-20240307-v1:0`.
///
/// A clone shares the rules.
#[derive(Clone)]
pub struct Profiles {
    families: &'static [Family],
    rules: Option<Arc<Vec<Rule>>>,
}

#[derive(Clone)]
struct Rule {
    /// `None` for every protocol.
    protocol: Option<Protocol>,
    model: Box<str>,
    change: Arc<dyn Fn(&mut Target) + Send + Sync>,
}

impl Profiles {
    /// What is known of the usual families.
    pub const DEFAULT: Self = Self { families: FAMILIES, rules: None };

    /// No rules: every model gets [`Target::DEFAULT`].
    #[must_use]
    pub fn none() -> Self {
        Self { families: &[], rules: None }
    }

    /// The same for every model.
    #[must_use]
    pub fn always(target: Target) -> Self {
        Self::none().every(move |it| *it = target.clone())
    }

    /// Adds a rule for the models of a protocol that `model` matches; it wins over all before it.
    #[must_use]
    pub fn set(
        self,
        protocol: Protocol,
        model: impl Into<String>,
        change: impl Fn(&mut Target) + Send + Sync + 'static,
    ) -> Self {
        self.add(Some(protocol), model.into(), Arc::new(change))
    }

    /// Adds a rule for all models of all protocols.
    #[must_use]
    pub fn every(self, change: impl Fn(&mut Target) + Send + Sync + 'static) -> Self {
        self.add(None, "*".to_owned(), Arc::new(change))
    }

    fn add(
        mut self,
        protocol: Option<Protocol>,
        model: String,
        change: Arc<dyn Fn(&mut Target) + Send + Sync>,
    ) -> Self {
        let rules = Arc::make_mut(self.rules.get_or_insert_default());
        rules.push(Rule { protocol, model: model.into(), change });
        self
    }

    /// What this model needs.
    #[must_use]
    pub fn target(&self, protocol: Protocol, model: &str) -> Target {
        let mut target = Target::DEFAULT;
        for family in self.families {
            let known = || family.models.iter().any(|pattern| matches(pattern, model));
            if family.protocols.contains(&protocol) && known() {
                (family.change)(&mut target);
            }
        }
        for rule in self.rules.iter().flat_map(|rules| rules.iter()) {
            if rule.protocol.is_none_or(|own| own == protocol) && matches(&rule.model, model) {
                (rule.change)(&mut target);
            }
        }
        target
    }
}

impl Default for Profiles {
    /// [`Profiles::DEFAULT`].
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Debug for Profiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = self.rules.iter().flat_map(|rules| rules.iter());
        let rules: Vec<_> = rules.map(|rule| (rule.protocol, &*rule.model)).collect();
        f.debug_struct("Profiles")
            .field("families", &self.families.len())
            .field("rules", &rules)
            .finish()
    }
}
