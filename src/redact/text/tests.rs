use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;
use crate::secret::Secret;

#[track_caller]
fn shows(given: &str, expected: &str) {
    assert_eq!(text(given), expected);
    assert_eq!(text(expected), expected, "again");
}

#[test]
fn keys_are_known_by_their_form() {
    for (key, masked) in [
        ("sk-1234567890abcdef", "sk-12345***bcdef"),
        ("sk-ant-api03-AbC_d-1234567890", "sk-ant-a***67890"),
        ("sk-proj-abcdefghijklmnop", "sk-proj-***lmnop"),
        ("sk-or-v1-0123456789abcdef", "sk-or-v1***bcdef"),
        ("sk-12345678", "***"),
        ("AIzaSyA1234567890abcdefghijklmnopqrstuv", "AIzaSyA1***rstuv"),
        ("AQ.Ab8RN6IxQ1234567890abcdef", "AQ.Ab8RN***bcdef"),
        ("ya29.a0AfH6SMBx1234567890", "ya29.a0A***67890"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSF***AMPLE"),
        ("xai-abcdefghijklmnopqrst0123", "xai-abcd***t0123"),
        ("gsk_abcdefghijklmnopqrst0123", "gsk_abcd***t0123"),
        ("hf_abcdefghijklmnopqrstuvwxyz", "hf_abcde***vwxyz"),
        ("r8_abcdefghijklmnopqrst0123", "r8_abcde***t0123"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_abcd***56789"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N", "eyJhbGci***l0w5N"),
    ] {
        assert_eq!(text(key), masked);
        for (before, after) in [
            ("provided: ", "."),
            ("(", ")"),
            ("\"", "\""),
            ("https://h/", "/x"),
            ("a=%3D", "%26"),
            ("line\\n", "\\n"),
            ("\\u0022", "\\u0022"),
            // An escape that broke off.
            ("\\u002\"", "\"2"),
            ("ключ", "ключ"),
            ("x_", " "),
            // Stars alone make no mask.
            ("12345678***", " "),
        ] {
            shows(&format!("{before}{key}{after}"), &format!("{before}{masked}{after}"));
        }
    }
}

#[test]
fn credentials_are_known_by_their_scheme() {
    for (given, expected) in [
        ("Bearer abc123", "Bearer ***"),
        ("bearer abcdef0123456789abcdef", "bearer abcdef01***bcdef"),
        ("BEARER%20abc-123", "BEARER%20***"),
        ("Authorization: Bearer secret", "Authorization: Bearer ***"),
        (
            "Authorization: Bearer sk-1234567890abcdef\r\nHost: h",
            "Authorization: Bearer sk-12345***bcdef\r\nHost: h",
        ),
        ("\"authorization\": \"Bearer letters\"", "\"authorization\": \"Bearer ***\""),
        ("authorization=Basic dXNlcjpwYXNz", "authorization=Basic ***"),
        ("Basic dXNlcjpwYXNz", "Basic ***"),
        ("Proxy-Authorization: Basic eDp5", "Proxy-Authorization: Basic ***"),
    ] {
        shows(given, expected);
    }
}

#[test]
fn values_are_known_by_their_name() {
    for (given, expected) in [
        ("password=hunter2", "password=***"),
        ("host=db password=hunter2 user=u", "host=db password=*** user=u"),
        ("Password: hunter2", "Password: ***"),
        // Stars alone make no mask.
        ("12345678***api key: hunter2", "12345678***api key: ***"),
        ("12345678***password=hunter2", "12345678***password=***"),
        ("{\"password\":\"hun\\\"ter2\",\"a\":1}", "{\"password\":\"***\",\"a\":1}"),
        (
            "{\\\"api_key\\\": \\\"hunter2\\\", \\\"a\\\"}",
            "{\\\"api_key\\\": \\\"***\\\", \\\"a\\\"}",
        ),
        ("'apiKey': 'hunter2'", "'apiKey': '***'"),
        ("client_secret => \"a b c\"", "client_secret => \"***\""),
        ("api-key: 0123456789abcdef0123456789abcdef", "api-key: ***"),
        ("API key: hunter2", "API key: ***"),
        ("x-api-key: sk-1234567890abcdef", "x-api-key: sk-12345***bcdef"),
        ("OPENAI_API_KEY=hunter2", "OPENAI_API_KEY=***"),
        ("export DB_PASSWORD=\"hunter 2\";", "export DB_PASSWORD=\"***\";"),
        ("password = \"hunter2\"", "password = \"***\""),
        ("password = hunter22", "password = ***"),
        ("Authorization: password: hunter2", "Authorization: ***: ***"),
        ("Bearer password= hunter22", "Bearer password= ***"),
        ("Authorization: Basic password= hunter22", "Authorization: Basic ***= ***"),
        ("Cookie: a=b; c=d\r\nHost: h", "Cookie: ***\r\nHost: h"),
        ("?key=k&a=b", "?key=***&a=b"),
        ("/p?a=b&amp;token=t", "/p?a=b&amp;token=***"),
        ("/p?a=b\\u0026key=k", "/p?a=b\\u0026key=***"),
        ("/p?k%65y=k", "/p?k%65y=***"),
        ("next=%2Fp%3Fkey%3Dk%26a%3Db", "next=%2Fp%3Fkey%3D***%26a%3Db"),
        ("key=abcdef0123", "key=***"),
        ("token=abcdef0123", "token=***"),
        ("\"token\": \"abcdef0123\"", "\"token\": \"***\""),
        ("\\npassword=hunter2", "\\npassword=***"),
        ("\\ntoken=abcdef0123", "\\ntoken=***"),
        (
            "AWS4-HMAC-SHA256 Credential=x/y, Signature=0123456789abcdef",
            "AWS4-HMAC-SHA256 Credential=***, Signature=***",
        ),
    ] {
        shows(given, expected);
    }
}

#[test]
fn urls_lose_their_userinfo() {
    for (given, expected) in [
        ("error for url (https://user:pass@h/p?key=k)", "error for url (https://***@h/p?key=***)"),
        ("postgres://u:p@db/x: refused", "postgres://***@db/x: refused"),
        ("\"mysql://u:p/w@db/x\"", "\"mysql://***@db/x\""),
    ] {
        shows(given, expected);
    }
}

#[test]
fn private_keys_are_hidden() {
    shows(
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nx",
        "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----\nx",
    );
    shows(
        "{\"private_key\": \"-----BEGIN PRIVATE KEY-----\\nMIIE",
        "{\"private_key\": \"-----BEGIN PRIVATE KEY-----***",
    );
    shows(
        "-----BEGIN sk-1234567890abcdef PRIVATE KEY-----",
        "-----BEGIN sk-12345***bcdef PRIVATE KEY-----",
    );
    shows(
        "{\"private_key\": \"-----BEGIN PGP PRIVATE KEY BLOCK-----\\nlQOY\"}",
        "{\"private_key\": \"***\"}",
    );
    let public = "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----";
    shows(public, public);
}

#[test]
fn ordinary_text_stays() {
    let picture: Vec<u8> =
        (0..60_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let texts = [
        "",
        "the model is overloaded",
        "You didn't provide an API key. Use an Authorization header with Bearer auth.",
        "Bearer authentication is required; Basic information follows.",
        "WWW-Authenticate: Bearer realm=\"api\", error=\"invalid\"",
        "max_tokens: 4096 is more than 2048 (total tokens=6144)",
        "Unexpected token: < at position 1",
        "{\"type\":\"error\",\"code\":\"context_length_exceeded\",\"param\":null,\"token\":null}",
        "{\"code\": 429, \"key\": \"value\", \"status\": \"RESOURCE_EXHAUSTED\"}",
        "550e8400-e29b-41d4-a716-446655440000",
        "req_011CSHoEeqs5C35K2UUqR7Fy chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT toolu_01A09q90qw90lq917835lq9",
        "commit 1654c22aabbccddeeff00112233445566778899a",
        "fn sort(key: &str) -> bool { sorted(xs, key=len) == keys[0] }",
        "const token = lexer.next(); password = read_line()",
        "<div class=\"sk-folding-cube\"> risk-assessment2024 task-12345678",
        "from huggingface_hub import hf_hub_download, hf_text_generation",
        "see https://h/@scope/pkg@1.2.3?page=2&sort=key, mail me@example.com",
        "http://localhost:8080/v1 and http://[::1]:80/@x",
        "a: b == c => d := e %3D %",
        "日本語: パスワード、key、トークン",
    ];
    for text in texts {
        shows(text, text);
    }
    for encoded in [STANDARD.encode(&picture), URL_SAFE_NO_PAD.encode(&picture)] {
        let text = format!("{{\"type\":\"image\",\"data\":\"{encoded}\"}}");
        assert!(matches!(super::text(&text), Cow::Borrowed(_)));
    }
}

#[test]
fn known_secrets_go_wherever_they_stand() {
    let known = [Secret::new("open sesame"), Secret::new("open sesame/\"2\""), Secret::new("abc")];
    for (given, expected) in [
        ("xopen sesamex abc", "x***x abc"),
        ("open sesame/\"2\"", "***"),
        ("open sesame/\\\"2\\\"", "***"),
        ("open%20sesame%2F%222%22", "***"),
        ("open%20sesame%2f%222%22", "***"),
        ("nothing", "nothing"),
        ("open sesame sk-1234567890abcdef", "*** sk-12345***bcdef"),
    ] {
        assert_eq!(text_with(given, &known), expected);
    }
    let known = [Secret::new("0123456789abcdef0123")];
    assert_eq!(text_with("is 0123456789abcdef0123!", &known), "is 01234567***f0123!");
}

/// Twice the text may take twice the time, and some.
#[test]
fn no_text_takes_long() {
    const REPEATS: usize = 40_000;
    for piece in [
        "eyJ-",
        "eyJa.",
        "sk-",
        "a://b:c/",
        "a://",
        "key:",
        "token=",
        "key=\"",
        "key=\\\"",
        "key='",
        "password:{",
        "password =x",
        "password = ",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "Bearer ",
        "Basic a",
        "\\\\",
        "%3D",
        "key%3D",
        "api key: ",
        "cookie: {",
        "?key%3D%26",
        "?key%3Dnull%26",
        "auth=bearer ",
        "a-",
        "a:",
    ] {
        is_quick(&piece.repeat(REPEATS));
    }
    // A run that each scheme within it could read to its end.
    for scheme in ["Bearer+", "Basic+"] {
        is_quick(&(scheme.repeat(REPEATS) + "=\""));
        is_quick(&(scheme.repeat(80) + &"=".repeat(REPEATS)));
        is_quick(&(scheme.repeat(80) + "=\"").repeat(REPEATS / 80));
    }
}

fn is_quick(long: &str) {
    let piece = &long[..long.len().min(24)];
    let started = std::time::Instant::now();
    let shown = text(long).into_owned();
    assert!(started.elapsed().as_secs() < 5, "{piece}: {:?}", started.elapsed());
    assert_eq!(text(&shown), shown, "{piece}");
}

/// Pieces out of which texts are made that look like secrets here and there.
fn piece() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "sk-",
        "sk-ant-",
        "AIza",
        "AKIA",
        "eyJ",
        "ya29.",
        "hf_",
        "Bearer",
        "basic",
        "Basic ",
        "password",
        "api_key",
        "key",
        "token",
        "code",
        "cookie",
        "Authorization",
        "signature",
        "=",
        ":",
        "://",
        "@",
        "?",
        "&",
        "%3D",
        "%26",
        "%3A",
        "\\u0026",
        "\\n",
        "\\",
        "\"",
        "'",
        "`",
        "***",
        "*",
        " ",
        "\n",
        "/",
        "#",
        ".",
        "-",
        "_",
        "-----BEGIN PRIVATE KEY-----",
        "-----END",
        "{",
        "[",
        ",",
        ";",
        "é",
        "日",
        "null",
        "api ",
    ]);
    prop_oneof![
        4 => words.prop_map(str::to_owned),
        2 => "[A-Za-z0-9_-]{1,24}",
        1 => "[a-z0-9=/+.~]{1,24}",
        1 => any::<char>().prop_map(String::from),
    ]
}

