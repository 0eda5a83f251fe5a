"""The pipeline on small notebooks of the tests' own: real doit, real papermill, real kernels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from facedepth_kit.common import paths, used_modules
from facedepth_kit.common.errors import KitError
from facedepth_kit.pipeline import manifest, notebooks
from facedepth_kit.pipeline.notebooks import Notebook
from facedepth_kit.pipeline.profiles import get_profile
from facedepth_kit.pipeline.stored_notebooks import check_notebooks, notebook_text, write_notebooks
from facedepth_kit.pipeline.tasks import run

HEAD = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A small notebook

# %% tags=["parameters"]
profile, seed, output = "", 0, ""

"""
MAKES = """# %%
from pathlib import Path

figures = Path(output) / "figures"
figures.mkdir()
(figures / "{name}").write_text(f"{{profile}} {{seed}}")
"""
USES = """# %%
from facedepth_kit.common.paths import figures_dir

text = (figures_dir(profile) / "first.txt").read_text()
"""


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a space in its name and two notebooks, the second using the first's output."""
    root = tmp_path / "a clone with spaces"
    (root / "notebooks" / "src").mkdir(parents=True)
    monkeypatch.setattr(paths, "repository_root", lambda: root)
    both = (
        Notebook("00_first", outputs=("first.txt",)),
        Notebook("01_second", outputs=("second.txt",), needs=("first.txt",)),
    )
    monkeypatch.setattr(notebooks, "NOTEBOOKS", both)
    write(root, "00_first", HEAD + MAKES.format(name="first.txt"))
    write(root, "01_second", HEAD + MAKES.format(name="second.txt"))
    return root


def write(root: Path, name: str, text: str) -> Path:
    path = root / "notebooks" / "src" / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    return path


def rerun(root: Path, lines: list[str]) -> list[str]:
    """Names of the notebooks that ran and those that did not end well, from the report."""
    return [line.split("] ")[1].split(":")[0] for line in lines if line.startswith("[") and "up to date" not in line]


def test_story_of_a_run(kit: Path) -> None:
    """First run, nothing to do, prose edited, a failure, and the repair."""
    lines: list[str] = []
    assert run("smoke", seed=7, report=lines.append) == 0
    assert (kit / "figures/smoke/second.txt").read_text() == "smoke 7"
    executed = nbformat.read(kit / "build/smoke/notebooks/00_first.ipynb", as_version=4)
    assert any(cell.get("execution_count") for cell in executed.cells)
    written = json.loads((kit / "figures/smoke/manifest.json").read_text())
    assert written["profile"] == "smoke"
    assert written["seed"] == 7
    assert written["commit"] == "unknown"
    assert set(written["sha256"]) == {"first.txt", "second.txt"}
    assert set(written["seconds"]) == {"00_first", "01_second"}
    assert written["versions"]["numpy"]
    assert len(written["settings"]) == 64

    lines.clear()
    assert run("smoke", seed=7, report=lines.append) == 0
    assert rerun(kit, lines) == []
    assert json.loads((kit / "figures/smoke/manifest.json").read_text()) == written

    source = write(kit, "00_first", (HEAD + MAKES.format(name="first.txt")).replace("A small", "A little"))
    assert run("smoke", seed=7, report=lines.append) == 0
    assert rerun(kit, lines) == ["00_first"]  # its output did not change, so the second had nothing to do

    lines.clear()
    source.write_text(HEAD + MAKES.format(name="first.txt") + "\n# %%\nraise ValueError('no such\\nluck')\n")
    assert run("smoke", seed=7, report=lines.append) == 1
    assert any(
        "00_first: cell 4 (raise ValueError('no such\\nluck')): ValueError: no such luck" in line for line in lines
    ), lines
    assert any("01_second: skipped, needs 00_first" in line for line in lines)
    assert all("\n" not in line for line in lines)
    assert (kit / "figures/smoke/first.txt").read_text() == "smoke 7"  # the last whole result stays
    assert sorted(path.name for path in (kit / "build/smoke/staging").iterdir()) == []
    (kit / "build/smoke/staging" / "00_first-1" / "figures").mkdir(parents=True)  # as a kill -9 would leave it

    lines.clear()
    source.write_text(HEAD + MAKES.format(name="first.txt"))
    assert run("smoke", seed=8, report=lines.append) == 0
    assert rerun(kit, lines) == ["00_first", "01_second"]  # another seed reruns everything
    assert (kit / "figures/smoke/second.txt").read_text() == "smoke 8"
    assert list((kit / "build/smoke/staging").iterdir()) == []


def test_a_table_that_differs_in_rounding_alone_is_kept(kit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebooks, "NOTEBOOKS", (Notebook("00_first", outputs=("first.csv",)),))
    source = write(kit, "00_first", HEAD + MAKES.format(name="first.csv"))
    for seed, number, kept in ((7, "0.2872", "0.2872"), (8, "0.2873", "0.2872"), (9, "0.2879", "0.2879")):
        source.write_text((HEAD + MAKES.format(name="first.csv")).replace("{profile} {seed}", number))
        assert run("smoke", seed=seed) == 0
        assert (kit / "figures/smoke/first.csv").read_text() == kept


