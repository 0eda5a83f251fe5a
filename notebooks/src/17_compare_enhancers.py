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
# # Enhancers side by side
#
# *Part 5: Panels, and the kit in your own programs*
#
# **Goal.** Give one depth image to several enhancers and see what each of them does to it: where it fills, where it
# smooths, and where it invents.
#
# **You will learn** four ways to look at a depth image (colour, relief, difference, profile), and to tell an enhancer
# that *fills holes* from one that *redraws the face*.
#
# **Comes out:** a picture of depth along one line across a face, and a table of what each enhancer changed.
#
# *What is simulated:* the faces are rendered by the kit, and so are the camera's frames unless you have some. Files of
# your own are only shown here; nothing of them is written.

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
network = ""  # a network of your own by its name, such as the one that 05_training saves
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("17_compare_enhancers", profile, seed, output)
work

# %% [markdown]
# ## Images to look at
#
# Three rendered faces, degraded as in [03_degradation](03_degradation.ipynb): their ground truth is known, so the
# panel can show it beside the enhancers. Then a few frames of a RealSense: your own if there are any in
# `data/realsense` (or in that folder of the one that FACEDEPTH_DATA names), simulated ones otherwise.

# %%
from facedepth_kit.cameras.data_sets import realsense
from facedepth_kit.panels import FaceChoice, first_of_each, from_recordings, synthetic

choices = [FaceChoice(3, "smile"), FaceChoice(1), FaceChoice(4, "open mouth", yaw_deg=20.0)]
drawn = [synthetic(choice, seed=work.seed + number) for number, choice in enumerate(choices)]
data = work.camera_data
recorded = list(from_recordings(first_of_each(realsense(data)), 3))
print(f"{len(drawn)} drawn faces, {len(recorded)} of a camera ({recorded[0].note if recorded else 'none found'})")

# %% [markdown]
# ## The panel
#
# Choose up to five enhancers. The rows show depth as colour, with the line of the profile in it; then what the
# enhancer changed; then the relief, which the sliders turn. Under *Your own file* you can add a depth image of yours
# to the list, by its path or by upload.

# %%
from facedepth_kit import enhancers
from facedepth_kit.panels import enhancer_panel

learned = next((name for name in ("DL-Kit-1", "DL-Delta-1") if name in enhancers.available()), None)
shown = ["Hf-L", "Telea+bilateral", *filter(None, [learned, network])]
panel = enhancer_panel([*drawn, *recorded], enhancers=shown)
panel

# %% [markdown]
# **Try.** Turn the relief far to one side: which enhancer's nose stands out as the true one does? Then move the line
# of the profile across the tip of the nose. Then take a frame of the camera: what is different about its holes?
#
# ## Predict: which enhancers change measured pixels?
#
# An enhancer may fill holes and nothing else, or write every pixel anew. Look at the second row of the panel. Which of
# the two *kinds* below leave what was measured exactly as it is: all, some or none of the *hand-crafted* filters, and
# all, some or none of the *learned* enhancers?

# %%
my_hand_crafted = ""  # your answer: all, some or none of them leave measured pixels alone
my_learned = ""  # your answer: all, some or none

# %%
import numpy as np

from facedepth_kit.depth import FARTHEST, HOLE
from facedepth_kit.evaluation.error import face_rmse


# %%
def changes(name):
    """What an enhancer did to the drawn faces, on average: holes left, change where measured, error."""
    found = []
    for one in drawn:
        result = one.enhanced(name)
        depth, step_mm = one.crop.depth, one.crop.depth_range.span_mm / FARTHEST
        measured = one.area & (depth != HOLE) & (result != HOLE)
        moved_mm = np.abs(result[measured].astype(float) - depth[measured]) * step_mm
        found.append((np.mean(result[one.area] == HOLE), np.mean(moved_mm), face_rmse(result, one.ground_truth)))
    return dict(zip(("holes_left", "change_mm", "error"), np.mean(found, axis=0).tolist(), strict=True))


