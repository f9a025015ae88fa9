//! What `C_WrapKey` can do beyond the real module: `CKM_RSA_AES_KEY_WRAP` by its two parts, and private keys in
//! another form than PKCS#8. All keys made on the way are session objects, destroyed at once.

use std::ptr::null_mut;

use cryptoki_sys::*;

use crate::faults::attributes;
use crate::real;
use crate::rules::PrivateAs;
use crate::{Bytes, Len, Mechanism, Object, Proxy, Session, Template, Ulong};

type Outcome<T> = Result<T, CK_RV>;

fn ok(rv: CK_RV) -> Outcome<()> {
    match rv {
        CKR_OK => Ok(()),
        rv => Err(rv),
    }
}

/// `C_WrapKey` where a rule changes what comes out; `None` where none does.
pub fn other(
    proxy: &Proxy,
    session: Session,
    mechanism: Mechanism,
    wrapping: Object,
    key: Object,
    out: Bytes,
    out_len: Len,
) -> Option<CK_RV> {
    // SAFETY: the caller's mechanism
    let asked = unsafe { mechanism.as_ref() }?;
    let in_one_call = asked.mechanism == CKM_RSA_AES_KEY_WRAP && proxy.rules.rsa_aes.is_some();
    if !in_one_call && !is_changed(proxy, session, key) {
        return None;
    }
    let wrapped = match in_one_call {
        true => rsa_aes(proxy, session, asked, wrapping, key),
        false => wrap(proxy, session, *asked, wrapping, key),
    };
    Some(match wrapped {
        Ok(wrapped) => answer(&wrapped, out, out_len),
        Err(rv) => rv,
    })
}

