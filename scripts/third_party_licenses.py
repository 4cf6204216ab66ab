"""Prints the licenses of the crates that are linked into the program seqfit, with their texts.

    python scripts/third_party_licenses.py >THIRD-PARTY-LICENSES.txt

Runs `cargo metadata` for the features that are on by default, and reads the license files in the crates' folders.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = re.compile(r"(?i)^(licen[cs]e|copying|notice|unlicense|copyright)")

command = ["cargo", "metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"]
metadata = json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}

# The linked crates: dependencies of dependencies, without those for building and testing.
linked, waiting = set(), [metadata["resolve"]["root"]]
while waiting:
    for dependency in nodes[waiting.pop()]["deps"]:
        is_linked = any(kind["kind"] is None for kind in dependency["dep_kinds"])
        is_macro = any("proc-macro" in target["kind"] for target in packages[dependency["pkg"]]["targets"])
        if is_linked and not is_macro and dependency["pkg"] not in linked:
            linked.add(dependency["pkg"])
            waiting.append(dependency["pkg"])

print("The program seqfit contains these crates. Texts that several crates share are printed once.")
texts: dict[str, list[str]] = {}
for package in sorted((packages[each] for each in linked), key=lambda each: (each["name"], each["version"])):
    title = f"{package['name']} {package['version']}"
    folder = Path(package["manifest_path"]).parent
    files = sorted(path for path in folder.iterdir() if NAME.match(path.name) and path.is_file())
    license = package["license"] or (package["license_file"] and f"see {package['license_file']}")
    if not license:
        sys.exit(f"error: a crate must state its license, found none for {title}")
    print(f"\n{title}: {license}\n  {package['repository'] or 'no repository is given'}")
    for path in files:
        text = path.read_text(encoding="utf-8", errors="replace").strip()
        texts.setdefault(text, []).append(f"{title}, {path.name}")
for text, owners in texts.items():
    print("\n" + "=" * 80)
    print("\n".join(owners) + "\n" + "-" * 80 + f"\n{text}")
