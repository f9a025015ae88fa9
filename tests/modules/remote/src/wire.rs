//! What goes over the socket. A question is a length, the name of a function and its arguments; an answer
//! is a length, the return value and what the function tells. Both ends are of one machine: numbers and
//! structures go as they lie in memory, each after its length where it has one.

/// The longest question or answer, in bytes: a wrapped RSA key and a few attributes fit many times.
pub const LONGEST: usize = 1 << 17;

/// A pointer that was null, in the place of a length.
const NULL: u64 = u64::MAX;

/// Bytes that are wiped when they are done with: PINs and keys come by.
pub struct Buffer {
    bytes: Vec<u8>,
    len: usize,
}

impl Buffer {
    pub fn new() -> Self {
        Self {
            bytes: vec![0; LONGEST],
            len: 0,
        }
    }

    /// What was put so far.
    pub fn filled(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Room for `len` bytes that come from elsewhere; `None` where that is too long.
    pub fn room(&mut self, len: usize) -> Option<&mut [u8]> {
        self.len = len;
        self.bytes.get_mut(..len)
    }

    /// What is too long for the buffer is cut off: the other side then finds it too short, and says so.
    pub fn put(&mut self, bytes: &[u8]) {
        let end = (self.len + bytes.len()).min(LONGEST);
        let fits = end - self.len;
        self.bytes[self.len..end].copy_from_slice(&bytes[..fits]);
        self.len = end;
    }

    pub fn number(&mut self, number: u64) {
        self.put(&number.to_ne_bytes());
    }

    /// A length and so many bytes; `None` is a null pointer.
    pub fn sized(&mut self, bytes: Option<&[u8]>) {
        self.number(bytes.map_or(NULL, |bytes| bytes.len() as u64));
        self.put(bytes.unwrap_or_default());
    }

    pub fn wipe(&mut self) {
        for byte in &mut self.bytes[..self.len] {
            // SAFETY: a place of this very buffer; volatile, so that the writing is not left out
            unsafe { std::ptr::write_volatile(byte, 0) };
        }
        self.len = 0;
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// Reads what the other side put; `None` wherever that is not there.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn number(&mut self) -> Option<u64> {
        Some(u64::from_ne_bytes(self.take(8)?.try_into().ok()?))
    }

    /// The inner `None` is a null pointer.
    pub fn sized(&mut self) -> Option<Option<&'a [u8]>> {
        match self.number()? {
            NULL => Some(None),
            len => self.take(usize::try_from(len).ok()?).map(Some),
        }
    }
}

