# A role that nobody has every day: allows the deletion, and deletes.
path "transit/keys/payments" {
  capabilities = ["delete"]
}

path "transit/keys/payments/config" {
  capabilities = ["update"]
  allowed_parameters = {
    "deletion_allowed" = []
  }
}
