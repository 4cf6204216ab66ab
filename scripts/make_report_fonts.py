#!/usr/bin/env python3
"""Creates the fonts for the PNG plots of reports from Open Sans 1.11 (Apache-2.0).

    pip install fonttools
    scripts/make_report_fonts.py /usr/share/fonts/truetype/open-sans

Debian's package fonts-open-sans has the originals. Only Latin characters are kept, without hints and
layout features: 20 kB per weight. Three things are changed, so that a text has the same position in a
bitmap as in plotters' SVG: plotters takes 1.24 times the em as a font's height, puts the baseline of a
bitmap 0.14 em higher than that of an SVG, and draws each glyph from the left edge of its outline,
without its left side bearing.
"""

import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.ttLib.tables._g_l_y_f import GlyphCoordinates

HEIGHT, LOWER = 1.24, 0.14
RANGES = [(0x20, 0x7E), (0xA0, 0x17F)]
OTHERS = "–—‘’“”…−×≤≥"


def begin_at_zero(glyph):
    """Adds a contour without area, which moves the left edge of the outline."""
    points = [(0, glyph.yMin), (0, glyph.yMax), (0, glyph.yMin)]
    glyph.coordinates.extend(GlyphCoordinates(points))
    glyph.flags.extend(b"\x01\x01\x01")
    glyph.endPtsOfContours.append(len(glyph.coordinates) - 1)
    glyph.numberOfContours += 1


def make(source, target):
    font = TTFont(source)
    options = subset.Options()
    options.layout_features = []
    options.hinting = False
    options.notdef_outline = True
    options.name_IDs = [0, 1, 2, 7, 13, 14]
    options.drop_tables += ["DSIG", "GSUB", "GPOS", "GDEF", "kern", "gasp"]
    subsetter = subset.Subsetter(options)
    kept = [code for low, high in RANGES for code in range(low, high + 1)]
    subsetter.populate(unicodes=kept + [ord(character) for character in OTHERS])
    subsetter.subset(font)

    em = font["head"].unitsPerEm
    glyf = font["glyf"]
    for name in font.getGlyphOrder():
        glyph = glyf[name]
        # The components of a composite are moved as glyphs.
        if glyph.numberOfContours > 0:
            glyph.coordinates.translate((0, -round(LOWER * em)))
            glyph.recalcBounds(glyf)
            if glyph.xMin > 0:
                begin_at_zero(glyph)
                glyph.recalcBounds(glyf)
    for name in font.getGlyphOrder():
        if glyf[name].isComposite():
            glyf[name].recalcBounds(glyf)
    ascent = round(0.96 * em)
    font["hhea"].ascent, font["hhea"].descent = ascent, ascent - round(HEIGHT * em)
    font["hhea"].lineGap = 0
    for name in font.getGlyphOrder():
        width, _ = font["hmtx"][name]
        font["hmtx"][name] = (width, getattr(glyf[name], "xMin", 0))
    font.save(target)


folder = Path(__file__).parent.parent / "src/report/fonts"
for weight in ["Regular", "Semibold"]:
    make(Path(sys.argv[1]) / f"OpenSans-{weight}.ttf", folder / f"OpenSans-{weight}.ttf")
