"""Write the README's tables anew from what the laptop run and the real recordings left in ``figures/``.

Everything between ``<!-- NAME -->`` and ``<!-- end -->`` comes from a file, so no number is typed by hand:
``python tools/fill_readme.py`` after a run, ``--check`` to see whether it is due.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

from pandas import DataFrame

from facedepth_kit.common.paths import figures_dir, repository_root, write_atomically
from facedepth_kit.common.tables import markdown_table, read_table, records
from facedepth_kit.enhancers.frames import carries_measured_bias
from facedepth_kit.evaluation.camera_tables import sensor_finding
from facedepth_kit.evaluation.decision_tables import attack_finding, attack_rows
from facedepth_kit.evaluation.published import ORIGINS, tally

RECORDINGS = {"kinect_v2_faces": "Kinect v2", "truedepth_mannequin": "TrueDepth"}
STAND_IN = "DDRNet-dn"


def read(name: str, folder: str = "laptop") -> DataFrame:
    """A table in ``figures/<folder>``."""
    return read_table(figures_dir(folder) / f"{name}.csv")


def number(value: float, digits: int) -> str:
    """A number as shown, a dash for none."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def shown_name(name: str) -> str:
    """An enhancer's name, with what a reader must know of it."""
    from facedepth_kit.enhancers import get

    return f"{name} (stand-in)" if name == STAND_IN else f"{name} (ours)" if get(name).ours else name


def table_4() -> str:
    """RMSE on synthetic pairs, beside Table IV, of the rows that were run."""
    table = read("table_4").dropna(subset="mean")
    shown = {"mean": "mean RMSE", "std": "std", "published_mean": "published mean", "published_std": "published std"}
    columns = {title: [number(value, 4) for value in table[name]] for name, title in shown.items()}
    return markdown_table(DataFrame({"enhancer": table["enhancer"].map(shown_name), **columns}))


def not_run() -> str:
    """Which of the paper's rows lack weights."""
    table = read("table_4")
    names = list(table["enhancer"][table["mean"].isna()])
    return f"Not run, because weights are not included: {', '.join(names)}.\n" if names else ""


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
    rows: dict[str, dict[str, str]] = {}
    for name, condition, title, digits in columns:
        table = read(name).dropna(subset="value")
        for line in records(table[(table["condition"] == condition) & (table["metric"] == "mean")]):
            published = "" if math.isnan(line["published"]) else f" ({number(line['published'], digits)})"
            row = rows.setdefault(line["row"], {"enhancer": shown_name(line["row"])})
            row[title] = number(line["value"], digits) + published
    return markdown_table(rows.values())


def attacks() -> str:
    """Decisions on simulated presentations for a few enhancers."""
    rows = attack_rows(read("pad_decisions"), ("None", "Sp-HfU", "DL-Delta-1", "DL-Kit-0", "DL-Kit-1"))
    return markdown_table([{**row, "enhancer": shown_name(row["enhancer"])} for row in rows])


def finding() -> str:
    """What enhancement does to the checks, in words."""
    return f"**{attack_finding(read('pad_decisions'), 'DL-Delta-1')}**\n"


def sensors() -> str:
    """In what the simulated sensors are not like the paper's cameras."""
    return f"{sensor_finding(read('table_5'), read('table_5_variants'))}\n"


def claims() -> str:
    """How many of the papers' claims hold, by where the kit's number comes from."""
    rows = []
    papers = {"verdicts": "II to IV", "table_5": "V", "table_6": "VI", "table_7": "VII"}
    for name, title in (papers | {"shabanov/verdicts": "1 (second paper)"}).items():
        row = {"Table": title}
        for part in tally(records(read(name))).split("; "):
            column, text = part.split(": ")
            row[column] = text.removesuffix(" hold")
        rows.append(row)
    columns = [*ORIGINS, "open"]
    return markdown_table([{"Table": row["Table"], **{key: row.get(key, "–") for key in columns}} for row in rows])


def real() -> str:
    """Errors at holes punched into real recordings: all pixels, and the median frame in brackets."""
    rows: dict[str, dict[str, str]] = {}
    for folder, title in RECORDINGS.items():
        for line in records(read(folder, "recordings").dropna(subset="punched_rmse_mm")):
            bias = " + measured bias" if carries_measured_bias(line["enhancer"]) else ""
            row = rows.setdefault(line["enhancer"], {"enhancer": shown_name(line["enhancer"]) + bias})
            row[f"{title}, mm"] = f"{number(line['punched_rmse_mm'], 2)} ({number(line['punched_median_frame_mm'], 2)})"
            row[f"{title}, roughness (100)"] = number(line["roughness"], 2)
    return markdown_table(rows.values())


def denoising() -> str:
    """Table 1 of the second paper."""
    table = read("shabanov/table_1")
    shown = {
        "mae_mm": "mean error, mm",
        "published": "published",
        "mae_true_mm": "to the truth, mm",
        "rmse_true_mm": "root mean square to the truth, mm",
    }
    columns = {title: [number(value, 1) for value in table[name]] for name, title in shown.items()}
    return markdown_table(DataFrame({"method": table["method"], **columns}))


