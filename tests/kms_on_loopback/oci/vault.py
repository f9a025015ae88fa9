"""A vault of OCI on the loopback interface, as far as an import and its proof need one: the Key Management API, 20180608. It
unwraps with PyPI's `cryptography` and keeps what it holds in its memory.

usage: vault.py FOLDER    prints its port
"""

import base64
import os

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from loopback import Handler, Refused, opened_by, pem, serve, server, unwrapped_by

WRAPPING = rsa.generate_private_key(public_exponent=65537, key_size=4096)
KEYS, VERSIONS = {}, {}


def ocid(kind):
    return f"ocid1.{kind}.oc1.iad.examplevault.{os.urandom(20).hex()}"


def unwrapped(wrapped):
    if set(wrapped) != {"keyMaterial", "wrappingAlgorithm"}:
        raise Refused(400, "InvalidParameter", "not a wrapped import key")
    data = base64.b64decode(wrapped["keyMaterial"], validate=True)
    way = {"RSA_OAEP_SHA256": opened_by, "RSA_OAEP_AES_SHA256": unwrapped_by}.get(wrapped["wrappingAlgorithm"])
    if way is None:
        raise Refused(400, "InvalidParameter", "no such wrapping algorithm")
    try:
        return way(WRAPPING, data, hashes.SHA256)
    except ValueError as why:
        raise Refused(400, "InvalidParameter", f"the key material does not unwrap: {why!r}") from why


def held(shape, wrapped):
    material = unwrapped(wrapped)
    if shape["algorithm"] == "AES":
        if len(material) != shape["length"] or shape["length"] not in (16, 24, 32):
            raise Refused(400, "InvalidParameter", "not so many bytes")
        return material
    if shape["algorithm"] != "RSA" or wrapped["wrappingAlgorithm"] != "RSA_OAEP_AES_SHA256":
        raise Refused(400, "InvalidParameter", "no such key is imported so")
    private = serialization.load_der_private_key(material, None)
    if not isinstance(private, rsa.RSAPrivateKey) or private.key_size != shape["length"] * 8:
        raise Refused(400, "InvalidParameter", "another kind of key")
    return private


def add_version(key, material):
    told = {"id": ocid("keyversion"), "keyId": key["id"], "compartmentId": key["compartmentId"],
            "lifecycleState": "CREATING", "origin": "EXTERNAL", "vaultId": key["vaultId"]}
    if not isinstance(material, bytes):
        told["publicKey"] = pem(material)
    VERSIONS[told["id"]] = {"told": told, "material": material}
    key["currentKeyVersion"] = told["id"]
    return told


def import_key(body):
    if set(body) != {"compartmentId", "displayName", "keyShape", "protectionMode", "wrappedImportKey"}:
        raise Refused(400, "InvalidParameter", f"members: {sorted(body)}")
    if body["protectionMode"] != "HSM" or set(body["keyShape"]) != {"algorithm", "length"}:
        raise Refused(400, "InvalidParameter", "not so here")
    material = held(body["keyShape"], body["wrappedImportKey"])
    key = {name: body[name] for name in ("compartmentId", "displayName", "keyShape", "protectionMode")}
    key.update(id=ocid("key"), lifecycleState="CREATING", vaultId="ocid1.vault.oc1.iad.examplevault.x")
    KEYS[key["id"]] = key
    add_version(key, material)
    return dict(key)


def import_version(key, body):
    if set(body) != {"wrappedImportKey"} or key["keyShape"]["algorithm"] != "AES":
        raise Refused(400, "InvalidParameter", "not so here")
    return dict(add_version(key, held(key["keyShape"], body["wrappedImportKey"])))


def shown(told):
    """Once more, and it is there."""
    now = dict(told)
    if told["lifecycleState"] == "CREATING":
        told["lifecycleState"] = "ENABLED"
    return now


class Vault(Handler):
    def refused(self, why):
        return {"code": why.code, "message": why.message}

    def result(self, path, query, body):
        parts = path.removeprefix("/20180608/").split("/")
        match [self.command, *parts]:
            case ["GET", "wrappingKeys"]:
                return {"id": ocid("wrappingkey"), "lifecycleState": "ENABLED", "publicKey": pem(WRAPPING),
                        "compartmentId": "ocid1.compartment.oc1..x", "vaultId": "ocid1.vault.oc1.iad.examplevault.x"}
            case ["GET", "keys"]:
                return [key for key in KEYS.values() if [key["compartmentId"]] == query["compartmentId"]]
            case ["POST", "keys", "import"]:
                return import_key(body)
            case ["GET", "keys", key] if key in KEYS:
                return shown(KEYS[key])
            case ["POST", "keys", key, "keyVersions", "import"] if key in KEYS:
                return import_version(KEYS[key], body)
            case ["GET", "keys", key, "keyVersions", version] if VERSIONS.get(version, {}).get("told", {}).get("keyId") == key:
                return shown(VERSIONS[version]["told"])
        raise Refused(404, "NotAuthorizedOrNotFound", "Authorization failed or requested resource not found.")


serve(server(Vault))
