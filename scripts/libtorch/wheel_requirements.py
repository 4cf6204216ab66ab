"""Prints the NVIDIA packages that a wheel needs on Linux, for scripts/libtorch/wheel.sh.

Arguments: wheel, its requested extras (comma-separated, may be empty), machine as printed by uname -m.
Output, one line per package: requirement, space, extras of that package. PyTorch requires most of them
through cuda-toolkit[cublas,…]==13.0.3, an empty package that pins the others.
"""

import re, sys, zipfile
from email.parser import Parser

wheel, extras, machine = sys.argv[1], sys.argv[2].split(","), sys.argv[3]
archive = zipfile.ZipFile(wheel)
name = next(n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n))
metadata = Parser().parsestr(archive.read(name).decode())
for line in metadata.get_all("Requires-Dist") or []:
    requirement, _, marker = line.partition(";")
    found = re.match(r"\s*([\w.-]+)\s*(?:\[([^]]*)\])?\s*\(?([^)]*)\)?\s*$", requirement)
    if not found or not re.match(r"nvidia-|cuda-toolkit$", found[1]):
        continue
    extra = re.search(r"""extra\s*==\s*["']([^"']+)""", marker)
    if extra and extra[1] not in extras:
        continue
    if re.search(r"sys_platform|platform_system", marker) and "linux" not in marker.lower():
        continue
    if "platform_machine" in marker and machine not in marker:
        continue
    print(found[1] + found[3].replace(" ", ""), (found[2] or "").replace(" ", ""))
