"""Users' own molecules: formats, targets, and files that are refused with file and line."""

import sys

import numpy as np
import pytest
from rdkit import Chem

from gnf_tf import datasets
from tests.molecule_texts import EXTENDED, WATER, block

# Ethanol and hydrogen cyanide; made once by rdkit, then rounded to what every format holds.
SMILES = ("CCO", "C#N")
NAMES = ("ethanol", "prussic acid")
TARGETS = np.array([[-7.25, 1.5], [0.125, 2e-3]])


@pytest.fixture(scope="module")
def made():
    molecules = datasets.molecules_from_smiles(SMILES)
    vars(molecules)["positions"] = molecules.positions.round(4)
    return molecules


def frames(molecules):
    """(symbols, numbers, positions) of each."""
    table = Chem.GetPeriodicTable()
    ends = np.cumsum(molecules.n_atoms)[:-1]
    numbers = np.split(molecules.atomic_numbers, ends)
    for members, positions in zip(numbers, np.split(molecules.positions, ends), strict=True):
        symbols = [table.GetElementSymbol(int(number)) for number in members]
        yield symbols, members, positions.astype(str)


def rows(*columns):
    return "".join("\t".join(map(str, cells)) + "\n" for cells in zip(*columns, strict=True))


def plain(molecules):
    """With names as comments, charges in a last column, and a blank line at the end."""
    return (
        "".join(
            f"{len(symbols)}\n{name}\n" + rows(symbols, *positions.T, np.zeros(len(symbols)))
            for name, (symbols, _, positions) in zip(NAMES, frames(molecules), strict=True)
        )
        + "\n"
    )


def numbered(molecules):
    """Atomic numbers, Windows' line ends, a byte order mark."""
    text = "".join(
        f" {len(numbers)} \n\n" + rows(numbers, *positions.T)
        for _, numbers, positions in frames(molecules)
    )
    return "\N{ZERO WIDTH NO-BREAK SPACE}" + text.replace("\n", "\r\n")


def extended(molecules):
    """Columns in another order, a lattice, quoted values and keys."""
    text = ""
    for name, (energy, gap), (symbols, numbers, positions) in zip(
        NAMES, TARGETS, frames(molecules), strict=True
    ):
        text += (
            f'{len(symbols)}\nLattice="9 0 0 0 9 0 0 0 9" energy = {energy} "gap (eV)"="{gap}" '
            f'Properties=Z:I:1:forces:R:3:pos:R:3:species:S:1 name="{name}" pbc="F F F"\n'
        )
        forces = np.ones([3, len(symbols)])
        text += rows(numbers, *forces, *positions.T, map(str.upper, symbols))
    return text


def original(molecules):
    """As QM9 was published: *^ for exponents, three lines more."""
    return "".join(
        f"{len(symbols)}\n{name}\t157.7\t0.\n"
        + rows(symbols, *positions.T, ["1.3*^-6"] * len(symbols)).replace("e", "*^")
        + "1341.307\t1341.3\nC\tC\nInChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4\n"
        for name, (symbols, _, positions) in zip(NAMES, frames(molecules), strict=True)
    )


def sdf(molecules):
    text = ""
    for name, smiles, (energy, gap), (_, _, positions) in zip(
        NAMES, SMILES, TARGETS, frames(molecules), strict=True
    ):
        molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
        conformer = Chem.Conformer(len(positions))
        conformer.Set3D(True)
        conformer.SetPositions(positions.astype(float))
        molecule.AddConformer(conformer)
        molecule.SetProp("_Name", name)
        text += Chem.MolToMolBlock(molecule)
        text += f"> <energy>\n{energy}\n\n> <gap (eV)>\n{gap}\n\n$$$$\n"
    return text


def table(_=None):
    lines = [f'{s},"{n}",{e},{g}\n' for s, n, (e, g) in zip(SMILES, NAMES, TARGETS, strict=True)]
    return "SMILES,name,energy,gap (eV)\n" + "".join(lines)


