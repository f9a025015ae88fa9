//! The attribute table: what byok asks every key to be, why, and the judgement of what it became.
//!
//! Every attribute is stated: unstated defaults differ between modules, and SoftHSM's are all TRUE.
//! Every attribute is read back: a template is only a request.

use cryptoki::object::{Attribute, AttributeType};

use crate::crypto::spec::Spec;
use crate::ground::facts::Attributes;

/// A boolean attribute: its standard name, its type, its constructor.
#[derive(Clone, Copy)]
pub(super) struct Flag {
    name: &'static str,
    kind: AttributeType,
    make: fn(bool) -> Attribute,
    /// Whether byok trusts a module that does not report it.
    may_be_silent: bool,
}

macro_rules! flags {
    ($($constant:ident = $name:literal, $variant:ident, silent: $silent:literal;)*) => {
        $(pub(super) const $constant: Flag = Flag {
            name: $name,
            kind: AttributeType::$variant,
            make: Attribute::$variant,
            may_be_silent: $silent,
        };)*
    };
}

flags! {
    TOKEN = "CKA_TOKEN", Token, silent: false;
    PRIVATE = "CKA_PRIVATE", Private, silent: false;
    SENSITIVE = "CKA_SENSITIVE", Sensitive, silent: false;
    EXTRACTABLE = "CKA_EXTRACTABLE", Extractable, silent: false;
    ENCRYPT = "CKA_ENCRYPT", Encrypt, silent: false;
    DECRYPT = "CKA_DECRYPT", Decrypt, silent: false;
    SIGN = "CKA_SIGN", Sign, silent: false;
    VERIFY = "CKA_VERIFY", Verify, silent: false;
    WRAP = "CKA_WRAP", Wrap, silent: false;
    UNWRAP = "CKA_UNWRAP", Unwrap, silent: false;
    DERIVE = "CKA_DERIVE", Derive, silent: false;
    COPYABLE = "CKA_COPYABLE", Copyable, silent: true;
    MODIFIABLE = "CKA_MODIFIABLE", Modifiable, silent: true;
    DESTROYABLE = "CKA_DESTROYABLE", Destroyable, silent: true;
    LOCAL = "CKA_LOCAL", Local, silent: true;
    ALWAYS_SENSITIVE = "CKA_ALWAYS_SENSITIVE", AlwaysSensitive, silent: true;
}

/// A flag and the value it must have.
pub(super) type Rule = (Flag, bool);

/// Where a data key is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// A token object that nobody can change.
    Token,
    /// A token object whose EXTRACTABLE is set to FALSE once the escrow is proved.
    TokenUntilSealed,
    /// A session object: it ends with the session.
    Session,
}

/// The data key and, as session objects, the throw-away keys that stand in for it in preflight. A private
/// key has no ENCRYPT, VERIFY or WRAP (PKCS#11 v2.40, section 4.9).
pub(super) fn data_key(spec: Spec, life: Life) -> Vec<Rule> {
    let aes = spec.is_aes();
    let rules = [
        (TOKEN, life != Life::Session), // kept for the next import, or ended with the session
        (PRIVATE, true),                // visible only after login
        (SENSITIVE, true),              // never readable as a value
        (EXTRACTABLE, true),            // it must be wrapped for KMS
        (ENCRYPT, aes),                 // key check value and fingerprint
        (DECRYPT, false),               // nobody decrypts with it here; KMS does
        (SIGN, !aes),    // fingerprint of HMAC keys, proof of possession of private keys
        (VERIFY, false), // as for DECRYPT
        (WRAP, false),   // it must never carry another key out
        (UNWRAP, false), // nor another key in
        (DERIVE, false), // nothing here would cover derived keys
        (COPYABLE, false), // a copy could have weaker attributes
        (DESTROYABLE, true), // an aborted ceremony destroys what it made
        // Last: when SoftHSM unwraps, it applies the template in order, and nothing after this.
        (MODIFIABLE, life == Life::TokenUntilSealed), // a PIN holder could add DECRYPT or WRAP later
    ];
    let known = |rule: &Rule| {
        !spec.is_private() || ![ENCRYPT.name, VERIFY.name, WRAP.name].contains(&rule.0.name)
    };
    rules.into_iter().filter(known).collect()
}

