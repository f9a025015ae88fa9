//! The wrapper's context and session; each call is visible while it is under way ([`super::under_way`]).

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, Result, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::{Session as Inner, SessionInfo, UserType};
use cryptoki::slot::{Slot, SlotInfo};
use cryptoki::types::{AuthPin, RawAuthPin};
use cryptoki_sys::{CK_INFO, CK_TOKEN_INFO};

use super::other_list;
use super::under_way::seen;
use crate::ground::raw::Functions;

/// The CKA_IDs of the token objects that a module said it made, in whatever session.
type Made = Arc<Mutex<Vec<Vec<u8>>>>;

/// A loaded module.
#[derive(Clone)]
pub(super) struct Context {
    module: Pkcs11,
    functions: Arc<Functions>,
    made: Made,
}

impl Context {
    pub(crate) fn new(module: &Path) -> Result<Self> {
        let load = || -> Result<_> { Ok((Pkcs11::new(module)?, Functions::of(module)?)) };
        let (loaded, functions) = seen("C_GetFunctionList", load)?;
        Ok(Self {
            module: loaded,
            functions: Arc::new(functions),
            made: Made::default(),
        })
    }

    /// A module without locks of its own also works: byok makes one call after the other.
    pub(crate) fn initialize(&self) -> Result<()> {
        let with = |flags| {
            let arguments = CInitializeArgs::new(flags);
            seen("C_Initialize", || self.module.initialize(arguments))
        };
        match with(CInitializeFlags::OS_LOCKING_OK) {
            Err(Error::Pkcs11(RvError::CantLock, _)) => with(CInitializeFlags::empty()),
            answered => answered,
        }
    }

    pub(crate) fn get_library_info(&self) -> Result<CK_INFO> {
        seen("C_GetInfo", || match self.functions.info() {
            answered if other_list::is_another(&answered) => other_list::info(&self.module),
            answered => answered,
        })
    }

    pub(crate) fn get_slots_with_token(&self) -> Result<Vec<Slot>> {
        seen("C_GetSlotList", || self.module.get_slots_with_token())
    }

    pub(crate) fn get_slot_info(&self, slot: Slot) -> Result<SlotInfo> {
        seen("C_GetSlotInfo", || self.module.get_slot_info(slot))
    }

    pub(crate) fn get_token_info(&self, slot: Slot) -> Result<CK_TOKEN_INFO> {
        seen("C_GetTokenInfo", || {
            match self.functions.token_info(slot.id()) {
                answered if other_list::is_another(&answered) => {
                    other_list::token_info(&self.module, slot)
                }
                answered => answered,
            }
        })
    }

    pub(crate) fn init_token(&self, slot: Slot, pin: &AuthPin, label: &str) -> Result<()> {
        seen("C_InitToken", || self.module.init_token(slot, pin, label))
    }

    pub(crate) fn open_rw_session(&self, slot: Slot) -> Result<Session> {
        let opened = seen("C_OpenSession", || self.module.open_rw_session(slot));
        opened.map(|session| Session {
            inner: Some(session),
            functions: Arc::clone(&self.functions),
            made: Arc::clone(&self.made),
        })
    }
}

/// An open session. Dropping it closes the session.
pub(super) struct Session {
    inner: Option<Inner>,
    functions: Arc<Functions>,
    made: Made,
}

impl Drop for Session {
    fn drop(&mut self) {
        let session = self.inner.take();
        seen("C_CloseSession", || drop(session));
    }
}

impl Session {
    /// The wrapper's session; it is there until this value is dropped.
    fn inner(&self) -> &Inner {
        let Some(session) = &self.inner else {
            unreachable!("a session is closed by dropping it")
        };
        session
    }

