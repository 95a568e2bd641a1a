//! What of any text may be shown: planted secrets never are, and what is shown stays as it is.

use http::HeaderValue;
use tower_llm_gateway::redact::{self, Limits};
use tower_llm_gateway::secret::Secret;

use super::input::{Input, shown};

/// Forms that tell themselves.
const KEYS: [&str; 5] = [
    "sk-ant-api03-Zx81kQpLmN4vB7cR2tYw",
    "AIzaSyZx81kQpLmN4vB7cR2tYw90AbCdEfGhIjK",
    "AKIAZX81KQPLMN4VB7CR",
    "gsk_Zx81kQpLmN4vB7cR2tYw",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.Zx81kQpLmN4vB7cR2tYw",
];

/// A form of no vendor's: it must be known.
const KNOWN: &str = "correct horse/battery";

const LIMITS: (usize, usize) = (4096, 1024);

pub fn check(input: &Input<'_>) {
    text(input);
    url(input);
    body(input);
}

/// What is planted is not shown, unless the input holds it where nobody could tell it.
fn hides(input: &Input<'_>, secret: &str, once: &str, given: &str) {
    let held = || String::from_utf8_lossy(input.body).contains(secret);
    assert!(!once.contains(secret) || held(), "{once}\nshows {secret} of\n{given}");
}

/// The pieces with a key between them.
fn planted(input: &Input<'_>, secret: &str) -> String {
    let [head, middle, tail] = input.pieces().map(String::from_utf8_lossy);
    format!("{head} {secret}\n{middle}\"{secret}\"{tail}")
}

fn text(input: &Input<'_>) {
    let given = planted(input, KEYS[usize::from(input.flags()) % KEYS.len()]);
    let key = KEYS[usize::from(input.flags()) % KEYS.len()];
    let once = redact::text(&given);
    hides(input, key, &once, &given);
    assert_eq!(redact::text(&once), once, "twice is not once of\n{}", shown(input.body));

    let given = planted(input, KNOWN);
    let once = redact::text_with(&given, &[Secret::new(KNOWN)]);
    hides(input, KNOWN, &once, &given);
}

fn url(input: &Input<'_>) {
    let given = String::from_utf8_lossy(input.body);
    let once = redact::url(&given);
    assert_eq!(redact::url(&once), once, "twice is not once of\n{given}");
    let given = format!("https://user:correct-horse/battery@h/{given}&%6bey=Qw73eRtYuI");
    let once = redact::url(&given);
    hides(input, "battery", &once, &given);
    hides(input, "Qw73eRtYuI", &once, &given);
}

fn body(input: &Input<'_>) {
    let limits = Limits::default().max_input(LIMITS.0).max_output(LIMITS.1);
    let json = HeaderValue::from_static("application/json");
    for content_type in [None, Some(&json)] {
        let text = redact::body(input.body, content_type, &limits);
        assert!(text.len() < LIMITS.1 + 64, "{} bytes of\n{}", text.len(), shown(input.body));
    }
    let key = KEYS[usize::from(input.flags()) % KEYS.len()];
    let text = serde_json::to_string(&planted(input, key)).unwrap();
    let given = format!("{{\"messages\":[{{\"content\":{text}}}],\"token\":\"{KNOWN}\"}}");
    let once = redact::body(given.as_bytes(), None, &Limits::default());
    hides(input, key, &once, &given);
    hides(input, KNOWN, &once, &given);
}
