use super::{Dialect, DialectError, Outgoing};
use crate::protocol::json::Raw;
use crate::protocol::report::{Loss, Severity};

/// The endpoint at which Gemini speaks Chat Completions:
/// `https://generativelanguage.googleapis.com/v1beta/openai`.
///
/// - The version stands inside of the base URL: end it with `#`, so that no other is added.
/// - `seed` is dropped, which the endpoint refuses.
/// - `include_thoughts` and `thinking_budget`, which its callers write beside OpenAI's members, go
///   to `extra_body.google.thinking_config`; with a budget `reasoning_effort` is dropped, since the
///   endpoint refuses both.
///
/// Source: <https://ai.google.dev/gemini-api/docs/openai>.
///
/// ```
/// use tower_llm_gateway::context::Upstream;
/// use tower_llm_gateway::protocol::Protocol;
/// use tower_llm_gateway::protocol::dialect::GeminiOpenAi;
///
/// let base = "https://generativelanguage.googleapis.com/v1beta/openai#";
/// let upstream = Upstream::new(base, Protocol::OpenAiChat)?.dialect(GeminiOpenAi);
/// # Ok::<(), tower_llm_gateway::context::BadUpstream>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct GeminiOpenAi;

impl Dialect for GeminiOpenAi {
    fn request(&self, request: &mut Outgoing<'_>) -> Result<(), DialectError> {
        let text = std::str::from_utf8(request.body).map_err(|_| super::NOT_JSON)?;
        let body = Raw::parse(text).map_err(|_| super::NOT_JSON)?;
        let own = |name| body.member(name).map(Raw::into_owned);
        let (thoughts, budget) = (own("include_thoughts"), own("thinking_budget"));
        let extra = own("extra_body");
        if thoughts.is_none() && budget.is_none() && own("seed").is_none() {
            return Ok(());
        }
        let thinks = thoughts.is_some() || budget.is_some();
        let mut lose = |name: &str, reason| {
            let (pointer, severity) = (format!("/{name}"), Severity::Degrade);
            request.report.add(Loss { pointer, reason, severity });
        };
        if own("seed").is_some() {
            lose("seed", "the endpoint refuses it");
        }
        if budget.is_some() && own("reasoning_effort").is_some() {
            lose("reasoning_effort", "the endpoint refuses it beside a budget");
        }
        if thinks && extra.is_some() {
            return Err(DialectError("thinking is set beside extra_body and inside of it"));
        }
        request.rewrite(
            |name, value, object| {
                let gone = ["seed", "include_thoughts", "thinking_budget"].contains(&name)
                    || (name == "reasoning_effort" && budget.is_some());
                if !gone {
                    object.raw(name, value);
                }
                Ok::<(), DialectError>(())
            },
            |object| {
                if !thinks {
                    return;
                }
                object.object("extra_body", |extra| {
                    extra.object("google", |google| {
                        google.object("thinking_config", |config| {
                            if let Some(thoughts) = &thoughts {
                                config.raw("include_thoughts", thoughts);
                            }
                            if let Some(budget) = &budget {
                                config.raw("thinking_budget", budget);
                            }
                        });
                    });
                });
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use http::{HeaderMap, Uri};

    use super::*;
    use crate::protocol::report::TranslationReport;

    fn sent(body: &str) -> Result<String, DialectError> {
        let mut uri = Uri::from_static("https://h/v1beta/openai/chat/completions");
        let (mut headers, mut body) = (HeaderMap::new(), BytesMut::from(body));
        let mut report = TranslationReport::default();
        GeminiOpenAi.request(&mut Outgoing {
            uri: &mut uri,
            headers: &mut headers,
            body: &mut body,
            report: &mut report,
        })?;
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn bodies() {
        let rows = [
            (r#"{ "model":"g" , "x":1}"#, r#"{ "model":"g" , "x":1}"#),
            (r#"{"model":"g","seed":7,"n":1}"#, r#"{"model":"g","n":1}"#),
            (
                r#"{"include_thoughts":true,"model":"g"}"#,
                r#"{"model":"g","extra_body":{"google":{"thinking_config":{"include_thoughts":true}}}}"#,
            ),
            (
                r#"{"model":"g","thinking_budget":1024,"reasoning_effort":"low"}"#,
                r#"{"model":"g","extra_body":{"google":{"thinking_config":{"thinking_budget":1024}}}}"#,
            ),
        ];
        for (body, expected) in rows {
            assert_eq!(sent(body).unwrap(), expected);
        }
        assert!(sent(r#"{"thinking_budget":1,"extra_body":{}}"#).is_err());
        assert!(sent("[").is_err());
    }
}