def memory() -> str:
    """What the memory is worth, where both networks do harm, and what they do for a fused surface."""
    from textwrap import fill

    from facedepth_kit.evaluation.denoising import memory_finding, memory_gain

    rows = records(read("shabanov/table_1"))
    fused, moving, bins = (
        read(f"shabanov/{name}").set_index("method") for name in ("reconstruction", "moving", "table_1_by_error")
    )
    bodies, mannequin = (read(name, "recordings") for name in ("m1_bodies", "m1_mannequin"))
    names = {"Raw": "raw", "Ours (basic)": "M1", "Ours (LSTM)": "M2", "Better sensor": "the better sensor"}

    def mean(table: DataFrame, column: str, digits: int = 1) -> str:
        return number(table[column].mean(), digits)

    def off(table: DataFrame, column: str) -> str:
        return ", ".join(f"{name} {number(table.loc[method, column], 1)} mm" for method, name in names.items())

    least = bins.columns[0]
    table_1 = (
        f"**{memory_finding(rows)}** {memory_gain(rows)} Where the measured depth was off by only {least} "
        f"({number(bins.loc['Raw', least], 1)} mm on average), M1's result is off by "
        f"{number(bins.loc['Ours (basic)', least], 1)} mm, M2's by {number(bins.loc['Ours (LSTM)', least], 1)} mm."
    )
    surfaces = (
        f"Surfaces fused from seven frames of a turn lie off the true one by: {off(fused, 'true_mm')}, where each "
        f"method's own depth is tracked; {off(fused, 'true_mm_known_poses')}, where the poses are known. Canonical "
        f"models of somebody who moves, the motion known: {off(moving, 'true_mm')}."
    )
    other_sensors = (
        f"**On sensors better than the one it was made for M1 does harm**: on {len(bodies)} frames of real people "
        f"from a Kinect v2 the mean error against the fused surface grows from {mean(bodies, 'mae_mm_before')} mm to "
        f"{mean(bodies, 'mae_mm_after')} mm, and on {len(mannequin)} TrueDepth frames of a mannequin at "
        f"{number(mannequin['median_distance_mm'].mean() / 1000, 1)} m it moves a measured pixel by "
        f"{mean(mannequin, 'moved_mm')} mm on average; the sensor's own roughness is "
        f"{mean(mannequin, 'roughness_mm_before', 2)} mm (`figures/recordings/m1_bodies.csv`, `m1_mannequin.csv`)."
    )
    return "\n\n".join(fill(part, 118, break_on_hyphens=False) for part in (table_1, surfaces, other_sensors)) + "\n"


def notebooks() -> str:
    """The notebooks, what each is about (its first heading) and what comes out."""
    from facedepth_kit.pipeline.notebooks import NOTEBOOKS

    rows = []
    for notebook in NOTEBOOKS:
        title = re.search(r"^# # (.+)$", notebook.source.read_text(encoding="utf-8"), re.MULTILINE)
        made = [name for name in notebook.outputs if not name.endswith(".md")]
        tables = [f"Table {_roman(name)}" for name in made if re.fullmatch(r"table_\d\.csv", name)]
        second = [f"Table {name[15]}" for name in made if re.fullmatch(r"shabanov/table_\d\.csv", name)]
        second += _figures(made, r"shabanov/figure_(\d)\.png")
        shown = [*tables, *_figures(made, r"figure_(\d\d)\.png")]
        shown += [f"{', '.join(second)} (second paper)"] if second else []
        rows.append(
            {
                "notebook": f"`{notebook.name}`",
                "what it is about": title[1].strip() if title else "",
                "comes out": ", ".join(shown),
            }
        )
    return markdown_table(rows)


def _figures(made: list[str], pattern: str) -> list[str]:
    numbers = sorted(int(found[1]) for name in made if (found := re.fullmatch(pattern, name)))
    return [f"Figure{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"] if numbers else []


def _roman(name: str) -> str:
    return ("I", "II", "III", "IV", "V", "VI", "VII")[int(name[6]) - 1]


def synthetic() -> str:
    """What Table IV was measured on."""
    from textwrap import fill

    from facedepth_kit.enhancers import training_remark
    from facedepth_kit.pipeline.profiles import PROFILES

    pairs = f"{PROFILES['laptop'].test_pairs:,} synthetic pairs"
    return (
        f"RMSE over the face on {pairs} that no network has seen, beside the paper's. Ours are rendered from\n"
        "the kit's own parametric faces, the paper's come from MegaFace photos made 3D by PRNet. So compare ranks and\n"
        "sizes, not digits.\n"
        f"{fill(training_remark(), 118, break_on_hyphens=False)}\n"
    )


def real_frames() -> str:
    """How many real frames the last table counts."""
    kinect, truedepth = (int(read(folder, "recordings")["frames"].max()) for folder in RECORDINGS)
    return (
        f"The table shows the RMSE there, and in brackets that of the median frame, over {kinect} frames of people\n"
        f"by a Kinect v2 and {truedepth} frames of a mannequin by a TrueDepth camera: those in which Dlib finds\n"
        f"a face. Only what an enhancer fills is counted.{_hardly_filled()}\n"
    )