FORMATS = {
    "plain": (".xyz", plain),
    "numbered": (".xyz", numbered),
    "original": (".XYZ", original),
    "extended": (".xyz", extended),
    "sdf": (".sdf", sdf),
    "csv": (".csv", table),
}
WITH_FIELDS = ("extended", "sdf", "csv")


@pytest.fixture
def write(tmp_path, made):
    def write(name):
        suffix, text = FORMATS[name]
        path = tmp_path / f"mine{suffix}"
        path.write_bytes(text(made).encode())
        return path

    return write


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_molecules(name, write, made):
    molecules = datasets.read_molecules(str(write(name)))
    for field in ("n_atoms", "atomic_numbers", "index"):
        np.testing.assert_array_equal(getattr(molecules, field), getattr(made, field))
    np.testing.assert_allclose(molecules.positions, made.positions, atol=1e-4)
    assert molecules.targets.shape == (2, 0) and molecules.target_names == ()


@pytest.mark.parametrize("name", FORMATS)
def test_titles_are_read_with_the_molecules(name, write):
    expected = None if name == "numbered" else NAMES
    assert datasets.read_molecules(write(name)).titles == expected


def test_smiles_strings_are_titles_where_a_file_has_none(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("smiles,name,id\nO,water,\nC,,\n")
    assert datasets.read_molecules(path).titles == ("water", "C")
    path.write_text("smiles\nO\nC\n")
    assert datasets.read_molecules(path).titles == ("O", "C")
    assert datasets.molecules_from_smiles(text for text in ["O"]).titles == ("O",)


@pytest.mark.parametrize("header", [",smiles", "index,smiles", "mol_id,smiles"])
def test_numbers_of_rows_are_no_titles(header, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(f"{header}\n0,O\n1,C\n")
    assert datasets.read_molecules(path).titles == ("O", "C")
    path.write_text(f"{header},name,id\n0,O,water,w\n1,C,methane,m\n")
    assert datasets.read_molecules(path).titles == ("w", "m")
    path = tmp_path / "mine.xyz"
    path.write_text(EXTENDED.replace("e=1", "index=0 name=a id=7"))
    assert datasets.read_molecules(path).titles == ("7",)


@pytest.mark.parametrize("name", WITH_FIELDS)
def test_fields_of_a_file_are_targets(name, write):
    molecules = datasets.read_molecules(write(name), ["gap", "energy [kcal/mol]"])
    np.testing.assert_array_equal(molecules.targets, TARGETS[:, ::-1])
    assert molecules.target_names == ("gap", "energy")
    assert molecules.target_units == ("eV", "kcal/mol")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "text",
    [
        "energy (eV),gap[cal/(mol K)]\n-7.25,1.5\n\n0.125,2e-3\n",
        "{id},energy (eV),gap[cal/(mol K)]\n{1},0.125,2e-3\n{0},-7.25,1.5\n",
        ",energy (eV),gap[cal/(mol K)],smiles\n{1}, 0.125 ,2e-3,C#N\n{0},-7.25,1.5,CCO\n",
    ],
    ids=["in order", "by title", "by a column without a name"],
)
def test_targets_of_a_csv_file(name, text, write, tmp_path):
    keys = (0, 1) if name == "numbered" else NAMES
    path = tmp_path / "targets.csv"
    path.write_text(text.format(*keys, id="ID"))
    molecules = datasets.read_molecules(write(name), str(path))
    np.testing.assert_array_equal(molecules.targets, TARGETS)
    assert molecules.target_names == ("energy", "gap")
    assert molecules.target_units == ("eV", "cal/(mol K)")


def test_a_csv_file_may_have_its_own_targets(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("name,Smiles,a\nmethane,C,1\nmethane,C,2\n")
    molecules = datasets.read_molecules(path, path)
    np.testing.assert_array_equal(molecules.targets, [[1], [2]])
    np.testing.assert_array_equal(*np.split(molecules.positions, 2))  # a SMILES has one geometry


@pytest.mark.filterwarnings("ignore:1 of 1 molecules have a net charge")
@pytest.mark.parametrize("smiles", ["[He]", "[H][H]", "C12C3C4C1C5C2C3C45", "C[N+](C)(C)C", "B"])
def test_geometries_of_smiles_are_those_of_molecules(smiles):
    molecules = datasets.molecules_from_smiles([smiles])
    edges = molecules.graph([0]).edges
    expected = Chem.AddHs(Chem.MolFromSmiles(smiles)).GetNumBonds()
    assert edges[:, 1].sum() == 2 * expected
    assert (edges[:, 0] > 0.6).all()


@pytest.mark.parametrize(
    "smiles, lengths",
    [
        ("N#N", [1.10]),
        ("O=C=O", [1.16, 1.16]),
        ("O=S=O", [1.43, 1.43]),
        ("C#CC#N", [1.20, 1.38, 1.16]),
        ("CN=C=S", [1.48, 1.19, 1.60]),
        ("CP(C)(C)=S", [1.82, 1.82, 1.82, 1.96]),
        ("CC(C)=S", [1.51, 1.51, 1.63]),
        ("C#C[Si]", [1.20, 1.83]),
    ],
)
def test_bonds_of_smiles_have_the_lengths_of_their_orders(smiles, lengths):
    """MMFF94 lacks some, which rdkit takes for single bonds: 1.46 angstrom in N2."""
    molecules = datasets.molecules_from_smiles([smiles])
    for bond, length in zip(Chem.MolFromSmiles(smiles).GetBonds(), lengths, strict=True):
        a, b = molecules.positions[[bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()]]
        assert abs(np.linalg.norm(a - b) - length) < 0.1


# What rdkit says "no" to, and why.
WRONG_SMILES = {
    "C1CC": "is not a SMILES string that rdkit can parse",
    "": "is not a SMILES string that rdkit can parse",
    "C C": "is not a SMILES string that rdkit can parse",
    "C(C)(C)(C)(C)C": "is not a SMILES string that rdkit can parse",
    "[Na+].[Cl-]": "has several molecules, expected one",
    "C*": "has an atom without an element",
    "O=[U]=O": "has atoms for which MMFF94 and UFF lack parameters",
    "C1CC23CC4C(C2)C4C13": "has atoms that rdkit can't place",
}


@pytest.mark.parametrize("smiles", WRONG_SMILES)
def test_a_wrong_smiles_is_named(smiles, tmp_path):
    with pytest.raises(ValueError) as info:
        datasets.molecules_from_smiles(["C", smiles, "C", smiles])
    assert str(info.value).startswith(f"`smiles[1]`, {smiles!r}, {WRONG_SMILES[smiles]}")
    assert str(info.value).endswith("; also wrong: `smiles[3]`")
    path = tmp_path / "mine.csv"
    path.write_text(f"number,smiles\n1,C\n2,{smiles}\n3,C\n4,{smiles}\n5,{smiles}\n")
    with pytest.raises(datasets.DataError) as info:
        datasets.read_molecules(path)
    assert str(info.value).endswith("; also wrong: line 5, line 6")
    assert f"mine.csv is wrong in line 3: {smiles!r} {WRONG_SMILES[smiles]}" in str(info.value)


def test_a_string_is_no_list_of_smiles():
    with pytest.raises(ValueError, match="`smiles` must be a sequence of strings, got 'CCO'"):
        datasets.molecules_from_smiles("CCO")


@pytest.mark.parametrize("name", ["sdf", "csv"])
def test_without_rdkit_one_line_says_how_to_get_it(name, write, monkeypatch):
    path = write(name)
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(datasets.DataError, match="pip install rdkit$"):
        datasets.read_molecules(path)


@pytest.mark.parametrize("dimension", ["3D", "  "])
def test_a_planar_molecule_is_read(dimension, tmp_path):
    path = tmp_path / "mine.mol"
    path.write_text(block(dimension=dimension))
    assert datasets.read_molecules(path).atomic_numbers.tolist() == [8, 1, 1]


@pytest.mark.parametrize(
    "content",
    [
        WATER.replace("0.8", "8.0D-01").replace("0.5", ".5d+0"),
        WATER.replace("H", "D", 1).replace("H", "t", 1),
        WATER.replace("5\n", "5 9 1e5 x\n"),
        WATER.replace("\n\n", "\nO=C=O O=C=O\n"),
        WATER.replace("\n\n", "\nproperties=species:S:1:pos:R:3\n"),
        "3\nPROPERTIES = q:R:1:species:S:1:pos:R:3\n1 O 0 0 0.1\n2 H 0 0.8 -0.5\n3 1 0 -0.8 -0.5\n",
    ],
)
def test_variants_of_xyz_files(content, tmp_path):
    path = tmp_path / "mine.xyz"
    path.write_text(content)
    molecules = datasets.read_molecules(path)
    assert molecules.atomic_numbers.tolist() == [8, 1, 1]
    expected = np.array([[0, 0, 0.1], [0, 0.8, -0.5], [0, -0.8, -0.5]], np.float32)
    np.testing.assert_array_equal(molecules.positions, expected)


def test_a_net_charge_is_warned_about_once_and_where_the_call_stands(tmp_path):
    smiles, file, frames = (tmp_path / f"mine.{suffix}" for suffix in ("csv", "sdf", "xyz"))
    neutral = WATER.replace("\n\n", "\ncharge=0\n")
    frames.write_text(WATER + neutral + EXTENDED.replace("e=1", "Charge = -1.0 spin=2"))
    smiles.write_text("smiles\nC\nC[N+](=O)[O-]\n[NH4+]\n[OH-]\n")
    hydroxide = block("O 0.1 1;H 0.6 2", "  1  2  1  0\n").replace(
        "M  END", "M  CHG  1   1  -1\nM  END"
    )
    file.write_text(block() + "$$$$\n" + hydroxide)
    for call, argument, message in (
        (datasets.molecules_from_smiles, ["C", "[NH4+]"], r"1 of 2 .* molecule 1 \(\+1\)"),
        (datasets.read_molecules, smiles, r"2 of 4 .* molecule 2 \(\+1\)"),
        (datasets.read_molecules, file, r"1 of 2 .* molecule 1 \(-1\)"),
        (datasets.read_molecules, frames, r"1 of 3 .* molecule 2 \(-1\)"),
    ):
        with pytest.warns(UserWarning, match=message) as caught:
            call(argument)
        assert len(caught) == 1 and caught[0].filename == __file__


WRONG_FILES = [
    # (suffix, content, what the error says after the path)
    ("xyz", "", " is empty"),
    ("xyz", b"\xff\xfe3\x00", " is wrong in line 1: expected text in UTF-8"),
    ("xyz", b"1\n\xc5\nO 0 0 0\n", " is wrong in line 2: expected text in UTF-8"),
    ("xyz", b"\x89PNG\r\n\x1a\n\x00", " is wrong in line 1: expected text in UTF-8"),
    ("xyz", "water\n\nO 0 0 0\n", "line 1: expected the number of atoms of molecule 0, got 'wat"),
    ("xyz", "0\n\n", "line 1: expected the number of atoms of molecule 0, got '0'"),
    ("xyz", "-3" + WATER[1:], "line 1: expected the number of atoms of molecule 0, got '-3'"),
    ("xyz", "9" * 5000, "line 1: expected the number of atoms of molecule 0, got '9999"),
    ("xyz", WATER + "O 0 0 0\n", "line 6: expected the number of atoms of molecule 1, got 'O"),
    ("xyz", "2" + WATER[1:], "line 5: expected the number of atoms of molecule 1, got 'H 0 -0.8"),
    ("xyz", "4" + WATER[1:], "line 1: molecule 0 has 4 atoms, but lines for 3 follow"),
    ("xyz", "4" + WATER[1:] + WATER, "line 6: expected an atom in at least 4 columns, got '3'"),
    ("xyz", WATER + WATER[:20], "line 6: molecule 1 has 3 atoms, but lines for 2 follow"),
    ("xyz", WATER + WATER[:-5], "line 10: expected an atom in at least 4 columns, got 'H 0 -0.8'"),
    ("xyz", WATER.replace("0.1", "nan"), "line 3: expected a coordinate in angstrom, got 'nan'"),
    (
        "xyz",
        WATER.replace("0.1", "1e39"),
        "line 3: expected a coordinate in angstrom, got '1e39'",
    ),
    ("xyz", WATER.replace("\n\n", "\ncharge=x\n"), "line 2: expected a finite number as `charge`"),
    *(
        (
            "xyz",
            WATER.replace("\n\n", f"\n{key}={unit}\n"),
            "line 2: expected positions in angstrom, got the unit",
        )
        for key, unit in (
            ("units", "bohr"),
            ("Units", "au"),
            ("unit", "a.u."),
            ("units", "crystal"),
            ("units", "bohr, E=-76"),
            ("units", "a0;"),
            ("length_unit", "bohr"),
            ("E", "-76 coordinates in bohr"),
            ("Units", " Bohr; E = 1"),
        )
    ),
    *(
        ("xyz", WATER.replace("\n\n", f"\n{comment}\n"), f"angstrom, got the unit {unit}")
        for comment, unit in (
            ("Units: bohr", "bohr"),
            ("Bohr", "Bohr"),
            ("xyz (bohr)", "bohr"),
            ("geom in Bohr", "Bohr"),
            ("cartesian bohr", "bohr"),
            ("atomic units", "atomic units"),
            (" a.u. ", "a.u."),
            ("units: a.u.", "a.u."),
            ("input orientation, a.u.", "a.u."),
            ("coordinates in nm", "nm"),
            ("positions and forces in a.u.", "a.u."),
            ("E = -76.4 coordinates [pm]", "pm"),
        )
    ),
    (
        "xyz",
        WATER.replace("O", "O 15.9949").replace("H", "H 1.00783"),
        "line 3: expected x after the element, got a mass in 'O 15.9949 0 0 0.1'",
    ),
    (
        "xyz",
        WATER.replace(" 0 ", " 0 0.0 "),
        "got 0 or -1 as for frozen atoms (if x is 0, write 0.0)",
    ),
    ("xyz", WATER.replace(" 0 ", " -1 0.0 "), "got 0 or -1 as for frozen atoms"),
    (
        "xyz",
        "3\n\nO 0 1 0 1 0.1 1\nH 0 1 0.8 1 -0.5 1\nH 0.0 0 -0.8 0 -0.5 0\n",
        "line 3: expected x, y and z after the element, got a 0 or 1 after each",
    ),
    ("xyz", WATER.replace("\n\n", "\nid=a id=b\n"), "line 2: the field `id` is given for the"),
    ("xyz", WATER.replace("\n\n", "\nE=1 E=x\n"), "line 2: the field `E` is given for the"),
    ("xyz", WATER.replace("\n\n", "\nCharge=0.5\n"), "line 2: expected a whole number as `Charge`"),
    ("xyz", WATER.replace("0.1", "O"), "line 3: expected a coordinate in angstrom, got 'O'"),
    ("xyz", WATER.replace("0.1", "1_0"), "line 3: expected a coordinate in angstrom, got '1_0'"),
    ("xyz", WATER.replace("0.8", "-1000.1"), "line 4: expected a coordinate within 1000 angstrom"),
    (
        "xyz",
        WATER.replace("-0.8", "0.80000001"),
        "line 1: two atoms of this molecule have the same position",
    ),
    ("xyz", "2\n\n1 8 0 0 0\n2 1 0 0 1\n", "line 3: expected an element first, got numbers of"),
    (
        "xyz",
        "3\n\nO 1 0 0 0\nH 2 0 0 0.97\nH 3 0.9 0 -0.2\n",
        "line 3: expected x after the element, got the number of an atom in 'O 1 0 0 0'",
    ),
    (
        "xyz",
        WATER.replace("O", "O 8.0").replace("H", "H 1.0"),
        "line 3: expected x after the element, got a nuclear charge in 'O 8.0 0 0 0.1'",
    ),
    ("xyz", WATER.replace("O", "Xx"), "line 3: expected an element's symbol or number, got 'Xx'"),
    ("xyz", WATER.replace("O", "119"), "line 3: expected an element's symbol or number, got '119'"),
    ("xyz", WATER.replace("O", "0"), "line 3: expected an element's symbol or number, got '0'"),
    (
        "xyz",
        WATER.replace("-0.8", "0.8"),
        "line 1: two atoms of this molecule have the same position",
    ),
    ("xyz", EXTENDED.replace(":pos", ":velo"), "line 2: Properties are 'species:S:1:velo:R:3'"),
    ("xyz", EXTENDED.replace("R:3", "R:2"), "line 2: Properties are 'species:S:1:pos:R:2'"),
    ("xyz", EXTENDED.replace("R:3", "R"), "line 2: Properties are 'species:S:1:pos:R'"),
    ("xyz", EXTENDED.replace("R:3", "R:x"), "line 2: Properties are 'species:S:1:pos:R:x'"),
    ("xyz", EXTENDED.replace("0.1", "0.1 2"), "line 3: expected an atom in 4 columns, got 'O"),
    (
        "xyz",
        EXTENDED.replace("e=1", "e=9 e=-1.5"),
        "line 2: the field `e` is given for the second time",
    ),
    ("sdf", "", " is empty"),
    (
        "sdf",
        block() * 3,
        "line 20: molecule 0 has a second M  END, expected $$$$ between molecules",
    ),
    ("sdf", (block() + "$$$$\n") + block() * 2, "line 31: molecule 1 has a second M  END"),
    ("sdf", block() + "> <e>\n1\n\n" + block() + "$$$$\n", "line 23: molecule 0 has a second M"),
    ("mol", block() * 2, "line 20: molecule 0 has a second M  END, expected $$$$ between"),
    (
        "sdf",
        block() + "> <e>\n1\n\n>  3 <e>\n2\n\n$$$$\n",
        "line 15: the field `e` is given for the second time",
    ),
    ("sdf", "water\n$$$$\n", "line 1: molecule 0 can't be read by rdkit, expected a mol block"),
    (
        "sdf",
        block() + "$$$$\n\n" + block() + "$$$$\n",
        "line 12: molecule 1 can't be read by rdkit, expected a mol block, with numbers of",
    ),
    ("sdf", block() + "$$$$\n" + block()[:150], "molecule 1 doesn't end in $$$$"),
    ("sdf", block() + "> <e>\n-40.4", "line 12: molecule 0 doesn't end in $$$$"),
    ("sdf", block().replace("  3  2  0", "  4  2  0"), "line 1: molecule 0 can't be read by rdkit"),
    ("sdf", block().replace("0.1000", "   nan"), "line 1: molecule 0 "),
    (
        "sdf",
        block().replace("    0.1000", " 1000.1000"),
        "line 1: molecule 0 has a coordinate that is not within 1000 angstrom",
    ),
    ("sdf", block().replace(" O ", " R#"), "line 1: molecule 0 has 'R#' as atom 0, expected"),
    ("sdf", block().replace(" O ", " Xx"), "line 1: molecule 0 "),
    ("sdf", block(dimension="2D"), "line 1: molecule 0 has positions in 2-D, expected 3-D"),
    (
        "sdf",
        block(bonds=""),
        "line 1: molecule 0 has no bonds, by which to tell that no hydrogen is",
    ),
    ("sdf", block("O 0 0", ""), "line 1: molecule 0 lacks 2 hydrogens, expected positions of all"),
    ("mol", block("O 0 0;O 0 0", "  1  2  2  0\n"), "line 1: two atoms of this molecule have the"),
    ("csv", "", " is empty"),
    ("csv", "a,b\nC,1\n", "line 1: expected one column `smiles`, got 'a, b'"),
    ("csv", "smiles,SMILES\nC,C\n", "line 1: expected one column `smiles`, got 'smiles, SMILES'"),
    ("csv", "smiles,a,a\nC,1,2\n", "line 1: expected a distinct name of each column, got 'sm"),
    ("csv", "smiles,,a\nC,1,2\n", "line 1: expected a distinct name of each column, got 'sm"),
    ("csv", "smiles,a\n", "line 1: expected rows below the names of the columns, got none"),
    ("csv", "smiles,a\nC,1\nC\n", "line 3: expected 2 cells, got 1"),
    ("csv", 'smiles,a\n"C,1\nC,2\n', "line 3: unexpected end of data, expected cells between com"),
    ("csv", b"smiles\x00\nC", "line 1: expected one column `smiles`, got 'smiles\\x00'"),
    ("npz", "", " has the suffix '.npz', expected one of .xyz, .sdf, .mol, .csv"),
]


@pytest.mark.parametrize("suffix, content, message", WRONG_FILES)
def test_a_wrong_file_is_refused_with_its_name_and_line(suffix, content, message, tmp_path):
    path = tmp_path / f"mine.{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(datasets.DataError) as info:
        datasets.read_molecules(path)
    text = str(info.value)
    assert text.startswith(f"the data file {path} ") and message in text and "\n" not in text


@pytest.mark.parametrize("make, message", [("mkdir", "Is a directory"), ("nothing", "is missing")])
def test_a_folder_and_a_missing_file(make, message, tmp_path):
    path = tmp_path / "mine.xyz"
    if make == "mkdir":
        path.mkdir()
    with pytest.raises(datasets.DataError, match=f"data file {path}.*{message}"):
        datasets.read_molecules(path)


@pytest.mark.parametrize(
    "comment, fields",
    [
        ("charge=0, multiplicity=1", {"charge": 0, "multiplicity": 1}),
        ("charge=0; mult=1;", {"mult": 1}),
        ("charge={0} E = -76.4, gap=0.3", {"E": -76.4, "gap": 0.3}),
        ("a=1,b=2;c=3", {"a": 1, "b": 2, "c": 3}),
        (" i =        0, time =        0.000, E =       -17.16", {"i": 0, "E": -17.16}),
        ("energy=1.5D+01 f=2d-1", {"energy": 15, "f": 0.2}),
        ("O=CC O=CCO E=1", {"E": 1}),
        ("step=1 E=-76.4 E=-76.40", {"E": -76.4}),
        ("id=a,b r2=35.2 bohr^2", {"r2": 35.2}),
        ("energies in bohr and a.u.", {}),
        ("E = -76.4 a.u.", {"E": -76.4}),
        ("optimized geometry, energy -76.4 a.u.", {}),
        ("geometry, energies in a.u.", {}),
        ("Au", {}),
        ("coordinates of Au, PM7", {}),
        ("geometry 3 nm away", {}),
        ("coordinates in angstrom, forces in a.u.", {}),
        ("positions (Å), forces (atomic units)", {}),
    ],
)
def test_comments_of_other_programs(comment, fields, tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(WATER.replace("\n\n", f"\n{comment}\n"))
    found = datasets.read_molecules(path, list(fields))
    np.testing.assert_allclose(found.targets, [list(fields.values())])


def test_names_of_columns_are_of_any_case(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(EXTENDED.replace("species:S:1:pos", "Species:S:1:POS"))
    np.testing.assert_allclose(datasets.read_molecules(path).positions[1], [0, 0.8, -0.5])


def test_lone_coordinates_may_be_like_masses_and_flags(tmp_path):
    """With charges or forces in further columns."""
    path = tmp_path / "a.xyz"
    for rows in ("H 1.2 0 0 0.1\nH 1.9 0 0 -0.1", "H 0.0 0.5 1 0.1\nH 0.0 1 0.5 0.1"):
        path.write_text(f"2\n\n{rows}\n")
        first = [float(cell) for cell in rows.split()[1:4]]
        np.testing.assert_allclose(datasets.read_molecules(path).positions[0], first)
