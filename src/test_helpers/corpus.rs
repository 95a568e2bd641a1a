//! Recorded traffic: `LLM_CORPUS`, or beside the checkout. Tests skip where it is not at hand.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

/// The recorded cases in a folder of the corpus (`dev/gemini`), by name; none where it is not at
/// hand.
pub(crate) fn cases(folder: &str) -> Vec<(String, PathBuf)> {
    let root = std::env::var_os("LLM_CORPUS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
        PathBuf::from,
    );
    let Ok(entries) = fs::read_dir(root.join(folder)) else {
        println!("skipped: no corpus for {folder}");
        return Vec::new();
    };
    let mut cases: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .collect();
    cases.sort();
    cases
}

/// The value of a document; says what stood there if it is none.
pub(crate) fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(bytes)))
}
