"""A vault of Azure on the loopback interface, as far as an import and its proof need one. It unwraps with PyPI's
`cryptography` and keeps what it holds in its memory.

usage: vault.py FOLDER URL    writes FOLDER/ca.pem and prints its port. URL is what its identifiers begin with.
"""

import base64
import datetime
import ipaddress
import json
import os
import ssl
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID
from loopback import Handler, Refused, serve, server, unwrapped_by

FOLDER, URL = sys.argv[1:]
CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521", "secp256k1": "P-256K"}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    if "=" in text or set(text) & set("+/"):
        raise Refused(400, "BadParameter", "not base64url without padding")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(value, length=None):
    return b64(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


class Key:
    """One version of a key."""

    def __init__(self, name, private, ops):
        self.name, self.private, self.ops = name, private, ops
        self.version = os.urandom(16).hex()
        self.enabled = True

    @property
    def kid(self):
        return f"{URL}/keys/{self.name}/{self.version}"

    def bundle(self):
        jwk = {"kid": self.kid, "key_ops": self.ops}
        if isinstance(self.private, bytes):
            jwk["kty"] = "oct-HSM"
        elif isinstance(self.private, rsa.RSAPrivateKey):
            numbers = self.private.public_key().public_numbers()
            jwk.update(kty="RSA-HSM", n=number(numbers.n), e=number(numbers.e))
        else:
            numbers = self.private.public_key().public_numbers()
            size = (self.private.key_size + 7) // 8
            crv = CURVES[self.private.curve.name]
            jwk.update(kty="EC-HSM", crv=crv, x=number(numbers.x, size), y=number(numbers.y, size))
        attributes = {"enabled": self.enabled, "created": 1790000000, "updated": 1790000000, "exportable": False,
                      "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90}
        return {"key": jwk, "attributes": attributes}


KEYS, DELETED = {}, set()


def version_of(name, version=None):
    for key in reversed(KEYS.get(name.lower(), [])):
        if version in (None, "", key.version):
            return key
    raise Refused(404, "KeyNotFound", f"A key with (name/id) {name}{'/' if version else ''}{version or ''} was not found in this key vault.")


def keep(key):
    if key.name.lower() in DELETED:
        raise Refused(409, "Conflict", "ObjectIsDeletedButRecoverable: the name is held by a deleted key")
    KEYS.setdefault(key.name.lower(), []).append(key)
    return key.bundle()


def create(name, body):
    if body.get("kty") != "RSA-HSM" or body.get("key_ops") != ["import"]:
        raise Refused(400, "BadParameter", "this one makes KEKs only")
    return keep(Key(name, rsa.generate_private_key(public_exponent=65537, key_size=body["key_size"]), ["import"]))


def unwrapped(blob):
    """The material in a key transfer blob."""
    if set(blob) != {"schema_version", "header", "ciphertext", "generator"} or blob["schema_version"] != "1.0.0":
        raise Refused(400, "BadParameter", "not a key transfer blob")
    if set(blob["header"]) != {"kid", "alg", "enc"}:
        raise Refused(400, "BadParameter", "not the header of a key transfer blob")
    if (blob["header"]["alg"], blob["header"]["enc"]) != ("dir", "CKM_RSA_AES_KEY_WRAP"):
        raise Refused(400, "BadParameter", "another algorithm")
    keks = [key for keys in KEYS.values() for key in keys if key.kid == blob["header"]["kid"]]
    if not keks or not keks[0].enabled or keks[0].ops != ["import"]:
        raise Refused(400, "BadParameter", "no such KEK")
    try:
        return unwrapped_by(keks[0].private, unb64(blob["ciphertext"]), hashes.SHA1)
    except ValueError as why:
        raise Refused(400, "BadParameter", f"it does not unwrap: {why!r}") from why


def import_key(name, body):
    jwk = body["key"]
    if set(jwk) - {"kty", "crv", "key_ops", "key_hsm"}:
        raise Refused(400, "BadParameter", "this one takes wrapped keys only")
    material = unwrapped(json.loads(unb64(jwk["key_hsm"])))
    if jwk["kty"] == "oct-HSM":
        if ".managedhsm." not in URL or len(material) not in (16, 24, 32):
            raise Refused(400, "BadParameter", "no such oct key here")
        private = material
    else:
        private = serialization.load_der_private_key(material, None)
        kind = {"RSA-HSM": rsa.RSAPrivateKey, "EC-HSM": ec.EllipticCurvePrivateKey}[jwk["kty"]]
        if not isinstance(private, kind) or kind is ec.EllipticCurvePrivateKey and jwk["crv"] != CURVES[private.curve.name]:
            raise Refused(400, "BadParameter", "another type of key")
    return keep(Key(name, private, jwk["key_ops"]))


def decrypt(name, version, body):
    key = version_of(name, version)
    if not isinstance(key.private, bytes) or body["alg"] != f"A{8 * len(key.private)}GCM" or "decrypt" not in key.ops:
        raise Refused(400, "BadParameter", "not for this key")
    try:
        text = AESGCM(key.private).decrypt(unb64(body["iv"]), unb64(body["value"]) + unb64(body["tag"]), None)
    except Exception as why:
        raise Refused(400, "BadParameter", f"it does not decrypt: {why!r}") from why
    return {"kid": key.kid, "value": b64(text)}


def delete(name):
    key = version_of(name)
    KEYS.pop(name.lower())
    DELETED.add(name.lower())
    return {**key.bundle(), "recoveryId": f"{URL}/deletedkeys/{name}", "deletedDate": 1790000000,
            "scheduledPurgeDate": 1797776000}


class Vault(Handler):
    def refused(self, why):
        return {"error": {"code": why.code, "message": why.message}}

    def handle_one(self):
        # who asks is the managed identity of this computer
        if (self.headers.get("Authorization") or "").startswith("Bearer ") or self.path.startswith("/msi/token?"):
            return super().handle_one()
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        challenge = f'Bearer authorization="https://127.0.0.1:{PORT}/tenant", resource="https://vault.azure.net"'
        return self.answer(401, {}, "WWW-Authenticate", challenge)

    def result(self, path, query, body):
        match [self.command, *path.strip("/").split("/")]:
            case ["GET", "msi", "token"]:
                return {"access_token": "of.a.test", "expires_on": "4102444800", "token_type": "Bearer",
                        "resource": query["resource"][0]}
            case ["GET", "keys", name]:
                return version_of(name).bundle()
            case ["GET", "keys", name, "versions"]:
                told = [key.bundle() for key in KEYS.get(name.lower(), [])]
                return {"value": [{"kid": of["key"]["kid"], "attributes": of["attributes"]} for of in told], "nextLink": None}
            case ["GET", "keys", name, version]:
                return version_of(name, version).bundle()
            case ["PUT", "keys", name]:
                return import_key(name, body)
            case ["POST", "keys", name, "create"]:
                return create(name, body)
            case ["POST", "keys", name, version, "decrypt"]:
                if self.headers["Authorization"] == "Bearer of.an.importer":
                    raise Refused(403, "Forbidden", "Caller is not authorized to perform action on resource.")
                return decrypt(name, version, body)
            case ["DELETE", "keys", name]:
                return delete(name)
            case ["DELETE", "deletedkeys", name]:
                DELETED.discard(name.lower())
                return None
        raise Refused(404, "NotFound", "no such path")


def certificate(folder):
    """A certificate for 127.0.0.1 that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a vault of the tests")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(here, False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    with open(f"{folder}/ca.pem", "wb") as file:
        file.write(made.public_bytes(pem))
    with open(f"{folder}/tls.pem", "wb") as file:
        private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        file.write(key.private_bytes(pem, *private) + made.public_bytes(pem))


certificate(FOLDER)
of = server(Vault)
PORT = of.server_address[1]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{FOLDER}/tls.pem")
of.socket = context.wrap_socket(of.socket, server_side=True)
serve(of)
