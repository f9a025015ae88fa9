# Whoever imports. A name that is free, once: no next version, no key that the engine makes itself.
path "transit/keys/payments/import" {
  capabilities = ["create", "update"]
}

# import.sh looks before and after.
path "transit/keys/payments" {
  capabilities = ["read"]
}
