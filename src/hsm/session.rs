//! The wrapper's context and session, each call of which is seen while it is under way ([`super::under_way`]).

use std::path::Path;

use cryptoki::context::{CInitializeArgs, Info, Pkcs11};
use cryptoki::error::Result;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::{Session as Inner, SessionInfo, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::{AuthPin, RawAuthPin};

use super::under_way::seen;

/// A loaded module.
#[derive(Clone)]
pub(super) struct Context(Pkcs11);

impl Context {
    pub fn new(module: &Path) -> Result<Self> {
        seen("C_GetFunctionList", || Pkcs11::new(module)).map(Self)
    }

    pub fn initialize(&self, arguments: CInitializeArgs) -> Result<()> {
        seen("C_Initialize", || self.0.initialize(arguments))
    }

    pub fn get_library_info(&self) -> Result<Info> {
        seen("C_GetInfo", || self.0.get_library_info())
    }

    pub fn get_slots_with_token(&self) -> Result<Vec<Slot>> {
        seen("C_GetSlotList", || self.0.get_slots_with_token())
    }

    pub fn get_token_info(&self, slot: Slot) -> Result<TokenInfo> {
        seen("C_GetTokenInfo", || self.0.get_token_info(slot))
    }

    pub fn init_token(&self, slot: Slot, pin: &AuthPin, label: &str) -> Result<()> {
        seen("C_InitToken", || self.0.init_token(slot, pin, label))
    }

    pub fn open_rw_session(&self, slot: Slot) -> Result<Session> {
        let opened = seen("C_OpenSession", || self.0.open_rw_session(slot));
        opened.map(|session| Session(Some(session)))
    }
}

/// An open session. Dropping it closes it.
pub(super) struct Session(Option<Inner>);

impl Drop for Session {
    fn drop(&mut self) {
        let session = self.0.take();
        seen("C_CloseSession", || drop(session));
    }
}

impl Session {
    /// The wrapper's; it is there until this value is dropped.
    fn inner(&self) -> &Inner {
        let Some(session) = &self.0 else {
            unreachable!("a session is closed by dropping it")
        };
        session
    }

    pub fn get_session_info(&self) -> Result<SessionInfo> {
        seen("C_GetSessionInfo", || self.inner().get_session_info())
    }

    pub fn login(&self, user: UserType, pin: Option<&AuthPin>) -> Result<()> {
        seen("C_Login", || self.inner().login(user, pin))
    }

    pub fn login_with_raw(&self, user: UserType, pin: &RawAuthPin) -> Result<()> {
        seen("C_Login", || self.inner().login_with_raw(user, pin))
    }

    pub fn logout(&self) -> Result<()> {
        seen("C_Logout", || self.inner().logout())
    }

    pub fn init_pin(&self, pin: &AuthPin) -> Result<()> {
        seen("C_InitPIN", || self.inner().init_pin(pin))
    }

    pub fn generate_random_slice(&self, bytes: &mut [u8]) -> Result<()> {
        let inner = self.inner();
        seen("C_GenerateRandom", || inner.generate_random_slice(bytes))
    }

    pub fn find_objects(&self, template: &[Attribute]) -> Result<Vec<ObjectHandle>> {
        seen("C_FindObjects", || self.inner().find_objects(template))
    }

    pub fn get_attributes(
        &self,
        object: ObjectHandle,
        wanted: &[AttributeType],
    ) -> Result<Vec<Attribute>> {
        seen("C_GetAttributeValue", || {
            self.inner().get_attributes(object, wanted)
        })
    }

    pub fn update_attributes(&self, object: ObjectHandle, new: &[Attribute]) -> Result<()> {
        seen("C_SetAttributeValue", || {
            self.inner().update_attributes(object, new)
        })
    }

    pub fn create_object(&self, template: &[Attribute]) -> Result<ObjectHandle> {
        seen("C_CreateObject", || self.inner().create_object(template))
    }

    pub fn destroy_object(&self, object: ObjectHandle) -> Result<()> {
        seen("C_DestroyObject", || self.inner().destroy_object(object))
    }

    pub fn generate_key(
        &self,
        mechanism: &Mechanism,
        template: &[Attribute],
    ) -> Result<ObjectHandle> {
        seen("C_GenerateKey", || {
            self.inner().generate_key(mechanism, template)
        })
    }

    pub fn generate_key_pair(
        &self,
        mechanism: &Mechanism,
        public: &[Attribute],
        private: &[Attribute],
    ) -> Result<(ObjectHandle, ObjectHandle)> {
        seen("C_GenerateKeyPair", || {
            self.inner().generate_key_pair(mechanism, public, private)
        })
    }

    pub fn encrypt(
        &self,
        mechanism: &Mechanism,
        key: ObjectHandle,
        data: &[u8],
    ) -> Result<Vec<u8>> {
        seen("C_EncryptInit or C_Encrypt", || {
            self.inner().encrypt(mechanism, key, data)
        })
    }

    pub fn sign(&self, mechanism: &Mechanism, key: ObjectHandle, data: &[u8]) -> Result<Vec<u8>> {
        seen("C_SignInit or C_Sign", || {
            self.inner().sign(mechanism, key, data)
        })
    }

    pub fn wrap_key(
        &self,
        mechanism: &Mechanism,
        wrapping: ObjectHandle,
        key: ObjectHandle,
    ) -> Result<Vec<u8>> {
        seen("C_WrapKey", || {
            self.inner().wrap_key(mechanism, wrapping, key)
        })
    }

    pub fn unwrap_key(
        &self,
        mechanism: &Mechanism,
        unwrapping: ObjectHandle,
        wrapped: &[u8],
        template: &[Attribute],
    ) -> Result<ObjectHandle> {
        seen("C_UnwrapKey", || {
            self.inner()
                .unwrap_key(mechanism, unwrapping, wrapped, template)
        })
    }
}