def test_outputs_must_be_the_listed_ones(kit: Path) -> None:
    write(kit, "00_first", HEAD + MAKES.format(name="other.txt"))
    lines: list[str] = []
    assert run("smoke", only="00", report=lines.append) == 1
    assert "missing ['first.txt'], made ['other.txt']" in lines[0]
    assert not (kit / "figures/smoke/other.txt").exists()


def test_missing_and_broken_sources_do_not_stop_the_others(kit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(kit, "00_first", HEAD + "# %%\nfor in")
    others = (Notebook("00_first"), Notebook("02_missing"), Notebook("01_second", outputs=("second.txt",)))
    monkeypatch.setattr(notebooks, "NOTEBOOKS", others)
    lines: list[str] = []
    assert run("smoke", report=lines.append) == 1
    assert "00_first: cell 3 (for in): SyntaxError" in lines[0]
    assert "02_missing: found no 02_missing.py" in lines[1]
    assert (kit / "figures/smoke/second.txt").exists()


def test_dead_kernel_is_one_line(kit: Path) -> None:
    write(kit, "00_first", HEAD + "# %%\nimport os\nos._exit(3)\n")
    lines: list[str] = []
    assert run("smoke", only="00_first", report=lines.append) == 1
    assert lines[0].startswith("[ 1/1] 00_first: failed: 00_first: DeadKernelError")


def test_kernel_is_this_python(kit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "TkAgg")  # a desktop's setting must not reach a run without a screen
    monkeypatch.setenv("FACEDEPTH_DATA", "mine")
    code = "\nimport os, sys\nfound = [sys.executable, os.environ['MPLBACKEND'], os.environ['FACEDEPTH_DATA']]\n"
    code += "(figures / 'first.txt').write_text(chr(10).join(found))\n"
    write(kit, "00_first", HEAD + MAKES.format(name="first.txt") + code)
    assert run("smoke", only="00") == 0
    executable, backend, data = (kit / "figures/smoke/first.txt").read_text().splitlines()
    assert data == str(Path("mine").resolve())
    assert executable == sys.executable
    assert "inline" in backend
    assert os.environ["MPLBACKEND"] == "TkAgg"


def test_only_takes_what_it_needs(kit: Path) -> None:
    lines: list[str] = []
    assert run("smoke", only="01_second", report=lines.append) == 0
    assert rerun(kit, lines) == ["00_first", "01_second"]
    with pytest.raises(KitError, match="expected one of 00_first, 01_second"):
        run("smoke", only="99")
    with pytest.raises(KitError, match="expected one of smoke"):
        run("huge")


def test_second_run_of_a_profile_waits(kit: Path) -> None:
    lock = kit / "build/smoke/.lock"
    lock.parent.mkdir(parents=True)
    code = f"import fcntl, time\nf = open({str(lock)!r}, 'a+')\nfcntl.flock(f, fcntl.LOCK_EX)\n"
    code += "print('held', flush=True)\ntime.sleep(2)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        lines: list[str] = []
        assert run("smoke", only="00", report=lines.append) == 0
        assert "waiting" in lines[0]
        assert other.poll() == 0


def test_stored_notebooks_come_from_their_sources(kit: Path) -> None:
    assert [path.name for path in write_notebooks()] == ["00_first.ipynb", "01_second.ipynb"]
    assert write_notebooks() == []
    assert check_notebooks() == []
    notebook = nbformat.read(kit / "notebooks/00_first.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert "parameters" in notebook.cells[1].metadata.tags


def test_check_finds_what_is_wrong(kit: Path) -> None:
    write_notebooks()
    first, second = kit / "notebooks/00_first.ipynb", kit / "notebooks/01_second.ipynb"
    notebook = nbformat.read(first, as_version=4)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="kept")]
    nbformat.write(notebook, first)
    second.write_text(second.read_text().replace("A small", "A large"))
    write(kit, "02_third", HEAD)
    problems = check_notebooks()
    assert [problem.split(":")[0] for problem in problems] == ["02_third", "00_first", "01_second", "02_third"]
    assert "keeps outputs" in problems[1]
    assert "differs from notebooks/src/01_second.py" in problems[2]


def test_a_module_reruns_only_the_notebooks_that_use_it(tmp_path: Path) -> None:
    uses = tmp_path / "uses.py"
    uses.write_text("from facedepth_kit.evaluation.error import summary\n")
    found = set(used_modules.used_modules(uses))
    assert {"facedepth_kit.evaluation.error", "facedepth_kit.depth", "facedepth_kit.common.errors"} <= found
    others = {"facedepth_kit.evaluation.published", "facedepth_kit.plots.style", "facedepth_kit.networks.trainer"}
    assert not found & others
    inside = tmp_path / "inside.py"
    inside.write_text("def f():\n    from facedepth_kit.evaluation import published\n")
    assert "facedepth_kit.evaluation.published" in used_modules.used_modules(inside)
    assert "facedepth_kit.networks.trainer" not in used_modules.used_modules(inside)


