"""The notebooks: what each one makes, what it needs, and what its own header says about it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from facedepth_kit.common import paths
from facedepth_kit.common.errors import KitError
from facedepth_kit.pipeline.profiles import Profile

TRAINING, NETWORKS = "05_training", "networks.json"


@dataclass(frozen=True)
class Notebook:
    """One notebook and what it makes.

    ``outputs`` go to ``figures/<profile>/``, ``results`` to ``build/<profile>/results/`` (untracked). ``needs``:
    outputs or results of earlier ones. ``weights`` and ``own_data``: whether the files in the weights folder, or the
    user's recordings in the data folder, are inputs.
    """

    name: str
    outputs: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    weights: bool = False
    own_data: bool = False

    @property
    def source(self) -> Path:
        """The text that people edit."""
        return notebooks_dir() / "src" / f"{self.name}.py"

    @property
    def stored(self) -> Path:
        """The notebook that JupyterLab opens; made from the source, without outputs."""
        return notebooks_dir() / f"{self.name}.ipynb"

    @property
    def title(self) -> str:
        """Its first heading."""
        return self._header(r"^# # (.+)$")

    @property
    def part(self) -> str:
        """The part of the story it belongs to, as the line below its title says (``*Part 1: Faces*``)."""
        return self._header(r"^# \*Part (\d+: .+)\*$")

    @property
    def has_sliders(self) -> bool:
        """Whether it shows a panel to play with."""
        return bool(self._header(r"^from (facedepth_kit\.panels)\b"))

    def needs_in(self, profile: Profile) -> tuple[str, ...]:
        """What it needs in a profile: where the paper's networks are trained, those before they are evaluated."""
        trained = self.weights and self.name > TRAINING and profile.trains != "nothing"
        return (*self.needs, *([NETWORKS] if trained else []))

    def targets(self, profile: str) -> dict[str, Path]:
        """Where each of its files lies after a run: name -> path."""
        tracked = {name: paths.figures_dir(profile) / name for name in self.outputs}
        return tracked | {name: paths.results_dir(profile) / "results" / name for name in self.results}

    def _header(self, pattern: str) -> str:
        found = re.search(pattern, self.source.read_text(encoding="utf-8"), re.MULTILINE)
        return found[1].strip() if found else ""


def _table(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}{suffix}" for name in names for suffix in (".csv", ".md"))


