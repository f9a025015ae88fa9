//! PKCS#11 URIs (RFC 7512) that name a token.

use std::fmt;

use crate::ground::error::{Error, Result};
use crate::ground::facts::TokenFacts;
use crate::ground::words;

/// What a token must be: every given attribute must match exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenUri {
    /// Token label.
    pub token: Option<String>,
    /// Token serial number.
    pub serial: Option<String>,
    /// Token manufacturer.
    pub manufacturer: Option<String>,
    /// Token model.
    pub model: Option<String>,
}

impl TokenUri {
    /// Reads `pkcs11:token=…;serial=…;manufacturer=…;model=…`, or the plain label of a token.
    ///
    /// # Errors
    /// Exit 2 for anything else: another scheme, an attribute that does not name a token, a PIN or a PIN's path, a
    /// slot number, a query part, broken percent encoding, an attribute given twice, or no attribute. For what
    /// does not belong there, only the name is shown: its value may be a secret.
    pub fn parse(text: &str) -> Result<Self> {
        let Some(attributes) = text.strip_prefix("pkcs11:") else {
            return Self::labelled(text);
        };
        let (path, query) = match attributes.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (attributes, None),
        };
        let of_query = query.into_iter().flat_map(|query| query.split('&'));
        path.split(';').chain(of_query).try_for_each(no_pin)?;
        if let Some(query) = query {
            return Err(refuse(&format!(
                "{}no query part is allowed: the module is named by `module`",
                named(query)
            )));
        }
        let mut uri = Self::default();
        for attribute in path.split(';') {
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
                _ => {
                    return Err(refuse(&format!(
                        "{}an attribute that does not name a token",
                        named(attribute)
                    )));
                }
            };
            let value = percent_decode(value).ok_or_else(|| refuse("broken percent encoding"))?;
            if value.is_empty() || !words::is_printable(&value) {
                return Err(refuse(&format!(
                    "the value of {name} is empty or contains characters that cannot be shown"
                )));
            }
            if field.replace(value).is_some() {
                return Err(refuse(&format!("{name} is given twice")));
            }
        }
        Ok(uri)
    }

    /// A plain label. Text that could be attributes without their scheme is refused: one of them may be a PIN.
    fn labelled(text: &str) -> Result<Self> {
        /// CK_TOKEN_INFO has no room for more bytes.
        const LONGEST: usize = 32;
        let is_label = (1..=LONGEST).contains(&text.len())
            && words::is_printable(text)
            && !text.contains(['=', ';', '?', ':']);
        match is_label {
            true => Ok(Self {
                token: Some(text.to_owned()),
                ..Self::default()
            }),
            false => Err(refuse(
                "it is not a plain label (up to 32 bytes, without = ; ? or :), so it must begin with pkcs11:",
            )),
        }
    }
}

fn refuse(why: &str) -> Error {
    Error::usage(format!("the token URI: {why}"))
        .hint("write it as `byok plan` does, such as pkcs11:token=ceremony;serial=0a1b2c3d4e5f6071")
        .hint("the label alone, such as ceremony, is enough if only one token has it")
}

/// The attributes' names decide, in the path and in the query; a label may contain anything.
fn no_pin(attribute: &str) -> Result<()> {
    let name = attribute.split('=').next().unwrap_or_default();
    let name = percent_decode(name).unwrap_or_default();
    match name.trim().to_ascii_lowercase().as_str() {
        "pin-value" | "pin" => Err(Error::usage(
            "the token URI contains a PIN: a plan is shown, printed and recorded",
        )
        .hint(
            "remove the PIN from the URI, change it if the plan was shown to anyone, and set `pin`",
        )),
        "pin-source" => Err(Error::usage(
            "the token URI contains pin-source: that is a PIN's path, and belongs in `pin`",
        )
        .hint("remove it from the URI, and write pin = \"file:PATH\"")),
        _ => Ok(()),
    }
}

/// The name of an attribute, if it can be a name, as the beginning of a message about it.
fn named(attribute: &str) -> String {
    let name = attribute.split('=').next().unwrap_or_default();
    let is_name = |c: char| c.is_ascii_lowercase() || c == '-';
    match !name.is_empty() && name.len() < 32 && name.chars().all(is_name) {
        true => format!("{name}: "),
        false => String::new(),
    }
}

