# ---
# jupyter:
#   jupytext:
#     formats: notebooks///ipynb,notebooks/src///py:percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Calibrating the degradation
#
# *Part 3: Evaluation on synthetic faces*
#
# **Goal.** The paper gives the noise of its degradation and no other number. Find the others from the results it
# prints.
#
# **You will learn** how published results can determine unpublished settings, and how to tell a good fit from a lucky
# one.
#
# **Comes out:** a table and a picture of the eight rows of Table IV that need no learning, ours beside the published.

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("10_degradation_calibration", profile, seed, output)
work

# %% [markdown]
# ## The idea
#
# Eight rows of Table IV need no learning: doing nothing, and seven filters of the RealSense SDK. For given degraded
# images their errors are fixed. So their means and spreads tell what the degraded images must have looked like: how
# many holes, how large, how much blur, and on which scale of depth.

# %%
from facedepth_kit.evaluation.published import rows
from facedepth_kit.pairs.degradation import DegradationSettings

unlearned = ["None", *rows("II")]
DegradationSettings()

# %% [markdown]
# ## The fit
#
# The settings above are the ones that were found. Here they are tested on fresh faces, which the search never saw:

# %%
from facedepth_kit import enhancers
from facedepth_kit.evaluation.error import evaluate, summary

functions = {name: enhancers.get(name).enhance for name in unlearned}
store = work.pairs("calibration", work.profile.calibration_pairs)
errors = evaluate(store, functions, batch_size=work.profile.evaluation_batch, progress=work.by_hand).face
found = {name: summary(values) for name, values in errors.items()}

# %%
from facedepth_kit.evaluation.published import MEAN_TOLERANCE

published = rows("IV")
off = {name: found[name].mean / float(published[name]["mean"]) - 1 for name in unlearned}

# %%
table = [
    {
        "enhancer": name,
        "mean": found[name].mean,
        "published_mean": published[name]["mean"],
        "off": off[name],
        "within": abs(off[name]) <= MEAN_TOLERANCE,
        "std": found[name].std,
        "published_std": published[name]["std"],
        "std_ratio": found[name].std / float(published[name]["std"]),
    }
    for name in unlearned
]

# %%
outside = [row["enhancer"] for row in table if not row["within"]]
caption = (
    f"{len(store):,} simulated pairs with the calibrated degradation beside Table IV; "
    f"means more than {MEAN_TOLERANCE:.0%} off: {', '.join(outside) or 'none'}."
)
work.save_table("calibration", table, caption)

# %%
from facedepth_kit.plots.bars import paired_bars

bars = paired_bars(work.read_table("calibration"), "this run")
work.save_figure(bars, "calibration.png", caption, width=720)

# %% [markdown]
# ## Predict: which setting moves which row?
#
# Twice as many random holes, twice as many at the outline, twice the blur: which of the three moves *None* most, and
# which moves *Hf-FFA*, the filter that fills with the farthest neighbour?

# %%
from dataclasses import replace

start = DegradationSettings()
changes = {
    "as calibrated": start,
    "twice the random holes": replace(start, random_holes=(2 * start.random_holes[0], 2 * start.random_holes[1])),
    "twice the outline holes": replace(start, outline_holes=(2 * start.outline_holes[0], 2 * start.outline_holes[1])),
    "twice the blur": replace(start, blur_px=(2 * start.blur_px[0], 2 * start.blur_px[1])),
    "no noise": replace(start, noise_mm=0.0),
}

# %%
import numpy as np
from IPython.display import Markdown

from facedepth_kit.evaluation.error import face_rmse
from facedepth_kit.pairs.degradation import degrade
from facedepth_kit.common.tables import markdown_table


def means(settings, count=12):
    pairs = [store[index] for index in range(count)]
    rng = work.rng("settings")
    images = [degrade(pair.ground_truth, depth_range=pair.depth_range, settings=settings, rng=rng) for pair in pairs]
    truth = np.stack([pair.ground_truth for pair in pairs])
    return {name: float(np.mean(face_rmse(enhance(np.stack(images)), truth))) for name, enhance in functions.items()}


# %%
Markdown(markdown_table([{"settings": name, **means(settings)} for name, settings in changes.items()]))

# %% [markdown]
# <details><summary>Solution</summary>
#
# More holes of either kind move *None* most: each new hole pixel costs nearly the whole range. *Hf-FFA* closes most
# holes, so what is left of its error comes from the outline, where the farthest neighbour is background. Blur and
# noise show only in the rows that have closed the holes, because beside a hole they are small. Every setting moves the
# rows in a pattern of its own, and that is why eight rows can tell the settings apart.
# </details>
#
# ## The scale of depth
#
# One finding came first: with depth scaled to a fixed span, as for camera images, no hole settings reproduce the
# table. With each ground truth scaled to its own face's range they do. So the enhancers must work well on both scales.
#
# ## Do it again
#
# The search is a hill climb: change the best settings a little, degrade the same faces with them, run the eight rows,
# and keep the change if they come nearer to the paper. From the shipped settings there should be little left to gain.
# With few faces a good score may be luck, which is why the report above uses fresh ones.
#
# The search stops after a fixed time, which the profile sets.

# %%
from facedepth_kit.evaluation.calibration import calibrate

steps = []
print(f"searching for {work.profile.calibration_seconds} s ...")
again = calibrate(
    seed=work.seed,
    seconds=work.profile.calibration_seconds,
    search_count=8,
    report_count=8,
    on_improvement=lambda score, settings: steps.append((score, settings)),
)

# %%
print(
    f"{again.tried} settings tried, {len(steps)} improvements, best score {again.score:.4f} "
    "(zero: every row as published)"
)
again.degradation

# %% [markdown]
# **Exercise.** Would you ship these settings in place of the shipped ones? What would you have to look at first?
#
# <details><summary>Solution</summary>
#
# Not from such a short search on so few faces: it fits those faces. Compare both settings on the same fresh faces
# (`again.report` has the found ones), and on enough of them that the difference is larger than the difference another
# seed makes.
# </details>
#
# **Open task** (no solution given). The paper prints skewness and kurtosis of every row, too, and the search above
# ignores them. Which degradation settings bring them nearer to the published ones, and what does that cost in the
# means? `calibrate` in `facedepth_kit/evaluation/calibration.py` has the score.
#
# ## What you have seen
#
# Published numbers are data, too: eight rows told what the text does not. **Next:**
# [11_simulated_cameras](11_simulated_cameras.ipynb) turns from damage that is drawn to damage that a camera does.
