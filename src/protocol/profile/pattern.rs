//! Names of models by pattern.

/// Whether `pattern` is the name of the model: `*` stands for any characters, `?` for one; case
/// does not matter. What vendors put in front of a name (`anthropic/`, `models/`,
/// `us.anthropic.`) may be there or not.
pub(super) fn matches(pattern: &str, model: &str) -> bool {
    let (pattern, model) = (pattern.as_bytes(), model.as_bytes());
    starts(model).any(|start| glob(pattern, &model[start..]))
}

/// Where a name may begin: at the start, behind a slash, and behind a dot before a letter.
fn starts(model: &[u8]) -> impl Iterator<Item = usize> {
    let behind = model.windows(2).enumerate().filter_map(|(at, pair)| match pair {
        [b'/', _] => Some(at + 1),
        [b'.', letter] if letter.is_ascii_alphabetic() => Some(at + 1),
        _ => None,
    });
    std::iter::once(0).chain(behind)
}

/// Matches with one step back to the last `*`: linear in what is short anyway, and never more than
/// the product of both lengths.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut back = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p, n));
                p += 1;
            }
            Some(byte) if *byte == b'?' || byte.eq_ignore_ascii_case(&name[n]) => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((star, from)) = back else { return false };
                back = Some((star, from + 1));
                p = star + 1;
                n = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let rows = [
            ("gpt-5*", "gpt-5", true),
            ("gpt-5*", "GPT-5-mini", true),
            ("gpt-5*", "openai/gpt-5-mini", true),
            ("gpt-5*", "my-gpt-5", false),
            ("gpt-5", "gpt-5-mini", false),
            ("claude-*-4?5*", "claude-sonnet-4-5-20250929", true),
            ("claude-*-4?5*", "anthropic/claude-sonnet-4.5", true),
            ("claude-*-4?5*", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", true),
            ("claude-*-4?5*", "claude-sonnet-4", false),
            ("claude-*-4?5*", "claude-sonnet-4-20250514", false),
            ("gemini-3*", "models/gemini-3-pro-preview", true),
            ("gemini-3*", "publishers/google/models/gemini-3-pro", true),
            ("?x", "\u{e9}x", false),
            ("1*", "gpt-4.1", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*b*c", "axxbxxbc", true),
            ("a*b*c", "axxbxx", false),
        ];
        for (pattern, model, expected) in rows {
            assert_eq!(matches(pattern, model), expected, "{pattern} {model}");
        }
    }
}
