"""A small `gcloud` of the tests, which speaks by the vendor's Python client (`google-cloud-kms`, REST) to the KMS of the
tests. It takes the commands and options that import.sh and the documentation use, and no others, and prints as gcloud does
with `--format=json`. The real one runs the same where it is installed.
"""

import argparse
import json
import os
import sys

from google.api_core import exceptions
from google.cloud import kms_v1
from google.cloud.kms_v1.services.key_management_service.transports.rest import KeyManagementServiceRestTransport
from google.oauth2.credentials import Credentials
from google.protobuf import json_format

GIVEN = {"CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS", "CLOUDSDK_CORE_UNIVERSE_DOMAIN", "CLOUDSDK_CORE_DISABLE_COLOR",
         "CLOUDSDK_AUTH_DISABLE_SSL_VALIDATION", "CLOUDSDK_CORE_DISABLE_PROMPTS", "CLOUDSDK_CONFIG",
         "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE"}
STATUS = {"NotFound": "NOT_FOUND", "Forbidden": "PERMISSION_DENIED", "BadRequest": "INVALID_ARGUMENT",
          "InvalidArgument": "INVALID_ARGUMENT", "FailedPrecondition": "FAILED_PRECONDITION"}


def arguments(words):
    """The command, and its options."""
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=True)
    parser.add_argument("--format", choices=["json"])
    commands = {
        "version": "",
        "kms import-jobs create": "JOB import-method protection-level",
        "kms import-jobs describe": "JOB",
        "kms keys create": "KEY purpose default-algorithm protection-level import-only! skip-initial-version-creation!",
        "kms keys describe": "KEY",
        "kms keys versions list": "key",
        "kms keys versions describe": "VERSION key",
        "kms keys versions destroy": "VERSION key",
        "kms keys versions import": "key import-job algorithm wrapped-key-file version?",
        "kms keys versions get-public-key": "VERSION key output-file",
        "kms mac-sign": "key version input-file signature-file",
        "auth print-access-token": "",
        "kms encrypt": "key version plaintext-file ciphertext-file",
        "kms decrypt": "key ciphertext-file plaintext-file",
    }
    for length in range(4, 0, -1):
        command = " ".join(words[:length])
        if command in commands:
            break
    else:
        parser.error(f"no such command: {words}")
    if command.startswith("kms "):
        for option in ("project", "location", "keyring"):
            parser.add_argument(f"--{option}", required=True)
    for option in commands[command].split():
        name = option.rstrip("!?")
        if option.isupper():
            parser.add_argument(name)
        elif option.endswith("!"):
            parser.add_argument(f"--{name}", action="store_true", required=True)
        else:
            parser.add_argument(f"--{name}", required=not option.endswith("?"))
    return command, parser.parse_args(words[length:])


def environment():
    told = {name for name in os.environ if name.startswith("CLOUDSDK_") or name.lower().endswith("_proxy")}
    if told - GIVEN or os.environ["CLOUDSDK_CORE_UNIVERSE_DOMAIN"] != "googleapis.com":
        sys.exit(f"ERROR: what a gcloud should not be told: {sorted(told - GIVEN)}")
    address = os.environ["CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS"]
    if not address.startswith("http://127.0.0.1:") or not address.endswith("/"):
        sys.exit(f"ERROR: could not connect to {address}")
    return address.removeprefix("http://").rstrip("/")


def token():
    """Who is signed in."""
    path = os.environ.get("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE")
    if not path:
        return "of-a-test"
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def enum(kind, text):
    return kind[text.upper().replace("-", "_")]


