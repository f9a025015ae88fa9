//! `BYOK_PROXY_RULES`, parsed once.

use std::path::PathBuf;

use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CK_MECHANISM_TYPE, CK_RV};

use crate::Api;
use crate::names::{self, Half};

/// All rules of one run.
#[derive(Debug, Default)]
pub struct Rules {
    pub oaep_sha1: bool,
    pub refuse_create_secret: bool,
    pub fail: Vec<Fail>,
    pub removed_after: Vec<At>,
    pub hang: Vec<At>,
    /// The calls that take so many seconds longer.
    pub slow: Vec<(At, i64)>,
    /// The calls at which the token closes every session first.
    pub lose_session: Vec<At>,
    pub weaken: Vec<Attribute>,
    pub weaken_unwrapped: Vec<Attribute>,
    pub lie: Vec<Attribute>,
    pub wrap_length: i64,
    /// The calls that answer so many bytes more or fewer.
    pub length: Vec<(At, i64)>,
    pub flip: Vec<At>,
    pub twice: Vec<At>,
    /// The searches that find nothing.
    pub unseen: Vec<At>,
    /// The calls from which on searches find nothing.
    pub blind_after: Vec<At>,
    pub other_key: Vec<At>,
    pub weaken_at: Vec<(At, Attribute)>,
    pub lie_at: Vec<At>,
    /// The call of C_WrapKey whose result has one bit changed.
    pub wrap_flip: Option<u64>,
    /// `CKM_RSA_AES_KEY_WRAP` is there; `Some(true)`: it uses SHA-1 whatever is asked.
    pub rsa_aes: Option<bool>,
    /// What private keys are wrapped as, instead of PKCS#8.
    pub private_as: Option<PrivateAs>,
    /// Private values on P-256 begin with a zero byte.
    pub short_p256: bool,
    /// `C_Initialize` locks nothing.
    pub cant_lock: bool,
    /// The slots, by their place, that tell nothing of their token.
    pub silent_slot: Vec<(usize, CK_RV)>,
    pub zero_padded: bool,
    pub odd_clock: bool,
    pub binary_serial: bool,
    pub odd_query: bool,
    /// The mechanisms that are not there.
    pub without: Vec<CK_MECHANISM_TYPE>,
    pub strict_token: bool,
    pub strict_unwrap: bool,
    /// `Some(n)`: the token counts wrong PINs, and n were wrong before.
    pub pin_flags: Option<u32>,
    /// What the token says of its maker and its model.
    pub manufacturer: Option<String>,
    pub model: Option<String>,
    /// CKF_HW_SLOT of every slot is set.
    pub hardware_slot: bool,
    /// Printed at every call.
    pub print: Option<String>,
    /// The calls that need the internet.
    pub dials: Vec<(usize, CK_RV)>,
    /// Where it is written what a module gets that should get nothing.
    pub try_escape: Option<PathBuf>,
    pub log: Option<PathBuf>,
}

/// A form of a private key that is no PKCS#8.
#[derive(Debug, PartialEq)]
pub enum PrivateAs {
    /// SEC 1, or PKCS#1: what stands inside the PKCS#8.
    Inner,
    /// PKCS#8 with so many zero bytes after it.
    Longer(usize),
}

/// A call that is refused; `None` is every call.
#[derive(Debug)]
pub struct Fail {
    pub function: usize,
    pub call: Option<u64>,
    pub rv: CK_RV,
}

/// The first call at which something holds.
#[derive(Debug)]
pub struct At {
    pub function: usize,
    pub call: u64,
}

/// A boolean attribute and the value that it gets.
#[derive(Clone, Debug)]
pub struct Attribute {
    pub kind: CK_ATTRIBUTE_TYPE,
    pub half: Half,
    pub value: bool,
}

impl Rules {
    /// An empty rule is nothing; the error quotes the rule that cannot be read.
    pub fn parse(text: &str) -> Result<Rules, String> {
        let mut rules = Rules::default();
        for rule in text
            .split(';')
            .map(str::trim)
            .filter(|rule| !rule.is_empty())
        {
            rules
                .add(rule)
                .ok_or_else(|| format!("cannot read the rule `{rule}`"))?;
        }
        Ok(rules)
    }

