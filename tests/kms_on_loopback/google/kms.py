"""Google Cloud KMS on the loopback interface, as far as an import and its proof need it: the REST API, v1. It unwraps with
PyPI's `cryptography` and keeps what it holds in its memory.

usage: kms.py FOLDER    prints its port
"""

import base64
import datetime
import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from loopback import Handler, Refused, opened_by, pem, serve, server, unwrapped_by

METHODS = {}
for number, (bits, name, aes) in enumerate(
    [(bits, name, aes) for aes in (True, False) for name in ("SHA1", "SHA256") for bits in (3072, 4096)
     if aes or name == "SHA256"], 1):
    METHODS[f"RSA_OAEP_{bits}_{name}" + ("_AES_256" if aes else "")] = (number, bits, getattr(hashes, name), aes)
LEVELS = {1: "SOFTWARE", 2: "HSM"}
CURVES = {"EC_SIGN_P256_SHA256": "secp256r1", "EC_SIGN_P384_SHA384": "secp384r1", "EC_SIGN_SECP256K1_SHA256": "secp256k1"}
NUMBERS = {  # CryptoKeyVersionAlgorithm, which the client sends as numbers
    1: "GOOGLE_SYMMETRIC_ENCRYPTION", 2: "RSA_SIGN_PSS_2048_SHA256", 3: "RSA_SIGN_PSS_3072_SHA256",
    4: "RSA_SIGN_PSS_4096_SHA256", 15: "RSA_SIGN_PSS_4096_SHA512", 5: "RSA_SIGN_PKCS1_2048_SHA256",
    8: "RSA_DECRYPT_OAEP_2048_SHA256", 9: "RSA_DECRYPT_OAEP_3072_SHA256", 10: "RSA_DECRYPT_OAEP_4096_SHA256",
    12: "EC_SIGN_P256_SHA256", 13: "EC_SIGN_P384_SHA384", 31: "EC_SIGN_SECP256K1_SHA256", 40: "EC_SIGN_ED25519",
    32: "HMAC_SHA256", 34: "HMAC_SHA384", 35: "HMAC_SHA512", 36: "HMAC_SHA224", 41: "AES_128_GCM", 6: "RSA_SIGN_PKCS1_3072_SHA256", 7: "RSA_SIGN_PKCS1_4096_SHA256", 19: "AES_256_GCM",
}
PURPOSES = {1: "ENCRYPT_DECRYPT", 5: "ASYMMETRIC_SIGN", 6: "ASYMMETRIC_DECRYPT", 7: "RAW_ENCRYPT_DECRYPT", 9: "MAC"}


def invalid(message):
    return Refused(400, "INVALID_ARGUMENT", message)


def given(text):
    """Bytes in the letters of either base64: Google takes both."""
    return base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_"))


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return str(crc ^ 0xFFFFFFFF)


def with_sums(body, answer):
    """What the request's checksums are found to be, and those of the answer."""
    sums = {}
    for name in [name for name in body if name.endswith("Crc32c")]:
        of = name.removesuffix("Crc32c")
        if crc32c(given(body.get(of, ""))) != str(body[name]):
            raise invalid(f"The checksum in field {name} did not match the data in field {of}.")
        sums[f"verified{name[0].upper()}{name[1:]}"] = True
    for name in {"mac", "plaintext", "ciphertext"} & set(answer):
        sums[f"{name}Crc32c"] = crc32c(given(answer[name]))
    if "pem" in answer:
        sums["pemCrc32c"] = crc32c(answer["pem"].encode())
    return {**answer, **sums}


def now(hours=0):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=hours)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


JOBS, KEYS, VERSIONS = {}, {}, {}


def create_job(ring, name, body):
    method = next((m for m, (number, *_) in METHODS.items() if body["importMethod"] in (number, m)), None)
    if method is None:
        raise invalid("no such import method")
    private = rsa.generate_private_key(public_exponent=65537, key_size=METHODS[method][1])
    level = body["protectionLevel"]
    told = {"name": f"{ring}/importJobs/{name}", "importMethod": method, "protectionLevel": LEVELS.get(level, level),
            "createTime": now(), "generateTime": now(), "expireTime": now(72), "state": "ACTIVE",
            "publicKey": {"pem": pem(private)}}
    JOBS[told["name"]] = (told, private)
    if name.startswith("slow"):
        told["state"] = "PENDING_GENERATION"
    return told


def describe_job(name):
    told = JOBS[name][0]
    before = {**told, "publicKey": None} if told["state"] == "PENDING_GENERATION" else told
    told["state"] = "ACTIVE"
    return {member: value for member, value in before.items() if value}


