"""Packs of records: equal bytes for equal records, and one line for a file that is no pack. Nothing is unpacked."""

import json
import stat
import zipfile

import pytest

from benchmarks import check
from benchmarks.records import evidence, packs, store
from tests.support.made_records import result

GOOD = "runs/offline/digits/lora.json"


@pytest.fixture
def records(specs):
    sealed = [evidence.seal(json.loads(json.dumps(result(spec).to_json()))) for spec in specs("lora", seeds=(0, 1))]
    return {packs.path_of(record): record for record in sealed}


def test_a_pack_has_the_records_and_equal_records_make_equal_bytes(records, tmp_path):
    first, second = tmp_path / "a.zip", tmp_path / "b.zip"
    packs.write(records, first)
    packs.write(dict(reversed(records.items())), second)
    assert first.read_bytes() == second.read_bytes()
    assert dict(packs.each(first)) == records


def test_packs_below_the_results_are_read_and_bad_ones_left_out(records, tmp_path, capsys):
    folder = tmp_path / packs.FOLDER
    packs.write(records, folder / "alice.zip")
    (folder / "bob.zip").write_text("no zip")
    (path, record), *_ = records.items()
    packs.write({path: record | {"report": {"more": 1}}}, folder / "carol.zip")
    assert list(packs.submitted(tmp_path)) == [("alice", record) for record in records.values()]
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("bob.zip")[2] for line in lines[:1]] == [
        " is not a whole zip file (File is not a zip file); make it again; it is left out"
    ]
    assert "its digest is not that of its content: it was edited or damaged; it is left out" in lines[1]


def member(name, mode=stat.S_IFREG | 0o644):
    made = zipfile.ZipInfo(name)
    made.external_attr = mode << 16
    return made


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ([member("../../runs/offline/digits/x.json")], "is no place of a record"),
        ([member("runs/../../x.json")], "is no place of a record"),
        ([member("/runs/offline/digits/x.json")], "is no place of a record"),
        ([member("runs/offline/digits/x.pkl")], "is no place of a record"),
        ([member("runs/offline/digits/\x1b[2J.json")], "is no place of a record"),
        ([member(GOOD, stat.S_IFLNK | 0o777)], "is a link or a special file"),
        ([member(GOOD), member(GOOD)], "twice"),
        ([], "holds no record"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_hostile_pack_is_one_line_and_nothing_is_written(members, fault, tmp_path, complaint):
    pack = tmp_path / "pack.zip"
    with zipfile.ZipFile(pack, "w") as file:
        for one in members:
            file.writestr(one, "{}")
    assert fault in complaint(check.main, str(pack), "--results", str(tmp_path))
    assert list(tmp_path.iterdir()) == [pack]


@pytest.mark.parametrize(
    ("bound", "fault"), [("packs.MOST_BYTES", "says that it holds"), ("store.LARGEST", "more than")]
)
def test_a_pack_that_would_grow_is_one_line(bound, fault, tmp_path, complaint, monkeypatch):
    monkeypatch.setattr(f"benchmarks.records.{bound}", 5_000)
    pack = tmp_path / "pack.zip"
    with zipfile.ZipFile(pack, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(GOOD, b"0" * 1_000_000)
    assert pack.stat().st_size < 5_000
    assert fault in complaint(check.main, str(pack), "--results", str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", b"PK\x03\x04" + bytes(100)])
def test_a_damaged_pack_is_one_line(content, tmp_path, complaint):
    pack = tmp_path / "pack.zip"
    pack.write_bytes(content)
    assert "is not a whole zip file" in complaint(check.main, str(pack))


@pytest.mark.parametrize("name", ["pack.tar", "pack", "\x1b.zip"])
def test_a_pack_needs_a_name_that_can_be_shown(name, tmp_path, complaint):
    assert "pack" in complaint(check.main, str(tmp_path / name))


def test_json_without_end_is_a_bad_record(tmp_path):
    pack = tmp_path / "pack.zip"
    with zipfile.ZipFile(pack, "w") as file:
        file.writestr(GOOD, "[" * 100_000)
    ((_, found),) = packs.each(pack)
    assert isinstance(found, store.BadRecord)
