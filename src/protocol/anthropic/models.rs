//! `GET /v1/models` and `GET /v1/models/{id}`.
//!
//! Source: <https://docs.claude.com/en/api/models-list>. Times are RFC 3339.

use std::time::{Duration, UNIX_EPOCH};

use bytes::BytesMut;

use crate::protocol::json::{Cursor, JsonError, JsonStr, ObjectWriter, Raw};
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
            "display_name" => model.display_name = text(&c.raw()?),
            "created_at" => model.created = text(&c.raw()?).and_then(|time| seconds(&time)),
            "max_input_tokens" => model.max_input_tokens = c.raw()?.as_u64(),
            "max_tokens" => model.max_output_tokens = c.raw()?.as_u64(),
            _ => drop(c.raw()?),
        }
        Ok(())
    })?;
    Ok(model)
}

fn text(raw: &Raw<'_>) -> Option<JsonStr<'static>> {
    raw.as_json_str().map(JsonStr::into_owned)
}

fn seconds(time: &JsonStr<'_>) -> Option<u64> {
    let time = humantime::parse_rfc3339(&time.decode()).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// Latest time that has four digits for its year; a vendor's nonsense beyond is cut.
const LAST_SECOND: u64 = 253_402_300_799;

/// Writes one model.
pub fn write(model: &ModelInfo<'_>, out: &mut BytesMut) {
    let mut object = ObjectWriter::begin(out);
    object.plain("type", "model");
    object.str("id", &model.id);
    object.str("display_name", model.display_name.as_ref().unwrap_or(&model.id));
    let created = Duration::from_secs(model.created.unwrap_or(0).min(LAST_SECOND));
    let created = humantime::format_rfc3339_seconds(UNIX_EPOCH + created).to_string();
    object.plain("created_at", &created);
    if let Some(tokens) = model.max_input_tokens {
        object.u64("max_input_tokens", tokens);
    }
    if let Some(tokens) = model.max_output_tokens {
        object.u64("max_tokens", tokens);
    }
    object.end();
}

/// Writes a whole list, as its only page.
pub fn write_list(models: &[ModelInfo<'_>], out: &mut BytesMut) {
    let mut object = ObjectWriter::begin(out);
    object.array("data", |items| models.iter().for_each(|model| write(model, items.item())));
    object.bool("has_more", false);
    for (name, model) in [("first_id", models.first()), ("last_id", models.last())] {
        match model {
            Some(model) => object.str(name, &model.id),
            None => object.null(name),
        }
    }
    object.end();
}
