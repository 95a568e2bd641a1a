//! What the proxy says when it starts.

use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;

use tower_llm_gateway::secret::Secret;

use crate::channels::Routing;
use crate::settings::{Cors, Settings};

/// Address, configuration without secrets, and commands to try.
pub(crate) struct Banner<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) routing: &'a Routing,
    pub(crate) address: SocketAddr,
}

impl Display for Banner<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { settings, routing, address } = self;
        writeln!(f, "tower-llm-gateway listens on http://{address}\n")?;
        for upstream in &routing.lines {
            line(f, "upstream", &format_args!("{}: {}", upstream.name, upstream.about))?;
        }
        if let Some(path) = &settings.config_file {
            line(f, "channels from", &path.display())?;
        } else {
            line(
                f,
                "protocol",
                &settings.upstream_protocol.map_or("the caller's", |p| p.as_str()),
            )?;
            line(f, "upstream key", &self.upstream_key())?;
        }
        let access = settings.access_key.as_ref();
        line(f, "access key", &access.map_or("none, anybody may call".into(), Secret::masked))?;
        if settings.system_prompt.is_some() {
            let mode = if settings.insert_if_absent { "replaced or inserted" } else { "replaced" };
            line(f, "system prompt", &mode)?;
        }
        if !settings.custom_headers.is_empty() {
            line(f, "custom headers", &settings.custom_headers.len())?;
        }
        match &settings.cors {
            Cors::Off => line(f, "web pages", &"no CORS"),
            Cors::Localhost => line(f, "web pages", &"of localhost"),
            Cors::Any => line(f, "web pages", &"all, without credentials"),
            Cors::Origins(list) => line(f, "web pages", &format_args!("of {} origins", list.len())),
        }?;
        self.commands(f)
    }
}

impl Banner<'_> {
    fn upstream_key(&self) -> String {
        match (&*self.settings.upstream_keys, &self.settings.access_key) {
            ([], Some(_)) => "none".into(),
            ([], None) => "the caller's".into(),
            (keys, _) => keys.iter().map(Secret::masked).collect::<Vec<_>>().join(", "),
        }
    }

    fn commands(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let base = format!("http://{}", self.address);
        let key = if self.settings.access_key.is_some() { " -H 'x-api-key: YOUR-KEY'" } else { "" };
        let json = "-H 'content-type: application/json'";
        let messages = r#""messages":[{"role":"user","content":"Hello"}]"#;
        writeln!(f, "\nTry, in another terminal:\n")?;
        writeln!(f, "  # Anthropic Messages")?;
        writeln!(f, "  curl {base}/v1/messages{key} -H 'anthropic-version: 2023-06-01' {json} \\")?;
        writeln!(f, "    -d '{{\"model\":\"demo\",\"max_tokens\":1024,{messages}}}'\n")?;
        writeln!(f, "  # OpenAI Chat Completions")?;
        writeln!(f, "  curl {base}/v1/chat/completions{key} {json} \\")?;
        writeln!(f, "    -d '{{\"model\":\"demo\",{messages}}}'\n")?;
        writeln!(f, "  # The same as a stream, and what has passed so far")?;
        writeln!(f, "  curl -N {base}/v1/chat/completions{key} {json} \\")?;
        writeln!(f, "    -d '{{\"model\":\"demo\",\"stream\":true,{messages}}}'")?;
        writeln!(f, "  curl {base}/api/stats{key}")?;
        if self.routing.embedded {
            let seen = "the log shows `attempt failed`, the statistics `\"attempts\":2`";
            writeln!(f, "\ndemo-a fails on purpose, and demo-b answers in its place: {seen}.")?;
        }
        Ok(())
    }
}

fn line(f: &mut Formatter<'_>, name: &str, value: &(impl Display + ?Sized)) -> fmt::Result {
    writeln!(f, "  {name:<15} {value}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Records;

    async fn banner(pairs: &[(&str, &str)]) -> String {
        let settings = Settings::read(&pairs.iter().copied().collect()).unwrap();
        let mut background = tokio::task::JoinSet::new();
        let routing =
            Routing::start(&settings, &Records::in_memory(), &mut background).await.unwrap();
        let address = ([127, 0, 0, 1], 8088).into();
        Banner { settings: &settings, routing: &routing, address }.to_string()
    }

    #[tokio::test]
    async fn it_shows_where_and_what_to_try() {
        let text = banner(&[]).await;
        assert!(text.starts_with("tower-llm-gateway listens on http://127.0.0.1:8088\n"), "{text}");
        for part in ["demo-a: embedded", "/v1/messages -H", "/v1/chat/completions -H", "curl -N"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[tokio::test]
    async fn it_shows_the_channels_of_a_file_without_their_keys() {
        let path = std::env::temp_dir().join(format!("gateway-banner-{}.json", std::process::id()));
        let file = r#"{"upstream": [{"id": "a", "name": "Main", "serviceType": "openai",
            "baseUrl": "https://h", "apiKeys": ["sk-secret-1", "sk-secret-2"]}]}"#;
        std::fs::write(&path, file).unwrap();
        let text = banner(&[("CONFIG_FILE", path.to_str().unwrap())]).await;
        std::fs::remove_file(&path).unwrap();
        assert!(text.contains("Main: openai-chat, 2 key(s), active"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }

    #[tokio::test]
    async fn it_shows_no_secret() {
        let text = banner(&[
            ("PROXY_ACCESS_KEY", "access-key-of-the-proxy"),
            ("UPSTREAM_API_KEY", "upstream-key-of-the-proxy"),
            ("UPSTREAM_URL", "https://api.example.com"),
        ])
        .await;
        assert!(!text.contains("key-of-the"), "{text}");
        assert!(text.contains("https://api.example.com") && text.contains("x-api-key: YOUR-KEY"));
    }
}
