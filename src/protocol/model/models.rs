//! Lists of models.

use crate::protocol::json::JsonStr;

/// One model that can be asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelInfo<'a> {
    /// What a request names.
    pub id: JsonStr<'a>,
    /// What people call it.
    pub display_name: Option<JsonStr<'a>>,
    /// Unix seconds.
    pub created: Option<u64>,
    /// Whose it is.
    pub owner: Option<JsonStr<'a>>,
    /// Most tokens of a prompt.
    pub max_input_tokens: Option<u64>,
    /// Most tokens of an answer.
    pub max_output_tokens: Option<u64>,
}

impl<'a> ModelInfo<'a> {
    /// A model of which only the name is known.
    #[must_use]
    pub fn new(id: JsonStr<'a>) -> Self {
        Self { id, ..Self::default() }
    }
}
