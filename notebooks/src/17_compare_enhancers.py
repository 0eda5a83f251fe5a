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
# *Part 5: Enhancers and attacks on sliders*
#
# **Goal.** Put one depth image in front of several enhancers and see what each of them does to it: where it fills,
# where it smooths, and where it invents.
#
# **You will learn** four ways to look at a depth image (colour, relief, difference, profile), and to tell an enhancer
# that *fills holes* from one that *redraws the face*.
#
# **Comes out:** a picture of depth along one line across a face, and a table of what each enhancer changed.
#
# *What is simulated:* the faces are drawn by the kit, and so are the camera's frames unless you have some. Files of
# your own are shown here and nowhere else; nothing of them is written.

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("17_compare_enhancers", profile, seed, output)
work

# %% [markdown]
# ## Images to look at
#
# Three drawn faces, degraded as in [03_degradation](03_degradation.ipynb): their truth is known, so the panel can show
# it beside the enhancers. Then a few frames of a RealSense: your own if there are any
# ([11_simulated_cameras](11_simulated_cameras.ipynb) says where they are looked for), simulated ones otherwise.

# %%
from facedepth_kit.cameras.data_sets import realsense
from facedepth_kit.panels import FaceChoice, first_of_each, from_recordings, synthetic

choices = [FaceChoice(3, "smile"), FaceChoice(1), FaceChoice(4, "open mouth", yaw_deg=20.0)]
drawn = [synthetic(choice, seed=work.seed + number) for number, choice in enumerate(choices)]
recorded = list(from_recordings(first_of_each(realsense(work)), 3))
print(f"{len(drawn)} drawn faces, {len(recorded)} of a camera ({recorded[0].note if recorded else 'none found'})")

# %% [markdown]
# ## The panel
#
# Choose up to five enhancers. Rows, from above: depth as colour, with the profile's line in it; what the enhancer
# changed; the relief, which the sliders turn. Under *Your own file* a depth image of yours joins the list: by its
# path, or by upload.

# %%
from facedepth_kit import enhancers
from facedepth_kit.panels import enhancer_panel

learned = next((name for name in ("DL-Kit-1", "DL-Delta-1") if name in enhancers.available()), None)
shown = ["Hf-L", "Telea+bilateral", *filter(None, [learned])]
panel = enhancer_panel([*drawn, *recorded], enhancers=shown)
panel

# %% [markdown]
# **Try.** Turn the relief far to one side: which enhancer's nose stands out as the true one does? Then move the
# profile's line across the tip of the nose. Then take a frame of the camera: what is different about its holes?
#
# ## Predict: who leaves the measured pixels alone?
#
# An enhancer may fill holes and nothing else, or write every pixel anew. By the second row of the panel: which of the
# ones below change pixels that had been *measured*?

# %%
import numpy as np

from facedepth_kit.depth import FARTHEST, HOLE
from facedepth_kit.evaluation.error import face_rmse


def changes(name):
    """What an enhancer did to the drawn faces, on average: holes left, change where measured, error."""
    found = []
    for one in drawn:
        result = one.enhanced(name)
        measured = one.area & (one.depth != HOLE) & (result != HOLE)
        moved_mm = np.abs(result[measured].astype(float) - one.depth[measured]) * one.depth_range.span_mm / FARTHEST
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

# %% [markdown]
# <details><summary>Solution</summary>
#
# The SDK's hole filling, and inpainting without the bilateral filter, change nothing that was measured: they only
# write into holes; the spatial filter changes next to nothing ([06_filters](06_filters.ipynb) says why). Decimation,
# the bilateral filter and the networks write every pixel. That is no fault in itself: a measured pixel carries noise,
# and whoever leaves it alone keeps the noise. On a camera's frames it is different: there the kit gives a network's
# output back what the sensor had measured ([16_your_recordings](16_your_recordings.ipynb)).
# </details>
#
# ## Along one line
#
# A profile shows what colours hide: steps, noise and the height of the nose. Across the nose of the first face:

# %%
from facedepth_kit.depth import to_millimetres

one = drawn[0]
row = int(np.round(one.landmarks[30, 1]))
images = {"degraded": one.depth, **{name: one.enhanced(name) for name in shown[1:]}, "ground truth": one.ground_truth}
lines = {name: to_millimetres(image[row], one.depth_range) - one.depth_range.near_mm for name, image in images.items()}

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
# **Exercise.** Which enhancer closes all holes in these faces and moves measured pixels least? And is it also the one
# with the smallest error?

# %%
closed = [entry for entry in table if entry["holes_left"] == 0]
least = min(closed, key=lambda entry: entry["change_mm"])
best = min(table, key=lambda entry: entry["error"])
print(f"moves least: {least['enhancer']} ({least['change_mm']:.2f} mm), error {least['error']:.4f}")
print(f"smallest error: {best['enhancer']} ({best['error']:.4f}), moves {best['change_mm']:.2f} mm")

# %% [markdown]
# <details><summary>What to make of it</summary>
#
# If the two differ, noise is the reason: the one that moves nothing also mends nothing but holes. Which of them you
# want depends on what comes after. A face matcher may like smooth surfaces; a check against forgeries wants nothing
# invented. [18_pad_panel](18_pad_panel.ipynb) is about such a check.
# </details>
#
# ## What you have seen
#
# Four ways of looking, and two kinds of enhancers: those that fill and those that redraw. **Next:
# [18_pad_panel](18_pad_panel.ipynb)** asks whether a camera is being shown a face at all.