# %%
names = [name for name in enhancers.names() if name in enhancers.available()]
table = [{"enhancer": name, "kind": enhancers.get(name).kind, **changes(name)} for name in names]
caption = (
    f"What each enhancer did to {len(drawn)} degraded faces (simulated): share of hole pixels left in the face, "
    "mean change of the pixels that had been measured (mm), face RMSE."
)
work.save_table("compare_changes", table, caption)

# %%
from facedepth_kit.pipeline.exercises import check


def share(kind):
    """Whether all, some or none of a kind leave measured pixels alone (to a hundredth of a millimetre)."""
    kept = [row["change_mm"] < 0.01 for row in table if row["kind"] == kind]
    return "all" if all(kept) else "some" if any(kept) else "none"


print("hand-crafted:", check(my_hand_crafted, share("hand-crafted")))
print("learned:", check(my_learned, share("learned")))

# %% [markdown]
# <details><summary>Solution</summary>
#
# Some of the hand-crafted filters, and none of the learned enhancers. The SDK's hole filling, and inpainting without
# the bilateral filter, only write into holes, and the spatial filter changes next to nothing
# ([06_filters](06_filters.ipynb) says why). Decimation, the bilateral filter and the networks write every pixel. That
# need not be a fault: a measured pixel carries noise, and an enhancer that leaves it alone keeps the noise. On camera
# frames the kit corrects a network's output towards what the sensor measured
# ([16_your_recordings](16_your_recordings.ipynb)).
# </details>
#
# ## Along one line
#
# A profile shows what colours hide: steps, noise and the height of the nose. Here is one across the nose of the first
# face:

# %%
from facedepth_kit.depth import to_millimetres

one = drawn[0]
row, depth_range = int(np.round(one.crop.landmarks[30, 1])), one.crop.depth_range
images = {"degraded": one.crop.depth, **{name: one.enhanced(name) for name in shown[1:]}}
images["ground truth"] = one.ground_truth
lines = {name: to_millimetres(image[row], depth_range) - depth_range.near_mm for name, image in images.items()}

# %%
from matplotlib.figure import Figure

figure = Figure(figsize=(8.6, 3.4))
axes = figure.add_axes((0.08, 0.17, 0.9, 0.8))
for name, line in lines.items():
    style = {"color": "0.3", "ls": "", "marker": ".", "ms": 2.5, "zorder": 3} if name == "degraded" else {"lw": 1.4}
    axes.plot(np.where(one.area[row], line, np.nan), label=name, **style)
axes.invert_yaxis()  # near is up
axes.set_xlabel(f"column, row {row}")
axes.set_ylabel("mm behind the nearest point")
axes.legend(frameon=False, fontsize=8)
caption = "Depth along a line across the nose: a simulated face, degraded, enhanced, and as it is. Gaps are holes."
work.save_figure(figure, "profile_lines.png", caption, width=820)

# %% [markdown]
# **Exercise.** Which enhancer closes all holes in these faces and changes measured pixels least? Read it off the
# table. Is it also the one with the smallest error?

# %%
my_enhancer = ""  # your answer: the name of a row

# %%
closed = {entry["enhancer"]: entry["change_mm"] for entry in table if entry["holes_left"] == 0}
changed_mm = closed.get(my_enhancer, "no row of that name closes all holes") if my_enhancer else ""
print(check(changed_mm, min(closed.values()), tolerance=0.01) if closed else "No enhancer closes all holes.")

# %% [markdown]
# <details><summary>What to make of it</summary>
#
# If the two differ, noise is the reason: an enhancer that changes nothing but holes keeps the noise. Which of them you
# want depends on what comes after. A face matcher may do better on smooth surfaces; a check against forged faces needs
# what was measured, with nothing invented. [18_pad_panel](18_pad_panel.ipynb) is about such a check.
# </details>
#
# ## What you have seen
#
# Four ways of looking, and two kinds of enhancers: those that fill and those that redraw. **Next:**
# [18_pad_panel](18_pad_panel.ipynb) asks whether the camera sees a face at all.
