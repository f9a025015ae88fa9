//! The chain of a transcript as a crate of its own, with what it asks of the rest of the house in the least
//! form: see `tests/mutants.sh`.

pub mod strict_json;
pub mod words;

pub mod transcript {
    pub mod chain;

    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct VoidShares {
        pub ceremony: String,
        pub shares: Vec<VoidShare>,
    }

    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct VoidShare {
        pub share: u64,
        pub custodian: String,
        pub handed_out: bool,
    }
}

pub mod hsm {
    use crate::words;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct KeyId([u8; 16]);

    impl KeyId {
        pub fn from_hex(text: &str) -> Option<Self> {
            words::unhex(text)?.try_into().ok().map(Self)
        }
    }

    impl std::fmt::Display for KeyId {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&words::hex(&self.0))
        }
    }
}

pub mod spec {
    #[derive(Clone, Copy)]
    pub enum Spec {
        Secret,
        Private,
    }

    impl Spec {
        pub fn parse(name: &str) -> Result<Self, ()> {
            match name {
                "SYMMETRIC_DEFAULT" => Ok(Self::Secret),
                "ECC_NIST_P256" => Ok(Self::Private),
                _ => Err(()),
            }
        }

        pub fn is_private(self) -> bool {
            matches!(self, Self::Private)
        }
    }
}

pub mod plan {
    pub fn is_name(name: &str) -> bool {
        !name.is_empty() && name.trim() == name && crate::words::is_printable(name)
    }
}
