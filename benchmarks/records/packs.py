"""Packs: the records of a results folder in one zip file, to be sent to others. A pack is never unpacked to a disk."""

import io
import json
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.cli import warn
from benchmarks.files.names import check_part
from benchmarks.files.places import check_plain
from benchmarks.files.unpack import DAMAGE, PLAIN
from benchmarks.files.writing import write_atomic
from benchmarks.records import store
from benchmarks.records.spec import stem_of
from methods.errors import UserError, check

FOLDER, ENDING = "submitted", ".zip"  # packs of others lie in this folder of the results
MOST_BYTES = 2**28  # of a pack, and of all its records; 1,000 usual records have 8 MB
MOST_RECORDS = 20_000
DATE = (1980, 1, 1, 0, 0, 0)  # of every member, so that equal records make equal packs
FAULTS = (*DAMAGE, RuntimeError)  # of a member with a password


def write(records: Mapping[str, Mapping[str, Any]], pack: Path) -> None:
    """Write records, by their paths in the pack, to a zip file. Equal records make equal bytes.

    Raises:
        UserError: the file cannot be written, or its name does not fit.
    """
    name_of(pack)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for path, record in sorted(records.items()):
            member = zipfile.ZipInfo(path, DATE)
            member.create_system, member.external_attr = 3, (stat.S_IFREG | 0o644) << 16  # as on every Unix
            file.writestr(member, json.dumps(record, indent=1) + "\n", zipfile.ZIP_DEFLATED)
    write_atomic(pack, content.getvalue())


def path_of(record: Mapping[str, Any]) -> str:
    """The path of a record in a pack, which is that in a results folder."""
    return f"{store.RUNS}/{stem_of(record['spec'], record['key'])}.json"


def name_of(pack: Path) -> str:
    """The name of a pack, by which tables tell its rows.

    Raises:
        UserError: it does not end in .zip, or cannot be shown.
    """
    check(pack.suffix == ENDING, f"{pack}: the name of a pack ends in {ENDING}; rename it")
    check_part("pack", pack.stem)
    return pack.stem


def each(pack: Path) -> Iterator[tuple[str, dict[str, Any] | store.BadRecord]]:
    """Every member of a pack by its name: a record, or why it is none.

    Raises:
        UserError: the file is no pack: it is damaged, too large, or has members that no record can be.
    """
    name_of(pack)
    try:
        size = check_plain(pack).st_size
        check(size <= MOST_BYTES, f"{pack} has {size:,} bytes, and a pack has at most {MOST_BYTES:,}")
        with zipfile.ZipFile(pack) as file:
            members = file.infolist()
            _check_members(pack, members)
            for member in members:
                yield member.filename, _record(file.read(member), member.filename)
    except FAULTS as error:
        raise UserError(f"{pack} is not a whole zip file ({error or type(error).__name__}); make it again") from error
    except OSError as error:
        raise UserError(f"cannot read {pack}: {error.strerror}") from None


def _record(content: bytes, name: str) -> dict[str, Any] | store.BadRecord:
    try:
        record = store.parsed(content, name)
        place = path_of(record)
        if name != place:
            raise store.BadRecord(f"record {name}: its place is {place}")
    except store.BadRecord as error:
        return error
    return record


def _check_members(pack: Path, members: list[zipfile.ZipInfo]) -> None:
    """Check names, kinds and sizes before anything is read."""
    total, seen = sum(member.file_size for member in members), set[str]()
    many = f"{pack} says that it holds {total:,} bytes in {len(members):,} members"
    check(
        total <= MOST_BYTES and len(members) <= MOST_RECORDS,
        f"{many}; a pack has at most {MOST_BYTES:,} in {MOST_RECORDS:,}",
    )
    check(bool(members), f"{pack} holds no record")
    for member in members:
        name, parts = member.filename, member.filename.split("/")
        shown = f"{pack} holds {name[:200]!a}"
        fits = parts[0] == store.RUNS and len(parts) == 4 and name.endswith(".json") and name.isprintable()
        check(fits and ".." not in parts, f"{shown}, which is no place of a record: {store.RUNS}/SUITE/TASK/NAME.json")
        check(stat.S_IFMT(member.external_attr >> 16) in PLAIN, f"{shown}, which is a link or a special file")
        check(not member.flag_bits & 1, f"{shown}, which is encrypted")
        check(member.file_size <= store.LARGEST, f"{shown} with {member.file_size:,} bytes, more than a record has")
        check(name not in seen, f"{shown} twice")
        seen.add(name)


def submitted(results: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of all packs in FOLDER below the results, each with the name of its pack.

    Packs and records that are bad are named in warnings and left out.
    """
    for pack in sorted((results / FOLDER).glob(f"*{ENDING}")):
        try:
            for _, record in each(pack):
                if isinstance(record, store.BadRecord):
                    warn(f"{pack}: {record}; it is left out")
                else:
                    yield pack.stem, record
        except UserError as error:
            warn(f"{error}; it is left out")
