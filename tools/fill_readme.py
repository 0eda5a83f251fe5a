"""Write the README's tables anew from what the laptop run and the real recordings left in ``figures/``.

Everything between ``<!-- NAME -->`` and ``<!-- end -->`` comes from a file, so no number is typed by hand:
``python tools/fill_readme.py`` after a run, ``--check`` to see whether it is due.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from facedepth_kit.common.paths import figures_dir, repository_root, write_atomically
from facedepth_kit.pipeline.workspace import markdown_table

Line = Mapping[str, str]
STAND_IN = "DDRNet-dn"


def read(name: str, folder: str = "laptop") -> list[Line]:
    """The rows of a table in ``figures/<folder>``."""
    with (figures_dir(folder) / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def number(text: str, digits: int) -> str:
    """A number as shown, a dash for none."""
    return f"{float(text):.{digits}f}" if text and text.lower() != "nan" else "–"


def shown_name(name: str) -> str:
    """An enhancer's name, with what a reader must know of it."""
    from facedepth_kit.enhancers import get

    return f"{name} (stand-in)" if name == STAND_IN else f"{name} (ours)" if get(name).ours else name


def table_4() -> str:
    """RMSE on synthetic pairs, beside Table IV, of the rows that were run."""
    rows = [row for row in read("table_4") if row["mean"]]
    return markdown_table(
        [
            {
                "enhancer": shown_name(row["enhancer"]),
                "mean RMSE": number(row["mean"], 4),
                "std": number(row["std"], 4),
                "published mean": number(row["published_mean"], 4),
                "published std": number(row["published_std"], 4),
            }
            for row in rows
        ]
    )


def not_run() -> str:
    """Which of the paper's rows lack weights."""
    names = [row["enhancer"] for row in read("table_4") if not row["mean"]]
    return f"Not run, for want of weights: {', '.join(names)}.\n" if names else ""


def cameras() -> str:
    """The means of Tables V, VI and VII for the rows that were run, published ones in brackets."""
    columns = (
        ("table_5", "KinectFaceDB, roughness", "roughness, Kinect", 2),
        ("table_5", "KinectFaceDB, holes", "holes, Kinect", 2),
        ("table_5", "RealSense D435, roughness", "roughness, D435", 2),
        ("table_5", "RealSense D435, holes", "holes, D435", 2),
        ("table_6", "Neutral", "falsification, Neutral", 2),
        ("table_6", "OcclusionMouth", "OcclusionMouth", 2),
        ("table_7", "geometric PAD error", "PAD error", 3),
    )
    table: dict[str, dict[str, str]] = {}
    for name, condition, title, digits in columns:
        for line in read(name):
            if line["condition"] == condition and line["metric"] == "mean" and line["value"]:
                row = table.setdefault(line["row"], {"enhancer": shown_name(line["row"])})
                published = f" ({number(line['published'], digits)})" if line["published"] else ""
                row[title] = number(line["value"], digits) + published
    return markdown_table(list(table.values()))


def attacks() -> str:
    """Decisions on simulated presentations for a few enhancers."""
    table: dict[tuple[str, str], dict[str, str]] = {}
    for line in read("pad_decisions"):
        if line["enhancer"] in ("None", "Sp-HfU", "DL-Delta-1", "DL-Kit-1"):
            row = table.setdefault(
                (line["check"], line["enhancer"]),
                {
                    "check": line["check"],
                    "threshold": number(line["threshold"], 2),
                    "enhancer": shown_name(line["enhancer"]),
                },
            )
            kind = line["presentation"].replace("_", " ")
            row[f"{line['rate']}, {kind}"] = f"{float(line['value']):.1%}" if line["value"] else "–"
    return markdown_table(list(table.values()))


def real() -> str:
    """Errors at holes punched into real recordings: all pixels, and the median frame in brackets."""
    table: dict[str, dict[str, str]] = {}
    for folder, title in (("kinect_v2_faces", "Kinect v2"), ("truedepth_mannequin", "TrueDepth")):
        for line in read(folder, "recordings"):
            if number(line["punched_rmse_mm"], 2) == "–":
                continue
            row = table.setdefault(line["enhancer"], {"enhancer": shown_name(line["enhancer"])})
            row[f"{title}, mm"] = f"{number(line['punched_rmse_mm'], 2)} ({number(line['punched_median_frame_mm'], 2)})"
            row[f"{title}, roughness (100)"] = number(line["roughness"], 2)
    return markdown_table(list(table.values()))


def notebooks() -> str:
    """The notebooks, what each is about (its first heading), what comes out and how long it took."""
    from facedepth_kit.pipeline.notebooks import NOTEBOOKS

    seconds = json.loads((figures_dir("laptop") / "manifest.json").read_text(encoding="utf-8"))["seconds"]
    rows = []
    for notebook in NOTEBOOKS:
        title = re.search(r"^# # (.+)$", notebook.source.read_text(encoding="utf-8"), re.MULTILINE)
        made = [name for name in notebook.outputs if not name.endswith(".md")]
        tables = [f"Table {_roman(name)}" for name in made if re.fullmatch(r"table_\d\.csv", name)]
        figures = sorted(int(name[7:9]) for name in made if re.fullmatch(r"figure_\d\d\.png", name))
        shown = ", ".join(
            [*tables, *([f"Figure{'s' if len(figures) > 1 else ''} {', '.join(map(str, figures))}"] if figures else [])]
        )
        rows.append(
            {
                "notebook": f"`{notebook.name}`",
                "what it is about": title[1].strip() if title else "",
                "comes out": shown,
                "seconds (laptop)": f"{seconds[notebook.name]:.0f}" if notebook.name in seconds else "–",
            }
        )
    return markdown_table(rows)


def _roman(name: str) -> str:
    return ("I", "II", "III", "IV", "V", "VI", "VII")[int(name[6]) - 1]


BLOCKS: dict[str, Callable[[], str]] = {
    "table 4": table_4,
    "not run": not_run,
    "cameras": cameras,
    "attacks": attacks,
    "real recordings": real,
    "notebooks": notebooks,
}


def filled(text: str) -> str:
    """The README with every block written anew."""

    def block(match: re.Match[str]) -> str:
        return f"<!-- {match[1]} -->\n{BLOCKS[match[1]]()}<!-- end -->"

    return re.sub(r"<!-- ([^>]+?) -->\n.*?<!-- end -->", block, text, flags=re.DOTALL)


def main() -> int:
    """Fill or check; returns 1 when a check finds the README out of date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 if it is not up to date")
    check = parser.parse_args().check
    path: Path = repository_root() / "README.md"
    old = path.read_text(encoding="utf-8")
    new = filled(old)
    if new == old:
        return 0
    if check:
        print("README.md: its tables differ from figures/; run tools/fill_readme.py", file=sys.stderr)
        return 1
    with write_atomically(path, overwrite=True) as temporary:
        temporary.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
