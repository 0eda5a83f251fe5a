"""A notebook's workspace: how much to do, where tables and pictures go, and the pairs it shares with the others."""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facedepth_kit.cameras.data_sets import CameraData
from facedepth_kit.common.cache import cache_folder
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import RUN_NETWORKS, figures_dir, repository_root, results_dir, write_atomically
from facedepth_kit.common.quiet import quiet_tensorflow
from facedepth_kit.common.settings import settings_hash
from facedepth_kit.common.tables import Table, markdown_table, read_table, shown_table, write_table
from facedepth_kit.pairs.store import PairStore, SynthesisSettings, synthesize
from facedepth_kit.pipeline.manifest import durations
from facedepth_kit.pipeline.notebooks import maker
from facedepth_kit.pipeline.profiles import Profile, get_profile
from facedepth_kit.plots.style import readable_pt

if TYPE_CHECKING:  # slow to import, and needed only where something is shown
    from IPython.display import Image
    from matplotlib.figure import Figure
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class ShownTable:
    """A data frame and its caption, as a notebook shows them."""

    frame: DataFrame
    caption: str

    def _repr_html_(self) -> str:
        text = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(self.caption, quote=False))
        return f"{self.frame.to_html(index=False)}\n<p>{text}</p>"

    def _repr_markdown_(self) -> str:
        return f"{markdown_table(self.frame)}\n{self.caption}\n"


