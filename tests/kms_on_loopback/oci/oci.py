"""A small `oci` of the tests, which speaks HTTP to the vault of the tests. It takes the commands and options that import.sh
and the documentation use, and no others, and prints as oci does with `--output json`.
"""

import argparse
import json
import os
import re
import sys
import urllib.error
import urllib.request
from urllib.parse import quote

GIVEN = {"OCI_CLI_CONFIG_FILE", "OCI_CLI_PROFILE", "OCI_CLI_AUTH", "OCI_CLI_RC_FILE",
         "OCI_CLI_SUPPRESS_FILE_PERMISSIONS_WARNING"}
COMMANDS = {
    "wrapping-key get": "",
    "key list": "compartment-id all!",
    "key get": "key-id",
    "key import": "compartment-id display-name protection-mode key-shape wrapped-import-key",
    "key-version get": "key-id key-version-id",
    "key-version import": "key-id wrapped-import-key",
}


def arguments(words):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    command = " ".join(words[2:4])
    if words[:2] != ["kms", "management"] or command not in COMMANDS:
        parser.error(f"no such command: {words}")
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--output", choices=["json"])
    for option in COMMANDS[command].split():
        if option.endswith("!"):
            parser.add_argument(f"--{option[:-1]}", action="store_true", required=True)
        else:
            parser.add_argument(f"--{option}", required=True)
    return command, parser.parse_args(words[4:])


def environment():
    told = {name for name in os.environ if name.startswith("OCI_") or name.lower().endswith("_proxy")}
    if told - GIVEN or os.environ.get("OCI_CLI_RC_FILE") != "/dev/null":
        sys.exit(f"what an oci should not be told: {sorted(told)}")


def given(text):
    """JSON, or a file of it."""
    if text.startswith("file://"):
        with open(text.removeprefix("file://"), encoding="utf-8") as file:
            return json.load(file)
    return json.loads(text)


def call(args, method, path, body=None):
    if not args.endpoint.startswith("http://127.0.0.1:"):
        sys.exit(f"RequestException: could not connect to {args.endpoint}")
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{args.endpoint}/20180608/{path}", data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as why:
        print("ServiceError:\n" + json.dumps({"status": why.code, **json.load(why)}, indent=4), file=sys.stderr)
        sys.exit(1)


def run(command, args):
    match command.split():
        case ["wrapping-key", "get"]:
            return call(args, "GET", "wrappingKeys")
        case ["key", "list"]:
            return call(args, "GET", f"keys?compartmentId={quote(args.compartment_id)}")
        case ["key", "get"]:
            return call(args, "GET", f"keys/{args.key_id}")
        case ["key", "import"]:
            return call(args, "POST", "keys/import", {
                "compartmentId": args.compartment_id, "displayName": args.display_name,
                "protectionMode": args.protection_mode, "keyShape": given(args.key_shape),
                "wrappedImportKey": given(args.wrapped_import_key)})
        case ["key-version", "get"]:
            return call(args, "GET", f"keys/{args.key_id}/keyVersions/{args.key_version_id}")
        case ["key-version", "import"]:
            return call(args, "POST", f"keys/{args.key_id}/keyVersions/import", {"wrappedImportKey": given(args.wrapped_import_key)})
    return None


def kebab(value):
    if isinstance(value, dict):
        return {re.sub(r"[A-Z]", lambda m: "-" + m[0].lower(), name): kebab(of) for name, of in value.items()}
    return [kebab(of) for of in value] if isinstance(value, list) else value


def main():
    if sys.argv[1:] == ["--version"]:
        print("3.95.1")
        return
    command, args = arguments(sys.argv[1:])
    environment()
    answer = run(command, args)
    if answer != []:
        print(json.dumps({"data": kebab(answer)}, indent=2, sort_keys=True))


main()
