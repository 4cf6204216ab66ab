#!/usr/bin/env python3
"""Draws docs/seven.png, the picture that the guide classifies: a 7 as if drawn by a felt pen on paper.

    scripts/make_seven.py docs/seven.png

Needs only the Python standard library.
"""

import math
import struct
import sys
import zlib

WIDTH, HEIGHT = 200, 240
# The path of the pen in pixels, and half its width.
STROKES = [[(48, 62), (70, 57), (110, 58), (152, 54)], [(152, 54), (132, 92), (108, 140), (88, 196)]]
PEN = 8.5
PAPER, INK = 236, 38


def distance(x, y, a, b):
    """Returns the distance from a point to the line segment between two points."""
    along = (x - a[0]) * (b[0] - a[0]) + (y - a[1]) * (b[1] - a[1])
    fraction = max(0.0, min(1.0, along / ((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2)))
    return math.hypot(x - a[0] - fraction * (b[0] - a[0]), y - a[1] - fraction * (b[1] - a[1]))


def pixel(x, y):
    nearest = min(distance(x, y, a, b) for stroke in STROKES for a, b in zip(stroke, stroke[1:]))
    ink = max(0.0, min(1.0, PEN - nearest + 0.5))
    # The paper is slightly darker at the lower right.
    paper = PAPER - 8 * (x / WIDTH + y / HEIGHT)
    return round(paper + ink * (INK - paper))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def main():
    rows = b"".join(b"\0" + bytes(pixel(x, y) for x in range(WIDTH)) for y in range(HEIGHT))
    with open(sys.argv[1], "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.write(chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 0)))
        file.write(chunk(b"IDAT", zlib.compress(rows, 9)))
        file.write(chunk(b"IEND", b""))


main()
