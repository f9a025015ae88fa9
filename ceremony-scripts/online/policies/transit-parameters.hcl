# Whoever fetches the wrapping key, and whoever writes the slip.
path "transit/wrapping_key" {
  capabilities = ["read"]
}
