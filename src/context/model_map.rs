use std::sync::Arc;

/// Which model stands for which.
///
/// An exact name wins; else the longest name that contains the asked one or is contained in it;
/// else the model stays as asked. An empty model matches nothing.
///
/// ```
/// use tower_llm_gateway::context::ModelMap;
///
/// let mut map = ModelMap::default();
/// map.insert("claude-sonnet", "gpt-5");
/// map.insert("claude", "gpt-5-mini");
/// assert_eq!(map.resolve("claude-sonnet-4-6"), Some("gpt-5"));
/// assert_eq!(map.resolve("claude-haiku"), Some("gpt-5-mini"));
/// assert_eq!(map.resolve("gemini"), None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelMap(Arc<Vec<(String, String)>>);

impl ModelMap {
    /// Adds a pair; a later one for the same name replaces the earlier. An empty `from` is ignored.
    pub fn insert(&mut self, from: impl Into<String>, to: impl Into<String>) {
        let (from, to) = (from.into(), to.into());
        if from.is_empty() {
            return;
        }
        let pairs = Arc::make_mut(&mut self.0);
        pairs.retain(|(name, _)| *name != from);
        pairs.push((from, to));
        // Longest first, then by name: the first fuzzy match is the right one, whatever the order
        // of insertion.
        pairs.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    }

    /// Whether no model is mapped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names that callers may ask for.
    #[must_use]
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|(from, _)| from.as_str())
    }

    /// The model to ask for instead; `None` to leave it.
    #[must_use]
    pub fn resolve(&self, model: &str) -> Option<&str> {
        if model.is_empty() {
            return None;
        }
        let exact = self.0.iter().find(|(from, _)| from == model);
        let fuzzy = || self.0.iter().find(|(from, _)| model.contains(from) || from.contains(model));
        exact.or_else(fuzzy).map(|(_, to)| to.as_str())
    }
}

impl<F: Into<String>, T: Into<String>> FromIterator<(F, T)> for ModelMap {
    fn from_iter<I: IntoIterator<Item = (F, T)>>(pairs: I) -> Self {
        let mut map = Self::default();
        for (from, to) in pairs {
            map.insert(from, to);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models() {
        let map: ModelMap =
            [("opus", "a"), ("claude-opus", "b"), ("", "never")].into_iter().collect();
        assert_eq!(map.resolve("opus"), Some("a"));
        assert_eq!(map.resolve("claude-opus-4"), Some("b"));
        assert_eq!(map.resolve("my-opus"), Some("a"));
        assert_eq!(map.resolve("claude"), Some("b"));
        assert_eq!(map.resolve(""), None);
        assert_eq!(map.resolve("haiku"), None);
    }
}