def create_key(ring, name, query, body):
    if query.get("skipInitialVersionCreation") not in (["true"], ["True"]) or not body.get("importOnly"):
        raise invalid("this one makes keys for imports only")
    template = body.get("versionTemplate", {})
    algorithm = template.get("algorithm", 1)
    level = template.get("protectionLevel", 1)
    told = {"name": f"{ring}/cryptoKeys/{name}", "purpose": PURPOSES.get(body["purpose"], body["purpose"]),
            "importOnly": True, "createTime": now(),
            "versionTemplate": {"algorithm": NUMBERS.get(algorithm, algorithm), "protectionLevel": LEVELS.get(level, level)}}
    KEYS[told["name"]] = told
    return told


def unwrapped(job, wrapped):
    told, private = JOBS[job]
    _, _, hash_of, aes = METHODS[told["importMethod"]]
    return (unwrapped_by if aes else opened_by)(private, wrapped, hash_of)


def held(algorithm, material):
    """What serves as such a key."""
    if algorithm == "GOOGLE_SYMMETRIC_ENCRYPTION" or algorithm.startswith("AES_"):
        if len(material) != (16 if "128" in algorithm else 32):
            raise ValueError("not so many bytes")
        return material
    if algorithm.startswith("HMAC_"):
        if len(material) * 8 != int(algorithm[-3:]):
            raise ValueError("not as long as the hash")
        return material
    private = serialization.load_der_private_key(material, None)
    again = private.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    if len(again) < len(material) - 10:
        raise ValueError("more than a key")
    if algorithm == "EC_SIGN_ED25519":
        fits = isinstance(private, ed25519.Ed25519PrivateKey)
    elif algorithm in CURVES:
        fits = isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name == CURVES[algorithm]
    else:
        fits = isinstance(private, rsa.RSAPrivateKey) and f"_{private.key_size}_" in algorithm
    if not fits:
        raise ValueError("another kind of key")
    return private


def import_version(key, body):
    algorithm = NUMBERS.get(body["algorithm"], body["algorithm"])
    if body["importJob"] not in JOBS:
        raise Refused(404, "NOT_FOUND", "ImportJob not found")
    if set(body) - {"algorithm", "importJob", "wrappedKey", "cryptoKeyVersion"}:
        raise invalid(f"unknown members: {sorted(body)}")
    if JOBS[body["importJob"]][0]["protectionLevel"] != KEYS[key]["versionTemplate"]["protectionLevel"]:
        raise Refused(400, "FAILED_PRECONDITION", "another protection level")
    name = body.get("cryptoKeyVersion")
    if name is None:
        name = f"{key}/cryptoKeyVersions/{sum(other.startswith(key + '/') for other in VERSIONS) + 1}"
        VERSIONS[name] = {"told": {"name": name, "algorithm": algorithm, "createTime": now(), "protectionLevel": "HSM"}}
    version = VERSIONS[name]
    state = version["told"].get("state")
    if state not in (None, "DESTROYED", "IMPORT_FAILED"):
        raise Refused(400, "FAILED_PRECONDITION", f"the version is {state}")
    if version["told"]["algorithm"] != algorithm:
        raise invalid("another algorithm than before")
    told = version["told"]
    told.update(importJob=body["importJob"], importTime=now(), state="PENDING_IMPORT")
    told.pop("importFailureReason", None)
    told.pop("reimportEligible", None)
    try:
        material = unwrapped(body["importJob"], given(body["wrappedKey"]))
        digest = hashlib.sha256(material).hexdigest()
        key_object = held(algorithm, material)
        if version.get("digest") not in (None, digest):
            raise ValueError("not the material that this version held before")
        version.update(digest=digest, key=key_object, next=("ENABLED", None))
    except ValueError as why:
        version["next"] = ("IMPORT_FAILED", f"the key could not be imported: {why}")
    version["asked"] = 0
    return dict(told)


def describe(name):
    version = VERSIONS.get(name)
    if version is None:
        raise Refused(404, "NOT_FOUND", f"CryptoKeyVersion {name} not found.")
    return looked(version)


def looked(version):
    """It changes its state when somebody looks for the second time."""
    told = version["told"]
    if told["state"] in ("PENDING_IMPORT", "DESTROY_SCHEDULED"):
        version["asked"] += 1
        if version["asked"] > 1:
            told["state"], reason = version["next"]
            if reason:
                told.update(importFailureReason=reason)
            if told["state"] != "ENABLED":
                told.update(reimportEligible=True)
    return dict(told)


def enabled(name):
    told = describe(name)
    if told["state"] != "ENABLED":
        raise Refused(400, "FAILED_PRECONDITION", f"{name} is not enabled, current state is: {told['state']}.")
    return told, VERSIONS[name]["key"]