/// The public half of a data key's pair: it is read out and destroyed again.
pub(super) fn data_key_public() -> Vec<Rule> {
    vec![
        (TOKEN, false),
        (ENCRYPT, false),
        (VERIFY, true), // some modules demand a purpose; whoever reads the public key can verify anyway
        (WRAP, false),
    ]
}

/// The AES key of RSA_AES_KEY_WRAP in two parts: it wraps one private key and is itself wrapped.
pub(super) fn ephemeral_key() -> Vec<Rule> {
    let mut rules = transport_key();
    for rule in &mut rules {
        if rule.0.name == EXTRACTABLE.name {
            rule.1 = true; // KMS must get it, under its own wrapping key
        }
    }
    rules
}

/// What the HSM itself says about a key that was generated in it; no template states it.
pub(super) const GENERATED: &[Rule] = &[
    (LOCAL, true),            // made here, not imported
    (ALWAYS_SENSITIVE, true), // at no time readable
];

/// What the HSM itself says about a key that came in from outside.
pub(super) const BROUGHT_IN: &[Rule] = &[(LOCAL, false)];

/// The public key that data keys are wrapped under.
pub(super) fn wrapping_key() -> Vec<Rule> {
    vec![
        (TOKEN, false),   // gone with the session
        (WRAP, true),     // its one purpose
        (ENCRYPT, false), // data is not wrapped through C_Encrypt, which would need the bytes
        (VERIFY, false),  // it verifies nothing here
    ]
}

/// The throw-away AES key with which `wrap_in = "host"` takes a data key out of the HSM.
pub(super) fn transport_key() -> Vec<Rule> {
    vec![
        (TOKEN, false),
        (PRIVATE, true),
        (SENSITIVE, true),
        (EXTRACTABLE, false),
        (ENCRYPT, false),
        (DECRYPT, false),
        (SIGN, false),
        (VERIFY, false),
        (WRAP, true), // its one purpose
        (UNWRAP, false),
        (DERIVE, false),
        (COPYABLE, false),
        (DESTROYABLE, true), // destroyed as soon as it has served
        (MODIFIABLE, false), // last, as above
    ]
}

/// The throw-away AES key under which a private key comes in from a file.
pub(super) fn entrance_key() -> Vec<Rule> {
    let mut rules = transport_key();
    for rule in &mut rules {
        if [WRAP.name, UNWRAP.name].contains(&rule.0.name) {
            rule.1 = !rule.1;
        }
    }
    rules
}

/// The one-time key that wraps data keys for escrow. It has no DECRYPT: with that, whoever holds the session
/// could have the HSM decrypt the package to plain bytes.
pub(super) fn escrow_key() -> Vec<Rule> {
    let mut rules = transport_key();
    for rule in &mut rules {
        if rule.0.name == UNWRAP.name {
            rule.1 = true; // it also brings the data key back, into the HSM
        }
    }
    rules
}

/// The private half of the key pair through which a secret comes into an HSM that refuses C_CreateObject for
/// secrets.
pub(super) fn gate_private() -> Vec<Rule> {
    vec![
        (TOKEN, false),
        (PRIVATE, true),
        (SENSITIVE, true),
        (EXTRACTABLE, false),
        (DECRYPT, false), // with it the HSM could decrypt the secret to plain bytes
        (SIGN, false),
        (UNWRAP, true), // its one purpose
        (DERIVE, false),
    ]
}

/// The public half: it is read out and used in this computer.
pub(super) fn gate_public() -> Vec<Rule> {
    vec![
        (TOKEN, false),
        (ENCRYPT, false),
        (VERIFY, false),
        (WRAP, false),
    ]
}

