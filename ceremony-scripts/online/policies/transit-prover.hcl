# Whoever proves: the public half of a pair, the answer of an AES key to the challenge, the HMAC of an HMAC key. No
# policy sees a text: for as long as this is attached, it may decrypt anything under this key.
path "transit/keys/payments" {
  capabilities = ["read"]
}

path "transit/decrypt/payments" {
  capabilities = ["update"]
}

path "transit/hmac/payments/*" {
  capabilities = ["update"]
}
