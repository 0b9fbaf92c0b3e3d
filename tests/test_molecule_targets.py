"""Targets of users' molecules: fields, and rows of csv files, which belong to a molecule."""

import numpy as np
import pytest

from gnf_tf import datasets
from tests.molecule_texts import EXTENDED, WATER, block

UNITS = EXTENDED.replace("e=1", '"f [eV]"=1 "f [Ha]"=2')

WRONG_TARGETS = [
    # (content of the csv file, what the error says)
    ("a\n1\n", "has 1 rows of targets, expected 2, one for each molecule of"),
    ("a\n1\n2\n3\n", "has 3 rows of targets, expected 2"),
    ("a\n1\nnan\n", "line 3: expected a finite number as `a`, got 'nan'"),
    ("a,b\n1,\n2,3\n", "line 2: expected a finite number as `b`, got ''"),
    ("a\n1\n1e39\n", "line 3: expected a finite number as `a`, got '1e39'"),
    ("a,b\n1,2\n3,x\n", "line 3: expected a finite number as `b`, got 'x'"),
    ("a [eV],a (D)\n1,2\n3,4\n", "line 1: expected distinct targets, got 'a [eV], a (D)'"),
    ("a,a\n1,2\n3,4\n", "line 1: expected a distinct name of each column, got 'a, a'"),
    ("name\nwater\nmethane\n", "line 1: expected a column of targets, got 'name'"),
    ("name,a\nwater,1\nwater,2\n", "line 3: `name` is 'water' for the second time"),
    ("name,a\nwater,1\ngold,2\n", "line 3: no molecule of"),
    ("name,a\nwater,1\n", "has no row with 'heavy' as `name`, for the molecule in line 6 of"),
    ("name;a\nwater;1\nheavy;2\n", "line 1: expected commas between the columns, got ';' in"),
    ("a\tb\n1\t1\n2\t2\n", "line 1: expected commas between the columns, got"),
    ("# mine\na,b\n1,2\n3,4\n", "line 1: expected the names of the columns, got '# mine'"),
    ("", "is empty"),
    (b"a\n\xff\n", "line 2: expected text in UTF-8"),
]


def test_the_line_that_tells_excel_the_separator_is_no_header(tmp_path):
    path, targets = tmp_path / "mine.xyz", tmp_path / "targets.csv"
    path.write_text(WATER * 2)
    targets.write_text("sep=,\na,b\n1,2\n3,x\n")
    with pytest.raises(datasets.DataError, match="line 4: expected a finite number as `b`"):
        datasets.read_molecules(path, targets)
    targets.write_text("sep=,\na,b\n1,2\n3,4\n")
    np.testing.assert_array_equal(datasets.read_molecules(path, targets).targets, [[1, 2], [3, 4]])


def test_a_second_molecule_of_one_title_cannot_be_joined(tmp_path):
    path, targets = tmp_path / "mine.xyz", tmp_path / "targets.csv"
    path.write_text(WATER.replace("\n\n", "\nwater\n") * 2)
    targets.write_text("name,a\nwater,1\n")
    with pytest.raises(datasets.DataError, match="mine.xyz is wrong in line 6: a second molecule"):
        datasets.read_molecules(path, targets)


IDS = [
    ("xyz", EXTENDED.replace("e=1", "id={} index={}")),
    ("sdf", block() + "> <id>\n{}\n\n> <Index>\n{}\n\n$$$$\n"),
    ("csv", "O,{},{}\n"),
]


@pytest.mark.parametrize("suffix, record", IDS)
@pytest.mark.parametrize("column, expected", [("index", [10, 11]), ("ID", [11, 10])])
def test_a_column_is_joined_with_the_field_of_its_name(suffix, record, column, expected, tmp_path):
    path, targets = tmp_path / f"mine.{suffix}", tmp_path / "targets.csv"
    header = "smiles,id,index\n" if suffix == "csv" else ""
    path.write_text(header + record.format(1, 0) + record.format(0, 1))
    targets.write_text(f"{column},a\n0,10\n1,11\n")
    np.testing.assert_array_equal(datasets.read_molecules(path, targets).targets[:, 0], expected)