/// As PKCS#11 answers: the length alone, too little room, or the bytes.
fn answer(bytes: &[u8], out: Bytes, out_len: Len) -> CK_RV {
    if out_len.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    // SAFETY: not null; the caller's length
    let room = unsafe { *out_len };
    // SAFETY: as above
    unsafe { *out_len = bytes.len() as Ulong };
    if out.is_null() {
        return CKR_OK;
    }
    if room < bytes.len() as Ulong {
        return CKR_BUFFER_TOO_SMALL;
    }
    // SAFETY: not null, and the caller said that there is room
    unsafe { out.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    CKR_OK
}

/// PKCS#11 v2.40, section 2.1.21: OAEP of an AES key made here, then AES-KWP of the key under it.
fn rsa_aes(
    proxy: &Proxy,
    session: Session,
    asked: &CK_MECHANISM,
    wrapping: Object,
    key: Object,
) -> Outcome<Vec<u8>> {
    if asked.pParameter.is_null()
        || asked.ulParameterLen as usize != size_of::<CK_RSA_AES_KEY_WRAP_PARAMS>()
    {
        return Err(CKR_MECHANISM_PARAM_INVALID);
    }
    // SAFETY: not null, and as long as the structure
    let params = unsafe {
        asked
            .pParameter
            .cast::<CK_RSA_AES_KEY_WRAP_PARAMS>()
            .read_unaligned()
    };
    if params.pOAEPParams.is_null() || params.ulAESKeyBits != 256 {
        return Err(CKR_MECHANISM_PARAM_INVALID);
    }
    // SAFETY: not null, the caller's
    let mut oaep = unsafe { params.pOAEPParams.read_unaligned() };
    if proxy.rules.rsa_aes == Some(true) {
        (oaep.hashAlg, oaep.mgf) = (CKM_SHA_1, CKG_MGF1_SHA1);
    }
    let ephemeral = aes_key(proxy, session)?;
    let mut parts = || {
        let mechanism = CK_MECHANISM {
            mechanism: CKM_RSA_PKCS_OAEP,
            pParameter: (&raw mut oaep).cast(),
            ulParameterLen: size_of::<CK_RSA_PKCS_OAEP_PARAMS>() as Ulong,
        };
        let mut wrapped = plain_wrap(proxy, session, mechanism, wrapping, ephemeral)?;
        wrapped.extend(wrap(proxy, session, KWP, ephemeral, key)?);
        Ok(wrapped)
    };
    let wrapped = parts();
    ok(real!(proxy, C_DestroyObject(session, ephemeral)))?;
    wrapped
}

const KWP: CK_MECHANISM = CK_MECHANISM {
    mechanism: CKM_AES_KEY_WRAP_KWP,
    pParameter: null_mut(),
    ulParameterLen: 0,
};

fn is_changed(proxy: &Proxy, session: Session, key: Object) -> bool {
    proxy.rules.private_as.is_some() && class(proxy, session, key) == Ok(CKO_PRIVATE_KEY)
}

fn class(proxy: &Proxy, session: Session, key: Object) -> Outcome<CK_OBJECT_CLASS> {
    let mut class: CK_OBJECT_CLASS = 0;
    let mut wanted = attribute(CKA_CLASS, &mut class);
    ok(real!(
        proxy,
        C_GetAttributeValue(session, key, &mut wanted, 1)
    ))?;
    Ok(class)
}

/// Wraps the key, or what a rule makes of it.
fn wrap(
    proxy: &Proxy,
    session: Session,
    mechanism: CK_MECHANISM,
    wrapping: Object,
    key: Object,
) -> Outcome<Vec<u8>> {
    let Some(form) = &proxy.rules.private_as else {
        return plain_wrap(proxy, session, mechanism, wrapping, key);
    };
    if !is_changed(proxy, session, key) {
        return plain_wrap(proxy, session, mechanism, wrapping, key);
    }
    let mut bytes = changed(form, taken_out(proxy, session, key)?).ok_or(CKR_GENERAL_ERROR)?;
    let value = CK_ATTRIBUTE {
        type_: CKA_VALUE,
        pValue: bytes.as_mut_ptr().cast(),
        ulValueLen: bytes.len() as Ulong,
    };
    let (mut secret, mut kind, mut yes, mut no) = SECRET;
    let mut template = [
        attribute(CKA_CLASS, &mut secret),
        attribute(CKA_KEY_TYPE, &mut kind),
        attribute(CKA_EXTRACTABLE, &mut yes),
        attribute(CKA_TOKEN, &mut no),
        value,
    ];
    let mut other = 0;
    ok(real!(
        proxy,
        C_CreateObject(
            session,
            template.as_mut_ptr(),
            template.len() as Ulong,
            &mut other
        )
    ))?;
    let wrapped = plain_wrap(proxy, session, mechanism, wrapping, other);
    ok(real!(proxy, C_DestroyObject(session, other)))?;
    wrapped
}

const SECRET: (CK_OBJECT_CLASS, CK_KEY_TYPE, CK_BBOOL, CK_BBOOL) =
    (CKO_SECRET_KEY, CKK_GENERIC_SECRET, CK_TRUE, CK_FALSE);

/// The key's bytes: wrapped, and taken back in as a secret that may be read.
fn taken_out(proxy: &Proxy, session: Session, key: Object) -> Outcome<Vec<u8>> {
    let transport = aes_key(proxy, session)?;
    let mut wrapped = plain_wrap(proxy, session, KWP, transport, key)?;
    let (mut secret, mut kind, mut yes, mut no) = SECRET;
    let mut not_sensitive = CK_FALSE;
    let mut template = [
        attribute(CKA_CLASS, &mut secret),
        attribute(CKA_KEY_TYPE, &mut kind),
        attribute(CKA_EXTRACTABLE, &mut yes),
        attribute(CKA_TOKEN, &mut no),
        attribute(CKA_SENSITIVE, &mut not_sensitive),
    ];
    let (mut mechanism, mut readable) = (KWP, 0);
    ok(real!(
        proxy,
        C_UnwrapKey(
            session,
            &mut mechanism,
            transport,
            wrapped.as_mut_ptr(),
            wrapped.len() as Ulong,
            template.as_mut_ptr(),
            template.len() as Ulong,
            &mut readable,
        )
    ))?;
    let mut bytes = vec![0u8; 4096];
    let mut value = CK_ATTRIBUTE {
        type_: CKA_VALUE,
        pValue: bytes.as_mut_ptr().cast(),
        ulValueLen: bytes.len() as Ulong,
    };
    ok(real!(
        proxy,
        C_GetAttributeValue(session, readable, &mut value, 1)
    ))?;
    bytes.truncate(value.ulValueLen as usize);
    ok(real!(proxy, C_DestroyObject(session, readable)))?;
    ok(real!(proxy, C_DestroyObject(session, transport)))?;
    Ok(bytes)
}

/// The PKCS#8 as the rule says.
fn changed(form: &PrivateAs, mut pkcs8: Vec<u8>) -> Option<Vec<u8>> {
    match form {
        PrivateAs::Longer(more) => {
            pkcs8.resize(pkcs8.len() + more, 0);
            Some(pkcs8)
        }
        PrivateAs::Inner => inner(&pkcs8),
    }
}

/// The key in a PKCS#8: behind version and algorithm, in an OCTET STRING.
fn inner(pkcs8: &[u8]) -> Option<Vec<u8>> {
    let (_, body, _) = element(pkcs8)?;
    let (_, _, after_version) = element(body)?;
    let (_, _, after_algorithm) = element(after_version)?;
    let (tag, key, _) = element(after_algorithm)?;
    (tag == 4).then(|| key.to_vec())
}

/// Whether such a template of a public key asks for P-256: OBJECT IDENTIFIER 1.2.840.10045.3.1.7.
pub fn is_p256(template: Template, count: Ulong) -> bool {
    const P256: [u8; 10] = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
    // SAFETY: the caller's template, as PKCS#11 asks
    unsafe { attributes(template, count) }.iter().any(|a| {
        let whole = a.type_ == CKA_EC_PARAMS && a.ulValueLen == P256.len() as Ulong;
        // SAFETY: as long as it says
        whole && unsafe { std::slice::from_raw_parts(a.pValue.cast::<u8>(), P256.len()) } == P256
    })
}

/// Whether the private value of a key on P-256 begins with a zero byte, which some modules then leave out.
pub fn is_short(proxy: &Proxy, session: Session, key: Object) -> Outcome<bool> {
    let pkcs8 = taken_out(proxy, session, key)?;
    let value = || {
        let inner = inner(&pkcs8)?;
        let (_, body, _) = element(&inner)?;
        let (_, _, after_version) = element(body)?;
        let (_, value, _) = element(after_version)?;
        Some(value.len() < 32 || value[0] == 0)
    };
    value().ok_or(CKR_GENERAL_ERROR)
}

/// Tag, value and what comes after one DER element.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, len) = (*der.first()?, usize::from(*der.get(1)?));
    let (header, len) = match len {
        0..0x80 => (2, len),
        _ => {
            let bytes = der.get(2..2 + (len & 0x7f))?;
            let len = bytes
                .iter()
                .fold(0, |len, byte| len << 8 | usize::from(*byte));
            (2 + bytes.len(), len)
        }
    };
    let value = der.get(header..header + len)?;
    Some((tag, value, &der[header + len..]))
}

