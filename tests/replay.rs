//! What the fuzzer has kept, replayed: see `tests/fuzz`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[path = "fuzz/src/lib.rs"]
mod targets;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

#[test]
fn every_kept_input_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let mut failed = Vec::new();
    for (name, target) in targets::TARGETS {
        let files = fs::read_dir(corpus.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut count = 0;
        for file in files {
            let path = file.unwrap().path();
            let input = fs::read(&path).unwrap();
            if catch_unwind(|| target(&input)).is_err() {
                failed.push(path);
            }
            count += 1;
        }
        println!("{name}: {count} inputs");
        assert!(count > 0, "{name} has no corpus");
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
