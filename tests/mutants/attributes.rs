//! The judgement of attributes as a crate of its own, with what it asks of the rest of the house in the least
//! form: see `tests/mutants.sh`.

pub mod hsm {
    pub mod attributes;
}

pub mod ground {
    pub mod facts;
    pub mod strict_json;
    pub mod words;
}

pub mod crypto {
    pub mod spec {
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub enum Spec {
            Symmetric { bytes: usize },
            Hmac,
            Ec,
        }

        impl Spec {
            pub const DEFAULT: Self = Self::Symmetric { bytes: 32 };
            pub const P256: Self = Self::Ec;

            pub fn is_aes(self) -> bool {
                matches!(self, Self::Symmetric { .. })
            }

            pub fn is_private(self) -> bool {
                self == Self::Ec
            }
        }
    }
}