fn plain_wrap(
    proxy: &Proxy,
    session: Session,
    mut mechanism: CK_MECHANISM,
    wrapping: Object,
    key: Object,
) -> Outcome<Vec<u8>> {
    let mut out = vec![0u8; 8192];
    let mut len = out.len() as Ulong;
    ok(real!(
        proxy,
        C_WrapKey(
            session,
            &mut mechanism,
            wrapping,
            key,
            out.as_mut_ptr(),
            &mut len
        )
    ))?;
    out.truncate(len as usize);
    Ok(out)
}

fn aes_key(proxy: &Proxy, session: Session) -> Outcome<Object> {
    let (mut yes, mut also, mut too, mut no) = (CK_TRUE, CK_TRUE, CK_TRUE, CK_FALSE);
    let mut len: Ulong = 32;
    let mut template = [
        attribute(CKA_VALUE_LEN, &mut len),
        attribute(CKA_WRAP, &mut yes),
        attribute(CKA_UNWRAP, &mut also),
        attribute(CKA_EXTRACTABLE, &mut too),
        attribute(CKA_TOKEN, &mut no),
    ];
    let mut mechanism = CK_MECHANISM {
        mechanism: CKM_AES_KEY_GEN,
        pParameter: null_mut(),
        ulParameterLen: 0,
    };
    let mut key = 0;
    ok(real!(
        proxy,
        C_GenerateKey(
            session,
            &mut mechanism,
            template.as_mut_ptr(),
            template.len() as Ulong,
            &mut key
        )
    ))?;
    Ok(key)
}

fn attribute<T>(kind: CK_ATTRIBUTE_TYPE, value: &mut T) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE {
        type_: kind,
        pValue: (&raw mut *value).cast(),
        ulValueLen: size_of::<T>() as Ulong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_in_a_pkcs8_is_found() {
        let pkcs8 = [0x30, 10, 2, 1, 0, 0x30, 1, 5, 4, 2, 7, 8];
        assert_eq!(inner(&pkcs8), Some(vec![7, 8]));
        let mut long = vec![0x30, 0x82, 1, 9, 2, 1, 0, 0x30, 0, 4, 0x82, 1, 0];
        long.resize(13 + 256, 9);
        assert_eq!(inner(&long), Some(vec![9; 256]));
        assert_eq!(inner(&pkcs8[..9]), None);
    }
}
