"""Makes a program that can be moved, and that starts without libtorch.

    python3 scripts/relocatable_program.py PROGRAM OUT RUN_PATH

OUT is PROGRAM without debug information, which looks for libraries in RUN_PATH, relative to itself with $ORIGIN. It
does not name libtorch as a library that it needs, so that commands that do not use it start at once; the program loads
it for the others (src/native/loaded_libtorch.rs). References to libtorch become weak: the dynamic loader then leaves
them empty in place of an error. Needs strip and patchelf, and a 64-bit ELF program.
"""

import shutil
import struct
import subprocess
import sys
from pathlib import Path

LIBTORCH = ("libtorch", "libc10")
STRONG, WEAK = 1, 2


def section(data: bytes, wanted: bytes) -> range:
    """Returns the place of a section by its name."""
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", data, table + size * at) for at in range(count)]
    for name, _, _, _, start, length in headers:
        at = headers[names][4] + name
        if data[at : data.index(b"\0", at)] == wanted:
            return range(start, start + length)
    raise SystemExit(f"relocatable_program: error: the program has no section {wanted.decode()}")


def weaken(data: bytearray) -> int:
    """Makes the references to symbols without a version weak, which are those of libtorch, and counts them."""
    versions = section(data, b".gnu.version")
    count = 0
    for symbol, version in zip(section(data, b".dynsym")[::24], versions[::2], strict=True):
        kind, _, home = struct.unpack_from("<BBH", data, symbol + 4)
        if home == 0 and kind >> 4 == STRONG and data[version] | data[version + 1] << 8 <= 1:
            data[symbol + 4] = WEAK << 4 | kind & 15
            count += 1
    return count


def main(program: str, out: str, run_path: str) -> None:
    subprocess.run(["strip", "-o", out, program], check=True)
    patchelf = shutil.which("patchelf") or sys.exit("relocatable_program: error: patchelf is not installed")
    needed = subprocess.run([patchelf, "--print-needed", out], check=True, capture_output=True, text=True).stdout
    removed = [f"--remove-needed={name}" for name in needed.split() if name.startswith(LIBTORCH)]
    options = [word for option in removed for word in option.split("=")]
    subprocess.run([patchelf, "--set-rpath", run_path, *options, out], check=True)
    data = bytearray(Path(out).read_bytes())
    if not weaken(data):
        raise SystemExit("relocatable_program: error: the program has no references to libtorch")
    Path(out).write_bytes(data)
    Path(out).chmod(0o755)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
