//! The forms of keys that tell themselves.

use Characters::{Alphanumeric, Any, Capital};

/// A form: how it begins, and what follows at least.
struct Form {
    prefix: &'static str,
    characters: Characters,
    least: usize,
}

/// What a key is made of behind its prefix.
#[derive(Clone, Copy)]
enum Characters {
    /// Letters, digits, `_` and `-`.
    Any,
    Alphanumeric,
    /// Capital letters and digits, exactly so many.
    Capital,
}

const fn form(prefix: &'static str, characters: Characters, least: usize) -> Form {
    Form { prefix, characters, least }
}

const FORMS: [Form; 30] = [
    // OpenAI, Anthropic, OpenRouter, DeepSeek, DashScope and many more.
    form("sk-", Any, SHORT),
    form("sk_live_", Any, 16),
    form("rk_live_", Any, 16),
    // Google: API keys, the new ones, OAuth.
    form("AIza", Any, 20),
    form("AQ.", Any, 20),
    form("ya29.", Any, 8),
    form("1//0", Any, 20),
    form("GOCSPX-", Any, 16),
    // AWS: access keys, keys of Bedrock.
    form("AKIA", Capital, 16),
    form("ASIA", Capital, 16),
    form("ABSK", Alphanumeric, 20),
    form("bedrock-api-key-", Any, 16),
    // xAI, Groq, Hugging Face, Replicate, Perplexity, NVIDIA, Cerebras, Fireworks, Together.
    form("xai-", Alphanumeric, 16),
    form("gsk_", Alphanumeric, 16),
    form("hf_", Alphanumeric, 16),
    form("r8_", Alphanumeric, 16),
    form("pplx-", Alphanumeric, 16),
    form("nvapi-", Any, 16),
    form("csk-", Alphanumeric, 16),
    form("fw_", Alphanumeric, 16),
    form("tgp_v1_", Any, 16),
    // GitHub, GitLab, Slack.
    form("ghp_", Alphanumeric, 16),
    form("gho_", Alphanumeric, 16),
    form("ghu_", Alphanumeric, 16),
    form("ghs_", Alphanumeric, 16),
    form("ghr_", Alphanumeric, 16),
    form("github_pat_", Any, 16),
    form("glpat-", Any, 16),
    form("xoxb-", Any, 16),
    form("xoxp-", Any, 16),
];

/// The bytes that keys begin with: most words are told apart from keys by their first.
const FIRST: [bool; 256] = {
    let mut first = [false; 256];
    let mut form = 0;
    while form < FORMS.len() {
        first[FORMS[form].prefix.as_bytes()[0] as usize] = true;
        form += 1;
    }
    first
};

/// So short a key of `sk-` has a digit; from [`PLAIN`] on it needs none.
const SHORT: usize = 8;
const PLAIN: usize = 16;

/// Where the key that begins at `start` ends. Looks at no more than a constant before it knows.
pub(super) fn key(text: &[u8], start: usize) -> Option<usize> {
    let rest = text.get(start..)?;
    if !FIRST[usize::from(*rest.first()?)] {
        return None;
    }
    let form = FORMS.iter().find(|form| rest.starts_with(form.prefix.as_bytes()))?;
    let body = &rest[form.prefix.len()..];
    let is = |byte: &u8| match form.characters {
        Any => is_key(*byte),
        Alphanumeric => byte.is_ascii_alphanumeric(),
        Capital => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
    };
    let head = body.iter().take(form.least.max(PLAIN)).take_while(|byte| is(byte)).count();
    let long = head >= form.least;
    let plain =
        head >= PLAIN || form.prefix != "sk-" || body[..head].iter().any(u8::is_ascii_digit);
    let ends = !matches!(form.characters, Capital) || !body.get(head).copied().is_some_and(is_key);
    if !(long && plain && ends) {
        return None;
    }
    Some(start + form.prefix.len() + run(body))
}

/// Where the JSON web token that begins at `start` ends. `none_before` spares the second look at
/// what can hold none.
pub(super) fn jwt(text: &[u8], start: usize, none_before: &mut usize) -> Option<usize> {
    if start < *none_before || !text.get(start..)?.starts_with(b"eyJ") {
        return None;
    }
    let end = start + run(&text[start..]);
    if end - start > SHORT && text.get(end) == Some(&b'.') {
        let payload = run(&text[end + 1..]);
        if payload > SHORT {
            let end = end + 1 + payload;
            let signature = (text.get(end) == Some(&b'.')).then(|| run(&text[end + 1..]));
            return Some(signature.filter(|run| *run > 0).map_or(end, |run| end + 1 + run));
        }
    }
    *none_before = end;
    None
}

/// How many characters of keys stand first.
fn run(text: &[u8]) -> usize {
    text.iter().take_while(|byte| is_key(**byte)).count()
}

/// Letters, digits, `_` and `-`.
pub(super) fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// The characters of a credential behind its scheme: RFC 9110 §11.2, `token68`.
pub(super) fn is_token(byte: u8) -> bool {
    is_key(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=')
}
