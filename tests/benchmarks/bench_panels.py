"""Speed of the panels inside a real kernel: milliseconds from a slider's move to the last picture's bytes.

`make bench` prints the table. The goals on two cores: 50 ms or less at the median without a network, 100 ms or less
with DL-Delta-1; and what a refresh spends its time on.
"""

import json
import time
from collections.abc import Callable
from functools import partial

import nbclient
import nbformat.v4
import numpy as np

from facedepth_kit.enhancers import available, get
from facedepth_kit.pairs.degradation import DegradationSettings
from facedepth_kit.panels import FaceChoice, pictures
from facedepth_kit.panels.degradation import degraded_steadily
from facedepth_kit.plots.colours import colourize, shaded_relief

IN_THE_KERNEL = """
import json
import numpy as np
from facedepth_kit.enhancers import available
from facedepth_kit.panels import FaceChoice, degradation_panel, enhancer_panel, pad_panel, synthetic


def timed(panel, move, rounds=40):
    times = []
    for number in range(rounds):
        move(number)
        panel.finish()
        times.append(panel.shown_ms)
    return float(np.median(times[3:])), min(times)


found = {}
panel = degradation_panel()
noise = panel.sliders["noise_mm"]
for name in ("None", "Hf-L", "Telea+bilateral", "DL-Delta-1", "DL-Kit-1"):
    if name in available():
        panel.enhancer.value = name
        panel.finish()
        found[f"degradation panel, {name}"] = timed(panel, lambda n: setattr(noise, "value", 5.0 + n / 4))
panel.enhancer.value = "Telea+bilateral"
yaw = panel.face["yaw_deg"]
found["degradation panel, another pose"] = timed(panel, lambda n: setattr(yaw, "value", float(n - 20)))
specimens = [synthetic(FaceChoice(3, "smile"))]
panel = enhancer_panel(specimens, enhancers=["Hf-L", "Telea+bilateral"])
found["enhancer panel, profile line"] = timed(panel, lambda n: setattr(panel.place, "value", 100 + n))
found["enhancer panel, turned relief of four"] = timed(panel, lambda n: setattr(panel.yaw, "value", float(n - 20)))
panel = pad_panel(specimens)
found["PAD panel, threshold"] = timed(panel, lambda n: setattr(panel.threshold, "value", n / 68))
print(json.dumps(found))
"""


def test_refresh_in_a_kernel() -> None:
    cell = nbformat.v4.new_code_cell(IN_THE_KERNEL)
    notebook = nbformat.v4.new_notebook(cells=[cell])
    nbclient.NotebookClient(notebook, timeout=300).execute()
    text = next(output.text for output in cell.outputs if output.get("name") == "stdout")
    found = json.loads(text.strip().splitlines()[-1])
    reference = found["degradation panel, None"][0]
    print(f"\n{'refresh, ms':<40}{'median':>8}{'fastest':>9}{'ratio':>8}")
    for name, (median, fastest) in found.items():
        print(f"{name:<40}{median:>8.1f}{fastest:>9.1f}{median / reference:>8.2f}")


def test_where_a_refresh_spends_its_time() -> None:
    truth, depth_range = FaceChoice(1).render()
    settings = DegradationSettings()
    degraded, _ = degraded_steadily(truth, depth_range, settings, seed=0)
    picture = pictures.error_map(degraded, truth)
    both = np.vstack([picture, picture])
    works: dict[str, Callable[[], object]] = {
        "whole: two images and the error map": lambda: (
            degraded_steadily(truth, depth_range, settings, seed=0),
            [pictures.views(degraded, depth_range) for _ in range(2)],
            pictures.png(np.vstack([pictures.error_map(degraded, truth)] * 2)),
        ),
        "degrade": lambda: degraded_steadily(truth, depth_range, settings, seed=0),
        "colour": lambda: colourize(degraded, depth_range),
        "shaded relief": lambda: shaded_relief(degraded, depth_range),
        "error map": lambda: pictures.error_map(degraded, truth),
        "PNG of 256x512": lambda: pictures.png(both),
    }
    for name in ("Hf-L", "Telea+bilateral", "DL-Delta-1"):
        if name in available():
            works[f"enhance, {name}"] = partial(get(name).enhance, degraded)
    times = {}
    for name, work in works.items():
        work()
        rounds = []
        for _ in range(15):
            began = time.perf_counter()
            work()
            rounds.append(time.perf_counter() - began)
        times[name] = float(np.median(rounds)) * 1e3
    whole = next(iter(times.values()))
    print(f"\n{'one refresh':<40}{'ms':>8}{'share':>8}")
    for name, value in times.items():
        print(f"{name:<40}{value:>8.2f}{value / whole:>8.2f}")
