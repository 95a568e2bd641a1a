use super::*;

use super::records::Daily;

fn read(pairs: &[(&str, &str)]) -> Result<Settings, BadSetting> {
    Settings::read(&pairs.iter().copied().collect())
}

fn error(pairs: &[(&str, &str)]) -> String {
    read(pairs).expect_err("a bad setting").to_string()
}

#[test]
fn nothing_set_is_the_demo_on_loopback() {
    let settings = read(&[]).unwrap();
    assert_eq!((settings.host, settings.port), (DEFAULT_HOST, 8088));
    assert_eq!(settings.fallback_port, 8088);
    assert_eq!((settings.upstream_url.as_ref(), settings.upstream_protocol), (None, None));
    assert!(settings.upstream_keys.is_empty() && settings.access_key.is_none());
    assert_eq!((settings.system_prompt.as_ref(), settings.insert_if_absent), (None, false));
    assert!(!settings.preserve_host && settings.custom_headers.is_empty());
    assert_eq!(settings.cors, Cors::Localhost);
    assert_eq!(settings.max_request, 50 << 20);
    assert_eq!(settings.logs.filter, "info");
    assert!(settings.logs.console && settings.logs.file.is_none(), "no file unless asked for");
    let records = &settings.records;
    assert!(records.daily.is_none() && records.request_log.is_none() && records.otlp.is_none());
    assert!(settings.models.is_empty() && settings.default_max_tokens.is_none());
    assert!(settings.warnings.is_empty() && settings.stats_are_open());
}

