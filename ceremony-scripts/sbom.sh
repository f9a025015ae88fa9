#!/usr/bin/env bash
# sbom.sh PROGRAM
#
# Prints what a built byok is made of, as CycloneDX 1.5 (JSON): byok with the
# SHA-256 of PROGRAM; each crate with its version, its licence and the SHA-256 of
# its source in Cargo.lock; Rust's standard library; and which depends on which.
# Crates that only run during the build (procedural macros, build scripts) have
# the scope "excluded". The same program, Cargo.lock and Rust give the same text.
# Its time is that of the last commit, or SOURCE_DATE_EPOCH if that is set. Needs
# cargo and python3.
#
# Example:  ceremony-scripts/sbom.sh target/release/byok > byok.cdx.json
case ${BASH_VERSION-}:${BYOK_SHELL-} in :* | *:"$$") ;; *) POSIXLY_CORRECT=1; BYOK_SHELL=$$ exec env -u SHELLOPTS -u BASHOPTS -u BASH_ENV -u BASH_COMPAT -u POSIXLY_CORRECT "${BASH:-bash}" -p "${BASH_SOURCE[0]}" ${1+"$@"} ;; esac # no option, function or start-up file of the caller's shell
set -euo pipefail
while IFS= read -r name; do unset "$name"; done < <(compgen -e | grep -E '^(GIT_.*|DPKG_DEB_.*|TAR_OPTIONS|GZIP|XZ_OPT|XZ_DEFAULTS|ZSTD_.*)$' || true) # no other clone, and no other bytes
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ $# -ne 1 ] || [ "$1" = --help ]; then
    sed -n '2,/^set /s/^#\{1\} \{0,1\}//p' "${BASH_SOURCE[0]}"
    [ "${1:-}" = --help ] && exit 0 || exit 2
fi
die() {
    printf 'sbom.sh: %s\n' "$1" >&2
    exit 2
}
[ -f "$1" ] || die "there is no program $1"
digest=$(sha256sum <"$1" | cut -c 1-64)
cd "$root"

host=$(rustc -vV | sed -n 's/^host: //p')
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || true)}
# name and version of each crate along these edges
crates() {
    cargo tree --locked --edges "$1" --target "$host" --prefix none --format '{p}' |
        sed 's/^\([^ ]*\) v\([^ ]*\).*/\1 \2/' | sort -u
}
linked=$(crates normal,no-proc-macro) || die 'cargo tree failed'
built=$(crates normal,build) || die 'cargo tree failed'

cargo metadata --locked --format-version 1 --filter-platform "$host" |
    DIGEST=$digest EPOCH=$epoch LINKED=$linked BUILT=$built RUSTC=$(rustc --version) python3 -c '
import datetime, json, os, re, sys, uuid

env = os.environ
linked, built = (set(map(tuple, map(str.split, env[name].splitlines()))) for name in ("LINKED", "BUILT"))
digest, rust = env["DIGEST"], env["RUSTC"].split()[1]
with open("Cargo.lock", encoding="utf-8") as lock:
    checksums = dict(
        ((name, version), checksum) for name, version, checksum in re.findall(
            r"name = \"(.*)\"\nversion = \"(.*)\"\nsource = \".*\"\nchecksum = \"([0-9a-f]{64})\"", lock.read()))
metadata = json.load(sys.stdin)
packages = {package["id"]: package for package in metadata["packages"]}
purl = lambda name, version: "pkg:cargo/%s@%s" % (name, version.replace("+", "%2B"))
ref = lambda package: purl(package["name"], package["version"])
key = lambda package: (package["name"], package["version"])

def component(package):
    name, version = key(package)
    told = {"type": "library", "bom-ref": ref(package), "name": name, "version": version,
            "scope": "required" if key(package) in linked else "excluded"}
    if package["description"]:
        told["description"] = " ".join(package["description"].split())
    # a slash is how crates once wrote OR
    told["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    told["purl"] = ref(package)
    told["hashes"] = [{"alg": "SHA-256", "content": checksums[key(package)]}]
    if package["repository"]:
        told["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return told

ours = packages[metadata["resolve"]["root"]]
crates = sorted((p for p in packages.values() if key(p) in built and p is not ours), key=key)
if len(crates) + 1 != len(built):
    sys.exit("sbom.sh: cargo tree and cargo metadata name other crates")
standard = {"type": "library", "bom-ref": "pkg:generic/rust-std@" + rust, "name": "rust-std", "version": rust,
            "scope": "required", "description": "the standard library of " + env["RUSTC"],
            "licenses": [{"expression": "Apache-2.0 OR MIT"}], "purl": "pkg:generic/rust-std@" + rust}
known = {package["id"] for package in crates}
asks = []
for node in metadata["resolve"]["nodes"]:
    if node["id"] not in known and node["id"] != ours["id"]:
        continue
    wanted = {dep["pkg"] for dep in node["deps"] if any(kind["kind"] != "dev" for kind in dep["dep_kinds"])}
    on = sorted(ref(packages[id]) for id in wanted & known)
    asks.append({"ref": ref(packages[node["id"]]), "dependsOn": on + [standard["bom-ref"]] * (node["id"] == ours["id"])})
about = {"timestamp": None, "component": {
    "type": "application", "bom-ref": ref(ours), "name": ours["name"], "version": ours["version"],
    "description": ours["description"], "licenses": [{"expression": ours["license"]}], "purl": ref(ours),
    "hashes": [{"alg": "SHA-256", "content": digest}]}}
if env["EPOCH"]:
    at = datetime.datetime.fromtimestamp(int(env["EPOCH"]), datetime.timezone.utc)
    about["timestamp"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
else:
    del about["timestamp"]
components = [component(package) for package in crates] + [standard]
serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([digest, components], sort_keys=True))
bom = {"bomFormat": "CycloneDX", "specVersion": "1.5", "serialNumber": serial.urn, "version": 1, "metadata": about,
       "components": components, "dependencies": sorted(asks, key=lambda a: a["ref"]) + [
           {"ref": standard["bom-ref"], "dependsOn": []}]}
json.dump(bom, sys.stdout, indent=1, ensure_ascii=False)
print()'
