//! Which of several files is the public key and which the import token, and their contents.

use super::text::{self, DOWNLOAD};
use super::{Form, ImportParameters, bare};
use crate::crypto::wrapping::key::is_pem;
use crate::ground::error::{Error, Result};

/// The names of public key and import token: those of the console, of the AWS documentation, and of the AWS
/// workshops; each with `.bin` or `.b64`.
const KEY_STEMS: [&str; 3] = ["WrappingPublicKey", "PublicKey", "pkey"];
const TOKEN_STEMS: [&str; 2] = ["ImportToken", "token"];
/// In the console's older names, the key id and a time follow.
const OLD_KEY: &str = "wrappingKey_";
const OLD_TOKEN: &str = "importToken_";

const NAMES: &str = "the two files are called WrappingPublicKey.bin and ImportToken.bin (console), PublicKey and ImportToken or pkey and token with .bin or .b64";

/// The one public key and the one import token among `names`.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    /// The name of the public key's file.
    pub key: &'a str,
    /// The same in base64, if both are there: `pkey.b64` beside `pkey.bin`.
    pub key_twin: Option<&'a str>,
    /// The name of the import token's file.
    pub token: &'a str,
    /// The same in base64.
    pub token_twin: Option<&'a str>,
}

impl<'a> Pair<'a> {
    /// Picks the pair.
    ///
    /// # Errors
    /// Exit 2: one is missing, or there is more than one candidate. Exit 4: the console's older names
    /// name two KMS keys.
    pub(crate) fn of(names: impl Iterator<Item = &'a str>) -> Result<Self> {
        let names: Vec<&str> = names.collect();
        let (key, key_twin) = only(&names, "public key", |name| {
            is_part(name, &KEY_STEMS, OLD_KEY)
        })?;
        let (token, token_twin) = only(&names, "import token", is_token_name)?;
        let pair = Self {
            key,
            key_twin,
            token,
            token_twin,
        };
        pair.judge_old_names()?;
        Ok(pair)
    }

    /// Each file that is also there in base64, with that file.
    pub(crate) fn twins(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let key = self.key_twin.map(|twin| (self.key, twin));
        let token = self.token_twin.map(|twin| (self.token, twin));
        key.into_iter().chain(token)
    }

    fn judge_old_names(&self) -> Result<()> {
        let key_id = |name: &'a str, prefix| {
            let rest: &str = name.strip_prefix(prefix)?;
            rest.split('_').next()
        };
        match (key_id(self.key, OLD_KEY), key_id(self.token, OLD_TOKEN)) {
            (Some(a), Some(b)) if a != b => Err(Error::mismatch(format!(
                "`{}` and `{}` belong to two KMS keys",
                self.key, self.token
            ))
            .hint(DOWNLOAD)),
            _ => Ok(()),
        }
    }
}

/// Import parameters from the content of the two files.
pub(super) fn assemble(
    form: Form,
    pair: &Pair<'_>,
    key: &[u8],
    token: &[u8],
) -> Result<ImportParameters> {
    let spki = content(pair.key, key)?;
    let token = content(pair.token, token)?;
    bare(form, &spki, token)
}

/// Whether a file of this name holds an import token.
pub(crate) fn is_token_name(name: &str) -> bool {
    is_part(name, &TOKEN_STEMS, OLD_TOKEN)
}

fn is_part(name: &str, stems: &[&str], old_prefix: &str) -> bool {
    let stem = name
        .strip_suffix(".bin")
        .or_else(|| name.strip_suffix(".b64"));
    name.starts_with(old_prefix) || stem.is_some_and(|stem| stems.contains(&stem))
}

/// The one file that fits, and the same in base64: the workshops' `base64 -d pkey.b64 > pkey.bin` leaves both.
fn only<'a>(
    names: &[&'a str],
    what: &str,
    is: impl Fn(&str) -> bool,
) -> Result<(&'a str, Option<&'a str>)> {
    let mut found: Vec<&str> = names.iter().copied().filter(|name| is(name)).collect();
    found.sort_unstable();
    match found.as_slice() {
        [one] => Ok((one, None)),
        [base64, binary] if are_twins(base64, binary) => Ok((binary, Some(base64))),
        [] => {
            let other = names
                .iter()
                .find(|name| name.ends_with(".json") || name.ends_with(".zip"));
            let error = Error::usage(format!("holds no {what}")).hint(NAMES);
            Err(match other {
                Some(file) => error.hint(format!("or name the file itself in the plan: {file}")),
                None => error,
            })
        }
        several => Err(Error::usage(format!(
            "is ambiguous: more than one {what} ({})",
            several.join(", ")
        ))
        .hint("keep only one pair of public key and import token there, from the same download")),
    }
}

fn are_twins(base64: &str, binary: &str) -> bool {
    let stem = base64.strip_suffix(".b64");
    stem.is_some() && stem == binary.strip_suffix(".bin")
}

/// A file and the same file in base64, side by side, must say the same.
///
/// # Errors
/// Exit 2 if their contents differ.
pub(super) fn same_content(name: &str, bytes: &[u8], twin: &str, twin_bytes: &[u8]) -> Result<()> {
    if content(name, bytes)? == content(twin, twin_bytes)? {
        return Ok(());
    }
    Err(
        Error::usage(format!("`{name}` and `{twin}` hold different bytes")).hint(
            "keep only one pair of public key and import token there, from the same download",
        ),
    )
}

/// The binary content of a file, which may be binary or base64. The content decides, because people's extensions are
/// not reliable; neither a DER key nor a real token is base64 by chance.
fn content(name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    if bytes.is_empty() {
        return Err(Error::usage(format!("`{name}` is empty")).hint(DOWNLOAD));
    }
    if let Some(decoded) = text::from_base64(bytes) {
        return Ok(decoded);
    }
    match text::decode(bytes) {
        Some(text) if name.ends_with(".b64") && !is_pem(bytes) => Err(Error::usage(format!(
            "`{name}` {}",
            text::not_base64(&text)
        ))
        .hint("write it with --query and --output text: JSON output adds quotation marks")
        .hint(DOWNLOAD)),
        _ => Ok(bytes.to_vec()),
    }
}
