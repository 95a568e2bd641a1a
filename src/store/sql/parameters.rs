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

/// Longest name that an error repeats.
const MAX_TOLD_BYTES: usize = 64;

/// Refuses a URL with a parameter that would be ignored.
pub(super) fn check(url: &str) -> Result<(), OpenError> {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    let Some((_, query)) = url.split_once('?') else { return Ok(()) };
    // After a password with a `?`, `@` or `&` that is not encoded, what stands in the place of a
    // name is a piece of it.
    let mut torn = query.contains('@');
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unzip();
        let name = name.unwrap_or(parameter);
        if !is_known(name) {
            let told = value.is_some() && !torn && may_be_told(name);
            return Err(if told { OpenError::Parameter(name.into()) } else { OpenError::Url });
        }
        torn |= name == "password";
    }
    Ok(())
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

    #[test]
    fn what_would_be_ignored_is_refused_by_its_name() {
        let long = format!("{}=1", "x".repeat(MAX_TOLD_BYTES + 1));
        let rows: [(&str, Result<(), Option<&str>>); 21] = [
            ("", Ok(())),
            ("?", Ok(())),
            ("?sslmode=require", Ok(())),
            ("?&sslmode=require&&user=a@b&", Ok(())),
            ("?options[search_path]=a&options=-cb", Ok(())),
            ("#?sslmod=require", Ok(())),
            ("?sslmod=require", Err(Some("sslmod"))),
            ("?SSLMODE=require", Err(Some("SSLMODE"))),
            ("?sslmode=require&connect_timeout=10&sslmod=1#", Err(Some("connect_timeout"))),
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
            let expected = expected.map_err(|name| match name {
                Some(name) => OpenError::Parameter(name.into()),
                None => OpenError::Url,
            });
            assert_eq!(check(&format!("postgres://user:12{query}")), expected, "{query}");
        }
    }

    /// It warns of those that it ignores.
    #[test]
    fn the_driver_ignores_none_that_passes() {
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
            check(&format!("postgres://host/db?{name}=5")).unwrap();
            parse(name);
        }
        assert_eq!(log.text(), "");
        parse("sslmod");
        assert!(log.text().contains("sslmod"), "{}", log.text());
    }
}
