"""NPY and NPZ files of others: what a header promises is checked before anything is read."""

import struct
from pathlib import Path

import numpy as np
import pytest

from facedepth_kit.common.arrays import Kind, read_npy, read_npz
from facedepth_kit.common.errors import KitError

FRAMES = Kind("uint16", (None, 4))


def npy(path: Path, header: str, data: bytes = b"") -> Path:
    path.write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + data)
    return path


def test_arrays_come_back_mapped_or_not(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.uint16).reshape(3, 4)
    np.save(tmp_path / "a.npy", np.asfortranarray(array))
    np.savez(tmp_path / "a.npz", a=array, b=np.array("text"))
    for mapped in (False, True):
        np.testing.assert_array_equal(read_npy(tmp_path / "a.npy", FRAMES, mapped=mapped), array)
    found = read_npz(tmp_path / "a.npz", {"a": FRAMES, "b": Kind("text"), "c": None}, optional=("c",))
    np.testing.assert_array_equal(found["a"], array)
    assert (str(found["b"]), "c" in found) == ("text", False)


def test_other_arrays_are_one_line(tmp_path: Path) -> None:
    fine = "{'descr': '<u2', 'fortran_order': False, 'shape': (3, 4), }"
    for number, (header, reason) in enumerate(
        (
            (fine, "found 69 bytes, expected 93"),
            (fine.replace("3", "10" + "0" * 20), r"expected \d"),
            (fine.replace("3", "-3"), "expected uint16 of shape"),
            (fine.replace("<u2", "<i2"), r"found int16 of shape \(3, 4\), expected uint16 of shape \(n, 4\)"),
            (fine.replace("<u2", "|O"), "object"),
            ("{" * 500, "damaged NPY header"),
            (fine + " " * 20_000, "damaged NPY header"),
        )
    ):
        path = npy(tmp_path / f"{number}.npy", header)
        for mapped in (False, True):
            with pytest.raises(KitError, match=reason) as caught:
                read_npy(path, FRAMES, mapped=mapped)
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros((3, 4)))
    with pytest.raises(KitError, match=r"a\.npz: a: found float64"):
        read_npz(tmp_path / "a.npz", {"a": FRAMES})
    with pytest.raises(KitError, match=r"a\.npz: found no b in it"):
        read_npz(tmp_path / "a.npz", {"b": FRAMES})


def test_text_of_letters_that_there_are_not_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array(["ab"]))
    data = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(data[:-1] + b"\x7f")
    with pytest.raises(KitError, match="damaged text"):
        read_npy(tmp_path / "a.npy")