    fn add(&mut self, rule: &str) -> Option<()> {
        let (word, rest) = match rule.split_once(':') {
            Some((word, rest)) => (word, Some(rest)),
            None => (rule, None),
        };
        match (word, rest) {
            ("oaep-sha1", None) => self.oaep_sha1 = true,
            ("refuse-create-secret", None) => self.refuse_create_secret = true,
            ("fail", Some(rest)) => self.fail.push(fail(rest)?),
            ("removed-after", Some(rest)) => self.removed_after.push(at(rest)?),
            ("hang", Some(rest)) => self.hang.push(at(rest)?),
            ("slow", Some(rest)) => self.slow.push(length(rest)?),
            ("lose-session", Some(rest)) => self.lose_session.push(at(rest)?),
            ("weaken", Some(rest)) => self.weaken.push(attribute(rest)?),
            ("weaken-unwrapped", Some(rest)) => self.weaken_unwrapped.push(attribute(rest)?),
            ("lie", Some(rest)) => self.lie.push(attribute(rest)?),
            ("wrap-length", Some(rest)) => self.wrap_length = rest.parse().ok()?,
            ("wrap-flip", Some(rest)) => self.wrap_flip = Some(call_number(rest)?),
            ("length", Some(rest)) => self.length.push(length(rest)?),
            ("flip", Some(rest)) => self.flip.push(at(rest)?),
            ("twice", Some(rest)) => self.twice.push(at(rest)?),
            ("unseen", Some(rest)) => self.unseen.push(at(rest)?),
            ("blind-after", Some(rest)) => self.blind_after.push(at(rest)?),
            ("other-key", Some(rest)) => self.other_key.push(at(rest)?),
            ("weaken-at", Some(rest)) => self.weaken_at.push(weaken_at(rest)?),
            ("lie-at", Some(rest)) => self.lie_at.push(at(rest)?),
            ("rsa-aes-key-wrap", None) => self.rsa_aes = Some(false),
            ("rsa-aes-key-wrap", Some("sha1")) => self.rsa_aes = Some(true),
            ("private-as", Some("inner")) => self.private_as = Some(PrivateAs::Inner),
            ("private-as", Some(more)) => {
                let more = more.strip_prefix("longer:")?.parse().ok()?;
                self.private_as = Some(PrivateAs::Longer(more));
            }
            ("short-p256", None) => self.short_p256 = true,
            ("cant-lock", None) => self.cant_lock = true,
            ("silent-slot", Some(rest)) => {
                let (place, rv) = rest.split_once(':')?;
                self.silent_slot.push((place.parse().ok()?, names::rv(rv)?));
            }
            ("zero-padded", None) => self.zero_padded = true,
            ("odd-clock", None) => self.odd_clock = true,
            ("binary-serial", None) => self.binary_serial = true,
            ("odd-query", None) => self.odd_query = true,
            ("without", Some(rest)) => {
                let number = rest.strip_prefix("0x")?;
                self.without
                    .push(CK_MECHANISM_TYPE::from_str_radix(number, 16).ok()?);
            }
            ("strict-token", None) => self.strict_token = true,
            ("strict-unwrap", None) => self.strict_unwrap = true,
            ("pin-flags", None) => self.pin_flags = Some(0),
            ("pin-flags", Some(rest)) => self.pin_flags = Some(rest.parse().ok()?),
            ("manufacturer", Some(text)) => self.manufacturer = Some(text.into()),
            ("model", Some(text)) => self.model = Some(text.into()),
            ("hardware-slot", None) => self.hardware_slot = true,
            ("print", Some(text)) => self.print = Some(text.into()),
            ("dials", Some(rest)) => {
                let (name, rv) = rest.split_once(':')?;
                self.dials.push((Api::named(name)?, names::rv(rv)?));
            }
            ("try-escape", Some(path)) if !path.is_empty() => self.try_escape = Some(path.into()),
            ("log", Some(path)) if !path.is_empty() => self.log = Some(path.into()),
            _ => return None,
        }
        Some(())
    }
}

fn call_number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|n| *n > 0)
}

/// `C_Name:N:CKR_NAME`
fn fail(text: &str) -> Option<Fail> {
    let mut fields = text.splitn(3, ':');
    let function = Api::named(fields.next()?)?;
    let call = match fields.next()? {
        "*" => None,
        number => Some(call_number(number)?),
    };
    let rv = names::rv(fields.next()?)?;
    Some(Fail { function, call, rv })
}

/// `C_Name:N`
fn at(text: &str) -> Option<At> {
    let (name, call) = text.split_once(':')?;
    let (function, call) = (Api::named(name)?, call_number(call)?);
    Some(At { function, call })
}

/// `C_Name:N:-1`: a call and a number
fn length(text: &str) -> Option<(At, i64)> {
    let (call, more) = text.rsplit_once(':')?;
    Some((at(call)?, more.parse().ok()?))
}

/// `C_Name:N:CKA_NAME=true|false`
fn weaken_at(text: &str) -> Option<(At, Attribute)> {
    let (call, rule) = text.rsplit_once(':')?;
    Some((at(call)?, attribute(rule)?))
}

