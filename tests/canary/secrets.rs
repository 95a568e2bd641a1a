//! What is planted, and the search for it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

// Keys of callers, one for each place where a key may stand.
pub(crate) const IN_X_API_KEY: &str = "sk-ant-api03-Qx7hTn2VbK9rLm4WzYc8Jd5Pf0Gs6Ae3-Ux1Ro_Hi-AA";
pub(crate) const IN_BEARER: &str = "sk-proj-Zt5mWq8KcY1nRb6VxHj3Lp9Df2Sg7Ua4Eo0Ix_Tk-Mr5Bw";
pub(crate) const IN_GOOG_KEY: &str = "AIzaSyD3kVn8QwZ5rTb1YcX7mHj9Lp2Fs6Ga0Ue";
pub(crate) const IN_QUERY: &str = "AIzaSyB9pRx4WmK7tVc2ZnQ5hLj8Dy1Gs3Fa6Uo";
pub(crate) const IN_API_KEY: &str = "c7f1e93ad05b48268b1f6e72d94a3c50";
/// Nobody's key.
pub(crate) const UNKNOWN: &str = "sk-live-Nw6cXb2VtQ8mKz4RyHp7Lj1Fd9Gs5Ta3Ue0Io";
/// A name and a password for `Basic`, which is no key of ours.
pub(crate) const BASIC: &str = "ops:Vr8/tq+Zw3=Lm6xKd0pHb5nYc2";
pub(crate) const COOKIE: &str = "s%3Aq9Wm3Xz7Kv1Tn5Rb8Yc2Lp6Hd4Jf0Gs.aE7uIo";

// Keys of vendors.
pub(crate) const ANTHROPIC: &str = "sk-ant-api03-Hm5vWk2TzQ9cXr6LnYb3Pd8Jf1Gs7Ua4-Eo0Ix_Rt-BA";
pub(crate) const OPENAI: &str = "sk-proj-Lx8rYn3KvT6mWc1QzHb9Pj5Df2Sg7Ua0Eo4Ix_Mk-Vt2Rw";
pub(crate) const GEMINI: &str = "AIzaSyC6mTq1XvK8nRz3WbY5hPj2Lc9Ds7Gf4Ue";
pub(crate) const HEX: &str = "9e4b7a1fd3c8506e2f91ab64d70c35e8b2f6194da8c37e50";

// In the bodies of requests.
pub(crate) const MEMBER: &str = "tok_5nXw9Kv2RmT7zQc4LyHb8Pj1Df6Gs3Ua";
pub(crate) const PROMPT: &str = "sk-proj-Pq4nVz7XwK2tRm9LcYb5Hj8Df1Gs6Ua3Eo0Ix_Tr-Wk3Mv";

// In URLs, of vendors, proxies and databases.
pub(crate) const URL_PASSWORD: &str = "Kt3mXq7WzR9vLb2YnHc5Pd8Jf1";
pub(crate) const URL_KEY: &str = "AIzaSyA7wXm2VkT9qRz4LbY1nHc6Pj3Ds8Gf5Ue";
pub(crate) const PROXY_PASSWORD: &str = "Wb5nKx2TvQ8mRz6LyHc9Pd3Jf7Gs1";
pub(crate) const DATABASE_PASSWORD: &str = "Zc8mWv4XtK1qRn7LbYh5Pj2Df9Gs6";
pub(crate) const CONFIG_MEMBER: &str = "Mq2vXz8KwT5nRc3LbY9hPj6Df1Gs4Ua7";

pub(crate) const ALL: [(&str, &str); 19] = [
    ("the key in x-api-key", IN_X_API_KEY),
    ("the key in Authorization: Bearer", IN_BEARER),
    ("the key in x-goog-api-key", IN_GOOG_KEY),
    ("the key in ?key=", IN_QUERY),
    ("the key in api-key", IN_API_KEY),
    ("an unknown key", UNKNOWN),
    ("the password in Authorization: Basic", BASIC),
    ("a cookie", COOKIE),
    ("the Anthropic key", ANTHROPIC),
    ("the OpenAI key", OPENAI),
    ("the Gemini key", GEMINI),
    ("the hexadecimal key", HEX),
    ("a member of a request", MEMBER),
    ("a key in a prompt", PROMPT),
    ("the password in a URL", URL_PASSWORD),
    ("the key in a URL", URL_KEY),
    ("the password of a proxy", PROXY_PASSWORD),
    ("the password of a database", DATABASE_PASSWORD),
    ("an unknown member of the configuration", CONFIG_MEMBER),
];