fn anything() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..24).prop_map(|pieces| pieces.concat())
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        "sk-[A-Za-z0-9]{24,48}",
        "sk-ant-api03-[A-Za-z0-9_-]{40}",
        "sk-proj-[A-Za-z0-9_-]{40}",
        "AIza[A-Za-z0-9_-]{35}",
        "AKIA[A-Z0-9]{16}",
        "ya29\\.[A-Za-z0-9_-]{40}",
        "(xai-|gsk_|hf_|r8_|ghp_)[A-Za-z0-9]{36}",
        "eyJ[A-Za-z0-9]{20}\\.eyJ[A-Za-z0-9]{20}\\.[A-Za-z0-9_-]{24}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 2000 }))]

    #[test]
    fn twice_is_once(given in anything()) {
        let once = text(&given).into_owned();
        prop_assert_eq!(text(&once), once.as_str(), "of {}", given);
    }

    #[test]
    fn no_planted_key_gets_through(
        before in anything(), key in key(), after in anything(),
        left in "[ \n\"'(,;/=?&\\[{<>|]", right in "[ \n\"'),;&\\]}<>|]",
    ) {
        let given = format!("{before}{left}{key}{right}{after}");
        let shown = text(&given);
        prop_assert!(!shown.contains(&key), "{} of {}", shown, given);
        // Nor most of it.
        prop_assert!(!shown.contains(&key[4..key.len() - 4]), "{} of {}", shown, given);
    }

    #[test]
    fn no_named_value_gets_through(
        before in anything(), value in "[a-z]{4}[A-Za-z0-9]{4,12}[a-z]{4}",
        name in prop::sample::select(vec!["password", "api_key", "apiKey", "CLIENT_SECRET", "x-api-key"]),
        (open, close) in prop::sample::select(vec![("=", " "), (": ", "\n"), ("\": \"", "\""), ("\\\":\\\"", "\\\"")]),
    ) {
        let given = format!("{before} {name}{open}{value}{close}");
        prop_assert!(!text(&given).contains(&value), "{}", given);
    }

    #[test]
    fn known_secrets_never_get_through(before in anything(), secret in "[ -~]{6,30}", after in anything()) {
        let given = format!("{before}{secret}{after}");
        let shown = text_with(&given, &[Secret::new(secret.as_str())]);
        prop_assert!(!shown.contains(&secret));
    }

    /// What stands in a string of JSON is one afterwards, escapes and all.
    #[test]
    fn strings_of_json_stay_whole(given in anything()) {
        let json = serde_json::to_string(&given).unwrap();
        let shown = format!("\"{}\"", text(&json[1..json.len() - 1]));
        prop_assert!(serde_json::from_str::<String>(&shown).is_ok(), "{} of {}", shown, json);
    }

    #[test]
    fn words_stay(given in "([a-zA-Zäö]{1,12}[ ,.\n]{1,2}){0,40}") {
        prop_assert_eq!(text(&given), given.as_str());
    }

    #[test]
    fn pictures_stay(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let given = STANDARD.encode(bytes);
        prop_assert_eq!(text(&given), given.as_str());
    }
}