#[test]
fn each_bad_value_is_named() {
    for (name, value, expected) in [
        ("HOST", "example.com", "HOST: \"example.com\" is not an IP address or localhost"),
        ("PORT", "70000", "PORT: \"70000\" is not a port, 0 to 65535"),
        ("FALLBACK_PORT", "x", "FALLBACK_PORT: \"x\" is not a port, 0 to 65535"),
        (
            "UPSTREAM_PROTOCOL",
            "smtp",
            "UPSTREAM_PROTOCOL: \"smtp\" is not one of anthropic, openai-chat, openai-responses, \
             gemini, dashscope",
        ),
        ("UPSTREAM_URL", "ftp://h", "UPSTREAM_URL: upstream must begin with http:// or https://"),
        ("API_BASE_URL", "h", "API_BASE_URL: upstream must begin with http:// or https://"),
        ("UPSTREAM_API_KEY", "a\u{7}b", "UPSTREAM_API_KEY: holds characters that no header may"),
        ("PROXY_ACCESS_KEY", "a\nb", "PROXY_ACCESS_KEY: holds characters that no header may"),
        ("UPSTREAM_API_KEY", "a,b\nc", "UPSTREAM_API_KEY: holds characters that no header may"),
        (
            "MAX_COOL_DOWN_SECONDS",
            "0",
            "MAX_COOL_DOWN_SECONDS: \"0\" is not a number of seconds, at least 1",
        ),
        (
            "API_KEY_FAILURE_THRESHOLD",
            "0",
            "API_KEY_FAILURE_THRESHOLD: \"0\" is not a number, at least 1",
        ),
        ("MAX_RETRIES", "0", "MAX_RETRIES: \"0\" is not a number, at least 1"),
        ("SESSIONS", "2", "SESSIONS: \"2\" is not true or false"),
        (
            "MAX_CONCURRENT_REQUESTS",
            "-1",
            "MAX_CONCURRENT_REQUESTS: \"-1\" is not a number, at least 1",
        ),
        ("ENABLE_RATE_LIMIT", "2", "ENABLE_RATE_LIMIT: \"2\" is not true or false"),
        ("RATE_LIMIT_WINDOW", "0", "RATE_LIMIT_WINDOW: \"0\" is not a number, at least 1"),
        (
            "RATE_LIMIT_MAX_REQUESTS",
            "0",
            "RATE_LIMIT_MAX_REQUESTS: \"0\" is not a number, at least 1",
        ),
        ("PRESERVE_HOST", "2", "PRESERVE_HOST: \"2\" is not true or false"),
        ("ENABLE_CORS", "2", "ENABLE_CORS: \"2\" is not true or false"),
        (
            "SYSTEM_PROMPT_BLOCK_INSERT_IF_NOT_EXIST",
            "maybe",
            "SYSTEM_PROMPT_BLOCK_INSERT_IF_NOT_EXIST: \"maybe\" is not true or false",
        ),
        (
            "CORS_ORIGIN",
            "https://a.com/x",
            "CORS_ORIGIN: \"https://a.com/x\" is not *, or origins such as https://example.com \
             separated by commas",
        ),
        (
            "MAX_REQUEST_BODY_SIZE_MB",
            "0",
            "MAX_REQUEST_BODY_SIZE_MB: \"0\" is not a number of megabytes, at least 1",
        ),
        ("HTTP_PROXY", "http://", "HTTP_PROXY is not an http:// or https:// URL"),
        ("HTTPS_PROXY", "ftp://x", "HTTPS_PROXY is not an http:// or https:// URL"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL: \"loud\" is not one of error, warn, info, debug, trace"),
        ("RUST_LOG", "a=b=c", "RUST_LOG: \"a=b=c\" is not a log filter"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT: \"xml\" is not text or json"),
        (
            "LOG_FILE",
            "logs/app.log",
            "LOG_FILE: \"logs/app.log\" is not the name of a file; its folder is LOG_DIR",
        ),
        ("LOG_MAX_SIZE", "0", "LOG_MAX_SIZE: \"0\" is not a number of megabytes, at least 1"),
        ("LOG_MAX_BACKUPS", "-1", "LOG_MAX_BACKUPS: \"-1\" is not a number, 0 for no limit"),
        ("LOG_MAX_AGE", "1d", "LOG_MAX_AGE: \"1d\" is not a number of days, 0 for no limit"),
        ("LOG_COMPRESS", "2", "LOG_COMPRESS: \"2\" is not true or false"),
        ("LOG_TO_CONSOLE", "2", "LOG_TO_CONSOLE: \"2\" is not true or false"),
        (
            "LOG_RETENTION_DAYS",
            "0",
            "LOG_RETENTION_DAYS: \"0\" is not a number of days, at least 1",
        ),
        ("LOG_DAILY_LIMIT", "0", "LOG_DAILY_LIMIT: \"0\" is not a number of lines, at least 1"),
        (
            "DATABASE_TYPE",
            "oracle",
            "DATABASE_TYPE: \"oracle\" is not one of memory, sqlite, postgres",
        ),
        (
            "REQUEST_LOG_URL",
            "mysql://user:hunter2@h",
            "REQUEST_LOG_URL: must begin with sqlite: or postgres://",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "user:hunter2@h:4317",
            "OTEL_EXPORTER_OTLP_ENDPOINT: must begin with http:// or https://",
        ),
        ("MODEL_MAP", "a", "MODEL_MAP: \"a\" is not a JSON object of names, or from=to,from=to"),
        ("DEFAULT_MAX_TOKENS", "0", "DEFAULT_MAX_TOKENS: \"0\" is not a number, at least 1"),
        ("DEMO_PACE_MS", "-1", "DEMO_PACE_MS: \"-1\" is not a number of milliseconds"),
    ] {
        assert_eq!(error(&[(name, value)]), expected);
    }
}