/// What a mask shows of a secret: so many of its first and last characters.
const SHOWN: (usize, usize) = (8, 5);

/// The part that nothing may show.
fn core(secret: &str) -> &str {
    &secret[SHOWN.0..secret.len() - SHOWN.1]
}

/// The ways in which a text may be written.
fn forms(secret: &str) -> BTreeMap<Vec<u8>, &'static str> {
    let core = core(secret);
    let percent = utf8_percent_encode(core, NON_ALPHANUMERIC).to_string();
    let json = serde_json::to_string(core).unwrap();
    let mut forms = vec![
        (percent.to_lowercase().into_bytes(), "percent-encoded, in lower case"),
        (percent.into_bytes(), "percent-encoded"),
        (json.trim_matches('"').as_bytes().to_vec(), "escaped as in JSON"),
        (core.escape_debug().to_string().into_bytes(), "escaped as in Debug"),
        (core.replace('/', "\\/").into_bytes(), "with escaped slashes"),
    ];
    // What stands before it in the encoded text moves it by bits.
    for before in 0..3 {
        let data: Vec<u8> = std::iter::repeat_n(0, before).chain(core.bytes()).collect();
        let whole = (before * 8).div_ceil(6)..data.len() * 8 / 6;
        for text in [STANDARD_NO_PAD.encode(&data), URL_SAFE_NO_PAD.encode(&data)] {
            forms.push((text[whole.clone()].as_bytes().to_vec(), "in base64"));
        }
    }
    forms.push((core.as_bytes().to_vec(), "as it is"));
    forms.into_iter().collect()
}

/// What anybody may read, by its name.
#[derive(Default)]
pub(crate) struct Outputs(Vec<(String, Vec<u8>)>);

impl Outputs {
    pub(crate) fn add(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((name.into(), bytes.into()));
    }

    /// How a value is shown, both ways, and as an error with all of its causes.
    pub(crate) fn debug(&mut self, name: &str, value: &dyn std::fmt::Debug) {
        self.add(format!("Debug of {name}"), format!("{value:?}\n{value:#?}"));
    }

    pub(crate) fn error(&mut self, name: &str, error: &(dyn std::error::Error + 'static)) {
        let mut text = format!("{error}\n{error:?}\n{error:#?}");
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(&format!("\n{error}\n{error:?}"));
            cause = error.source();
        }
        self.add(format!("error of {name}"), text);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// Where a secret can be read, and what stands around it.
    pub(crate) fn leaks(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (secret, text) in ALL {
            for (form, how) in forms(text) {
                let finder = memmem::Finder::new(&form);
                for (output, bytes) in &self.0 {
                    if let Some(at) = finder.find(bytes) {
                        let around = &bytes[at.saturating_sub(160)..bytes.len().min(at + 120)];
                        let around = String::from_utf8_lossy(around);
                        found.push(format!("{secret}, {how}, in {output}: ..{around}.."));
                        break;
                    }
                }
            }
        }
        found
    }
}

/// A search that finds nothing proves nothing.
#[test]
fn the_search_finds_what_leaks() {
    for (name, secret) in ALL {
        assert!(core(secret).len() >= 13, "{name}");
        let credentials = format!("user:{secret}");
        for leaking in [
            format!("INFO request: key={secret}"),
            format!("{:?}", secret.as_bytes().escape_ascii().to_string()),
            serde_json::json!({"message": format!("\"{secret}\"")}).to_string(),
            format!("GET /?key={}", utf8_percent_encode(secret, NON_ALPHANUMERIC)),
            format!("Basic {}", STANDARD_NO_PAD.encode(secret)),
            format!("Basic {}", STANDARD_NO_PAD.encode(credentials.as_bytes())),
            format!("token={}", URL_SAFE_NO_PAD.encode(&credentials.as_bytes()[1..])),
            core(secret).to_owned(),
        ] {
            let mut outputs = Outputs::default();
            outputs.add("a clean line", "INFO nothing to see");
            outputs.add("a leaking line", leaking.as_str());
            let found = outputs.leaks();
            assert!(found.iter().any(|leak| leak.starts_with(name)), "{name}: {leaking}");
            assert!(found.iter().all(|leak| leak.contains("a leaking line")), "{found:?}");
        }
        let mut outputs = Outputs::default();
        let (head, tail) = (&secret[..SHOWN.0], &secret[secret.len() - SHOWN.1..]);
        outputs.add("a mask", format!("{head}***{tail}"));
        assert!(outputs.leaks().is_empty(), "a mask is no leak");
    }
}
