//! Holds the dependency direction that `src/lib.rs` draws: arrows point down only.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// Each module and what it may use of the crate. A layer may use what stands beside `layer`, and
/// no other layer.
const ALLOWED: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("macros", &[]),
    ("calendar", &[]),
    ("secret", &[]),
    ("redact", &["secret", "error"]),
    ("sse", &["error"]),
    ("protocol", &["sse", "redact", "error"]),
    ("pricing", &["protocol", "error"]),
    ("context", &["protocol", "secret", "redact", "error"]),
    ("body", &["protocol", "sse", "redact", "error"]),
    ("upstream", &["redact", "error", "secret", "context"]),
    ("config", &["redact", "error", "secret", "context", "protocol"]),
    ("store", &["redact", "error", "secret", "calendar", "context", "protocol"]),
    ("record", &["body", "context", "pricing", "protocol", "redact", "error"]),
    (
        "layer",
        &[
            "record", "body", "store", "context", "pricing", "protocol", "sse", "redact", "secret",
            "calendar", "error",
        ],
    ),
];

/// Sans-IO code knows neither bodies nor a runtime nor a clock.
const FORBIDDEN_IN_SANS_IO: &[&str] =
    &["http_body", "tokio", "async fn", ".await", "Instant::now", "SystemTime", "fastrand"];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file with its path below `src`, its module path, and its code: without comments
/// and without the tests at its end.
fn files() -> Vec<(String, Vec<String>, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    paths
        .iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
            let module = name.trim_end_matches(".rs").trim_end_matches("/mod");
            let module = module.split('/').map(str::to_owned).collect();
            let text = fs::read_to_string(path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let code: Vec<_> = code.lines().filter(|l| !l.trim_start().starts_with("//")).collect();
            (name, module, code.join("\n"))
        })
        .filter(|(name, ..)| {
            *name != "lib.rs" && !name.contains("test_helpers") && !name.contains("tests")
        })
        .collect()
}

/// The first two segments behind each `crate::`.
fn uses(code: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let ident = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        assert!(!rest.starts_with('{'), "write `use crate::a::b`, one line per module");
        let first = ident(rest);
        let second = rest[first.len()..].strip_prefix("::").map(ident).unwrap_or_default();
        found.push((first, second));
    }
    found
}

#[test]
fn arrows_point_down_only() {
    let files = files();
    assert!(files.len() > 20, "the scan found the sources");
    let mut seen = 0;
    for (name, module, code) in &files {
        let top = module[0].as_str();
        let allowed = ALLOWED.iter().find(|(module, _)| *module == top);
        let allowed = allowed.unwrap_or_else(|| panic!("{name}: give {top} a row in ALLOWED")).1;
        for (used, inner) in uses(code) {
            seen += 1;
            // `crate::BoxError` is re-exported at the root and stands for its module.
            let used = if used == "BoxError" { "error".to_owned() } else { used };
            let own_layer = top == "layer" && used == "layer" && module.get(1) == Some(&inner);
            let own = top != "layer" && used == top;
            assert!(
                own || own_layer || allowed.contains(&used.as_str()),
                "{name} uses crate::{used}::{inner}, which is not below it"
            );
        }
    }
    assert!(seen > 30, "the scan found the imports: {seen}");
}

#[test]
fn sans_io_stays_sans_io() {
    for (name, module, code) in files() {
        if ["sse", "protocol"].contains(&module[0].as_str()) {
            for word in FORBIDDEN_IN_SANS_IO {
                assert!(!code.contains(word), "{name} holds {word}");
            }
        }
    }
}

#[test]
fn one_protocol_knows_no_other() {
    const FOLDERS: [&str; 5] =
        ["anthropic", "openai_chat", "openai_responses", "gemini", "dashscope"];
    for (name, module, code) in files() {
        let Some(own) = module.get(1).filter(|m| FOLDERS.contains(&m.as_str())) else { continue };
        for other in FOLDERS.iter().filter(|folder| *folder != own) {
            assert!(!code.contains(&format!("{other}::")), "{name} uses {other}");
        }
    }
}

#[test]
fn the_scan_would_find_a_wrong_arrow() {
    let found = uses("use crate::layer::stats::Stats;\nuse crate::BoxError;");
    assert_eq!(found[0], ("layer".to_owned(), "stats".to_owned()));
    assert_eq!(found[1].0, "BoxError");
}
