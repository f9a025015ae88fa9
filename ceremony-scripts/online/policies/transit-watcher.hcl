# Whoever watches: what the engine tells about the key.
path "transit/keys/payments" {
  capabilities = ["read"]
}
