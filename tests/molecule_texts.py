"""Texts of files of molecules."""

WATER = "3\n\nO 0 0 0.1\nH 0 0.8 -0.5\nH 0 -0.8 -0.5\n"
EXTENDED = WATER.replace("\n\n", "\nProperties=species:S:1:pos:R:3 e=1\n")


def block(atoms="O 0.1 1;H 0.6 2;H 0.3 3", bonds="  1  2  1  0\n  1  3  1  0\n", dimension="3D"):
    lines = [atom.split() for atom in atoms.split(";")]
    text = "".join(
        f"{float(x):10.4f}{float(y):10.4f}    0.0000 {symbol:<3} 0  0\n" for symbol, x, y in lines
    )
    counts = f"{len(lines):3d}{bonds.count(chr(10)):3d}  0  0  0  0  0  0  0  0999 V2000\n"
    return f"water\n  -made-  0101260000{dimension}\n\n{counts}{text}{bonds}M  END\n"
