"""Frozen settings dataclasses to and from YAML: what sliders save, training and synthesis accept."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import reprlib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import write_atomically

T = TypeVar("T")
LARGEST = 1e12  # of any number in settings
LONGEST_FILE = 1_000_000  # bytes


def to_dict(settings: Any) -> dict[str, Any]:
    """Nested plain values of a settings dataclass (tuples become lists)."""
    return json.loads(json.dumps(dataclasses.asdict(settings)))


def check_bounds(settings: Any, **bounds: tuple[float, float]) -> None:
    """Refuse a number, or an end of a range, outside its bounds (both included), and a range with its ends exchanged.

    Raises :class:`KitError` naming the setting. Not a number is outside of all bounds.
    """
    for name, (least, most) in bounds.items():
        value = getattr(settings, name)
        ends = value if isinstance(value, tuple) else (value,)
        if not all(least <= end <= most for end in ends):
            raise KitError(f"{name}: found {_shown(value)}, expected {least:g} to {most:g}")
        if list(ends) != sorted(ends):
            raise KitError(f"{name}: found {_shown(value)}, expected the lower end first")


def _shown(value: Any) -> str:
    """A value as its YAML says it, cut where it is long."""
    return reprlib.repr(list(value) if isinstance(value, tuple) else value)


def _convert(value: Any, expected: Any, name: str) -> Any:
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert(value, next(a for a in arguments if a is not type(None)), name)
    if dataclasses.is_dataclass(expected):
        return from_dict(typing.cast(type, expected), value, name=f"{name}.")
    if origin is tuple:
        if not isinstance(value, (list, tuple)) or (arguments[-1] is not Ellipsis and len(value) != len(arguments)):
            raise KitError(f"{name}: found {_shown(value)}, expected {len(arguments)} values")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(_convert(v, kind, name) for v, kind in zip(value, kinds, strict=True))
    if origin is typing.Literal:
        if value not in arguments:
            raise KitError(f"{name}: found {_shown(value)}, expected one of {', '.join(map(str, arguments))}")
        return value
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    if numeric and not abs(value) <= LARGEST:
        raise KitError(f"{name}: found {_shown(value)}, expected a number of at most {LARGEST:g}")
    if expected is float and numeric:
        return float(value)
    if expected is int and numeric and float(value).is_integer():
        return int(value)
    if expected in (str, bool) and isinstance(value, expected):
        return value
    raise KitError(f"{name}: found {_shown(value)}, expected {getattr(expected, '__name__', expected)}")


def from_dict(kind: type[T], values: Any, *, name: str = "") -> T:
    """A settings dataclass from nested plain values; what is missing keeps its default.

    Raises :class:`KitError` for an unknown name (the known ones are listed) or a value of the wrong kind.
    """
    hints = typing.get_type_hints(kind)
    if not isinstance(values, dict):
        raise KitError(f"{name or kind.__name__}: found {type(values).__name__}, expected names and values")
    unknown = [key for key in values if key not in hints]
    if unknown:
        raise KitError(f"{name}{unknown[0]}: unknown setting, expected one of {', '.join(hints)}")
    return kind(**{key: _convert(value, hints[key], f"{name}{key}") for key, value in values.items()})


def load_yaml(kind: type[T], path: str | Path) -> T:
    """Read settings from a YAML file; raises :class:`KitError` naming the file."""
    import yaml

    try:
        if (size := Path(path).stat().st_size) > LONGEST_FILE:
            raise KitError(f"found {size:,} bytes, expected settings of at most {LONGEST_FILE:,}")
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        return from_dict(kind, values if values is not None else {})
    except FileNotFoundError:
        raise KitError(f"{path}: no such settings file") from None
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
