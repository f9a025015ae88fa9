# The administrator: switches the engine on.
path "sys/mounts/transit" {
  capabilities = ["create", "update"]
}
