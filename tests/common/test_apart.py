"""A native library that crashes or hangs on a file is one line."""

import os
import sys
from pathlib import Path

import pytest

from facedepth_kit.common.apart import work_apart
from facedepth_kit.common.errors import KitError


@pytest.mark.skipif(sys.platform == "win32", reason="signals and pipes")
def test_a_crash_and_a_hang_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, pipe = tmp_path / "a.bag", tmp_path / "b.bag"
    file.touch()
    with pytest.raises(KitError, match=r"a\.bag: found a file on which the library ends with signal (6|11)"):
        list(work_apart("faulthandler:_sigsegv", file, library="the library"))
    os.mkfifo(pipe)
    monkeypatch.setenv("FACEDEPTH_SILENCE_S", "2")
    with pytest.raises(KitError, match=r"b\.bag: found a file on which the library gives no sign for 2 s"):
        list(work_apart("builtins:open", pipe, library="the library"))
    monkeypatch.setenv("FACEDEPTH_SILENCE_S", "soon")
    with pytest.raises(KitError, match="FACEDEPTH_SILENCE_S: found 'soon', expected a whole number"):
        list(work_apart("builtins:open", pipe, library="the library"))
