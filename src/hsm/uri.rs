//! PKCS#11 URIs (RFC 7512), as far as they name a token.

use std::fmt;

use crate::error::{Error, Result};
use crate::words;

/// What a token must be: every attribute given must match exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenUri {
    /// CKA token label.
    pub token: Option<String>,
    /// Token serial number.
    pub serial: Option<String>,
    /// Token manufacturer.
    pub manufacturer: Option<String>,
    /// Token model.
    pub model: Option<String>,
}

impl TokenUri {
    /// Reads `pkcs11:token=…;serial=…;manufacturer=…;model=…`.
    ///
    /// # Errors
    /// Exit 2 for anything else: another scheme, an attribute that does not name a token, a PIN,
    /// a slot number, a query part, broken percent encoding, an attribute given twice, none at all.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Error::usage(format!("the token URI {text:?}: {why}"))
                .hint("write it as `byok plan` does, such as pkcs11:token=ceremony;serial=0a1b2c3d4e5f6071")
        };
        let decoded = percent_decode(text).unwrap_or_default().to_lowercase();
        if decoded.contains("pin-") || decoded.contains(";pin=") || decoded.contains(":pin=") {
            return Err(Error::usage("the token URI holds a PIN: a plan is shown, printed and recorded")
                .hint("take the PIN out of the URI, change it if the plan was shown to anyone, and set `pin`"));
        }
        let attributes = text
            .strip_prefix("pkcs11:")
            .ok_or_else(|| refuse("it must begin with pkcs11:"))?;
        if attributes.contains('?') {
            return Err(refuse(
                "no query part is allowed: the module is named by `module`",
            ));
        }
        let mut uri = Self::default();
        for attribute in attributes.split(';') {
            let (name, value) = attribute
                .split_once('=')
                .ok_or_else(|| refuse("each attribute needs a name and a value"))?;
            let field = match name {
                "token" => &mut uri.token,
                "serial" => &mut uri.serial,
                "manufacturer" => &mut uri.manufacturer,
                "model" => &mut uri.model,
                "slot-id" => {
                    return Err(refuse(
                        "slot numbers change when a token is added; use label and serial",
                    ));
                }
                _ => return Err(refuse("one of its attributes does not name a token")),
            };
            let value = percent_decode(value).ok_or_else(|| refuse("broken percent encoding"))?;
            if value.is_empty() || !words::is_printable(&value) {
                return Err(refuse(&format!(
                    "the value of {name} is empty or cannot be shown"
                )));
            }
            if field.replace(value).is_some() {
                return Err(refuse(&format!("{name} is given twice")));
            }
        }
        Ok(uri)
    }
}

impl fmt::Display for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes = [
            ("token", &self.token),
            ("serial", &self.serial),
            ("manufacturer", &self.manufacturer),
            ("model", &self.model),
        ];
        let given = attributes
            .iter()
            .filter_map(|(name, value)| value.as_ref().map(|v| (name, v)));
        let written: Vec<String> = given
            .map(|(name, v)| format!("{name}={}", percent_encode(v)))
            .collect();
        write!(f, "pkcs11:{}", written.join(";"))
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        bytes.extend(words::unhex(std::str::from_utf8(&digits).ok()?)?);
    }
    String::from_utf8(bytes).ok()
}

fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte.into())
            }
            _ => encoded += &format!("%{byte:02X}"),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_reads_back_as_it_was_written() {
        let uri = TokenUri::parse("pkcs11:token=The%20HSM;serial=0a;model=SoftHSM%20v2").unwrap();
        assert_eq!(uri.token.as_deref(), Some("The HSM"));
        assert_eq!(TokenUri::parse(&uri.to_string()).unwrap(), uri);
    }

    #[test]
    fn a_pin_in_the_uri_is_refused_and_not_repeated() {
        for uri in [
            "pkcs11:token=a?pin-value=4711",
            "pkcs11:token=a;pin-value=4711",
        ] {
            let error = TokenUri::parse(uri).unwrap_err();
            assert!(error.line().contains("holds a PIN"));
            assert!(!error.for_people().contains("4711"));
        }
    }

    #[test]
    fn what_does_not_name_a_token_is_refused() {
        for (uri, why) in [
            ("token=a", "must begin"),
            ("pkcs11:", "name and a value"),
            ("pkcs11:slot-id=3", "slot numbers change"),
            ("pkcs11:object=x", "does not name a token"),
            ("pkcs11:token=a;token=b", "given twice"),
            ("pkcs11:token=%zz", "percent"),
            ("pkcs11:token=%1b", "cannot be shown"),
            ("pkcs11:token=", "empty"),
            ("pkcs11:token=a?module-path=/x", "query"),
        ] {
            assert!(
                TokenUri::parse(uri).unwrap_err().line().contains(why),
                "{uri}"
            );
        }
    }
}
