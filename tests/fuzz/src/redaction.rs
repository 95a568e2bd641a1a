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

/// The pieces with a key between them.
fn planted(input: &Input<'_>, secret: &str) -> String {
    let [head, middle, tail] = input.pieces().map(String::from_utf8_lossy);
    format!("{head} {secret}\n{middle}\"{secret}\"{tail}")
}

fn text(input: &Input<'_>) {
    let given = planted(input, KEYS[usize::from(input.flags()) % KEYS.len()]);
    let key = KEYS[usize::from(input.flags()) % KEYS.len()];
    let once = redact::text(&given);
    assert!(!once.contains(key), "{once}\nshows the key of\n{}", shown(input.body));
    assert_eq!(redact::text(&once), once, "twice is not once of\n{}", shown(input.body));

    let given = planted(input, KNOWN);
    let once = redact::text_with(&given, &[Secret::new(KNOWN)]);
    assert!(!once.contains(KNOWN), "{once}\nshows what is known of\n{}", shown(input.body));
}

fn url(input: &Input<'_>) {
    let given = String::from_utf8_lossy(input.body);
    let once = redact::url(&given);
    assert_eq!(redact::url(&once), once, "twice is not once of\n{given}");
    let given = format!("https://user:correct-horse/battery@h/{given}&%6bey=Zx81kQpLmN");
    let once = redact::url(&given);
    assert!(!once.contains("battery") && !once.contains("Zx81kQpLmN"), "{once}\nof\n{given}");
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
    assert!(!once.contains(key) && !once.contains(KNOWN), "{once}\nof\n{given}");
}
