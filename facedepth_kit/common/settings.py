"""Frozen settings dataclasses to and from YAML: what sliders save, training and synthesis accept.

Kinds are those of the dataclass, checked by msgspec; bounds are the dataclass's own, which calls :func:`check_bounds`
in its ``__post_init__``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import reprlib
import typing
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.files import read_file
from facedepth_kit.common.paths import write_atomically

T = TypeVar("T")

LARGEST = 1e12  # of any number in settings
LONGEST_FILE = 1_000_000  # bytes
MOST_VALUES = 10_000
DEEPEST = 8


def to_dict(settings: Any) -> dict[str, Any]:
    """Nested plain values of a settings dataclass (tuples become lists)."""
    return json.loads(json.dumps(dataclasses.asdict(settings)))


def from_dict(kind: type[T], values: Any, *, name: str = "") -> T:
    """A settings dataclass from nested plain values; what is missing keeps its default.

    ``name`` comes before the names in messages. Raises :class:`KitError` for an unknown name (the known ones are
    listed), a value of the wrong kind or out of bounds, and for values without end.
    """
    _check_names(kind, values, name)
    _check_values(values, name)
    return _converted(kind, values, name)


def check_bounds(settings: Any, **bounds: tuple[float, float]) -> None:
    """Refuse a number, or an end of a range, outside its bounds (both included), and a range with its ends exchanged.

    Raises :class:`KitError` naming the setting. Not a number is outside of all bounds, None within them.
    """
    for name, (least, most) in bounds.items():
        value = getattr(settings, name)
        ends = value if isinstance(value, tuple) else () if value is None else (value,)
        if not all(least <= end <= most for end in ends):
            raise KitError(f"{name}: found {_shown(value)}, expected {least:.12g} to {most:.12g}")
        if list(ends) != sorted(ends):
            raise KitError(f"{name}: found {_shown(value)}, expected the lower end first")


def check_shares(settings: Any) -> None:
    """Refuse a share (a number whose name says so) below 0 or above 1, as :func:`check_bounds` does."""
    check_bounds(settings, **{one.name: (0, 1) for one in dataclasses.fields(settings) if one.name.endswith("_share")})


def load_yaml(kind: type[T], path: str | Path) -> T:
    """Read settings from a YAML file; raises :class:`KitError` naming the file."""
    import yaml

    text = read_file(Path(path), "settings", most=LONGEST_FILE)
    try:
        values = yaml.safe_load(text.decode("utf-8"))
        return from_dict(kind, values if values is not None else {})
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, or an integer of 5000 digits
        line = next(iter(str(error).splitlines()), "")
        raise KitError(f"{path}: found no readable YAML ({line}), expected settings") from None
    except KitError as error:
        raise KitError(f"{path}: {error}") from None


def save_yaml(settings: Any, path: str | Path, *, overwrite: bool = False) -> None:
    """Write settings as YAML, whole or not at all; an existing file is kept unless ``overwrite``."""
    import yaml

    with write_atomically(Path(path), overwrite=overwrite) as temporary:
        Path(temporary).write_text(yaml.safe_dump(to_dict(settings), sort_keys=False), encoding="utf-8")


def settings_hash(settings: Any) -> str:
    """A short fingerprint (12 hex digits) of a settings dataclass."""
    return hashlib.sha256(json.dumps(to_dict(settings), sort_keys=True).encode()).hexdigest()[:12]


def _check_values(values: Any, name: str) -> None:
    """Refuse what is too deep, too much (aliases count each time), no number to compute with or no word."""
    waiting, seen = [(values, name.rstrip("."), 0)], 0
    while waiting:
        value, place, depth = waiting.pop()
        seen += 1
        if depth > DEEPEST or seen > MOST_VALUES:
            found = f"more than {DEEPEST} levels" if depth > DEEPEST else f"more than {MOST_VALUES} values"
            raise KitError(f"{place[:80] or 'settings'}: found {found}, expected settings")
        if isinstance(value, dict):
            waiting += [(one, f"{place}.{key}".lstrip(".") if len(place) < 80 else place, depth + 1)
                        for key, one in value.items()]  # fmt: skip
        elif isinstance(value, list | tuple):
            waiting += [(one, place, depth + 1) for one in value]
        elif isinstance(value, int | float) and not abs(value) <= LARGEST:
            raise KitError(f"{place}: found {_shown(value)}, expected a number of at most {LARGEST:g}")
        elif isinstance(value, str) and not value.isprintable():
            raise KitError(f"{place}: found {_shown(value)}, expected a word")


def _check_names(kind: Any, values: Any, name: str) -> None:
    if not isinstance(values, dict):
        raise KitError(f"{name.rstrip('.') or kind.__name__}: found {type(values).__name__}, expected names and values")
    hints = typing.get_type_hints(kind)
    for key, value in values.items():
        if key not in hints:
            raise KitError(f"{name}{str(key)[:60]}: unknown setting, expected one of {', '.join(hints)}")
        if dataclasses.is_dataclass(hints[key]):
            _check_names(hints[key], value, f"{name}{key}.")


def _converted(kind: type[T], values: dict[str, Any], name: str) -> T:
    hints = typing.get_type_hints(kind)
    made: dict[str, Any] = {}
    for key, value in values.items():
        if dataclasses.is_dataclass(hints[key]):
            made[key] = _converted(typing.cast(type, hints[key]), value, f"{name}{key}.")
            continue
        try:
            made[key] = msgspec.convert(value, hints[key])
        except msgspec.ValidationError as error:
            expected = re.sub(r", got .*| - at `.*", "", str(error)).replace("`", "").removeprefix("Expected ")
            item = re.search(r"\$\[(\d+)\]", str(error))
            found = value[int(item[1])] if item and isinstance(value, list | tuple) else value
            raise KitError(f"{name}{key}: found {_shown(found)}, expected {_plainly(expected, hints[key])}") from None
    return kind(**made)


def _plainly(expected: str, hint: Any) -> str:
    """What msgspec expected, in words: the choices of a Literal, the length of a tuple."""
    choices = [choice for one in (hint, *typing.get_args(hint)) if typing.get_origin(one) is typing.Literal
               for choice in typing.get_args(one)]  # fmt: skip
    if expected.startswith("Invalid enum value") and choices:
        return f"one of {', '.join(map(str, choices))}"
    length = re.fullmatch(r"array of length (\d+)", expected)
    return f"{length[1]} values" if length else expected


def _shown(value: Any) -> str:
    """A value as its YAML says it, cut where it is long."""
    return reprlib.repr(list(value) if isinstance(value, tuple) else value)
