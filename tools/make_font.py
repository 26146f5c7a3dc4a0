#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make src/port_lib/port_font_data.c: ASCII as sixteen-segment letters in cells of 8 by 16.

usage: make_font.py > src/port_lib/port_font_data.c

Small letters are the capitals in a lower box. Segments: A B top left and right, C D right upper and
lower, E F bottom right and left, G H left lower and upper, I J middle left and right, K L M the upper
diagonal, stroke and diagonal, N O P the lower ones, . a dot.
"""
LETTERS = {
    "!": "L.", '"': "HL", "#": "CDEFIJLO", "$": "ABHIJDEFLO", "%": "MNHD", "&": "AHKIGFEP", "'": "L",
    "(": "MP", ")": "KN", "*": "KLMNOPIJ", "+": "IJLO", ",": "N", "-": "IJ", ".": ".", "/": "MN",
    "0": "ABCDEFGHMN", "1": "MCD", "2": "ABCJIGFE", "3": "ABCDEFJ", "4": "HIJCD", "5": "ABHIJDEF",
    "6": "ABHGFEDIJ", "7": "ABMN", "8": "ABCDEFGHIJ", "9": "ABCDEFHIJ", ":": "L.", ";": "LN",
    "<": "MP", "=": "IJFE", ">": "KN", "?": "ABCJO", "@": "ABCDEFGHJL", "A": "ABCDGHIJ",
    "B": "ABCDEFJLO", "C": "ABEFGH", "D": "ABCDEFLO", "E": "ABEFGHI", "F": "ABGHI", "G": "ABDEFGHJ",
    "H": "CDGHIJ", "I": "ABEFLO", "J": "CDEFG", "K": "GHIMP", "L": "EFGH", "M": "CDGHKM",
    "N": "CDGHKP", "O": "ABCDEFGH", "P": "ABCGHIJ", "Q": "ABCDEFGHP", "R": "ABCGHIJP",
    "S": "ABHIJDEF", "T": "ABLO", "U": "CDEFGH", "V": "GHMN", "W": "CDGHNP", "X": "KMNP", "Y": "KMO",
    "Z": "ABMNEF", "[": "BLOE", "\\": "KP", "]": "ALOF", "^": "NP", "_": "EF", "`": "K", "{": "BLOEI",
    "|": "LO", "}": "ALOFJ", "~": "HKMC",
}


def line(cell, x1, y1, x2, y2):
    steps = max(abs(x2 - x1), abs(y2 - y1), 1)
    for i in range(steps + 1):
        cell[y1 + round((y2 - y1) * i / steps)] |= 0x80 >> (x1 + round((x2 - x1) * i / steps))


def draw(segments, top, bottom):
    """Sixteen bytes, the topmost line first."""
    left, middle, right, half = 1, 3, 6, (top + bottom) // 2
    ends = {
        "A": (left, top, middle, top), "B": (middle, top, right, top),
        "C": (right, top, right, half), "D": (right, half, right, bottom),
        "E": (middle, bottom, right, bottom), "F": (left, bottom, middle, bottom),
        "G": (left, half, left, bottom), "H": (left, top, left, half),
        "I": (left, half, middle, half), "J": (middle, half, right, half),
        "K": (left, top, middle, half), "L": (middle, top, middle, half - 1),
        "M": (right, top, middle, half), "N": (middle, half, left, bottom),
        "O": (middle, half + 1, middle, bottom), "P": (middle, half, right, bottom),
        ".": (middle, bottom, middle, bottom),
    }
    cell = [0] * 16
    for segment in segments:
        line(cell, *ends[segment])
    return cell


def main():
    print("/* SPDX-License-Identifier: Apache-2.0\n *\n * port_font_data.c - the shapes of the letters. "
          "Made by tools/make_font.py.\n */\n#include \"port_font_data.h\"\n\n/* clang-format off */\n"
          "const unsigned char port_font_glyphs[95 * 16] = {")
    for code in range(32, 127):
        letter = chr(code)
        small = letter.islower()
        cell = draw(LETTERS.get(letter.upper(), ""), 6 if small else 2, 12)
        comment = "backslash" if letter == "\\" else letter
        print("    " + ", ".join(f"0x{byte:02x}" for byte in cell) + f", /* {comment} */")
    print("};\n/* clang-format on */")


if __name__ == "__main__":
    main()