@dataclass(frozen=True)
class Workspace:
    """What :func:`open_workspace` found: profile, seed and folders. Shown in a notebook it is one line."""

    notebook: str
    profile: Profile
    seed: int
    figures: Path
    results: Path

    @property
    def by_hand(self) -> bool:
        """Whether somebody steps through the notebook: bars are shown then, and left out of headless runs."""
        return "staging" not in self.figures.parts

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator of its own for every purpose, so that adding a cell does not change the numbers of the next."""
        return np.random.default_rng([self.seed, zlib.crc32(purpose.encode())])

    @property
    def run_networks(self) -> Path:
        """Where this profile's own networks lie, if it trains them."""
        return run_networks_dir(self.profile.name)

    @property
    def camera_data(self) -> CameraData:
        """How much is simulated, and where it is kept, where the user has no camera recordings."""
        sizes = self.profile.people, self.profile.camera_frames
        return CameraData(self.cache, self.seed, *sizes, progress=self.by_hand)

    def find(self, name: str) -> Path:
        """A table or picture by file name: this run's, or the profile's last one.

        Raises :class:`KitError` naming the notebook to run when there is none.
        """
        profile = self.profile.name
        for folder in (self.figures, self.results, figures_dir(profile), results_dir(profile) / "results"):
            if (folder / name).is_file():
                return folder / name
        first = maker(name).name
        raise KitError(
            f"{name}: found none for the {profile} profile, expected it from notebook {first}: run that first "
            f"(or: facedepth figures --profile {profile} --only {first})"
        )

    def save_figure(self, figure: Figure, name: str, caption: str, *, width: int = 900) -> Image:
        """Write a figure as PNG ``name`` and return the picture as written, ``caption`` below it saying what it is."""
        from textwrap import fill

        inches = float(figure.get_size_inches()[0])
        size = max(8.0, readable_pt(inches))
        text = fill(caption, int(inches * 72 / (0.54 * size)))
        figure.text(0.5, -0.02, text, ha="center", va="top", fontsize=size, color="0.35")
        with write_atomically(self.figures / name, overwrite=True) as temporary:
            temporary.write_bytes(_png(figure))
        return self.show(figure, width=width)

    def show(self, figure: Figure, *, width: int = 900) -> Image:
        """A figure as a picture in the notebook, not kept."""
        from IPython.display import Image

        return Image(data=_png(figure), width=min(width, int(figure.get_size_inches()[0] * 110)))

    def save_table(
        self, name: str, rows: Table, caption: str, *, digits: int = 4, shown: Table | None = None
    ) -> ShownTable:
        """Write a table as ``name``.csv and ``name``.md (with ``caption``), and return it to be shown.

        ``shown``: a shorter form of a long table, shown in its place; the caption then says where the long one lies.
        """
        write_table(self.figures / f"{name}.csv", rows)
        with write_atomically(self.figures / f"{name}.md", overwrite=True) as temporary:
            temporary.write_text(f"{markdown_table(rows, digits=digits)}\n{caption}\n", encoding="utf-8")
        long = f" All rows: `{self._destination()}/{name}.csv`." if shown is not None else ""
        return ShownTable(shown_table(rows if shown is None else shown, digits=digits), caption + long)

    def read_table(self, name: str) -> DataFrame:
        """A table that some notebook saved (``name`` without ``.csv``)."""
        return read_table(self.find(f"{name}.csv"))

    def save_result(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a small JSON result that later notebooks read; it stays out of the repository."""
        with write_atomically(self.results / name, overwrite=True) as temporary:
            temporary.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def cache_folder(self, purpose: str, key: str, modules: Sequence[str]) -> Path:
        """A folder in ``build/<profile>/cache`` for long work that may be finished later, such as pairs or a training.

        Its name holds ``key`` and the code of ``modules``, so what lies in it is never stale; older ones are removed.
        """
        return cache_folder(self.cache, purpose, key, modules)

    @property
    def cache(self) -> Path:
        """The profile's folder for such work."""
        return cache_dir(self.profile.name)

    def pairs(self, purpose: str, count: int, settings: SynthesisSettings | None = None) -> PairStore:
        """A pair store of ``count`` ground truths for ``purpose``, synthesised (or finished, after a kill) if need be.

        Every notebook of a profile that asks for the same pairs gets the same store.
        """
        settings = settings or SynthesisSettings()
        seed = zlib.crc32(f"{self.seed} {purpose}".encode())
        folder = self.cache_folder(purpose, f"{count} {settings_hash(settings)} {seed}", ["facedepth_kit.pairs.store"])
        return synthesize(folder, count, seed=seed, settings=settings, progress=self.by_hand)

    def _destination(self) -> str:
        # The pipeline moves finished outputs.
        return _short(self.figures) if self.by_hand else f"figures/{self.profile.name}"

    def _repr_markdown_(self) -> str:
        return (
            f"**{self.notebook}**: profile *{self.profile.name}* ({self.profile.purpose}), seed {self.seed}. "
            f"Tables and pictures go to `{self._destination()}`. A first run takes: {durations(self.notebook)}."
        )


def open_workspace(notebook: str, profile: str = "", seed: int = 2023, output: str = "") -> Workspace:
    """Open the workspace of a notebook, whose parameters cell gives ``profile``, ``seed`` and ``output``.

    An empty ``profile`` is FACEDEPTH_PROFILE or laptop. The pipeline names an ``output`` folder; by hand it is empty,
    and everything goes to ``build/<profile>/output``, so that trying things never changes the repository's figures.
    """
    quiet_tensorflow()
    chosen = get_profile(profile)
    os.environ[RUN_NETWORKS] = "" if chosen.trains == "nothing" else str(run_networks_dir(chosen.name))
    base = Path(output) if output else results_dir(chosen.name) / "output"
    figures, results = base / "figures", base / "results"
    for folder in (figures, results):
        folder.mkdir(parents=True, exist_ok=True)
    return Workspace(notebook, chosen, seed, figures, results)


def run_networks_dir(profile: str) -> Path:
    """Where notebook 05 puts the networks of a profile that trains them, and the other notebooks find them."""
    return results_dir(profile) / "networks"


def cache_dir(profile: str) -> Path:
    """Where a profile's long work is kept between notebooks and runs."""
    return results_dir(profile) / "cache"


def _png(figure: Figure) -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    # No date and no version in the file: the same picture gives the same bytes.
    figure.savefig(buffer, format="png", dpi=150, bbox_inches="tight", pad_inches=0.12, metadata={"Software": None})
    return buffer.getvalue()


def _short(path: Path) -> str:
    """A path as seen from the repository, so that a shown notebook names no machine's folders."""
    try:
        return path.resolve().relative_to(repository_root().resolve()).as_posix()
    except (ValueError, KitError):
        return path.name
