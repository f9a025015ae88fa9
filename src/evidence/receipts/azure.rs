//! Answers of Azure about a key of a vault: `az keyvault key show`, `import` and `decrypt`.

use base64ct::{Base64, Encoding as _};

use super::engine::{BY_CHALLENGE, EngineKey, Reader, text, whole};
use crate::crypto::spec::{Curve, Spec};
use crate::crypto::wrapping::key::WrappingKey;
use crate::crypto::wrapping::public;
use crate::ground::error::{Error, Result};
use crate::ground::strict_json::Json;
use crate::plan::kms::azure::{WORD, identified};

/// How it answers.
pub(super) const READER: Reader = Reader {
    kms: &[WORD],
    member: "kty",
    is_of: whole,
    in_result: told,
    answered,
    kinds: |spec| {
        vec![match spec {
            Spec::Rsa { .. } => "RSA-HSM",
            Spec::Ec(_) => "EC-HSM",
            _ => "oct-HSM",
        }]
    },
    prove: " --out proof.json",
    symmetric: |_| Some(BY_CHALLENGE),
};

/// The answer about a key, or what the key decrypted, as the command prints it in JSON; `None`: another answer.
fn answered(json: &Json) -> Option<Result<EngineKey>> {
    let key = json.get("key").filter(|key| key.get("kid").is_some());
    let decrypted = json.get("kid").is_some() && json.get("result").is_some();
    key.or(decrypted.then_some(json)).map(told)
}

/// The members about a key. The public key is the one that they make: an answer has it in parts.
fn told(json: &Json) -> Result<EngineKey> {
    let url = text(json, "kid").map(|kid| {
        let key = identified(&kid);
        key.map(|(key, _)| key.as_str().to_owned())
            .ok_or_else(|| Error::usage("`kid` is not a vault's identifier of a key"))
    });
    Ok(EngineKey {
        url: url.transpose()?,
        key_type: text(json, "kty"),
        public_key: spki(json)?.map(|spki| public::to_pem(&spki)),
        plaintext: text(json, "result"),
        ..EngineKey::default()
    })
}

fn spki(json: &Json) -> Result<Option<Vec<u8>>> {
    let no_key = |_| Error::usage("its members are not those of a public key");
    let bytes = |name: &str| {
        let bytes = Base64::decode_vec(&text(json, name).unwrap_or_default());
        bytes.map_err(|_| Error::usage(format!("`{name}` is not base64")))
    };
    let kty = text(json, "kty").unwrap_or_default();
    match kty.trim_end_matches("-HSM") {
        "RSA" => {
            let key = WrappingKey::from_parts(&bytes("n")?, &bytes("e")?).map_err(no_key)?;
            Ok(Some(key.spki_der().to_vec()))
        }
        "EC" => {
            let curve = curve(&text(json, "crv").unwrap_or_default());
            let curve =
                curve.ok_or_else(|| Error::usage("has a `crv` that is no curve of byok"))?;
            let mut point = vec![4];
            for name in ["x", "y"] {
                let number = bytes(name)?;
                let zeros = curve.bytes().saturating_sub(number.len());
                point.resize(point.len() + zeros, 0); // leading zeros may be left out
                point.extend(number);
            }
            public::from_point(curve, &point).map(Some).map_err(no_key)
        }
        _ => Ok(None),
    }
}

fn curve(name: &str) -> Option<Curve> {
    let mut all = [Curve::P256, Curve::P384, Curve::P521, Curve::Secp256k1].into_iter();
    match name {
        "SECP256K1" => Some(Curve::Secp256k1), // as older answers say it
        _ => all.find(|curve| curve_name(*curve) == name),
    }
}

/// Azure's name for a curve.
pub(crate) fn curve_name(curve: Curve) -> &'static str {
    match curve {
        Curve::P256 => "P-256",
        Curve::P384 => "P-384",
        Curve::P521 => "P-521",
        Curve::Secp256k1 => "P-256K",
    }
}