    fn made(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a call that made an object from this template.
    fn noted<T>(&self, answered: Result<T>, template: &[Attribute]) -> Result<T> {
        if answered.is_ok() && template.contains(&Attribute::Token(true)) {
            let ids = template.iter().filter_map(|attribute| match attribute {
                Attribute::Id(id) => Some(id.clone()),
                _ => None,
            });
            self.made().extend(ids);
        }
        answered
    }

    /// Whether the module said that it made a token object with this CKA_ID that was not destroyed since.
    pub(crate) fn has_made(&self, id: &[u8]) -> bool {
        self.made().iter().any(|made| made == id)
    }

    /// Says that the object with this CKA_ID was destroyed.
    pub(crate) fn is_gone(&self, id: &[u8]) {
        self.made().retain(|made| made != id);
    }

    pub(crate) fn get_session_info(&self) -> Result<SessionInfo> {
        seen("C_GetSessionInfo", || self.inner().get_session_info())
    }

    pub(crate) fn login(&self, user: UserType, pin: Option<&AuthPin>) -> Result<()> {
        seen("C_Login", || self.inner().login(user, pin))
    }

    pub(crate) fn login_with_raw(&self, user: UserType, pin: &RawAuthPin) -> Result<()> {
        seen("C_Login", || self.inner().login_with_raw(user, pin))
    }

    pub(crate) fn logout(&self) -> Result<()> {
        seen("C_Logout", || self.inner().logout())
    }

    pub(crate) fn init_pin(&self, pin: &AuthPin) -> Result<()> {
        seen("C_InitPIN", || self.inner().init_pin(pin))
    }

    pub(crate) fn generate_random_slice(&self, bytes: &mut [u8]) -> Result<()> {
        let inner = self.inner();
        seen("C_GenerateRandom", || inner.generate_random_slice(bytes))
    }

    pub(crate) fn find_objects(&self, template: &[Attribute]) -> Result<Vec<ObjectHandle>> {
        seen("C_FindObjects", || self.inner().find_objects(template))
    }

    pub(crate) fn get_attributes(
        &self,
        object: ObjectHandle,
        wanted: &[AttributeType],
    ) -> Result<Vec<Attribute>> {
        seen("C_GetAttributeValue", || {
            self.inner().get_attributes(object, wanted)
        })
    }

    pub(crate) fn update_attributes(&self, object: ObjectHandle, new: &[Attribute]) -> Result<()> {
        seen("C_SetAttributeValue", || {
            self.inner().update_attributes(object, new)
        })
    }

    pub(crate) fn create_object(&self, template: &[Attribute]) -> Result<ObjectHandle> {
        let made = seen("C_CreateObject", || self.inner().create_object(template));
        self.noted(made, template)
    }

    pub(crate) fn copy_object(
        &self,
        from: ObjectHandle,
        template: &[Attribute],
    ) -> Result<ObjectHandle> {
        let made = seen("C_CopyObject", || self.inner().copy_object(from, template));
        self.noted(made, template)
    }

    pub(crate) fn destroy_object(&self, object: ObjectHandle) -> Result<()> {
        seen("C_DestroyObject", || self.inner().destroy_object(object))
    }

    pub(crate) fn generate_key(
        &self,
        mechanism: &Mechanism,
        template: &[Attribute],
    ) -> Result<ObjectHandle> {
        let made = seen("C_GenerateKey", || {
            self.inner().generate_key(mechanism, template)
        });
        self.noted(made, template)
    }

    pub(crate) fn generate_key_pair(
        &self,
        mechanism: &Mechanism,
        public: &[Attribute],
        private: &[Attribute],
    ) -> Result<(ObjectHandle, ObjectHandle)> {
        let made = seen("C_GenerateKeyPair", || {
            self.inner().generate_key_pair(mechanism, public, private)
        });
        self.noted(made, private)
    }

    pub(crate) fn encrypt(
        &self,
        mechanism: &Mechanism,
        key: ObjectHandle,
        data: &[u8],
    ) -> Result<Vec<u8>> {
        seen("C_EncryptInit or C_Encrypt", || {
            self.inner().encrypt(mechanism, key, data)
        })
    }

    pub(crate) fn sign(
        &self,
        mechanism: &Mechanism,
        key: ObjectHandle,
        data: &[u8],
    ) -> Result<Vec<u8>> {
        seen("C_SignInit or C_Sign", || {
            self.inner().sign(mechanism, key, data)
        })
    }

    /// Writes into this buffer, and returns it with the length that the module says.
    pub(crate) fn wrap_key(
        &self,
        mechanism: &Mechanism,
        wrapping: ObjectHandle,
        key: ObjectHandle,
        buffer: Vec<u8>,
    ) -> Result<(Vec<u8>, u64)> {
        let session = self.inner().handle();
        seen("C_WrapKey", || {
            let answered = self
                .functions
                .wrap_key(session, mechanism, wrapping, key, buffer);
            if !other_list::is_another(&answered) {
                return answered;
            }
            let wrapped = self.inner().wrap_key(mechanism, wrapping, key)?;
            let len = wrapped.len() as u64;
            Ok((wrapped, len))
        })
    }

    pub(crate) fn unwrap_key(
        &self,
        mechanism: &Mechanism,
        unwrapping: ObjectHandle,
        wrapped: &[u8],
        template: &[Attribute],
    ) -> Result<ObjectHandle> {
        let made = seen("C_UnwrapKey", || {
            self.inner()
                .unwrap_key(mechanism, unwrapping, wrapped, template)
        });
        self.noted(made, template)
    }
}
