"""A notebook's workspace: tables and pictures land whole, numbers repeat, and shared pairs are made once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from facedepth_kit.common import paths
from facedepth_kit.common.errors import KitError
from facedepth_kit.pipeline.manifest import durations
from facedepth_kit.pipeline.workspace import Workspace, open_workspace
from facedepth_kit.plots.curves import loss_curve


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(paths, "repository_root", lambda: tmp_path)
    return open_workspace("a_notebook", "smoke", 5, str(tmp_path / "staging"))


def test_table_as_csv_and_markdown(work: Workspace) -> None:
    rows: list[dict[str, object]] = [
        {"enhancer": "None", "mean": 0.28721234567, "same": True},
        {"enhancer": "DL-Beta", "mean": None, "note": "x"},
    ]
    shown = work.save_table("table_9", rows, "What it says.")
    assert (work.figures / "table_9.csv").read_text() == "enhancer,mean,same,note\nNone,0.2872,yes,\nDL-Beta,,,x\n"
    text = (work.figures / "table_9.md").read_text()
    assert "0.2872" in shown._repr_html_()
    assert "<p>What it says.</p>" in shown._repr_html_()
    assert text.splitlines()[2].replace(" ", "") == "|None|0.2872|yes||"
    assert text.endswith("\nWhat it says.\n")
    assert work.read_table("table_9")["mean"][0] == 0.2872


def test_of_a_long_table_the_short_form_is_shown_and_the_long_one_saved(work: Workspace) -> None:
    rows = [{"enhancer": name, "metric": "mean", "value": 1.5} for name in "abc"]
    html = work.save_table("table_9", rows, "What it says.", shown=[{"enhancer": "all", "mean": 1.5}])._repr_html_()
    assert len(work.read_table("table_9")) == 3
    assert "metric" not in html
    assert "figures/smoke/table_9.csv</code>" in html


def test_figure_file_is_the_shown_picture(work: Workspace) -> None:
    shown = work.save_figure(loss_curve([{"epoch": 1, "loss": 0.1}]), "curve.png", "A caption.")
    written = (work.figures / "curve.png").read_bytes()
    assert written == shown.data
    assert shown.width > 300  # pixels, not inches
    assert written.startswith(b"\x89PNG")


def test_purposes_have_their_own_numbers(work: Workspace) -> None:
    assert work.rng("one").random() == work.rng("one").random()
    assert work.rng("one").random() != work.rng("two").random()


def test_earlier_results_are_found_and_missing_ones_named(work: Workspace, tmp_path: Path) -> None:
    earlier = tmp_path / "figures" / "smoke" / "table_2.csv"
    earlier.parent.mkdir(parents=True)
    earlier.write_text("enhancer\nNone\n")
    assert work.find("table_2.csv") == earlier
    with pytest.raises(KitError, match=r"table_7\.csv: found none .* expected it from notebook 14_landmarks_and_pad"):
        work.find("table_7.csv")


def test_by_hand_nothing_touches_the_repositorys_figures(work: Workspace, tmp_path: Path) -> None:
    by_hand = open_workspace("a_notebook", "smoke")
    by_hand.save_table("table_2", [{"a": 1}], "")
    assert not (tmp_path / "figures").exists()
    assert by_hand.figures.is_relative_to(tmp_path / "build" / "smoke")


def test_pairs_are_made_once_and_renewed_when_they_would_differ(work: Workspace, tmp_path: Path) -> None:
    first = work.pairs("test", 2)
    stamp = first.folder.stat().st_mtime_ns, sorted(path.name for path in first.folder.iterdir())
    again = work.pairs("test", 2)
    assert again.folder == first.folder
    assert sorted(path.name for path in again.folder.iterdir()) == stamp[1]
    other = work.pairs("validation", 2)
    assert not np.array_equal(first.batch([0])[0], other.batch([0])[0])
    more = work.pairs("test", 3)
    assert len(more) == 3
    assert not first.folder.exists()


def test_durations_come_from_the_manifests(work: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "figures" / "laptop"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"seconds": {"a_notebook": 12.4}}))
    assert durations("a_notebook") == "laptop 12 s"
    assert durations("another") == "not measured yet"
    shipped = {"seconds": {"a_notebook": 12.4}, "seconds_of_other_profiles": {"smoke": {"a_notebook": 3.2}}}
    (folder / "manifest.json").write_text(json.dumps(shipped))
    assert durations("a_notebook") == "smoke 3 s, laptop 12 s"
    own = tmp_path / "figures" / "smoke"
    own.mkdir()
    (own / "manifest.json").write_text(json.dumps({"seconds": {"a_notebook": 7.0}}))
    assert durations("a_notebook") == "smoke 7 s, laptop 12 s"
    assert "laptop 12 s" in work._repr_markdown_()
