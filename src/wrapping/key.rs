//! The RSA public key that KMS gave us.