NOTEBOOKS = (
    Notebook("00_start_here", results=("machine.json",), weights=True),
    Notebook("01_ground_truth_synthesis", outputs=("figure_03.png", "figure_04.png"), own_data=True),
    Notebook("02_screening", outputs=(*_table("table_1", "screening"), "screening_faces.png", "screening.png")),
    Notebook("03_degradation", outputs=("figure_05.png",)),
    Notebook("04_networks", outputs=(*_table("table_3"), "figure_07.png")),
    Notebook(
        TRAINING,
        outputs=(*_table("training", "weights"), "figure_06.png", "training_curve.png"),
        results=(NETWORKS,),
        weights=True,
    ),
    Notebook("06_filters", outputs=(*_table("table_2"), "filters.png")),
    Notebook(
        "07_ddrnet",
        outputs=(
            *_table("ddrnet_bodies", "ddrnet_faces"),
            *("ddrnet_network.png", "ddrnet_scenes.png", "ddrnet_faces.png"),
        ),
        weights=True,
    ),
    Notebook(
        "08_synthetic_evaluation",
        outputs=(*_table("table_4", "verdicts", "costs"), "figure_08.png"),
        results=("table_4_errors.csv",),
        needs=("table_2.csv", "table_3.csv"),
        weights=True,
    ),
    Notebook(
        "09_synthetic_samples", outputs=("figure_13.png", "figure_14.png"), needs=("table_4_errors.csv",), weights=True
    ),
    Notebook("10_degradation_calibration", outputs=(*_table("calibration"), "calibration.png")),
    Notebook(
        "11_simulated_cameras",
        outputs=(
            *_table("simulated_noise"),
            *(f"simulated_{name}.png" for name in ("sensors", "noise", "errors", "variants", "attacks")),
        ),
    ),
    Notebook(
        "12_roughness_and_holes",
        outputs=(*_table("roughness_readings", "table_5", "table_5_variants"), "figure_09.png"),
        results=("camera_measures.csv",),
        weights=True,
        own_data=True,
    ),
    Notebook(
        "13_falsification",
        outputs=(*_table("table_6"), "figure_10.png"),
        needs=("camera_measures.csv",),
        weights=True,
        own_data=True,
    ),
    Notebook(
        "14_landmarks_and_pad",
        outputs=(
            *_table("table_7", "marks", "pad_decisions", "pad_curves"),
            *("figure_11.png", "figure_12.png", "pad_curves.png"),
        ),
        needs=("camera_measures.csv",),
        weights=True,
        own_data=True,
    ),
    Notebook(
        "15_camera_samples",
        outputs=tuple(f"figure_{number:02d}.png" for number in (1, 2, 15, 16, 17, 18)),
        weights=True,
        own_data=True,
    ),
    Notebook(
        "16_your_recordings",
        outputs=(*_table("recordings", "recordings_measures"), "recordings.png"),
        weights=True,
        own_data=True,
    ),
    Notebook(
        "17_compare_enhancers",
        outputs=(*_table("compare_changes"), "profile_lines.png"),
        weights=True,
        own_data=True,
    ),
    Notebook("18_pad_panel", outputs=("pad_panel.png",), weights=True, own_data=True),
    Notebook("19_use_as_a_library", outputs=_table("library"), weights=True),
    Notebook("20_two_cameras", outputs=(*_table("two_cameras"), "two_cameras.png", "two_cameras_shift.png")),
    Notebook(
        "21_adversarial_attacks",
        outputs=(*_table("attacks_distance", "attacks_pad"), "attacks_print.png"),
        weights=True,
        own_data=True,
    ),
    Notebook(
        "22_single_frames",
        outputs=tuple(f"shabanov/figure_{number}.png" for number in (1, 2, 3, 5)),
        results=("shabanov_errors.json",),
        weights=True,
    ),
    Notebook(
        "23_memory",
        outputs=(
            *_table(*(f"shabanov/{name}" for name in ("table_1", "table_1_by_error", "memory", "verdicts"))),
            *(f"shabanov/figure_{number}.png" for number in (4, 8)),
        ),
        needs=("shabanov_errors.json",),
        weights=True,
    ),
    Notebook(
        "24_reconstruction",
        outputs=(
            *_table("shabanov/reconstruction", "shabanov/moving"),
            *("shabanov/figure_6.png", "shabanov/figure_7.png"),
        ),
        weights=True,
    ),
)


def notebooks_dir() -> Path:
    """The repository's ``notebooks`` folder."""
    return paths.repository_root() / "notebooks"


def maker(file: str) -> Notebook:
    """The notebook that makes a table, picture or result. Raises :class:`KitError` if none does."""
    for notebook in NOTEBOOKS:
        if file in (*notebook.outputs, *notebook.results):
            return notebook
    raise KitError(f"{file}: no notebook makes it, expected one of the files listed in pipeline/notebooks.py")


def chosen(profile: Profile, only: str | None = None) -> list[Notebook]:
    """All notebooks in order, or one by name or number after those whose files it needs in a profile.

    Raises :class:`KitError` for an unknown one.
    """
    if only is None:
        return list(NOTEBOOKS)
    wanted = [notebook for notebook in NOTEBOOKS if only in (notebook.name, notebook.name.split("_")[0])]
    if not wanted:
        raise KitError(f"notebook: found {only!r}, expected one of {', '.join(one.name for one in NOTEBOOKS)}")
    names = _with_makers(wanted, profile)
    return [notebook for notebook in NOTEBOOKS if notebook.name in names]


def _with_makers(notebooks: Iterable[Notebook], profile: Profile) -> set[str]:
    names: set[str] = set()
    for notebook in notebooks:
        names |= {notebook.name} | _with_makers((maker(file) for file in notebook.needs_in(profile)), profile)
    return names
