//! Signatures of a file, and the keys that make them, in the format of `ssh-keygen -Y sign` (SSHSIG: OpenSSH,
//! PROTOCOL.sshsig).
//!
//! ```text
//! signed   = "SSHSIG" · string namespace · string reserved, empty · string hash name · string hash of the file
//! file     = "SSHSIG" · uint32 1 · string public key · string namespace · string reserved · string hash name
//!            · string signature          (base64 between -----BEGIN/END SSH SIGNATURE-----)
//! ```
//! A `string` is its length in four bytes, big-endian, and its bytes (RFC 4251, section 5). byok accepts and
//! refuses what `ssh-keygen -Y verify` accepts and refuses.

mod key;
mod signature;
mod wire;

pub use key::PublicKey;
pub(crate) use key::{Verdict, fingerprint, parse_fingerprint};
pub(crate) use signature::BEGIN;
pub use signature::{Message, Signature, digest_to_sign};