#[test]
fn hosts() {
    for (text, expected) in [("localhost", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("[::1]", "::1")] {
        assert_eq!(read(&[("HOST", text)]).unwrap().host.to_string(), expected);
    }
}

#[test]
fn the_fallback_port_is_the_port_unless_set() {
    let ports = |pairs: &[(&str, &str)]| read(pairs).map(|s| (s.port, s.fallback_port));
    assert_eq!(ports(&[("PORT", "0")]), Ok((0, 0)));
    assert_eq!(ports(&[("FALLBACK_PORT", "9")]), Ok((8088, 9)));
}

#[test]
fn upstreams() {
    let url = "https://api.example.com/v1";
    let settings = read(&[("API_BASE_URL", url), ("UPSTREAM_PROTOCOL", "OpenAI")]).unwrap();
    assert_eq!(settings.upstream_url.as_deref(), Some(url));
    let upstream = settings.upstream(url).unwrap();
    assert_eq!(upstream.authority(), "api.example.com");
    assert_eq!(upstream.protocol(), Some(Protocol::OpenAiChat));
    let both = read(&[("API_BASE_URL", "http://old"), ("UPSTREAM_URL", url)]).unwrap();
    assert_eq!(both.upstream_url.as_deref(), Some(url));
    assert_eq!(read(&[]).unwrap().upstream(url).unwrap().protocol(), None);
    let old = read(&[("UPSTREAM_PROTOCOL", "openaiold")]).unwrap().upstream(url).unwrap();
    assert_eq!(old.protocol(), Some(Protocol::OpenAiChat));
    assert!(old.own_dialect().is_some() && upstream.own_dialect().is_none());
}

#[test]
fn a_password_in_a_url_is_not_shown() {
    let text = error(&[("UPSTREAM_URL", "https://user:hunter2@h")]);
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn credentials_of_callers_pass_only_where_no_key_is_set() {
    use tower_llm_gateway::context::UpstreamKey;
    let credential = |pairs: &[(&str, &str)]| {
        read(pairs).unwrap().upstream("http://demo").unwrap().credential().clone()
    };
    let (access, upstream) = (("PROXY_ACCESS_KEY", "a"), ("UPSTREAM_API_KEY", "u"));
    assert!(matches!(credential(&[]), UpstreamKey::Caller));
    assert!(matches!(credential(&[access]), UpstreamKey::None));
    for pairs in [&[upstream][..], &[access, upstream]] {
        assert!(matches!(credential(pairs), UpstreamKey::Ours(key) if key.plain() == "u"));
    }
}

#[test]
fn one_key_alone_is_refused_on_an_open_address() {
    let (access, upstream) = (("PROXY_ACCESS_KEY", "a"), ("UPSTREAM_API_KEY", "u"));
    let open = ("HOST", "0.0.0.0");
    assert_eq!(
        error(&[open, upstream]),
        "PROXY_ACCESS_KEY: must be set too, as UPSTREAM_API_KEY is and HOST=0.0.0.0 is open to \
         the network"
    );
    assert!(error(&[open, access]).starts_with("UPSTREAM_API_KEY: must be set too"));
    for fine in [&[open][..], &[open, access, upstream], &[access], &[upstream]] {
        assert!(read(fine).is_ok(), "{fine:?}");
    }
}

#[test]
fn a_file_of_channels_stands_alone() {
    let (file, url) = (("CONFIG_FILE", "x.json"), ("API_BASE_URL", "http://h"));
    assert_eq!(read(&[file]).unwrap().config_file, Some("x.json".into()));
    assert_eq!(error(&[file, url]), "CONFIG_FILE: cannot stand beside API_BASE_URL");
    let unused = read(&[file, ("MODEL_MAP", "a=b"), ("UPSTREAM_API_KEY", "u")]).unwrap().warnings;
    assert_eq!(unused.len(), 2, "{unused:?}");
    let open = ("HOST", "0.0.0.0");
    assert_eq!(
        error(&[open, file]),
        "PROXY_ACCESS_KEY: must be set too, as CONFIG_FILE is and HOST=0.0.0.0 is open to the \
         network"
    );
    assert!(read(&[open, file, ("PROXY_ACCESS_KEY", "a")]).is_ok());
}

#[test]
fn several_keys_take_turns() {
    use tower_llm_gateway::context::UpstreamKey;
    let settings = read(&[("UPSTREAM_API_KEY", "a, b,,a ,")]).unwrap();
    assert_eq!(settings.upstream_keys, [Secret::new("a"), Secret::new("b")]);
    let upstream = settings.upstream("http://demo").unwrap();
    assert!(matches!(upstream.credential(), UpstreamKey::None), "it is leased");
}

#[test]
fn keys_cool_down_as_told() {
    let seconds = Duration::from_secs;
    assert_eq!(read(&[]).unwrap().cooldown, Cooldown::default());
    let told = [
        ("API_KEY_COOL_DOWN_SECONDS", "7"),
        ("MAX_COOL_DOWN_SECONDS", "90"),
        ("API_KEY_FAILURE_THRESHOLD", "5"),
    ];
    let expected = Cooldown::doubling(seconds(7), seconds(90)).threshold(5);
    assert_eq!(read(&told).unwrap().cooldown, expected);
}

#[test]
fn nothing_is_limited_unless_asked_for() {
    let quiet = read(&[("RATE_LIMIT_MAX_REQUESTS", "5")]).unwrap();
    assert_eq!((quiet.rate, quiet.max_concurrent), (None, None));
    assert_eq!((quiet.sessions, quiet.max_attempts), (None, None));
    let rate = |pairs: &[(&str, &str)]| {
        let settings = read(&[pairs, &[("ENABLE_RATE_LIMIT", "true")]].concat()).unwrap();
        settings.rate.map(|rate| (rate.requests.get(), rate.per.as_millis())).unwrap()
    };
    assert_eq!(rate(&[]), (100, 60_000));
    assert_eq!(rate(&[("RATE_LIMIT_MAX_REQUESTS", "5"), ("RATE_LIMIT_WINDOW", "10")]), (5, 10));
    let set = read(&[("MAX_CONCURRENT_REQUESTS", "7"), ("MAX_RETRIES", "2"), ("SESSIONS", "no")])
        .unwrap();
    assert_eq!(
        (set.max_concurrent, set.max_attempts, set.sessions),
        (Some(7), Some(2), Some(false))
    );
}

#[test]
fn stats_are_open_on_loopback_without_a_key_and_not_to_every_page() {
    for (pairs, open) in [
        (&[][..], true),
        (&[("PROXY_ACCESS_KEY", "a")], false),
        (&[("HOST", "0.0.0.0")], false),
        (&[("HOST", "::1")], true),
        (&[("CORS_ORIGIN", "*")], false),
        (&[("CORS_ORIGIN", "https://a.com")], true),
    ] {
        assert_eq!(read(pairs).unwrap().stats_are_open(), open, "{pairs:?}");
    }
}

#[test]
fn prompts() {
    let name = "SYSTEM_PROMPT_REPLACEMENT";
    assert_eq!(read(&[(name, "")]).unwrap().system_prompt, None);
    let settings =
        read(&[(name, "Be brief."), ("SYSTEM_PROMPT_BLOCK_INSERT_IF_NOT_EXIST", "1")]).unwrap();
    assert_eq!(settings.system_prompt.as_deref(), Some("Be brief."));
    assert!(settings.insert_if_absent);
}

#[test]
fn origins() {
    let cors = |pairs: &[(&str, &str)]| read(pairs).unwrap().cors;
    assert_eq!(cors(&[("ENABLE_CORS", "false"), ("CORS_ORIGIN", "*")]), Cors::Off);
    assert_eq!(cors(&[("CORS_ORIGIN", "*")]), Cors::Any);
    let two = ["https://a.com", "http://b:3000"].map(HeaderValue::from_static).to_vec();
    assert_eq!(cors(&[("CORS_ORIGIN", "https://a.com/, http://b:3000")]), Cors::Origins(two));
}

#[test]
fn sizes_and_proxies() {
    let settings = read(&[
        ("MAX_REQUEST_BODY_SIZE_MB", "2"),
        ("HTTP_PROXY", "proxy:3128"),
        ("HTTPS_PROXY", "https://proxy"),
        ("DEFAULT_MAX_TOKENS", "100"),
        ("DEMO_PACE_MS", "0"),
    ])
    .unwrap();
    assert_eq!(settings.max_request, 2 << 20);
    assert!(format!("{:?}", settings.proxies).contains("proxy:3128"));
    assert_eq!(settings.default_max_tokens, Some(100));
    assert_eq!(settings.demo_pace, Duration::ZERO);
    let upstream = settings.upstream("http://demo").unwrap();
    let target = upstream.target_profiles().target(Protocol::Anthropic, "claude-opus-4-7");
    assert_eq!(target.default_max_tokens, 100);
}

#[test]
fn logs() {
    let log = |pairs: &[(&str, &str)]| read(pairs).unwrap().logs;
    assert_eq!(log(&[("LOG_LEVEL", "WARN")]).filter, "warn");
    assert_eq!(log(&[("LOG_LEVEL", "warn"), ("RUST_LOG", "hyper=debug")]).filter, "hyper=debug");
    assert_eq!(log(&[("LOG_FORMAT", "JSON")]).format, LogFormat::Json);
    let path = |pairs: &[(&str, &str)]| log(pairs).file.map(|file| file.path);
    assert_eq!(path(&[("LOG_FILE", "")]), None);
    assert_eq!(path(&[("LOG_MAX_SIZE", "5")]), None);
    for (pairs, expected) in [
        (&[("LOG_FILE", "a.log")][..], "logs/a.log"),
        (&[("LOG_DIR", "/var/log/gateway"), ("LOG_FILE", "")], "/var/log/gateway/app.log"),
        (&[("LOG_TO_CONSOLE", "false")], "logs/app.log"),
    ] {
        assert_eq!(path(pairs), Some(expected.into()));
    }
}

#[test]
fn log_files() {
    let file = |pairs: &[(&str, &str)]| {
        let settings = read(&[&[("LOG_DIR", "logs")], pairs].concat()).unwrap();
        let file = settings.logs.file.unwrap();
        (file.max_size >> 20, file.max_backups, file.max_age.as_secs() / 86_400, file.compress)
    };
    assert_eq!(file(&[]), (100, 10, 30, true));
    assert_eq!(
        file(&[
            ("LOG_MAX_SIZE", "5"),
            ("LOG_MAX_BACKUPS", "0"),
            ("LOG_MAX_AGE", "0"),
            ("LOG_COMPRESS", "no"),
        ]),
        (5, 0, 0, false)
    );
}

#[test]
fn the_live_log_is_kept_where_its_owner_says_where() {
    let daily = |pairs: &[(&str, &str)]| read(pairs).unwrap().records.daily;
    let kept =
        |dir: &str, retention_days, limit| Some(Daily { dir: dir.into(), retention_days, limit });
    assert_eq!(daily(&[("LOG_STORAGE_PATH", "x")]), kept("x", 7, 1000));
    assert_eq!(daily(&[("LOG_PERSISTENCE_ENABLED", "true")]), kept("data/logs", 7, 1000));
    assert_eq!(daily(&[("LOG_STORAGE_PATH", "x"), ("LOG_PERSISTENCE_ENABLED", "false")]), None);
    let set = [("LOG_STORAGE_PATH", "x"), ("LOG_RETENTION_DAYS", "2"), ("LOG_DAILY_LIMIT", "5")];
    assert_eq!(daily(&set), kept("x", 2, 5));
    let settings = format!(
        "{:?}",
        tower_llm_gateway::store::daily::DailySettings::from(&daily(&set).unwrap())
    );
    assert_eq!(settings, r#"DailySettings { dir: "x", daily_limit: 5, retention_days: 2, .. }"#);
}

#[test]
fn request_logs() {
    let log = |pairs: &[(&str, &str)]| {
        let log = read(pairs).unwrap().records.request_log;
        log.map(|log| (log.url.expose().to_owned(), log.bodies, log.retention_days))
    };
    let sqlite = |path: &str| Some((format!("sqlite:{path}"), false, 30));
    assert_eq!(log(&[("DATABASE_TYPE", "sqlite")]), sqlite("data/sqlite.db"));
    assert_eq!(log(&[("SQLITE_DB", "x.db")]), sqlite("x.db"));
    assert_eq!(log(&[("SQLITE_DB", "x.db"), ("DATABASE_TYPE", "memory")]), None);
    let url = ("REQUEST_LOG_URL", "sqlite:data/gateway.db");
    assert_eq!(log(&[url, ("SQLITE_DB", "x.db")]), sqlite("data/gateway.db"));
    assert_eq!(
        log(&[
            ("REQUEST_LOG_URL", "postgres://u:p@h/d"),
            ("REQUEST_LOG_BODIES", "true"),
            ("REQUEST_LOG_RETENTION_DAYS", "1"),
        ]),
        Some(("postgres://u:p@h/d".into(), true, 1))
    );
    assert_eq!(
        error(&[("DATABASE_TYPE", "postgres")]),
        "REQUEST_LOG_URL: must be set too, as DATABASE_TYPE names PostgreSQL"
    );
}

#[test]
fn the_key_of_the_examples_is_warned_of() {
    let warnings = read(&[("PROXY_ACCESS_KEY", "your-proxy-access-key")]).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("PROXY_ACCESS_KEY "), "{warnings:?}");
    assert!(!warnings[0].contains("your-proxy"), "{warnings:?}");
    assert!(read(&[("PROXY_ACCESS_KEY", "k")]).unwrap().warnings.is_empty());
}

#[test]
fn model_maps() {
    for text in [r#"{"a": "x", "b": "y"}"#, "a=x, b=y"] {
        let models = read(&[("MODEL_MAP", text)]).unwrap().models;
        assert_eq!((models.resolve("a"), models.resolve("b")), (Some("x"), Some("y")), "{text}");
    }
    for bad in [r#"{"a": 1}"#, "{", "a=", "=x", "a=x,"] {
        assert!(error(&[("MODEL_MAP", bad)]).starts_with("MODEL_MAP: "), "{bad}");
    }
}

#[test]
fn custom_headers_are_read_and_never_fatal() {
    let folder = std::env::temp_dir().join(format!("gateway-headers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("headers.json");
    let with = |text: &str| {
        std::fs::write(&path, text).unwrap();
        read(&[("CUSTOM_HEADERS_FILE", path.to_str().unwrap())]).unwrap()
    };
    let good =
        with(r#"{"__note": "x", "User-Agent": "me", "x-n": 1, "x-b": true, "bad name": ""}"#);
    assert_eq!(good.custom_headers.len(), 3);
    assert_eq!(good.custom_headers["user-agent"], "me");
    assert_eq!(good.warnings.len(), 1);
    for bad in ["", "[]", "{"] {
        let settings = with(bad);
        assert!(settings.custom_headers.is_empty() && settings.warnings.len() == 1, "{bad}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let absent = read(&[("CUSTOM_HEADERS_FILE", path.to_str().unwrap())]).unwrap();
    assert_eq!(absent.warnings.len(), 1);
}

#[test]
fn secrets_are_not_shown() {
    let keys = [
        ("PROXY_ACCESS_KEY", "sk-secret-1"),
        ("UPSTREAM_API_KEY", "sk-secret-2"),
        ("REQUEST_LOG_URL", "postgres://u:sk-secret-3@h/d"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://u:sk-secret-4@h"),
        ("HTTP_PROXY", "http://u:sk-secret-5@h"),
    ];
    assert!(!format!("{:?}", read(&keys).unwrap()).contains("sk-secret"));
}
