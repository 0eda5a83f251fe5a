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
# # Does it invent a face?
#
# *Part 4: Cameras and attacks*
#
# **Goal.** Measure how much an enhancer changes of what a camera measured, on a bare face and on one that is half
# hidden.
#
# **You will learn** why a security system needs a hand to stay a hand, and how an error can mean something without any
# ground truth.
#
# **Comes out:** Table VI and Figure 10 (section IV-F).
#
# *What is simulated:* KinectFaceDB, unless yours lies in the data folder (FACEDEPTH_DATA); the captions say which.

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("13_falsification", profile, seed, output)
work

# %% [markdown]
# ## A hand over the mouth
#
# A network that has seen nothing but faces might see one everywhere. If it drew a mouth where a hand is, it would draw
# one on a sheet of paper, too, and help an attacker past the check of notebook 14.
#
# This test compares the output with the input, not with a ground truth: over the mask of the *Neutral* picture, at the
# pixels that the sensor did measure. An enhancer that only removes noise changes little. One that replaces a hand by a
# mouth changes centimetres.

# %%
from facedepth_kit.evaluation import camera_study
from facedepth_kit.evaluation.camera_tables import CONDITIONS
from facedepth_kit.evaluation.published import KINECTFACEDB
from facedepth_kit.plots.grids import strip
from facedepth_kit.plots.samples import face_limits, face_window, masked_face, sample_rows

data = work.camera_data
store = camera_study.camera_faces(data, KINECTFACEDB)
images = {variant: camera_study.sample(store, "0025", variant) for variant in CONDITIONS.values()}
work.show(strip({variant: image.picture for variant, image in images.items()}))

# %% [markdown]
# ## Predict
#
# Which will the networks change most: the bare face (`none`), the one with the hand (`mouth`), or the one with the
# paper (`paper`)?

# %%
my_condition = ""  # your answer: none, mouth or paper

# %% [markdown]
# ## Table VI
#
# For each image the measures of notebook 12 are used, or taken now if that has not been run; here they are averaged.

# %%
from facedepth_kit import enhancers
from facedepth_kit.evaluation.camera_tables import long_table, table_6

measures = camera_study.camera_measures(data, KINECTFACEDB)
measured = table_6(measures)
variants = [row.variant for row in measures if row.enhancer == "None"]
counts = {condition: variants.count(variant) for condition, variant in CONDITIONS.items()}
real = camera_study.real_cameras({KINECTFACEDB: store})
names = [name for name in enhancers.names() if name != "None"]
lines = long_table("VI", measured, names, real=real, counts=counts, notes=camera_study.notes())

# %% [markdown]
# One sentence of the paper is a claim, too: the networks do not change an occluded face much more than a bare one. As
# numbers: the error under occlusion should be at most the paper's, and so should its ratio to the error without
# occlusion. The ratio alone would not do: it falls when a network damages the bare face.

# %%
from facedepth_kit.evaluation.camera_tables import falsification_rows, wide_table
from facedepth_kit.evaluation.published import tally

lines += falsification_rows(measured, simulated=store.simulated)

# %%
caption = (
    "Falsification: RMSE in percent of 25 cm between input and output over the Neutral mask, input holes left out, "
    f"beside Table VI. {camera_study.origins({KINECTFACEDB: store})} Verdicts: {tally(lines)}."
    f"{camera_study.row_remarks()}"
)
work.save_table("table_6", lines, caption, digits=2, shown=wide_table(lines, 2))

# %%
from facedepth_kit.pipeline.exercises import check


def changed_most(enhancer):
    """The condition with the largest mean."""
    return max(CONDITIONS, key=lambda condition: measured[enhancer][f"{condition}_mean"])


network = next((name for name in ("DL-Delta-1", "DL-Kit-1") if name in measured), names[0])
print(f"{network}: {check(my_condition, changed_most(network))}")

# %% [markdown]
# <details><summary>Solution</summary>
#
# `{name: changed_most(name) for name in measured}` answers for each. In the paper it is the hand (`mouth`) for all four
# DL-Deltas. A hand has edges that no face has, its fingers cast shadows full of holes, and a network smooths the steps
# between finger and cheek. That is falsification, but does a mouth appear? Look at the pictures below. A sheet of paper
# is smooth, but flat and near as no face is: networks that have seen few images may change it more than the hand, and
# one may even tear a hole into it. Filters that only fill holes change nothing that was measured, so their rows are
# zero; this test says nothing about what they put into the holes.
# </details>
#
# ## Figure 10

# %%
deltas = [f"DL-Delta-{number}" for number in range(1, 5)]
columns = [*deltas, "DL-Alpha", "DL-Beta", "DL-Gamma", "DDRNet-dn", "DL-Kit-0", "DL-Kit-1"]
shown = [camera_study.outputs(image.depth, columns) for image in images.values()]
numbers = [
    {row.enhancer: 100 * row.falsification for row in measures if row.name == image.name} for image in images.values()
]

# %%
masks = [image.mask for image in images.values()]
pictures = [image.picture for image in images.values()]
depths = [image.depth for image in images.values()]
figure = sample_rows(pictures, depths, shown, masks, columns, list(images), numbers)
caption = (
    f"After Figure 10: {camera_study.origin(store, KINECTFACEDB)}; the face area is masked by the Neutral picture's "
    f"landmarks. Small numbers: falsification in percent. Last columns: the kit's own.{camera_study.row_remarks()}"
)
work.save_figure(figure, "figure_10.png", caption, width=1100)

# %% [markdown]
# ## Where it changed

# %%
import numpy as np

from facedepth_kit.depth import HOLE, to_unit

hand = images["OcclusionMouth"]
window = face_window(hand.mask)
maps = {"input": masked_face(hand.depth, hand.mask, face_limits(hand.depth, hand.mask))}
for name, enhanced in camera_study.outputs(hand.depth, ["De-M8", "DL-Delta-1", "DL-Kit-1", "DDRNet-dn"]).items():
    change = np.abs(to_unit(enhanced) - to_unit(hand.depth)) * (hand.mask & (hand.depth != HOLE))
    maps[name] = np.clip(change[window] * 255 / 0.08, 0, 255).astype(np.uint8)
work.show(strip(maps))

# %% [markdown]
# White is a change of two centimetres or more.
#
# **Exercise.** A filter that returns its input is perfect by this measure. Which other table keeps it from winning?
#
# <details><summary>Solution</summary>
#
# Table V: its holes and its roughness stay. Neither table says much alone; together they ask for what a recorded face
# needs: fewer holes, less noise, and nothing else changed.
# </details>
#
# ## What you have seen
#
# How much is changed where something was measured. What matters to a check against attacks is the depth at a few
# points of the face. **Next:** [14_landmarks_and_pad](14_landmarks_and_pad.ipynb).
