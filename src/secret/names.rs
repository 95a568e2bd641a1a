//! What secrets are called: of headers, of parameters, of members, in text.

use percent_encoding::percent_decode_str;

/// The parameter in which Gemini takes a key.
pub(crate) const KEY_PARAMETER: &str = "key";

/// Where a name means a secret. Each holds the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Named {
    /// Wherever it stands.
    Always,
    /// As a member of JSON; in text if its value looks like a secret.
    Member,
    /// In text if its value looks like a secret, but too common for a member.
    Text,
    /// As a parameter of a URL only.
    Parameter,
}

/// Ends of names, as [`canonical`] writes them: `OPENAI_API_KEY`, `clientSecret`, `db-password`.
const ALWAYS: [&str; 37] = [
    "accesskey",
    "accesskeyid",
    "accesskeys",
    "accesstoken",
    "accountkey",
    "apikey",
    "apikeys",
    "apitoken",
    "authkey",
    "authorization",
    "authorizationtoken",
    "authtoken",
    "bearertoken",
    "clientassertion",
    "connectionstring",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "csrftoken",
    "encryptionkey",
    "idtoken",
    "masterkey",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "privatekey",
    "refreshtoken",
    "sastoken",
    "secret",
    "secretkey",
    "secrets",
    "securitytoken",
    "sessiontoken",
    "signingkey",
    "subscriptionkey",
];

const MEMBER: [&str; 6] = ["auth", "bearer", "jwt", "pass", "pwd", "token"];

const TEXT: [&str; 4] = [KEY_PARAMETER, "hmac", "sig", "signature"];

const PARAMETER: [&str; 7] = ["assertion", "code", "keys", "otp", "session", "sessionid", "ticket"];

/// Most characters of a name that are compared: its last.
const MOST: usize = 64;

/// What a name says of its value. It is compared percent-decoded, without case, `_` and `-`, from
/// its last other character on: of `config.api_key` the `api_key`.
pub(crate) fn named(name: &str) -> Option<Named> {
    let mut buffer = [0; MOST];
    let name = canonical(name, &mut buffer)?;
    let is = |known: &str| known.as_bytes() == name;
    let ends = |known: &str| name.ends_with(known.as_bytes());
    if ALWAYS.iter().any(|known| ends(known)) {
        Some(Named::Always)
    } else if MEMBER.iter().any(|known| is(known)) {
        Some(Named::Member)
    } else if TEXT.iter().any(|known| is(known)) {
        Some(Named::Text)
    } else if ends("signature") || PARAMETER.iter().any(|known| is(known)) {
        Some(Named::Parameter)
    } else {
        None
    }
}

/// Only what may be the end of a name stays, in small letters.
fn canonical<'b>(name: &str, buffer: &'b mut [u8; MOST]) -> Option<&'b [u8]> {
    let mut length = 0;
    for byte in percent_decode_str(name) {
        match byte {
            b'_' | b'-' | b' ' => continue,
            _ if !byte.is_ascii_alphanumeric() => {
                length = 0;
                continue;
            }
            _ => {}
        }
        if length == MOST {
            buffer.copy_within(1.., 0);
            length -= 1;
        }
        buffer[length] = byte.to_ascii_lowercase();
        length += 1;
    }
    (length > 0).then(|| &buffer[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_of_their_values() {
        for (name, expected) in [
            ("api_key", Some(Named::Always)),
            ("apiKey", Some(Named::Always)),
            ("OPENAI_API_KEY", Some(Named::Always)),
            ("x-goog-api-key", Some(Named::Always)),
            ("X-Amz-Security-Token", Some(Named::Always)),
            ("X-Amz-Credential", Some(Named::Always)),
            ("spring.datasource.password", Some(Named::Always)),
            ("%61pi%5Fkey", Some(Named::Always)),
            ("Proxy-Authorization", Some(Named::Always)),
            ("set-cookie", Some(Named::Always)),
            ("TOKEN", Some(Named::Member)),
            ("user.token", Some(Named::Member)),
            ("key", Some(Named::Text)),
            ("k%65y", Some(Named::Text)),
            ("X-Amz-Signature", Some(Named::Parameter)),
            ("code", Some(Named::Parameter)),
            ("max_tokens", None),
            ("eos_token", None),
            ("monkey", None),
            ("keyboard", None),
            ("pageToken", None),
            ("", None),
            ("__", None),
            ("password:", None),
        ] {
            assert_eq!(named(name), expected, "{name}");
        }
    }

    #[test]
    fn the_end_of_a_long_name_counts() {
        assert_eq!(named(&format!("{}_password", "a".repeat(1000))), Some(Named::Always));
        assert_eq!(named(&"a".repeat(1000)), None);
    }
}
