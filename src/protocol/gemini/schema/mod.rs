//! Schemas in two languages.
//!
//! `parametersJsonSchema` and `responseJsonSchema` take JSON Schema; the older `parameters` and
//! `responseSchema` a subset of OpenAPI's, in which types are in capitals, `null` is a flag, and
//! an unknown keyword fails the whole request. The hub holds JSON Schema: [`standard`] makes it,
//! [`Adapter`] goes the other way.
//!
//! Both walk a schema by its structure, so a property may be called `title`, `default` or `$ref`.

mod adapter;
mod flat;
mod standard;
#[cfg(test)]
mod tests;
mod walk;

pub(super) use adapter::Adapter;
pub(super) use standard::standard;

use crate::protocol::json::{Kind, Raw};

/// Whether a schema is an object without properties: for Gemini, no schema at all.
pub(super) fn is_empty_object(schema: &Raw<'_>) -> bool {
    let mut empty = schema.kind() == Kind::Object;
    let walked = schema.cursor().object(|key, c| {
        let value = c.raw()?;
        empty &= match &*key.decode() {
            "properties" | "required" => matches!(value.as_str(), "{}" | "[]" | "null"),
            "$ref" | "anyOf" | "oneOf" | "allOf" => false,
            _ => true,
        };
        Ok(())
    });
    walked.is_ok() && empty
}
