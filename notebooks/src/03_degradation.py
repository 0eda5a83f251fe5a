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
# # Degrading a depth image
#
# *Part 1: Faces and degradation*
#
# **Goal.** Turn a perfect depth image into one that looks as if an inexpensive depth camera had taken it: the
# *degraded* image that enhancers get to see.
#
# **You will learn** the stages of the paper's degradation (section III-B), what each of them does to the error, and
# how to tune them with sliders.
#
# **Comes out:** Figure 5.
#
# *What is open in the paper:* it gives the noise, but no number for holes and blur. The kit's numbers were chosen so
# that the rows of Table IV that need no learning come out as published;
# [10_degradation_calibration](10_degradation_calibration.ipynb) tells how.

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("03_degradation", profile, seed, output)
work

# %% [markdown]
# ## The face and the settings

# %%
from facedepth_kit.faces.people.parametric import draw_face
from facedepth_kit.pairs.degradation import DegradationSettings
from facedepth_kit.pairs.store import SynthesisSettings, render_ground_truth

rng = work.rng("figure 5")
ground_truth, depth_range = render_ground_truth(draw_face(rng), SynthesisSettings(), rng)
settings = DegradationSettings()
settings

# %% [markdown]
# ## Holes
#
# Depth cameras lose the outline of things first. So the outline of the face is traced, and holes are placed along it;
# more holes are placed anywhere in the image. Both kinds are triangles here (the paper does not say which shapes it
# used), and both are drawn in one step.

# %%
import numpy as np

from facedepth_kit.depth import HOLE
from facedepth_kit.pairs.degradation import detect_outline, outline_holes, punch_holes, random_holes

outline = detect_outline(ground_truth)
at_outline = outline_holes(outline, settings, rng)
anywhere = random_holes(settings, rng)
shapes = np.concatenate([at_outline, anywhere])
punched = punch_holes(ground_truth, shapes)
print(f"{len(outline)} outline pixels, {len(at_outline)} holes along them, {len(anywhere)} anywhere")

# %%
from facedepth_kit.plots.grids import strip
from facedepth_kit.plots.processes import degradation_process

empty = np.zeros_like(ground_truth)
traced = np.zeros(ground_truth.shape, bool)
traced[outline[:, 1], outline[:, 0]] = True
masks = {
    name: punch_holes(empty, part) == HOLE for name, part in (("outline holes", at_outline), ("random holes", anywhere))
}
work.show(strip({"ground truth": ground_truth, "outline": traced, **masks, "punched": punched}))

# %% [markdown]
# ## Noise, then blur
#
# Every remaining pixel gets a random error of its own. Then each remaining pixel is averaged with its remaining
# neighbours, so holes stay holes and do not bleed into the face.

# %%
from facedepth_kit.pairs.degradation import add_noise, blur_depth

noisy = add_noise(punched, depth_range, settings.noise_mm, rng)
blurred = blur_depth(noisy, round(sum(settings.blur_px) / 2))
work.show(strip({"punched": punched, "noise": noisy, "blur": blurred}))

# %% [markdown]
# ## Two variants for training
#
# A network that has only ever seen clean holes learns to look for clean holes. So for training, holes are also filled
# with values that mean nothing: random ones, or blurred random ones. No evaluation uses these variants.

# %%
from facedepth_kit.pairs.degradation import blurred_hole_values, randomize_hole_values

random_background = randomize_hole_values(blurred, rng)
blurred_background = blurred_hole_values(blurred, settings, rng)
work.show(strip({"degraded": blurred, "random": random_background, "blurred": blurred_background}))

# %% [markdown]
# ## Figure 5

# %%
stages = {
    "ground truth": ground_truth,
    "outline": traced,
    **masks,
    "all holes": punch_holes(empty, shapes) == HOLE,
    "punched": punched,
    "noise": noisy,
    "blurred": blurred,
    "random background": random_background,
    "blurred background": blurred_background,
}
caption = "After Figure 5 of the paper, stage by stage, on a simulated (parametric) face."
work.save_figure(degradation_process(stages), "figure_05.png", caption, width=1100)

# %% [markdown]
# ## Predict: which stage costs most?
#
# `face_rmse` is the paper's error: the root mean squared difference of depth, scaled from zero to one, over the face.
# A hole counts as one, the farthest value. Which stage will raise the error most, and will the blur raise or lower it?

# %%
from facedepth_kit.evaluation.error import face_rmse

for name in ("ground truth", "punched", "noise", "blurred"):
    print(f"{name:>12}: {face_rmse(stages[name], ground_truth):.4f}")

# %% [markdown]
# <details><summary>Solution</summary>
#
# The holes, by far. Each hole pixel in the face is wrong by nearly the whole range, and squaring makes large errors
# count most. Beside them noise hardly shows, and the blur removes part of it again. So an enhancer that fills holes
# well does well in Table IV, and one that only smooths cannot.
# </details>
#
# ## Your turn: the panel
#
# A slider for every setting, stage by stage as in Figure 5, with the calibrated value in brackets. Drag, or click a
# handle and use the arrow keys. Choose another person, expression or pose under *Face*. The enhancer at the bottom
# repairs what you degrade.

# %%
from facedepth_kit.panels import degradation_panel

panel = degradation_panel(presets=work.results.parent / "presets")
panel

# %% [markdown]
# Save settings that you like under *Presets*, or from code. The file is a settings file for `facedepth synthesize
# --settings`, which writes pairs to train on.

# %%
from facedepth_kit.common.settings import load_yaml

preset = panel.save(work.results.parent / "presets" / "from_code.yaml", overwrite=True)
load_yaml(SynthesisSettings, preset).degradation

# %% [markdown]
# **Exercise.** Make the error half as large with the sliders of one stage only. Which stage can do it?
#
# <details><summary>Solution</summary>
#
# Only the random holes, because most hole pixels in the face are theirs. The error grows with the *root* of the share
# of hole pixels, so about three in four of them have to go, and a few more, because the outline's holes stay. Fewer
# holes or smaller ones both work. With the noise at zero the number barely moves.
# </details>
#
# **Open task** (no solution given). Find a frame of a real depth camera, your own or one from a paper, and tune the
# sliders until the degraded face looks like it. Save the preset. What does the camera do that no slider can imitate?
#
# ## What you have seen
#
# Holes along the outline, holes anywhere, noise, blur: each is a plain function, and together they are `degrade`.
# **Next:** [04_networks](04_networks.ipynb) builds the networks that are to undo it.
