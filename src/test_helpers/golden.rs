//! Shapes of JSON that may not change unseen.

use std::path::Path;

use serde::Serialize;

/// Compares a value with `tests/golden/{name}.json`, to the byte. `GOLDEN=write` writes the file.
pub(crate) fn golden(name: &str, value: &impl Serialize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let path = folder.join(name).with_extension("json");
    let text = format!("{}\n", serde_json::to_string_pretty(value).unwrap());
    if std::env::var_os("GOLDEN").is_some_and(|mode| mode == "write") {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{name} is not as in {}:\n{text}", path.display());
}