def test_the_table_of_predictions_names_molecules_by_number(tmp_path):
    """`trainers/predict.py` calls the column of their numbers "molecule"."""
    path, targets = tmp_path / "mine.xyz", tmp_path / "targets.csv"
    path.write_text(WATER * 2)
    targets.write_text("molecule,a\n1,11\n0,10\n")
    read = datasets.read_molecules(path, targets)
    assert read.target_names == ("a",) and read.targets.tolist() == [[10], [11]]


def test_a_molecule_without_the_field_of_a_column_is_named(tmp_path):
    path, targets = tmp_path / "mine.xyz", tmp_path / "targets.csv"
    path.write_text(EXTENDED.replace("e=1", "id=0") + EXTENDED.replace("e=1", "name=1"))
    targets.write_text("id,a\n0,10\n1,11\n")
    with pytest.raises(datasets.DataError, match="line 6: molecule 1 lacks the field `id`, by"):
        datasets.read_molecules(path, targets)


@pytest.mark.parametrize(
    "suffix, content",
    [
        ("csv", "smiles\nO\nC\n"),
        ("sdf", "".join(block() + f"> <SMILES>\n{text}\n\n$$$$\n" for text in "OC")),
    ],
)
def test_rows_of_other_smiles_are_refused(suffix, content, tmp_path):
    path, targets = tmp_path / f"mine.{suffix}", tmp_path / "targets.csv"
    path.write_text(content)
    targets.write_text("Smiles,a\nO,1\nC,2\n")
    np.testing.assert_array_equal(datasets.read_molecules(path, targets).targets, [[1], [2]])
    targets.write_text("Smiles,a\nC,1\nO,2\n")
    with pytest.raises(datasets.DataError, match="targets.csv is .* line 2: `Smiles` is 'C', exp"):
        datasets.read_molecules(path, targets)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("number", ["id", "molecule", "mol_id"])
def test_any_column_that_counts_the_rows_may_count_another_order(number, first, tmp_path):
    path, targets = tmp_path / "mine.csv", tmp_path / "targets.csv"
    path.write_text(f"{number},smiles\n{first},O\n{first + 1},C\n")
    targets.write_text(f"{number},smiles,E\n{first + 1},C,-40\n{first},O,-76\n")
    np.testing.assert_array_equal(datasets.read_molecules(path, targets).targets, [[-76], [-40]])
    targets.write_text(f"{number},smiles,E\n{first},C,-40\n{first + 1},O,-76\n")
    message = f"line 2: `smiles` is 'C', expected 'O' .*both have one `{number}`"
    with pytest.raises(datasets.DataError, match=message):
        datasets.read_molecules(path, targets)


def test_numbers_of_rows_in_another_order_are_refused(tmp_path):
    """As pandas writes them after a merge; each row was taken for another molecule's."""
    path, targets = tmp_path / "mine.csv", tmp_path / "targets.csv"
    path.write_text(",smiles\n0,O\n1,C\n")
    targets.write_text(",smiles,a\n1,C,2\n0,O,1\n")
    np.testing.assert_array_equal(datasets.read_molecules(path, targets).targets, [[1], [2]])
    targets.write_text(",smiles,a\n0,C,2\n1,O,1\n")
    with pytest.raises(datasets.DataError, match="line 2: `smiles` is 'C', expected 'O' .*`index`"):
        datasets.read_molecules(path, targets)


@pytest.mark.parametrize("number", ["", "index"])
@pytest.mark.parametrize("order", [1, -1])
def test_names_of_molecules_come_before_numbers_of_rows(number, order, tmp_path):
    """pandas numbers the rows of a table that its user has sorted."""
    path, targets = tmp_path / "mine.csv", tmp_path / "targets.csv"
    path.write_text(",smiles,id\n0,O,a\n1,C,b\n")
    names = "ab"[::order]
    rows = [f"{row},{name},{'.ab'.index(name)}" for row, name in enumerate(names)]
    targets.write_text("\n".join([f"{number},id,E", *rows, ""]))
    np.testing.assert_array_equal(datasets.read_molecules(path, targets).targets, [[1], [2]])
    # Of molecules without names only the numbers can be meant.
    path.write_text("smiles\nO\nC\n")
    found = datasets.read_molecules(path, targets).targets
    np.testing.assert_array_equal(found, [[1], [2]][::order])


