"""The vendor's Python client, `azure-keyvault-keys`, for the vault of the tests. It prints as `az` of azure-cli 2.91 does
with `-o json`.

usage: client.py ADDRESS CA kek NAME BITS
                            pem NAME
                            show NAME [VERSION]
                            versions NAME
                            import NAME FILE KTY CURVE OPERATION...
                            decrypt NAME VERSION ALGORITHM VALUE IV TAG
                            delete NAME
                            purge NAME
"""

import base64
import json
import os
import sys
import time

from azure.core.credentials import AccessToken
from azure.keyvault.keys import JsonWebKey, KeyClient
from azure.keyvault.keys.crypto import EncryptionAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class Credential:
    def get_token(self, *_, **__):
        return AccessToken(os.environ.get("BYOK_TEST_TOKEN", "of.a.test"), int(time.time()) + 3600)


def camel(name):
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def shown(key):
    def member(name):
        value = getattr(key.key, name, None)
        return base64.b64encode(value).decode() if isinstance(value, bytes) else value

    def at(value):
        return value.isoformat() if value else None

    of = key.properties
    fields = ("kid", "kty", "key_ops", "n", "e", "d", "dp", "dq", "qi", "p", "q", "k", "t", "crv", "x", "y")
    return {
        "attributes": {
            "created": at(of.created_on), "enabled": of.enabled, "expires": at(of.expires_on),
            "exportable": of.exportable, "hsmPlatform": of.hsm_platform, "notBefore": at(of.not_before),
            "recoverableDays": of.recoverable_days, "recoveryLevel": of.recovery_level, "updated": at(of.updated_on),
        },
        "key": {camel(name): member(name) for name in fields},
        "managed": of.managed,
        "releasePolicy": None,
        "tags": of.tags,
    }


def main(address, ca, verb, name, *args):
    client = KeyClient(address, Credential(), connection_verify=ca, verify_challenge_resource=False)
    if verb == "kek":
        key = client.create_rsa_key(name, hardware_protected=True, size=int(args[0]), key_operations=["import"])
        return shown(key)
    if verb == "pem":  # as `az keyvault key download` writes it
        key = client.get_key(name).key
        public = RSAPublicNumbers(int.from_bytes(key.e, "big"), int.from_bytes(key.n, "big")).public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    if verb == "show":
        return shown(client.get_key(name, *args))
    if verb == "versions":
        return [{"kid": of.id} for of in client.list_properties_of_key_versions(name)]
    if verb == "import":
        path, kty, curve, *ops = args
        with open(path, "rb") as file:
            key = JsonWebKey(kty=f"{kty}-HSM", t=file.read(), crv=curve or None, key_ops=ops)
        return shown(client.import_key(name, key, hardware_protected=False))
    if verb == "decrypt":
        version, algorithm, value, iv, tag = args
        crypto = client.get_cryptography_client(name, key_version=version)
        answer = crypto.decrypt(EncryptionAlgorithm(algorithm), base64.b64decode(value), iv=bytes.fromhex(iv),
                                authentication_tag=bytes.fromhex(tag))
        result = base64.b64encode(answer.plaintext).decode()
        return {"kid": answer.key_id, "result": result, "algorithm": answer.algorithm}
    if verb == "delete":
        client.begin_delete_key(name)
        return {}
    if verb == "purge":
        client.purge_deleted_key(name)
        return {}
    raise SystemExit(__doc__)


answer = main(*sys.argv[1:])
print(answer if isinstance(answer, str) else json.dumps(answer, indent=2))