impl TokenUri {
    /// Whether it names this token: every attribute that it has is the token's.
    pub(crate) fn names(&self, token: &TokenFacts) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w == is);
        same(&self.token, &token.token)
            && same(&self.serial, &token.serial)
            && same(&self.manufacturer, &token.manufacturer)
            && same(&self.model, &token.model)
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
    fn a_plain_label_names_the_token_and_what_may_be_attributes_does_not() {
        let read = TokenUri::parse("The HSM").unwrap();
        assert_eq!(read.to_string(), "pkcs11:token=The%20HSM");
        for text in [
            "",
            "token=a;pin-value=4711",
            "PKCS11:token=a",
            "a\u{1b}b",
            "a label of more than thirty-two bytes",
        ] {
            let error = TokenUri::parse(text).unwrap_err();
            assert!(error.line().contains("must begin with pkcs11:"), "{text}");
            assert!(!error.for_people().contains("4711"));
        }
    }

    #[test]
    fn a_pin_in_the_uri_is_refused_and_not_repeated() {
        for uri in [
            "pkcs11:token=a?pin-value=4711",
            "pkcs11:token=a;pin-value=4711",
            "pkcs11:pin-value=4711",
            "pkcs11:token=a?module-path=/x&pin-value=4711",
            "pkcs11:token=a;PIN-Value=4711",
            "pkcs11:token=a;pin%2Dvalue=4711",
            "pkcs11:token=a;pin=4711",
        ] {
            let error = TokenUri::parse(uri).unwrap_err();
            assert!(error.line().contains("contains a PIN"), "{uri}");
            assert!(!error.for_people().contains("4711"));
        }
        for uri in ["pkcs11:token=a;pin-vlaue=4711", "pkcs11:token=a;4711"] {
            let error = TokenUri::parse(uri).unwrap_err();
            assert!(!error.for_people().contains("4711"), "{uri}");
        }
    }

    #[test]
    fn the_path_of_a_pin_is_no_pin() {
        for uri in [
            "pkcs11:token=a?pin-source=file:/etc/pin",
            "pkcs11:token=a;pin-source=file:/etc/pin",
        ] {
            let error = TokenUri::parse(uri).unwrap_err();
            assert!(error.line().contains("that is a PIN's path"), "{uri}");
            assert!(!error.line().contains("contains a PIN"), "{uri}");
            assert!(error.hints.concat().contains("pin = \"file:PATH\""));
        }
    }

    #[test]
    fn names_decide_and_not_values() {
        for label in [
            "spin-hsm",
            "pin-value",
            "a;pin-value=1",
            "?pin-source=",
            "pin=1",
        ] {
            let written = TokenUri {
                token: Some(label.to_owned()),
                ..TokenUri::default()
            };
            assert_eq!(TokenUri::parse(&written.to_string()).unwrap(), written);
        }
        let read = TokenUri::parse("pkcs11:token=spin-hsm;model=pin-pad").unwrap();
        assert_eq!(read.model.as_deref(), Some("pin-pad"));
    }

    #[test]
    fn what_does_not_name_a_token_is_refused() {
        for (uri, why) in [
            ("token=a", "must begin"),
            ("pkcs11:", "name and a value"),
            ("pkcs11:slot-id=3", "slot numbers change"),
            (
                "pkcs11:object=x",
                "object: an attribute that does not name a token",
            ),
            (
                "pkcs11:token=a;id=%01",
                "id: an attribute that does not name a token",
            ),
            ("pkcs11:token=a;token=b", "given twice"),
            ("pkcs11:token=%zz", "percent"),
            ("pkcs11:token=%1b", "cannot be shown"),
            ("pkcs11:token=", "empty"),
            ("pkcs11:token=a?module-path=/x", "module-path: no query"),
        ] {
            assert!(
                TokenUri::parse(uri).unwrap_err().line().contains(why),
                "{uri}"
            );
        }
    }
}
