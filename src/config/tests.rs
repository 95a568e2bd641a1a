use std::fs;

use serde_json::{Value, json};

use super::*;

/// A folder that goes with its test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("gateway-config-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn file(&self) -> ConfigFile {
        ConfigFile::new(self.0.join("config.json"))
    }

    fn write(&self, text: &Value) -> ConfigFile {
        fs::create_dir_all(&self.0).unwrap();
        fs::write(self.0.join("config.json"), text.to_string()).unwrap();
        self.file()
    }

    fn text(&self) -> Value {
        serde_json::from_slice(&fs::read(self.0.join("config.json")).unwrap()).unwrap()
    }

    fn backups(&self) -> Vec<Value> {
        let Ok(entries) = fs::read_dir(self.0.join("backups")) else { return Vec::new() };
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn channel(name: &str) -> Value {
    json!({"id": name, "name": name, "serviceType": "claude", "baseUrl": "https://h", "apiKeys": ["k"]})
}

#[test]
fn a_file_is_made_where_there_is_none() {
    let folder = Folder::new("create");
    let loaded = folder.file().load_or_create().unwrap();
    assert!(loaded.config.upstream.is_empty() && loaded.changes.is_empty());
    let text = folder.text();
    assert_eq!((&text["upstream"], &text["loadBalance"]), (&json!([]), &json!("failover")));
    assert!(folder.backups().is_empty());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(folder.file().path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn older_files_keep_their_current_channel_only() {
    for (current, active) in [(1, "b"), (9, "a"), (-1, "a"), (0, "a")] {
        let folder = Folder::new(&format!("migrate{current}"));
        let file = folder.write(&json!({
            "currentUpstream": current, "upstream": [channel("a"), channel("b"), channel("c")],
        }));
        let loaded = file.load_or_create().unwrap();
        let on: Vec<_> = loaded.config.upstream.iter().filter(|c| c.is_active()).collect();
        assert_eq!((on.len(), &*on[0].id), (1, active));
        let text = folder.text();
        assert!(text.get("currentUpstream").is_none());
        assert_eq!(text["upstream"][2]["status"], "disabled");
        assert_eq!(folder.backups().len(), 1);
        // What is up to date is not written again.
        assert!(folder.file().load_or_create().unwrap().changes.is_empty());
        assert_eq!(folder.backups().len(), 1);
    }
}

#[test]
fn a_file_with_a_status_is_not_old() {
    let mut second = channel("b");
    second["status"] = json!("suspended");
    let text = json!({"currentUpstream": 1, "upstream": [channel("a"), second]}).to_string();
    let loaded = Config::parse(&text).unwrap();
    assert!(loaded.config.upstream[0].is_active() && !loaded.config.upstream[1].is_active());
    let mut second = channel("b");
    second["status"] = json!("active");
    let text = json!({"currentUpstream": 0, "upstream": [channel("a"), second]}).to_string();
    assert!(Config::parse(&text).unwrap().config.upstream[1].is_active());
}

#[test]
fn channels_without_keys_are_suspended() {
    let mut none = channel("none");
    none["apiKeys"] = json!(null);
    let mut blank = channel("blank");
    blank["apiKeys"] = json!([" "]);
    let text = json!({"upstream": [none, channel("some"), blank]}).to_string();
    let Loaded { config, changes, .. } = Config::parse(&text).unwrap();
    let status: Vec<_> = config.upstream.iter().map(|channel| channel.status).collect();
    use ChannelStatus::{Active, Suspended};
    assert_eq!(status, [Suspended, Active, Suspended]);
    assert_eq!(changes[0], Change::Suspended { channel: "none".into() });
}

#[test]
fn names_are_stable_and_unique() {
    let mut nameless = channel("x");
    nameless["id"] = json!("");
    let text = json!({"upstream": [nameless, nameless], "responsesUpstream": [nameless]});
    let first = Config::parse(&text.to_string()).unwrap();
    let again = Config::parse(&text.to_string()).unwrap();
    let ids = |loaded: &Loaded| -> Vec<String> {
        loaded.config.lists().flat_map(|(_, list)| list.iter().map(|c| c.id.clone())).collect()
    };
    assert_eq!(ids(&first), ids(&again));
    let mut unique = ids(&first);
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), 3);
    // A copy without an id above the channel that has it.
    let mut copied = nameless.clone();
    copied["id"] = json!(ids(&first)[0]);
    let text = json!({"upstream": [nameless, copied]});
    assert_eq!(Config::parse(&text.to_string()).unwrap().config.upstream.len(), 2);
    let text = json!({"upstream": [channel("same")], "responsesUpstream": [channel("same")]});
    assert!(matches!(Config::parse(&text.to_string()), Err(ConfigError::Channel { .. })));
}

#[test]
fn what_nobody_knows_is_kept() {
    let mut first = channel("a");
    first["lowQuality"] = json!(true);
    first["promotionUntil"] = json!("2026-01-02T03:04:05Z");
    let folder = Folder::new("rest");
    let file = folder.write(&json!({"upstream": [first], "mine": {"x": 1}}));
    let loaded = file.load().unwrap();
    file.save(&loaded.config).unwrap();
    let text = folder.text();
    assert_eq!((&text["mine"]["x"], &text["upstream"][0]["lowQuality"]), (&json!(1), &json!(true)));
    assert_eq!(text["upstream"][0]["promotionUntil"], "2026-01-02T03:04:05Z");
    assert_eq!(text["upstream"][0]["apiKeys"], json!(["k"]));
}

#[test]
fn ten_backups_are_kept() {
    let folder = Folder::new("backups");
    let file = folder.file();
    for n in 0..13 {
        let text = json!({"upstream": [channel(&n.to_string())]}).to_string();
        file.save(&Config::parse(&text).unwrap().config).unwrap();
    }
    let backups = folder.backups();
    assert_eq!(backups.len(), MAX_BACKUPS);
    assert_eq!(backups[9]["upstream"][0]["id"], "11");
    assert_eq!(backups[0]["upstream"][0]["id"], "2");
    assert_eq!(folder.text()["upstream"][0]["id"], "12");
}

#[test]
fn errors_show_the_place_and_no_value() {
    let canary = "sk-canary-123";
    for (text, expected) in [
        (json!({"upstream": [{"apiKeys": canary}]}).to_string(), "wrong type at line 1"),
        (json!({"upstream": [{"serviceType": canary}]}).to_string(), "wrong type at line 1"),
        (json!({"upstream": [{"promotionUntil": canary}]}).to_string(), "wrong type"),
        (format!("{{\n\"upstream\": {canary}"), "not JSON at line 2"),
        (json!({"upstream": [{"name": "n", "baseUrl": ""}]}).to_string(), "`n`: it has no baseUrl"),
        (
            json!({"upstream": [{"name": "n", "baseUrl": format!("https://u:{canary}@h")}]})
                .to_string(),
            "`n`: upstream must have neither",
        ),
    ] {
        let error = Config::parse(&text).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!format!("{error:?}{error}").contains(canary), "{error:?}");
    }
    let mut secret = channel("a");
    secret["apiKeys"] = json!([canary]);
    secret["unknown"] = json!(canary);
    let loaded = Config::parse(&json!({"upstream": [secret], "x": canary}).to_string()).unwrap();
    assert!(!format!("{loaded:?}").contains(canary));
}