def destroy(name):
    describe(name)
    version = VERSIONS[name]
    version["told"].update(state="DESTROY_SCHEDULED", destroyTime=now(30 * 24))
    version.pop("key", None)
    version.update(asked=0, next=("DESTROYED", None))
    return version["told"]


def public_key(name):
    told, private = enabled(name)
    if isinstance(private, bytes):
        raise invalid("no pair")
    return {"pem": pem(private), "algorithm": told["algorithm"], "name": name, "protectionLevel": "HSM"}


def mac_sign(name, body):
    told, key = enabled(name)
    hash_of = getattr(hashes, told["algorithm"].removeprefix("HMAC_"))
    mac = hmac.HMAC(key, hash_of())
    mac.update(given(body["data"]))
    return {"name": name, "mac": base64.b64encode(mac.finalize()).decode(), "protectionLevel": "HSM"}


def opened(key, nonce, sealed):
    try:
        return AESGCM(key).decrypt(nonce, sealed, None)
    except InvalidTag as why:
        raise invalid("Decryption failed: the ciphertext is invalid.") from why


def raw_decrypt(name, body):
    told, key = enabled(name)
    if not told["algorithm"].startswith("AES_"):
        raise invalid("not for this key")
    text = opened(key, given(body["initializationVector"]), given(body["ciphertext"]))
    return {"plaintext": base64.b64encode(text).decode(), "protectionLevel": "HSM"}


def encrypt(name, body):
    told, key = enabled(name)
    nonce = os.urandom(12)
    sealed = nonce + AESGCM(key).encrypt(nonce, given(body["plaintext"]), None)
    return {"name": name, "ciphertext": base64.b64encode(name.encode() + b"\0" + sealed).decode()}


def decrypt(key_name, body):
    name, _, sealed = given(body["ciphertext"]).partition(b"\0")
    told, key = enabled(name.decode())
    if not told["name"].startswith(key_name + "/"):
        raise invalid("of another key")
    return {"plaintext": base64.b64encode(opened(key, sealed[:12], sealed[12:])).decode()}


class Google(Handler):
    def refused(self, why):
        return {"error": {"code": why.status, "message": why.message, "status": why.code}}

    def result(self, path, query, body):
        who = self.headers.get("Authorization")
        if who is None:
            raise Refused(401, "UNAUTHENTICATED", "Request is missing required authentication credential.")
        proves = path.endswith((":macSign", ":rawDecrypt", "/publicKey"))
        if proves and who == "Bearer of-an-importer":
            raise Refused(403, "PERMISSION_DENIED", "Permission denied on resource (or it may not exist).")
        return with_sums(body, self.done(path, query, body))

    def done(self, path, query, body):
        name, _, verb = path.removeprefix("/v1/").partition(":")
        parts = name.split("/")
        place = "/".join(parts[:6])
        match [self.command, verb, *parts[6:]]:
            case ["POST", "", "importJobs"]:
                return create_job(place, query["importJobId"][0], body)
            case ["GET", "", "importJobs", _] if name in JOBS:
                return describe_job(name)
            case ["POST", "", "cryptoKeys"]:
                return create_key(place, query["cryptoKeyId"][0], query, body)
            case ["GET", "", "cryptoKeys", _] if name in KEYS:
                return KEYS[name]
            case ["GET", "", "cryptoKeys", _, "cryptoKeyVersions"]:
                key = name.rpartition("/")[0]
                return {"cryptoKeyVersions": [looked(of) for at, of in VERSIONS.items() if at.startswith(key + "/")]}
            case ["POST", "import", "cryptoKeys", _, "cryptoKeyVersions"]:
                return import_version(name.rpartition("/")[0], body)
            case ["GET", "", "cryptoKeys", _, "cryptoKeyVersions", _]:
                return describe(name)
            case ["GET", "", "cryptoKeys", _, "cryptoKeyVersions", _, "publicKey"]:
                return public_key(name.rpartition("/")[0])
            case ["POST", "destroy", "cryptoKeys", _, "cryptoKeyVersions", _]:
                return destroy(name)
            case ["POST", "macSign", "cryptoKeys", _, "cryptoKeyVersions", _]:
                return mac_sign(name, body)
            case ["POST", "rawDecrypt", "cryptoKeys", _, "cryptoKeyVersions", _]:
                return raw_decrypt(name, body)
            case ["POST", "encrypt", "cryptoKeys", _, "cryptoKeyVersions", _]:
                return encrypt(name, body)
            case ["POST", "decrypt", "cryptoKeys", _]:
                return decrypt(name, body)
        raise Refused(404, "NOT_FOUND", f"{name} not found.")


serve(server(Google))