/// The private half of the key pair that signs transcripts.
pub(super) fn signing_private() -> Vec<Rule> {
    vec![
        (TOKEN, true),
        (PRIVATE, true),
        (SENSITIVE, true),
        (EXTRACTABLE, false), // a signature shows that this very HSM made it
        (DECRYPT, false),
        (SIGN, true), // its one purpose
        (UNWRAP, false),
        (DERIVE, false),
        (COPYABLE, false),
        (DESTROYABLE, true), // an aborted ceremony destroys what it made
        (MODIFIABLE, false), // last, as above
    ]
}

/// The public half: later ceremonies read the point from it.
pub(super) fn signing_public() -> Vec<Rule> {
    vec![
        (TOKEN, true),
        (ENCRYPT, false),
        (VERIFY, true),
        (WRAP, false),
        (MODIFIABLE, false),
    ]
}

/// The same rules for a session object that can still be changed and copied.
pub(super) fn changeable(rules: &[Rule]) -> Vec<Rule> {
    let mut rules = rules.to_vec();
    for (flag, value) in &mut rules {
        match flag.name {
            name if name == TOKEN.name => *value = false,
            name if [COPYABLE.name, MODIFIABLE.name].contains(&name) => *value = true,
            _ => {}
        }
    }
    rules
}

/// What the copy of such an object is given: where it is kept, and that it can no longer be changed.
pub(super) fn left_to_a_copy(rules: &[Rule]) -> Vec<Attribute> {
    let told = [TOKEN.name, COPYABLE.name, MODIFIABLE.name];
    let told = rules.iter().filter(|(flag, _)| told.contains(&flag.name));
    told.map(|(flag, value)| (flag.make)(*value)).collect()
}

/// The rules as a template, without the attributes that the module does not know.
pub(super) fn template(rules: &[Rule], omitted: &[AttributeType]) -> Vec<Attribute> {
    let stated = rules
        .iter()
        .filter(|(flag, _)| !omitted.contains(&flag.kind));
    stated.map(|(flag, value)| (flag.make)(*value)).collect()
}

/// The attribute types of the rules, for reading back.
pub(super) fn kinds(rules: &[Rule]) -> Vec<AttributeType> {
    rules.iter().map(|(flag, _)| flag.kind).collect()
}

impl Attributes {
    /// The first attribute that has changed. A key that was sealed meanwhile is only safer.
    pub(crate) fn changed_since<'a>(&self, before: &'a Self) -> Option<&'a str> {
        let mut changed = before.0.iter().filter(|was| {
            let now = self.0.iter().find(|(name, _)| *name == was.0);
            let sealed =
                |(name, value): &(_, _)| *name == EXTRACTABLE.name && *value == Some(false);
            now != Some(*was) && !now.is_some_and(sealed)
        });
        changed.next().map(|(name, _)| name.as_ref())
    }
}

/// The attributes that were read back, not judged.
pub(super) fn seen(rules: &[Rule], read: &[Attribute]) -> Attributes {
    let value = |flag: &Flag| {
        [true, false]
            .into_iter()
            .find(|value| read.contains(&(flag.make)(*value)))
    };
    Attributes(
        rules
            .iter()
            .map(|(flag, _)| (flag.name.into(), value(flag)))
            .collect(),
    )
}

/// Judges the attributes that were read back. `Err` names every deviation: `CKA_DECRYPT is TRUE, not FALSE`.
pub(super) fn judge(rules: &[Rule], read: &[Attribute]) -> Result<Attributes, String> {
    let mut seen = Vec::with_capacity(rules.len());
    let mut deviations = Vec::new();
    for (flag, wanted) in rules {
        let value = [true, false]
            .into_iter()
            .find(|value| read.contains(&(flag.make)(*value)));
        match value {
            Some(value) if value != *wanted => deviations.push(format!(
                "{} is {}, not {}",
                flag.name,
                spoken(value),
                spoken(*wanted)
            )),
            None if !flag.may_be_silent => {
                deviations.push(format!("{} is not reported", flag.name))
            }
            _ => {}
        }
        seen.push((flag.name.into(), value));
    }
    if deviations.is_empty() {
        Ok(Attributes(seen))
    } else {
        Err(deviations.join(", "))
    }
}

fn spoken(value: bool) -> &'static str {
    if value { "TRUE" } else { "FALSE" }
}

#[cfg(test)]
mod tests;