#[test]
fn limits_hold() {
    let many: Vec<_> = (0..=MAX_CHANNELS).map(|n| channel(&n.to_string())).collect();
    let error = Config::parse(&json!({"upstream": many}).to_string()).unwrap_err();
    assert_eq!(error, ConfigError::TooMany { what: "upstream", most: MAX_CHANNELS });
    let mut rich = channel("rich");
    rich["apiKeys"] = json!(vec!["k"; MAX_KEYS + 1]);
    let error = Config::parse(&json!({"upstream": [rich]}).to_string()).unwrap_err();
    assert_eq!(error, ConfigError::TooMany { what: "apiKeys", most: MAX_KEYS });
}

#[test]
fn urls_are_told_apart() {
    let mut config = ChannelConfig::new("a", ServiceType::OpenAiOld, "https://h/", ["k"]);
    config.base_urls = vec!["https://h".into(), "https://i#".into(), String::new()];
    assert_eq!(config.urls().collect::<Vec<_>>(), ["https://h/", "https://i#"]);
    config.insecure_skip_verify = true;
    config.headers_timeout_ms = Some(1500);
    let upstreams = config.upstreams().unwrap();
    assert!(upstreams[1].own_dialect().is_some());
    let connection = upstreams[0].own_connection();
    assert!(connection.danger_accept_invalid_certs);
    assert_eq!(connection.headers_timeout, Some(std::time::Duration::from_millis(1500)));
    assert_eq!(connection.idle_timeout, None);
}