def test_digest_follows_the_code() -> None:
    assert used_modules.code_digest(["facedepth_kit.depth"]) == used_modules.code_digest(["facedepth_kit.depth"])
    assert used_modules.code_digest(["facedepth_kit.depth"]) != used_modules.code_digest(
        ["facedepth_kit.evaluation.published"]
    )


def test_the_kits_own_notebooks_are_listed_clean_and_short() -> None:
    assert check_notebooks() == []
    for notebook in notebooks.NOTEBOOKS:
        cells = nbformat.reads(notebook_text(notebook.source), as_version=4).cells
        assert sum("parameters" in cell.metadata.get("tags", []) for cell in cells) == 1, notebook.name
        assert cells[0].source.startswith("# "), notebook.name
        for cell in cells:
            assert cell.cell_type != "code" or len(cell.source.splitlines()) <= 15, (
                f"{notebook.name}: {cell.source[:60]}"
            )


def test_every_need_is_made_by_an_earlier_notebook() -> None:
    made: set[str] = set()
    for notebook in notebooks.NOTEBOOKS:
        assert set(notebook.needs) <= made, notebook.name
        assert not made & {*notebook.outputs, *notebook.results}, notebook.name
        made |= {*notebook.outputs, *notebook.results}


def test_the_shipped_manifest_knows_how_long_other_profiles_took(kit: Path) -> None:
    smoke = kit / "figures" / "smoke"
    smoke.mkdir(parents=True)
    (smoke / "manifest.json").write_text(json.dumps({"seconds": {"00_first": 2.5}}))
    laptop = json.loads(manifest.write_manifest(get_profile("laptop"), 7).read_text())
    assert laptop["seconds_of_other_profiles"] == {"smoke": {"00_first": 2.5}}
    (smoke / "manifest.json").unlink()  # as in a fresh clone
    assert json.loads(manifest.write_manifest(get_profile("laptop"), 7).read_text()) == laptop
    assert "seconds_of_other_profiles" not in json.loads(manifest.write_manifest(get_profile("smoke"), 7).read_text())


def test_a_kill_loses_the_running_notebook_only(kit: Path) -> None:
    """doit's own database would be written at the end of all tasks."""
    write(kit, "01_second", HEAD + "# %%\nimport os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n")
    code = (
        "import sys\nfrom pathlib import Path\nfrom facedepth_kit.common import paths\n"
        "from facedepth_kit.pipeline import notebooks, tasks\n"
        f"paths.repository_root = lambda: Path({str(kit)!r})\n"
        "first = notebooks.Notebook('00_first', outputs=('first.txt',))\n"
        "notebooks.NOTEBOOKS = (first, notebooks.Notebook('01_second', outputs=('second.txt',)))\n"
        "tasks.run('smoke', seed=7)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert killed.returncode < 0, killed.stderr
    write(kit, "01_second", HEAD + MAKES.format(name="second.txt"))
    lines: list[str] = []
    assert run("smoke", seed=7, report=lines.append) == 0
    assert rerun(kit, lines) == ["01_second"]


def test_every_setting_of_the_modules_in_use_is_part_of_the_manifests_hash() -> None:
    modules = {name for notebook in notebooks.NOTEBOOKS for name in used_modules.used_modules(notebook.source)}
    found = {name.rsplit(".", 1)[1]: values for name, values in manifest.default_settings(modules).items()}
    kinds = {"DegradationSettings", "SynthesisSettings", "FaceSettings", "Camera", "StructuredLight", "ActiveStereo"}
    assert kinds | {"RoughnessSettings", "ReliefSettings", "PunchSettings"} <= found.keys()
    assert found["DegradationSettings"]["noise_mm"] == 15.0


def test_the_manifest_tells_the_seconds_of_a_first_run(kit: Path) -> None:
    manifest.write_record("smoke", "00_first", 60.0, first=True)
    manifest.write_record("smoke", "00_first", 4.0, first=False)
    written = json.loads(manifest.write_manifest(get_profile("smoke"), 7).read_text())
    assert written["seconds"] == {"00_first": 60.0}
    manifest.write_record("smoke", "00_first", 55.0, first=True)
    written = json.loads(manifest.write_manifest(get_profile("smoke"), 7).read_text())
    assert written["seconds"] == {"00_first": 55.0}


def test_the_parts_of_the_story_follow_the_numbers() -> None:
    parts = [notebook.part for notebook in notebooks.NOTEBOOKS]
    assert all(parts)
    assert sorted(parts) == parts


def test_the_map_knows_which_notebooks_have_sliders() -> None:
    shown = {one.name[:2] for one in notebooks.NOTEBOOKS if one.has_sliders}
    assert {"03", "17", "18"} <= shown
    assert not {"00", "04", "08"} & shown
