"""Plays `az keyvault key` of azure-cli 2.91 for the vault of the tests: the vendor's client, with the options of `az` and no
others. The vendor's own `az` runs the same in `tests/run.sh clouds`.

usage: az.py ADDRESS CA URL ARGUMENT...    URL is what the vault's identifiers begin with
"""

import argparse
import contextlib
import io
import json
import sys

import jmespath

ADDRESS, CA, URL, *ARGUMENTS = sys.argv[1:]
CLIENT = __file__.rpartition("/")[0] + "/client.py"


def client(*arguments):
    """The answer of client.py; what the vault refuses ends this as it ends az."""
    sys.argv = [CLIENT, ADDRESS, CA, *arguments]
    said = io.StringIO()
    with open(CLIENT) as file, contextlib.redirect_stdout(said):
        try:
            exec(compile(file.read(), CLIENT, "exec"), {"__name__": "__main__", "__doc__": ""})
        except Exception as why:  # as az tells it, and as it ends where there is none
            print(f"ERROR: {why}", file=sys.stderr)
            sys.exit(3 if type(why).__name__ == "ResourceNotFoundError" else 1)
    return said.getvalue()


def named(verb, options):
    """Name and version of --id."""
    base, _, rest = options.id.partition("/deletedkeys/" if verb == "purge" else "/keys/")
    if base not in (URL, ADDRESS):
        sys.exit(f"ERROR: no such vault: {base}")
    return rest.split("/")


def parsed(verb, arguments):
    parser = argparse.ArgumentParser(prog="az", allow_abbrev=False)
    options = {
        "create": "--id --kty --size --ops",
        "show": "--id", "list-versions": "--id", "download": "--id --file", "decrypt": "--id --algorithm --value --iv --tag",
        "import": "--id --byok-file --kty --curve --ops", "delete": "--id", "purge": "--id",
    }
    for option in options[verb].split():
        parser.add_argument(option, nargs="+" if option == "--ops" else None)
    if verb == "download":
        parser.add_argument("-e", required=True, choices=["PEM"])
    parser.add_argument("--query")
    parser.add_argument("--only-show-errors", action="store_true")
    parser.add_argument("--output", required=True, choices=["json"])
    return parser.parse_args(arguments)


def main(group, *arguments):
    if group == "version":
        return {"azure-cli": "2.91.0 of a test"}
    kind, verb, *arguments = arguments
    assert (group, kind) == ("keyvault", "key"), ARGUMENTS
    options = parsed(verb, arguments)
    name, *version = named(verb, options)
    if verb == "create":
        assert (options.kty, options.ops) == ("RSA-HSM", ["import"]), ARGUMENTS
        answer = client("kek", name, options.size)
    elif verb == "show":
        answer = client("show", name, *version)
    elif verb == "list-versions":
        answer = client("versions", name)
    elif verb == "download":
        with open(options.file, "x") as file:
            file.write(client("pem", name, *version))
        return None
    elif verb == "import":
        answer = client("import", name, options.byok_file, options.kty, options.curve or "", *options.ops)
    elif verb == "decrypt":
        answer = client("decrypt", name, *version, options.algorithm, options.value, options.iv, options.tag)
    else:
        client(verb, name)
        return None
    answer = json.loads(answer)
    return jmespath.search(options.query, answer) if options.query else answer


answer = main(*ARGUMENTS)
if answer is not None:
    print(json.dumps(answer, indent=2))
