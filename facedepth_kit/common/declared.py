"""JSON files of a declared kind: what does not fit is one line that names file, field, found and expected."""

from __future__ import annotations

import json
import re
import reprlib
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.files import read_file

T = TypeVar("T")

LONGEST_FILE = 256_000_000  # bytes
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]


def read_json(path: Path, kind: type[T]) -> T:
    """Read a JSON file as ``kind``, a type that msgspec knows. Raises :class:`KitError`, naming the file."""
    data = read_file(path, "JSON", most=LONGEST_FILE)
    content: T = decode_json(path, data.removeprefix(b"\xef\xbb\xbf"), kind)
    return content


def decode_json(path: Path, data: bytes | msgspec.Raw, kind: Any, *, within: str = "") -> Any:
    """The same of data in memory: ``path`` is the file it comes from, ``within`` the field that it stands in."""
    try:
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.DecodeError as error:
            if "surrogate" not in str(error):
                raise
            # Names of files need not be text; what Python writes for such bytes, msgspec's own reader refuses.
            return msgspec.convert(json.loads(bytes(data)), kind)
    except RecursionError:
        raise KitError(f"{path}: found values nested without end, expected JSON") from None
    except msgspec.ValidationError as error:
        raise KitError(f"{path}: {_in_words(str(error), data, within)}") from None
    except (msgspec.DecodeError, UnicodeError, json.JSONDecodeError):
        raise KitError(f"{path}: found a damaged file, expected JSON") from None


def _in_words(message: str, data: bytes | msgspec.Raw, within: str) -> str:
    """Msgspec's message as found and expected, with the field and the value that it is about."""
    what, _, place = message.partition(" - at ")
    names = [name or number for name, number in re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", place)]
    field = ".".join(part for part in (within, *names) if part)
    missing = re.search(r"missing required field `(.+?)`", what)
    if missing:
        return f"found no {missing[1]}{f' in {field}' if field else ''}, expected one"
    expected = re.sub(r", got `.*", "", what).replace("`", "").removeprefix("Expected ")
    expected = expected.replace("Number out of range", "a number that can be computed with")
    kind = re.search(r", got `(.+?)`", what)
    found = f"a value of kind {kind[1]}" if kind else _value_at(data, names)
    return f"found {f'{field}: ' if field else ''}{found}, expected {expected}"


def _value_at(data: bytes | msgspec.Raw, names: list[str]) -> str:
    try:
        value: Any = msgspec.json.decode(data)
        for name in names:
            value = value[int(name)] if isinstance(value, list) else value[name]
    except (msgspec.DecodeError, RecursionError, KeyError, IndexError, ValueError, TypeError):
        return "another value"
    return reprlib.repr(value)
