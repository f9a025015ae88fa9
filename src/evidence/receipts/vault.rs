//! Answers of Azure about a key of a vault: `az keyvault key show`, `import` and `decrypt`.

use base64ct::{Base64, Encoding as _};

use super::engine::EngineKey;
use crate::crypto::spec::Curve;
use crate::crypto::wrapping::key::WrappingKey;
use crate::crypto::wrapping::public;
use crate::ground::error::{Error, Result};
use crate::ground::strict_json::Json;
use crate::plan::kms::azure::{self, VaultKey};

/// Whether `import.sh` says that it imported into a vault.
pub(super) fn is_result(json: &Json) -> bool {
    json.get("kms").and_then(Json::as_str) == Some(azure::WORD)
}

/// The answer about a key, or what the key decrypted, as the command prints it in JSON; `None`: another answer.
pub(super) fn answered(json: &Json) -> Option<Result<EngineKey>> {
    let key = json.get("key").filter(|key| key.get("kid").is_some());
    let decrypted = json.get("kid").is_some() && json.get("result").is_some();
    key.or(decrypted.then_some(json)).map(told)
}

/// The members about a key. The public key is the one that they make: an answer has it in parts.
pub(super) fn told(json: &Json) -> Result<EngineKey> {
    let url = text(json, "kid").map(|kid| {
        let key = VaultKey::identified(kid);
        key.map(|(key, _)| key.as_str().to_owned())
            .ok_or_else(|| Error::usage("`kid` is not a vault's identifier of a key"))
    });
    Ok(EngineKey {
        url: url.transpose()?,
        key_type: text(json, "kty").map(str::to_owned),
        public_key: spki(json)?.map(|spki| public::to_pem(&spki)),
        plaintext: text(json, "result").map(str::to_owned),
        ..EngineKey::default()
    })
}

fn text<'a>(json: &'a Json, name: &str) -> Option<&'a str> {
    json.get(name).and_then(Json::as_str)
}

fn spki(json: &Json) -> Result<Option<Vec<u8>>> {
    let no_key = |_| Error::usage("its members are not those of a public key");
    let bytes = |name: &str| {
        let bytes = Base64::decode_vec(text(json, name).unwrap_or_default());
        bytes.map_err(|_| Error::usage(format!("`{name}` is not base64")))
    };
    match text(json, "kty").map(|kty| kty.trim_end_matches("-HSM")) {
        Some("RSA") => {
            let key = WrappingKey::from_parts(&bytes("n")?, &bytes("e")?).map_err(no_key)?;
            Ok(Some(key.spki_der().to_vec()))
        }
        Some("EC") => {
            let curve = curve(text(json, "crv").unwrap_or_default());
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
    let all = [Curve::P256, Curve::P384, Curve::P521, Curve::Secp256k1];
    match name {
        "SECP256K1" => Some(Curve::Secp256k1), // as older answers say it
        _ => all
            .into_iter()
            .find(|curve| azure::curve_name(*curve) == name),
    }
}
