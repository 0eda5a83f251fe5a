"""TensorFlow is imported without its greetings, and nothing else is swallowed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def python(code: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    before = f"import sys; sys.path.insert(0, {str(path)!r})\n" if path else ""
    return subprocess.run([sys.executable, "-c", before + code], capture_output=True, text=True, check=False)


def test_keras_loads_without_a_word_and_errors_are_heard_afterwards() -> None:
    done = python(
        "from facedepth_kit.common.quiet import quiet_tensorflow\n"
        "quiet_tensorflow(); quiet_tensorflow()\n"
        "import keras, os, sys, tensorflow\n"
        "print(tensorflow.__version__, keras.backend.backend(), tensorflow.__spec__.name)\n"
        "os.write(2, b'heard\\n')"
    )
    assert done.returncode == 0
    assert done.stdout.split()[1:] == ["tensorflow", "tensorflow"]
    assert done.stderr == "heard\n"


def test_what_a_failing_import_wrote_is_shown(tmp_path: Path) -> None:
    broken = tmp_path / "tensorflow"
    broken.mkdir()
    (broken / "__init__.py").write_text("import os\nos.write(2, b'no such library\\n')\nraise OSError('broken')\n")
    done = python(
        "from facedepth_kit.common.quiet import quiet_tensorflow\nquiet_tensorflow()\nimport tensorflow", path=tmp_path
    )
    assert done.returncode == 1
    assert "no such library" in done.stderr
    assert "OSError: broken" in done.stderr


def test_other_packages_are_left_alone() -> None:
    done = python(
        "from facedepth_kit.common.quiet import quiet_tensorflow\nquiet_tensorflow()\nimport json.tool, sys\n"
        "print('tensorflow' in sys.modules)"
    )
    assert (done.returncode, done.stdout) == (0, "False\n")
