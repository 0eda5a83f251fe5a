"""Ways to damage a file: bytes of any, values of JSON and YAML, headers of NPY and PNG, and what is no file at all."""

from __future__ import annotations

import io
import json
import os
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

NASTY = (
    *("null", "true", "-1", "0", "1e400", "NaN", "-Infinity", "0.5", "1e-300", '""', '"x"', "[]", "{}", "[1]", "[[]]"),
    *('"\\ud800"', '"\\u0000"', '"\\u001b[2J"', "[3, 1]", "[-3, -3]", "4294967296", "18446744073709551616"),
    *("9" * 400, "[" * 1000 + "]" * 1000, '{"a":' * 500 + "1" + "}" * 500, '"' + "a" * 5000 + '"', '"../../x"'),
)
SHAPES = ("()", "(0,)", "(-1, 4)", "(1000000000000, 1000000000000)", "(2.5, 3)", "'ab'", "(True, 5)", "(48, 64, 3)",
          "(65535, 1)", "(48,)", "(48, 64", "(9" + "9" * 300 + ", 2)")  # fmt: skip
TYPES = ("'<u2'", "'>u2'", "'|O'", "'<f8'", "'<i2'", "'|u1'", "'<U9'", "'|S0'", "[('a', '<u2')]", "'<M8[s]'", "7",
         "'|V2'", "'<c16'", "'no'", "u2")  # fmt: skip


