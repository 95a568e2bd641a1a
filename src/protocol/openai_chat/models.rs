//! `GET /v1/models` and `GET /v1/models/{id}`, for Chat Completions and Responses alike.
//!
//! Source: <https://platform.openai.com/docs/api-reference/models>. Times are Unix seconds.

use bytes::BytesMut;

use crate::protocol::json::{Cursor, JsonError, JsonStr, ObjectWriter};
use crate::protocol::model::ModelInfo;

/// Reads one model.
///
/// # Errors
/// When it is no JSON object with an id.
pub fn read<'a>(c: &mut Cursor<'a>) -> Result<ModelInfo<'a>, JsonError> {
    let mut model = ModelInfo::default();
    c.object(|key, c| {
        match &*key.decode() {
            "id" => model.id = c.string()?,
            "created" => model.created = c.raw()?.as_u64(),
            "owned_by" => model.owner = c.raw()?.as_json_str().map(JsonStr::into_owned),
            // Clones that say more than OpenAI does.
            "name" => model.display_name = c.raw()?.as_json_str().map(JsonStr::into_owned),
            "context_length" | "context_window" => model.max_input_tokens = c.raw()?.as_u64(),
            _ => drop(c.raw()?),
        }
        Ok(())
    })?;
    Ok(model)
}

/// Writes one model.
pub fn write(model: &ModelInfo<'_>, out: &mut BytesMut) {
    let mut object = ObjectWriter::begin(out);
    object.str("id", &model.id);
    object.plain("object", "model");
    object.u64("created", model.created.unwrap_or(0));
    match &model.owner {
        Some(owner) => object.str("owned_by", owner),
        None => object.plain("owned_by", "upstream"),
    }
    object.end();
}

/// Writes a whole list.
pub fn write_list(models: &[ModelInfo<'_>], out: &mut BytesMut) {
    let mut object = ObjectWriter::begin(out);
    object.plain("object", "list");
    object.array("data", |items| models.iter().for_each(|model| write(model, items.item())));
    object.end();
}
