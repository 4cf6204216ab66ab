#!/usr/bin/env python3
"""Creates src/data/digits/*.gz from the digits that scikit-learn ships; the output is reproducible.

    pip download --no-deps scikit-learn
    unzip -p scikit_learn-*.whl sklearn/datasets/data/digits.csv.gz > digits.csv.gz
    python3 src/data/digits/make_digits.py digits.csv.gz

Each line of the CSV is one image: 64 values from 0 to 16, row by row, and the label.
"""

import gzip
import io
import struct
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SIDE = 8


def write(name: str, sizes: list[int], values: bytes) -> None:
    header = struct.pack(f">BBBB{len(sizes)}I", 0, 0, 8, len(sizes), *sizes)
    packed = io.BytesIO()
    # No time or file name in the gzip header, so that every run writes the same bytes.
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as out:
        out.write(header + values)
    (FOLDER / name).write_bytes(packed.getvalue())
    print(f"{name}: {sizes}, {len(packed.getvalue())} bytes")


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: make_digits.py digits.csv.gz")
    pixels, labels = bytearray(), bytearray()
    with gzip.open(sys.argv[1], "rt", encoding="ascii") as lines:
        for number, line in enumerate(lines, 1):
            *values, label = (int(value) for value in line.split(","))
            if len(values) != SIDE * SIDE or not all(0 <= v <= 16 for v in values) or not 0 <= label <= 9:
                sys.exit(f"line {number}: expected 64 values from 0 to 16 and a label from 0 to 9")
            # Rounded half up, in integers.
            pixels.extend((value * 255 + 8) // 16 for value in values)
            labels.append(label)
    write("images-idx3-ubyte.gz", [len(labels), SIDE, SIDE], bytes(pixels))
    write("labels-idx1-ubyte.gz", [len(labels)], bytes(labels))


if __name__ == "__main__":
    main()
