"""Unpacks parts of a wheel and checks them, for scripts/libtorch/wheel.sh.

Arguments: wheel, destination, rules. "a/b/=c/" unpacks everything under a/b/ to c/, "a/*.so=c/" unpacks
matching files into c/, "!a/*" skips files. Each file is compared with the size and SHA-256 in the wheel's
RECORD. Exit status: 1 for a damaged wheel, 3 if reading or writing a file failed.
"""

import base64, csv, fnmatch, hashlib, io, os, re, sys, zipfile

wheel, destination, rules = sys.argv[1], sys.argv[2], sys.argv[3:]
without = [r[1:] for r in rules if r.startswith("!")]
take = [r.split("=", 1) for r in rules if not r.startswith("!")]

def place(name):
    if name.endswith("/") or any(fnmatch.fnmatch(name, p) for p in without):
        return None
    for source, target in take:
        if source.endswith("/") and name.startswith(source):
            return target + name[len(source):]
        if fnmatch.fnmatch(name, source):
            return target + os.path.basename(name)
    return None

def main():
    archive = zipfile.ZipFile(wheel)
    name = next(n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/RECORD", n))
    record = {row[0]: row[1:3] for row in csv.reader(io.StringIO(archive.read(name).decode()))}
    count = 0
    for info in archive.infolist():
        target = place(info.filename)
        if target is None:
            continue
        if ".." in target.split("/"):
            raise ValueError(f"{info.filename}: a path outside of the folder")
        path = os.path.join(destination, target)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        digest, size = hashlib.sha256(), 0
        with archive.open(info) as source, open(path, "wb") as out:
            while block := source.read(1 << 20):
                digest.update(block)
                size += len(block)
                out.write(block)
        found = "sha256=" + base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
        if record.get(info.filename) != [found, str(size)]:
            raise ValueError(f"{info.filename} differs from RECORD")
        if info.external_attr >> 16 & 0o111:
            os.chmod(path, 0o755)
        count += 1
    if count == 0:
        raise ValueError("it contains none of the required files")

try:
    main()
except OSError as error:
    print(f"{os.path.basename(wheel)}: {error}", file=sys.stderr)
    sys.exit(3)
except Exception as error:
    print(f"{os.path.basename(wheel)}: {error}", file=sys.stderr)
    sys.exit(1)