/// `CKA_NAME=true|false`
fn attribute(text: &str) -> Option<Attribute> {
    let (name, value) = text.split_once('=')?;
    let (kind, half) = names::boolean(name)?;
    let value = value.parse().ok()?;
    Some(Attribute { kind, half, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki_sys::{CKA_DECRYPT, CKR_DEVICE_ERROR, CKR_KEY_UNEXTRACTABLE};

    #[test]
    fn every_rule_is_read() {
        let rules = Rules::parse(
            "oaep-sha1; refuse-create-secret;fail:C_WrapKey:2:CKR_KEY_UNEXTRACTABLE;\
             fail:C_Login:*:0x80000001;removed-after:C_GenerateKey:1;weaken:CKA_DECRYPT=true;\
             lie:CKA_SENSITIVE=false;hang:C_WrapKey:3;lose-session:C_UnwrapKey:5;\
              wrap-length:-1;wrap-flip:4;pin-flags:2;log:/a:b/c;rsa-aes-key-wrap:sha1;private-as:longer:3;\
              try-escape:/d;length:C_WrapKey:7:-1;flip:C_Sign:8;twice:C_FindObjects:9;\
              other-key:C_UnwrapKey:10;slow:C_Login:13:40;weaken-at:C_GenerateKey:11:CKA_WRAP=true;lie-at:C_GetAttributeValue:12;\
              hardware-slot;manufacturer:A B;model:C;print:D:e;dials:C_Initialize:CKR_DEVICE_REMOVED;\
              silent-slot:1:CKR_DEVICE_ERROR;without:0x40;cant-lock;zero-padded;odd-clock;binary-serial;odd-query;\
              strict-token;strict-unwrap",
        )
        .unwrap();
        assert!(rules.oaep_sha1 && rules.refuse_create_secret);
        assert_eq!(rules.fail[0].call, Some(2));
        assert_eq!(rules.fail[0].rv, CKR_KEY_UNEXTRACTABLE);
        assert_eq!((rules.fail[1].call, rules.fail[1].rv), (None, 0x8000_0001));
        assert_eq!(rules.removed_after[0].call, 1);
        assert_eq!(rules.hang[0].call, 3);
        assert_eq!(rules.lose_session[0].call, 5);
        assert_eq!(rules.weaken[0].kind, CKA_DECRYPT);
        assert!(rules.weaken[0].value && !rules.lie[0].value);
        assert_eq!(rules.wrap_length, -1);
        assert_eq!(rules.wrap_flip, Some(4));
        assert_eq!(rules.pin_flags, Some(2));
        assert_eq!(rules.rsa_aes, Some(true));
        assert_eq!(rules.silent_slot, [(1, CKR_DEVICE_ERROR)]);
        assert_eq!(rules.without, [0x40]);
        assert!(rules.cant_lock && rules.zero_padded && rules.odd_clock && rules.binary_serial);
        assert!(rules.odd_query && rules.strict_token && rules.strict_unwrap);
        assert_eq!(rules.private_as, Some(PrivateAs::Longer(3)));
        assert_eq!(rules.try_escape.as_deref(), Some("/d".as_ref()));
        assert_eq!(rules.log.as_deref(), Some("/a:b/c".as_ref()));
        assert_eq!(rules.manufacturer.as_deref(), Some("A B"));
        assert_eq!(
            (rules.model.as_deref(), rules.print.as_deref()),
            (Some("C"), Some("D:e"))
        );
        assert!(rules.hardware_slot && rules.dials.len() == 1);
        assert_eq!((rules.slow[0].0.call, rules.slow[0].1), (13, 40));
        assert_eq!((rules.length[0].0.call, rules.length[0].1), (7, -1));
        assert_eq!((rules.flip[0].call, rules.twice[0].call), (8, 9));
        assert_eq!((rules.other_key[0].call, rules.lie_at[0].call), (10, 12));
        assert_eq!(
            (rules.weaken_at[0].0.call, rules.weaken_at[0].1.value),
            (11, true)
        );
    }

    #[test]
    fn what_cannot_be_read_is_quoted() {
        for rule in [
            "oaep-sha2",
            "oaep-sha1:x",
            "fail:C_WrapKey:0:CKR_OK",
            "fail:C_WrapKey:1",
            "fail:C_Wrap:1:CKR_OK",
            "fail:C_WrapKey:1:CKR_NO_SUCH",
            "fail:C_WrapKey:1:CKR_OK:more",
            "removed-after:C_WrapKey",
            "hang:C_WrapKey",
            "lose-session:C_WrapKey",
            "weaken:CKA_LABEL=true",
            "weaken:CKA_DECRYPT=yes",
            "lie:CKA_DECRYPT",
            "wrap-length:x",
            "wrap-flip:0",
            "pin-flags:x",
            "rsa-aes-key-wrap:md5",
            "silent-slot:1",
            "without:64",
            "strict-token:1",
            "private-as",
            "private-as:longer",
            "log:",
            "try-escape:",
            "length:C_WrapKey:1",
            "slow:C_Login:1",
            "flip:C_Sign",
            "hardware-slot:yes",
            "dials:C_Login",
            "twice:C_FindObjects:0",
            "other-key:4",
            "weaken-at:CKA_WRAP=true",
            "lie-at:C_GetAttributeValue",
        ] {
            let error = Rules::parse(&format!("oaep-sha1;{rule}")).unwrap_err();
            assert_eq!(error, format!("cannot read the rule `{rule}`"));
        }
    }
}
