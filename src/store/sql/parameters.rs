//! The parameters of a PostgreSQL URL. Pure.

use super::OpenError;

/// Those that the driver knows, beside `options[…]`. It ignores all others: who writes
/// `sslmod=require` would have no TLS.
const KNOWN: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// Those that tune what the driver does in its own way. It ignores them, and nothing that was asked
/// for is weaker without.
const TUNING: [&str; 11] = [
    "client_encoding",
    "connect_timeout",
    "fallback_application_name",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "load_balance_hosts",
    "target_session_attrs",
    "tcp_user_timeout",
];

/// Longest name that an error repeats.
const MAX_TOLD_BYTES: usize = 64;

/// The names of the parameters that are ignored, each once. Refuses a URL with one that must not be.
pub(super) fn ignored(url: &str) -> Result<Vec<&'static str>, OpenError> {
    let mut ignored = Vec::new();
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    let Some((_, query)) = url.split_once('?') else { return Ok(ignored) };
    // After a password with a `?`, `@` or `&` that is not encoded, what stands in the place of a
    // name is a piece of it.
    let mut torn = query.contains('@');
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unzip();
        let name = name.unwrap_or(parameter);
        if let Some(tuning) = tuning(name, value) {
            if !ignored.contains(&tuning) {
                ignored.push(tuning);
            }
        } else if !is_known(name) {
            let told = value.is_some() && !torn && may_be_told(name);
            return Err(if told { OpenError::Parameter(name.into()) } else { OpenError::Url });
        }
        torn |= name == "password";
    }
    Ok(ignored)
}

fn tuning(name: &str, value: Option<&str>) -> Option<&'static str> {
    // The driver has no GSSAPI: who requires encryption by it must not go without.
    let asks_more = name == "gssencmode" && !matches!(value, Some("disable" | "prefer"));
    TUNING.into_iter().find(|known| *known == name && value.is_some() && !asks_more)
}

fn is_known(name: &str) -> bool {
    KNOWN.contains(&name) || (name.starts_with("options[") && name.ends_with(']'))
}

fn may_be_told(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=MAX_TOLD_BYTES).contains(&name.len()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use sqlx::postgres::PgConnectOptions;

    use super::*;
    use crate::test_helpers::listen::{Log, listen};

    /// The names that are ignored, or the one that is refused, if it may be told.
    type Expected<'e> = Result<&'e [&'e str], Option<&'e str>>;

    #[test]
    fn what_tunes_is_ignored_and_the_rest_refused_by_its_name() {
        let long = format!("{}=1", "x".repeat(MAX_TOLD_BYTES + 1));
        let rows: [(&str, Expected<'_>); 28] = [
            ("", Ok(&[])),
            ("?", Ok(&[])),
            ("?sslmode=require", Ok(&[])),
            ("?&sslmode=require&&user=a@b&", Ok(&[])),
            ("?options[search_path]=a&options=-cb", Ok(&[])),
            ("#?sslmod=require", Ok(&[])),
            (
                "?keepalives=1&sslmode=require&connect_timeout=10&keepalives=0",
                Ok(&["keepalives", "connect_timeout"]),
            ),
            ("?gssencmode=disable", Ok(&["gssencmode"])),
            ("?gssencmode=prefer&sslmod=1", Err(Some("sslmod"))),
            ("?gssencmode=require", Err(Some("gssencmode"))),
            ("?sslmode=require&channel_binding=require", Err(Some("channel_binding"))),
            ("?ssl_min_protocol_version=TLSv1.3", Err(Some("ssl_min_protocol_version"))),
            ("?sslmod=require", Err(Some("sslmod"))),
            ("?SSLMODE=require", Err(Some("SSLMODE"))),
            ("?sslmode=require&connect_timeout=10&sslmod=1#", Err(Some("sslmod"))),
            ("?connect_timeout", Err(None)),
            ("?sslpassword=pass", Err(Some("sslpassword"))),
            // The driver would read it, but a URL that is written so is a mistake.
            ("?ssl%6Dode=require", Err(None)),
            ("?options[a=b", Err(None)),
            ("?=a", Err(None)),
            ("?a?sslmode=require", Err(None)),
            (&format!("?{long}"), Err(None)),
            // All of these are passwords that are not encoded.
            ("?word", Err(None)),
            ("?pass=word@host/db?sslmode=require", Err(None)),
            ("?pass&word=1@host/db", Err(None)),
            ("?password=pass&word", Err(None)),
            ("?password=pass&word=1", Err(None)),
            ("?sslmode=require&password=pass&word=1", Err(None)),
        ];
        for (query, expected) in rows {
            let expected = expected.map(<[_]>::to_vec).map_err(|name| match name {
                Some(name) => OpenError::Parameter(name.into()),
                None => OpenError::Url,
            });
            assert_eq!(ignored(&format!("postgres://user:12{query}")), expected, "{query}");
        }
    }

    /// It warns of those that it ignores.
    #[test]
    fn the_driver_ignores_what_tunes_and_no_other_that_passes() {
        let log = Log::default();
        let _listening = listen(tracing_subscriber::fmt().with_writer(log.clone()).finish());
        let parse = |name: &str| {
            let value = match name {
                "sslmode" | "ssl-mode" => "require",
                "hostaddr" => "127.0.0.1",
                _ => "5",
            };
            PgConnectOptions::from_str(&format!("postgres://host/db?{name}={value}")).unwrap();
        };
        for name in KNOWN.into_iter().chain(["options[search_path]"]) {
            assert_eq!(ignored(&format!("postgres://host/db?{name}=5")), Ok(vec![]));
            parse(name);
        }
        assert_eq!(log.text(), "");
        for name in TUNING.into_iter().chain(["sslmod"]) {
            parse(name);
            assert!(log.text().contains(name), "{}", log.text());
        }
    }
}