#[test]
fn providers_have_names() {
    let mut config = ChannelConfig::new("a", ServiceType::OpenAi, "https://h", ["k"]);
    assert_eq!(config.upstreams().unwrap()[0].own_provider(), None);
    config.provider = "deepseek".to_owned();
    assert_eq!(config.upstreams().unwrap()[0].own_provider().as_deref(), Some("deepseek"));
    config.provider = "deep seek".to_owned();
    let error = config.upstreams().unwrap_err().to_string();
    assert!(error.contains("provider") && error.contains('a'), "{error}");
}

#[test]
fn balances_fall_back_to_the_first() {
    let parse = |text: Value| Config::parse(&text.to_string()).unwrap().config;
    let config = parse(json!({"loadBalance": "round-robin", "geminiLoadBalance": "random"}));
    assert_eq!(config.responses_balance(), LoadBalance::RoundRobin);
    assert_eq!(config.gemini_balance(), LoadBalance::Random);
    assert_eq!(parse(json!({"loadBalance": ""})).load_balance, LoadBalance::Failover);
}

#[test]
fn times_have_offsets() {
    for (text, utc) in [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05.5Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T10:00:00+08:00", "2026-01-02T02:00:00Z"),
        ("2026-01-02T10:00:00.123-01:30", "2026-01-02T11:30:00Z"),
    ] {
        let mut promoted = channel("a");
        promoted["promotionUntil"] = json!(text);
        let loaded = Config::parse(&json!({"upstream": [promoted]}).to_string()).unwrap();
        let again = serde_json::to_value(&loaded.config).unwrap();
        assert_eq!(again["upstream"][0]["promotionUntil"], utc, "{text}");
    }
}

#[test]
fn null_is_nothing() {
    let mut nulls = channel("a");
    for member in ["modelMapping", "baseUrls", "models", "description", "status", "priority"] {
        nulls[member] = json!(null);
    }
    let text = json!({"upstream": [nulls], "responsesUpstream": null, "loadBalance": null});
    assert!(Config::parse(&text.to_string()).unwrap().config.upstream[0].is_active());
}

#[test]
fn no_timeout_is_zero() {
    let mut config = ChannelConfig::new("a", ServiceType::Claude, "https://h", ["k"]);
    (config.headers_timeout_ms, config.idle_timeout_ms) = (Some(0), Some(0));
    assert_eq!(
        config.upstreams().unwrap()[0].own_connection(),
        crate::context::Connection::default()
    );
}

#[test]
fn what_cannot_be_saved_is_used_all_the_same() {
    let folder = Folder::new("unsaved");
    let mut keyless = channel("a");
    keyless["apiKeys"] = json!([]);
    let file = folder.write(&json!({"upstream": [keyless]}));
    // No backup can be made where a file stands in the place of its folder.
    fs::write(folder.0.join("backups"), "").unwrap();
    let loaded = file.load_or_create().unwrap();
    assert!(!loaded.config.upstream[0].is_active());
    assert!(matches!(loaded.unsaved, Some(ConfigError::Write(_))));
}