def damaged_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip, cut, repeat, blank or exchange some of the bytes."""
    if not data:
        return rng.randbytes(rng.randint(0, 40))
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 3, 20))):
        # Headers are short, and more lies in them.
        place = min(rng.randrange(len(changed) + 1), rng.choice((len(changed), 200)))
        length = rng.choice((1, 2, 4, 16, 200))
        kind = rng.randrange(7)
        if kind == 0 and place < len(changed):
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del changed[place:]
        elif kind == 2:
            del changed[place : place + length]
        elif kind == 3:
            changed[place:place] = rng.randbytes(length)
        elif kind == 4:
            changed[place:place] = changed[place : place + length]
        elif kind == 5:
            changed[place : place + length] = bytes([rng.choice((0, 255, 127, 128))]) * min(
                length, len(changed) - place
            )
        else:
            changed[place : place + length] = rng.randbytes(min(length, len(changed) - place))
    return bytes(changed)


def damaged_json(data: bytes, rng: random.Random) -> bytes:
    """Another value, a name less or one more at any depth of a JSON text."""
    if rng.random() < 0.3:
        return damaged_bytes(data, rng)
    content: Any = json.loads(data)
    places: list[tuple[Any, Any]] = []
    waiting = [content]
    while waiting:
        one = waiting.pop()
        names = list(one) if isinstance(one, dict) else list(range(len(one))) if isinstance(one, list) else []
        places += [(one, name) for name in names]
        waiting += [one[name] for name in names]
    if not places or rng.random() < 0.05:
        return rng.choice(NASTY).encode()
    for _ in range(rng.choice((1, 1, 2))):
        inside, name = rng.choice(places)
        kind = rng.randrange(5)
        if kind == 0 and isinstance(inside, dict):
            inside.pop(name, None)
        elif kind == 1 and isinstance(inside, dict):
            inside[rng.choice(("", "x", "\x1b[31m", "é" * 50, f"{name}x"))] = "@0@"
        elif isinstance(inside, dict) or name < len(inside):
            inside[name] = "@0@"
    return json.dumps(content).replace('"@0@"', rng.choice(NASTY)).encode()


def damaged_npy(data: bytes, rng: random.Random) -> bytes:
    """Another header before the same values, or other bytes."""
    if rng.random() < 0.4:
        return damaged_bytes(data, rng)
    array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    if rng.random() < 0.3:
        other = io.BytesIO()
        kind = rng.choice((np.float64, np.int16, np.uint8, np.float32, np.complex64, np.dtype(">u2"), np.bool_))
        changed = np.atleast_1d(np.zeros(array.shape) if array.dtype.kind == "U" else array).astype(kind)
        np.save(other, rng.choice((changed, changed[:1], changed[..., None], changed.T, changed.ravel(), changed[:0])))
        return other.getvalue()
    shape = rng.choice((str(array.shape), *SHAPES))
    dtype = rng.choice((f"'{array.dtype.str}'", *TYPES))
    header = f"{{'descr': {dtype}, 'fortran_order': {rng.choice(('False', 'True', '1', 'None'))}, 'shape': {shape}, }}"
    header = rng.choice(
        (header, header, header[:-3], "{" * 300, "(" * 3000, header + " " * 20_000, "9" * 5000, header * 2)
    )
    version, size = rng.choice(((b"\1\0", "<H"), (b"\2\0", "<I"), (b"\3\0", "<I"), (b"\x09\0", "<H")))
    length = rng.choice((len(header), len(header), len(header), 0, 65535))
    return b"\x93NUMPY" + version + struct.pack(size, length) + header.encode() + data[128:]


def damaged_npz(data: bytes, rng: random.Random) -> bytes:
    """A damaged member, one less, a bomb, or other bytes."""
    if rng.random() < 0.3:
        return damaged_bytes(data, rng)
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as after:
        names = before.namelist()
        chosen, kind = rng.choice(names), rng.randrange(4)
        for name in names:
            content = before.read(name)
            if name == chosen and kind == 0:
                continue
            if name == chosen and kind == 1 and content.startswith(b"\x93NUMPY"):
                content = damaged_npy(content, rng)
            elif name == chosen:
                content = damaged_bytes(content, rng) if kind == 2 else bytes(30_000_000)
            after.writestr(name, content)
    return made.getvalue()


def damaged_png(data: bytes, rng: random.Random) -> bytes:
    """Another size, depth or colour in the header, with a checksum that is right, or other bytes."""
    if rng.random() < 0.4 or data[12:16] != b"IHDR":
        return damaged_bytes(data, rng)
    sides = (0, 1, 8, 47, 300, 4000, 20_000, 32_767, 60_000, 2**31 - 1, 2**32 - 1)
    width, height = struct.unpack_from(">II", data, 16)
    header = struct.pack(">II", rng.choice((width, *sides)), rng.choice((height, *sides)))
    header += bytes(
        [rng.choice((1, 8, 16, 16, 5)), rng.choice((0, 0, 2, 3, 6, 9)), 0, rng.choice((0, 7)), rng.choice((0, 1))]
    )
    chunk = b"IHDR" + header
    return data[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


def huge_png(rng: random.Random) -> bytes:
    """A whole PNG of a size that is too much: few bytes, many pixels."""
    width, height = rng.choice(((60_000, 1), (1, 60_000), (20_000, 20_000), (33_000, 40)))
    bits = rng.choice((8, 16))
    packer = zlib.compressobj(1)
    row = bytes(1 + width * bits // 8)
    packed = b"".join([*(packer.compress(row) for _ in range(min(height, 300))), packer.flush()])

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


def damaged_text(data: bytes, rng: random.Random) -> bytes:
    """Other bytes, or a value of a line."""
    if rng.random() < 0.5:
        return damaged_bytes(data, rng)
    lines = data.decode("utf-8", "replace").splitlines()
    if not lines:
        return b"\xff"
    number = rng.randrange(len(lines))
    name = lines[number].partition(":")[0]
    lines[number] = rng.choice((f"{name}: {rng.choice(NASTY)}", rng.choice(NASTY), "", lines[number] * 2, ALIASES))
    return "\n".join(lines).encode("utf-8", "replace")


BY_SUFFIX: dict[str, Callable[[bytes, random.Random], bytes]] = {
    ".json": damaged_json,
    ".npy": damaged_npy,
    ".npz": damaged_npz,
    ".whl": damaged_npz,
    ".png": damaged_png,
    ".yaml": damaged_text,
    ".txt": damaged_text,
    ".csv": damaged_text,
}


def damage(path: Path, rng: random.Random) -> None:
    """Damage a file, or put something else in its place. It must be a copy, or a link that may be broken."""
    data = path.read_bytes()
    path.unlink()
    kind = rng.randrange(40)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.symlink_to(path.name)
    elif kind == 2:
        path.symlink_to("nowhere")
    elif kind == 3:
        path.mkdir()
    elif kind == 4:
        path.touch()
    elif kind == 5:
        pass  # it is missing
    elif kind == 6 and path.suffix in (".png", ".jpg", ".bmp", ".tif"):
        path.write_bytes(huge_png(rng))
    elif kind == 7:
        path.write_bytes(
            rng.choice((b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"GIF89a", b"PK\x05\x06" + bytes(18)))
        )
    elif kind == 8:
        with path.open("wb") as file:
            file.truncate(3_000_000_000)  # a hole: no bytes on the disk
    else:
        path.write_bytes(BY_SUFFIX.get(path.suffix, damaged_bytes)(data, rng))