def test_a_wrong_name_is_not_replaced_by_another_column(tmp_path):
    path, targets = tmp_path / "mine.csv", tmp_path / "targets.csv"
    path.write_text("smiles,id,name\nO,a,x\nC,b,y\n")
    targets.write_text(",id,name,E\n0,a,x,1\n1,c,y,2\n")
    with pytest.raises(datasets.DataError, match="'c'"):
        datasets.read_molecules(path, targets)


def test_numbers_of_rows_beside_a_column_of_that_name(tmp_path):
    """As `reset_index` leaves them."""
    path = tmp_path / "mine.csv"
    path.write_text(",index,smiles,y\n5,0,O,1\n4,1,C,2\n")
    molecules = datasets.read_molecules(path, path)
    np.testing.assert_array_equal(molecules.targets, [[1], [2]])
    assert molecules.target_names == ("y",)


def test_parentheses_without_a_space_are_of_the_name(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("smiles,log(P),log(D),E(HF) [Ha],x (eV)\nO,1,2,3,4\n")
    for targets in (path, ["log(P)", "log(D)", "E(HF)", "x"]):
        molecules = datasets.read_molecules(path, targets)
        assert molecules.target_names == ("log(P)", "log(D)", "E(HF)", "x")
        assert molecules.target_units == ("", "", "Ha", "eV")


@pytest.mark.parametrize("content, message", WRONG_TARGETS)
def test_wrong_targets_are_refused_with_file_and_line(content, message, tmp_path):
    path, targets = tmp_path / "mine.xyz", tmp_path / "targets.csv"
    path.write_text(WATER.replace("\n\n", "\nwater\n") + WATER.replace("\n\n", "\nheavy\n"))
    targets.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(datasets.DataError) as info:
        datasets.read_molecules(path, targets)
    assert str(info.value).startswith(f"the data file {targets} ") and message in str(info.value)


@pytest.mark.parametrize(
    "wanted, second, error, message",
    [
        (["f"], EXTENDED, datasets.DataError, "mine.xyz is wrong in line 1: expected a field `f`"),
        (["e [eV]"], EXTENDED, None, None),
        (["e"], WATER, datasets.DataError, "line 6: molecule 1 lacks `e`, which molecule 0 has"),
        (
            ["e"],
            EXTENDED.replace("e=1", "e=x"),
            datasets.DataError,
            "line 7: expected a finite number as `e`, got 'x'",
        ),
        (["e [eV]", "e"], EXTENDED, ValueError, "`targets` must be distinct names"),
        (["f"], UNITS, datasets.DataError, "line 1: expected one field `f`, got 'f .eV., f .Ha.'"),
        (["f [J]"], UNITS, datasets.DataError, "line 1: expected a field `f .J.`, got 'f"),
        (3, EXTENDED, ValueError, "`targets` must be a .csv file or a list of names, got 3"),
        ([1], EXTENDED, ValueError, r"`targets` must be names, got \[1\]"),
        ("e", EXTENDED, ValueError, "`targets` must be a .csv file or a list of names, got 'e'"),
        ("no.csv", EXTENDED, datasets.DataError, "the data file no.csv is missing"),
    ],
)
def test_fields_that_are_not_there(wanted, second, error, message, tmp_path):
    path = tmp_path / "mine.xyz"
    path.write_text(second if second == UNITS else EXTENDED + second)
    if error is None:
        assert datasets.read_molecules(path, wanted).target_units == ("eV",)
        return
    with pytest.raises(error, match=message):
        datasets.read_molecules(path, wanted)


def test_a_wrong_data_item_is_named_with_its_line(tmp_path):
    path = tmp_path / "mine.sdf"
    record = block() + "> <note>\n> <e>\nb\n\n>  <e>  (1)\n{}\n\n$$$$\n"
    path.write_text(record.format(1) + record.format("x"))
    assert path.read_text().split("\n")[33] == "x"
    with pytest.raises(datasets.DataError, match="line 34: expected a finite number as `e`, got"):
        datasets.read_molecules(path, ["e"])


def test_the_file_of_the_molecules_under_another_path(tmp_path):
    """Its rows are in order; joined by the names, two of a name would be refused."""
    (tmp_path / "m.csv").write_text("name,smiles,E\na,C,1\na,CC,2\n")
    (tmp_path / "n.csv").symlink_to(tmp_path / "m.csv")
    found = datasets.read_molecules(tmp_path / "m.csv", tmp_path / "n.csv")
    assert found.targets.tolist() == [[1.0], [2.0]]
