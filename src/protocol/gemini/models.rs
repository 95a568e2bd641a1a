//! `GET /v1beta/models` and `GET /v1beta/models/{id}`.
//!
//! Source: <https://ai.google.dev/api/models>. Names begin with `models/`.

use bytes::BytesMut;

use crate::protocol::json::{Cursor, JsonError, JsonStr, ObjectWriter};
use crate::protocol::model::ModelInfo;

/// Reads one model.
///
/// # Errors
/// When it is no JSON object with a name.
pub fn read<'a>(c: &mut Cursor<'a>) -> Result<ModelInfo<'a>, JsonError> {
    let mut model = ModelInfo::default();
    c.object(|key, c| {
        match &*key.decode() {
            "name" => {
                let name = c.string()?;
                let plain = name.decode();
                let bare = plain.strip_prefix("models/").unwrap_or(&plain);
                model.id = JsonStr::from_plain(bare.to_owned());
            }
            "displayName" => model.display_name = c.raw()?.as_json_str().map(JsonStr::into_owned),
            "inputTokenLimit" => model.max_input_tokens = c.raw()?.as_u64(),
            "outputTokenLimit" => model.max_output_tokens = c.raw()?.as_u64(),
            _ => drop(c.raw()?),
        }
        Ok(())
    })?;
    Ok(model)
}

/// Writes one model.
pub fn write(model: &ModelInfo<'_>, out: &mut BytesMut) {
    let id = model.id.decode();
    let mut object = ObjectWriter::begin(out);
    object.plain("name", &format!("models/{id}"));
    object.str("displayName", model.display_name.as_ref().unwrap_or(&model.id));
    if let Some(tokens) = model.max_input_tokens {
        object.u64("inputTokenLimit", tokens);
    }
    if let Some(tokens) = model.max_output_tokens {
        object.u64("outputTokenLimit", tokens);
    }
    object.array("supportedGenerationMethods", |items| {
        for method in ["generateContent", "streamGenerateContent", "countTokens"] {
            crate::protocol::json::push_plain(items.item(), method);
        }
    });
    object.end();
}

/// Writes a whole list.
pub fn write_list(models: &[ModelInfo<'_>], out: &mut BytesMut) {
    let mut object = ObjectWriter::begin(out);
    object.array("models", |items| models.iter().for_each(|model| write(model, items.item())));
    object.end();
}