def run(command, args, client):
    ring = f"projects/{args.project}/locations/{args.location}/keyRings/{args.keyring}"
    key = f"{ring}/cryptoKeys/{getattr(args, 'key', None) or getattr(args, 'KEY', None)}"
    number = getattr(args, "VERSION", None) or getattr(args, "version", None)
    version = f"{key}/cryptoKeyVersions/{number}"
    algorithms = kms_v1.CryptoKeyVersion.CryptoKeyVersionAlgorithm

    def read(path):
        with open(path, "rb") as file:
            return file.read()

    def write(path, data):
        with open(path, "wb") as file:
            file.write(data)

    match command.removeprefix("kms ").split():
        case ["import-jobs", "create"]:
            job = kms_v1.ImportJob(import_method=enum(kms_v1.ImportJob.ImportMethod, args.import_method),
                                   protection_level=enum(kms_v1.ProtectionLevel, args.protection_level))
            return client.create_import_job(parent=ring, import_job_id=args.JOB, import_job=job)
        case ["import-jobs", "describe"]:
            return client.get_import_job(name=f"{ring}/importJobs/{args.JOB}")
        case ["keys", "create"]:
            purposes = {"encryption": "ENCRYPT_DECRYPT", "raw-encryption": "RAW_ENCRYPT_DECRYPT", "mac": "MAC",
                        "asymmetric-signing": "ASYMMETRIC_SIGN", "asymmetric-encryption": "ASYMMETRIC_DECRYPT"}
            template = kms_v1.CryptoKeyVersionTemplate(algorithm=enum(algorithms, args.default_algorithm),
                                                       protection_level=enum(kms_v1.ProtectionLevel, args.protection_level))
            purpose = enum(kms_v1.CryptoKey.CryptoKeyPurpose, purposes[args.purpose])
            made = kms_v1.CryptoKey(purpose=purpose, version_template=template, import_only=True)
            return client.create_crypto_key(request={
                "parent": ring, "crypto_key_id": args.KEY, "crypto_key": made, "skip_initial_version_creation": True})
        case ["keys", "describe"]:
            return client.get_crypto_key(name=key)
        case ["keys", "versions", "list"]:
            return list(client.list_crypto_key_versions(parent=key))
        case ["keys", "versions", "describe"]:
            return client.get_crypto_key_version(name=version)
        case ["keys", "versions", "destroy"]:
            return client.destroy_crypto_key_version(name=version)
        case ["keys", "versions", "import"]:
            request = {"parent": key, "import_job": f"{ring}/importJobs/{args.import_job}",
                       "algorithm": enum(algorithms, args.algorithm), "wrapped_key": read(args.wrapped_key_file)}
            if number:
                request["crypto_key_version"] = version
            return client.import_crypto_key_version(request=request)
        case ["keys", "versions", "get-public-key"]:
            write(args.output_file, client.get_public_key(name=version).pem.encode())
        case ["mac-sign"]:
            write(args.signature_file, client.mac_sign(name=version, data=read(args.input_file)).mac)
        case ["encrypt"]:
            write(args.ciphertext_file, client.encrypt(name=version, plaintext=read(args.plaintext_file)).ciphertext)
        case ["decrypt"]:
            write(args.plaintext_file, client.decrypt(name=key, ciphertext=read(args.ciphertext_file)).plaintext)
    return None


def shown(message):
    return json_format.MessageToDict(type(message).pb(message))


def main():
    command, args = arguments(sys.argv[1:])
    host = environment()
    if command == "version":
        print(json.dumps({"Google Cloud SDK": "550.0.0", "core": "2026.11.20"}))
        return
    if command == "auth print-access-token":
        print(json.dumps({"token": token()}))
        return
    transport = KeyManagementServiceRestTransport(host=host, credentials=Credentials(token()), url_scheme="http")
    try:
        answer = run(command, args, kms_v1.KeyManagementServiceClient(transport=transport))
    except exceptions.GoogleAPICallError as why:
        name = type(why).__name__
        sys.exit(f"ERROR: (gcloud.{command.replace(' ', '.')}) {STATUS.get(name, name)}: {why.message}")
    if isinstance(answer, list):
        print(json.dumps([shown(one) for one in answer], indent=2, sort_keys=True))
    elif answer is not None:
        print(json.dumps(shown(answer), indent=2, sort_keys=True))


main()