def _hardly_filled() -> str:
    """Which enhancers leave many punched pixels open."""
    shares = [
        f"{shown_name(line['enhancer'])} {100 * line['punched_filled']:.1f} % ({title})"
        for folder, title in RECORDINGS.items()
        for line in records(read(folder, "recordings"))
        if 0 < line["punched_filled"] < 0.9
    ]
    return f" Some fill few of the punched pixels:\n{', '.join(shares)}." if shares else ""


def robustness() -> str:
    """What became of damaged inputs and of killed work."""
    inputs, kills = read("damaged_inputs", "robustness").set_index("door").loc["all"], read("kills", "robustness")
    told = [name for name in inputs.index if name not in ("cases", "fine", "with problems", "refused")]
    bad, lost = (int(count) or "none" for count in (inputs[told].sum(), kills["not made good"].sum()))
    return (
        f"Of {int(inputs['cases']):,} damaged files and options, {bad} ended in a traceback, a crash, a hang, half a\n"
        "file or the change of another, once what they had found was mended\n"
        "([counts](figures/robustness/damaged_inputs.csv)). "
        f"After {int(kills['kills'].sum()):,} kills of {len(kills)} pieces of work, of which "
        f"{int(kills['in the middle'].sum()):,} left it half done,\n{lost} of the runs that went on left other files "
        "than a run never killed\n([counts](figures/robustness/kills.csv)).\n"
    )


def own_training() -> str:
    """What a training of one's own reached, beside OpenCV's best."""
    from textwrap import fill

    table = read("own_training", "recordings").set_index("enhancer")
    own, opencv = table.loc["mine"], table[table.index.str.contains("bilateral")].min()

    def beside(column: str, digits: int) -> str:
        return f"{number(own[column], digits)} ({number(opencv[column], digits)})"

    text = (
        f"Tried with one thread: {number(own['cpu_minutes'], 1)} minutes of CPU time, pairs included, for "
        f"{own['images_seen']:,.0f} images. Against the best of OpenCV's rows in brackets, it reached a face RMSE of "
        f"{beside('face_rmse', 4)} on {own['pairs']:.0f} fresh pairs, and at punched holes "
        f"{beside('kinect_v2_faces_rmse_mm', 2)} mm on Kinect v2 frames and {beside('truedepth_mannequin_rmse_mm', 2)} "
        f"mm on TrueDepth frames, in the median frame {beside('kinect_v2_faces_median_frame_mm', 2)} and "
        f"{beside('truedepth_mannequin_median_frame_mm', 2)} mm."
    )
    measured = [column for column in table if column.endswith(("rmse", "_mm"))]
    behind = [column for column in measured if not own[column] < opencv[column]]
    ahead = f"{len(measured) - len(behind)} of {len(measured)}" if behind else f"all {len(measured)}"
    text += f" So in {ahead} figures it is ahead."
    return f"{fill(text, 118, break_on_hyphens=False)}\n"


def sequences() -> str:
    """What frames before a frame bring, with DL-Kit-2 on simulated recordings."""
    from textwrap import fill

    table = read("sequences", "recordings")
    table = table[table["enhancer"] == "DL-Kit-2"]

    def falls(rows: DataFrame, where: str) -> str:
        lower = int((rows[f"earlier_{where}mae_mm"] < rows[f"single_{where}mae_mm"]).sum())
        return f"{lower} of {len(rows)}"

    def mean(rows: DataFrame, column: str, pixels: str) -> str:
        return number(float((rows[column] * rows[pixels]).sum() / rows[pixels].sum()), 2)

    def change(rows: DataFrame, where: str, pixels: str) -> str:
        old, new = (mean(rows, f"{kind}_{where}mae_mm", pixels) for kind in ("single", "earlier"))
        return f"from {old} to {new} mm ({falls(rows, where)})"

    parts = []
    for sensor, rows in table.groupby("simulated_sensor"):
        same = rows[rows["motion"] != "cut"]
        cut = rows[rows["motion"] == "cut"]
        parts.append(
            f"{sensor}: at measured pixels of the face {change(rows, '', 'measured_pixels')}; in holes, as long as "
            f"the same face goes on, {change(same, 'holes_', 'hole_pixels')}, and where another takes its place from "
            f"{mean(cut, 'single_holes_mae_mm', 'hole_pixels')} to "
            f"{mean(cut, 'earlier_holes_mae_mm', 'hole_pixels')} mm"
        )
    start = "In that trial DL-Kit-2's mean error changes so (in brackets: in how many motions it falls)"
    text = ". ".join((start, *parts)) + "."
    return fill(text, 118, break_on_hyphens=False) + "\n"


BLOCKS: dict[str, Callable[[], str]] = {
    "synthetic": synthetic,
    "table 4": table_4,
    "not run": not_run,
    "cameras": cameras,
    "claims": claims,
    "sensors": sensors,
    "finding": finding,
    "attacks": attacks,
    "real frames": real_frames,
    "real recordings": real,
    "denoising": denoising,
    "memory": memory,
    "sequences": sequences,
    "own training": own_training,
    "notebooks": notebooks,
    "robustness": robustness,
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