/// Every function that is forwarded: its arguments as PKCS#11 has them, and behind `=` what they are for
/// the wire. A kind is a function of that name on either side.
macro_rules! functions {
    ($for_each:ident) => {
        $for_each! {
            C_Initialize(args: Void) = nothing(args);
            C_Finalize(reserved: Void) = nothing(reserved);
            C_GetInfo(info: *mut CK_INFO) = told(info);
            C_GetSlotList(present: CK_BBOOL, slots: *mut CK_SLOT_ID, count: Len) = flag(present) list(slots, count);
            C_GetSlotInfo(slot: Ulong, info: *mut CK_SLOT_INFO) = number(slot) told(info);
            C_GetTokenInfo(slot: Ulong, info: *mut CK_TOKEN_INFO) = number(slot) told(info);
            C_GetMechanismList(slot: Ulong, kinds: *mut CK_MECHANISM_TYPE, count: Len) = number(slot) list(kinds, count);
            C_GetMechanismInfo(slot: Ulong, kind: Ulong, info: *mut CK_MECHANISM_INFO) = number(slot) number(kind) told(info);
            C_OpenSession(slot: Ulong, flags: Ulong, app: Void, notify: CK_NOTIFY, session: Handle)
                = number(slot) number(flags) nothing(app) no_callback(notify) told(session);
            C_CloseSession(session: Ulong) = number(session);
            C_CloseAllSessions(slot: Ulong) = number(slot);
            C_GetSessionInfo(session: Ulong, info: *mut CK_SESSION_INFO) = number(session) told(info);
            C_Login(session: Ulong, user: Ulong, pin: Bytes, pin_len: Ulong) = number(session) number(user) bytes(pin, pin_len);
            C_Logout(session: Ulong) = number(session);
            C_CreateObject(session: Ulong, template: Template, count: Ulong, object: Handle)
                = number(session) attributes(template, count) told(object);
            C_DestroyObject(session: Ulong, object: Ulong) = number(session) number(object);
            C_GetAttributeValue(session: Ulong, object: Ulong, template: Template, count: Ulong)
                = number(session) number(object) asked(template, count);
            C_SetAttributeValue(session: Ulong, object: Ulong, template: Template, count: Ulong)
                = number(session) number(object) attributes(template, count);
            C_FindObjectsInit(session: Ulong, template: Template, count: Ulong) = number(session) attributes(template, count);
            C_FindObjects(session: Ulong, objects: Handle, most: Ulong, count: Len) = number(session) found(objects, most, count);
            C_FindObjectsFinal(session: Ulong) = number(session);
            C_EncryptInit(session: Ulong, mechanism: Mechanism, key: Ulong) = number(session) chosen(mechanism) number(key);
            C_Encrypt(session: Ulong, data: Bytes, data_len: Ulong, out: Bytes, out_len: Len)
                = number(session) bytes(data, data_len) room(out, out_len);
            C_DecryptInit(session: Ulong, mechanism: Mechanism, key: Ulong) = number(session) chosen(mechanism) number(key);
            C_Decrypt(session: Ulong, data: Bytes, data_len: Ulong, out: Bytes, out_len: Len)
                = number(session) bytes(data, data_len) room(out, out_len);
            C_SignInit(session: Ulong, mechanism: Mechanism, key: Ulong) = number(session) chosen(mechanism) number(key);
            C_Sign(session: Ulong, data: Bytes, data_len: Ulong, out: Bytes, out_len: Len)
                = number(session) bytes(data, data_len) room(out, out_len);
            C_VerifyInit(session: Ulong, mechanism: Mechanism, key: Ulong) = number(session) chosen(mechanism) number(key);
            C_Verify(session: Ulong, data: Bytes, data_len: Ulong, signature: Bytes, signature_len: Ulong)
                = number(session) bytes(data, data_len) bytes(signature, signature_len);
            C_GenerateKey(session: Ulong, mechanism: Mechanism, template: Template, count: Ulong, key: Handle)
                = number(session) chosen(mechanism) attributes(template, count) told(key);
            C_GenerateKeyPair(session: Ulong, mechanism: Mechanism, public: Template, public_count: Ulong,
                              private: Template, private_count: Ulong, public_key: Handle, private_key: Handle)
                = number(session) chosen(mechanism) attributes(public, public_count) attributes(private, private_count)
                  told(public_key) told(private_key);
            C_WrapKey(session: Ulong, mechanism: Mechanism, wrapping: Ulong, key: Ulong, out: Bytes, out_len: Len)
                = number(session) chosen(mechanism) number(wrapping) number(key) room(out, out_len);
            C_UnwrapKey(session: Ulong, mechanism: Mechanism, unwrapping: Ulong, wrapped: Bytes, wrapped_len: Ulong,
                        template: Template, count: Ulong, key: Handle)
                = number(session) chosen(mechanism) number(unwrapping) bytes(wrapped, wrapped_len)
                  attributes(template, count) told(key);
            C_GenerateRandom(session: Ulong, out: Bytes, out_len: Ulong) = number(session) filled(out, out_len);
        }
    };
}
pub(crate) use functions;

pub mod types {
    use cryptoki_sys::*;

    pub type Ulong = CK_ULONG;
    pub type Len = *mut CK_ULONG;
    pub type Bytes = *mut CK_BYTE;
    pub type Mechanism = *mut CK_MECHANISM;
    pub type Template = *mut CK_ATTRIBUTE;
    pub type Handle = *mut CK_ULONG;
    pub type Void = *mut std::ffi::c_void;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_read_and_no_more() {
        let mut buffer = Buffer::new();
        buffer.number(7);
        buffer.sized(Some(b"abc"));
        buffer.sized(None);
        let mut reader = Reader(buffer.filled());
        assert_eq!(reader.number(), Some(7));
        assert_eq!(reader.sized(), Some(Some(&b"abc"[..])));
        assert_eq!(reader.sized(), Some(None));
        assert_eq!(reader.number(), None);
        buffer.wipe();
        assert!(buffer.bytes.iter().all(|byte| *byte == 0));
    }
}
