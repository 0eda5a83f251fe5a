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
# # Filters: repair without learning
#
# *Part 2: Networks and filters*
#
# **Goal.** Run the depth camera maker's own filters, without a camera, and see what each of them does to a degraded
# face.
#
# **You will learn** what decimation, hole filling and spatial filtering do, how to put an array through the RealSense
# SDK, and what the paper left out.
#
# **Comes out:** Table II (section IV-A), and a picture of what each filter does.

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("06_filters", profile, seed, output)
work

# %% [markdown]
# ## The real SDK
#
# These are not imitations: each filter is the SDK's own. A *software device* lets it treat an array as a camera's
# frame.

# %%
from facedepth_kit.common.realsense_sdk import realsense_sdk
from facedepth_kit.enhancers.filters import TABLE_II, filtered

print("RealSense SDK", getattr(realsense_sdk(), "__version__", "of unknown version"))
for name, settings in TABLE_II.items():
    print(f"{name:<8} {settings}")

# %% [markdown]
# ## Table II
#
# The settings that run here, in the paper's words, beside the paper's table.


# %%
def in_the_papers_words(settings):
    if hasattr(settings, "magnitude"):
        return {"type": "Decimation", "mode": f"Magnitude: {settings.magnitude}"}
    if hasattr(settings, "hole_filling"):
        return {"type": "Spatial", "mode": f"Hole-filling: {settings.hole_filling}"}
    words = {"farthest": "Farest-From-Around", "nearest": "Nearest-From-Around", "left": "Fill-From-Left"}
    return {"type": "Hole-filling", "mode": words[settings.mode]}


# %%
from facedepth_kit.evaluation.published import rows

table = [
    {
        "enhancer": name,
        **in_the_papers_words(settings),
        **{f"published_{key}": value for key, value in rows("II")[name].items()},
        "same": in_the_papers_words(settings) == rows("II")[name],
    }
    for name, settings in TABLE_II.items()
]
work.save_table("table_2", table, "The hand-crafted enhancers as they run here (real RealSense SDK), beside Table II.")

# %% [markdown]
# ## One degraded face

# %%
from facedepth_kit.pairs.store import SynthesisSettings, make_pair
from facedepth_kit.plots.colours import colourize
from facedepth_kit.plots.grids import picture_grid, strip

pair = make_pair(work.seed, 7, SynthesisSettings())
degraded = pair.degraded[0]
work.show(strip({"ground truth": pair.ground_truth, "degraded": degraded}, size=2.4))

# %% [markdown]
# ## Predict
#
# *Decimation* replaces each block of pixels by one value, and scales the image up again. *Hole filling* gives each
# hole the value of a neighbour. *Spatial* smooths along rows and columns and closes holes along rows. Which of them
# will close all holes, and which will smear the face into the background?

# %%
outputs = {name: filtered(degraded, settings) for name, settings in TABLE_II.items()}
pictures = {"degraded": degraded, **outputs}
names = list(pictures)
rows_of_four = [names[:4], names[4:]]
figure = picture_grid(
    [[colourize(pictures[name]) for name in row] for row in rows_of_four], rows_of_four, size=1.9, title_size=9
)
caption = (
    "What each filter of Table II makes of a degraded face, unmasked. Simulated (parametric) face, real RealSense SDK."
)
work.save_figure(figure, "filters.png", caption)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Hole filling from the left closes everything that has anything to its left, and extends the face's outline to the
# edge of the image. The spatial filter does so from both sides. Decimation by two leaves many of the holes open; by
# eight it closes the small ones and makes blocks. None of them knows what a face is: outside the face they all fill in
# wrong values.
# </details>
#
# ## In numbers
#
# Holes left in the face, and the error of this one image.

# %%
from IPython.display import Markdown

from facedepth_kit.depth import HOLE
from facedepth_kit.evaluation.error import face_rmse
from facedepth_kit.common.tables import markdown_table

face = pair.ground_truth != HOLE


# %%
def numbers(name, image):
    return {
        "enhancer": name,
        "holes": float((image[face] == HOLE).mean()),
        "error": face_rmse(image, pair.ground_truth),
    }


Markdown(markdown_table([numbers(name, image) for name, image in pictures.items()]))

# %% [markdown]
# ## What the paper left out
#
# Without any learning, many people would first try inpainting, which was made for scratched photographs. OpenCV has
# two methods, and both take 16-bit depth. Here they are alone, and followed by a bilateral filter, which smooths but
# keeps edges.
#
# **Predict.** Will they beat the filters above?

# %%
from facedepth_kit.enhancers.inpainting import ROWS, inpainted

tried = {name: inpainted(degraded, settings) for name, settings in ROWS.items()}
masked = {name.replace("+", "\n+ "): image.copy() for name, image in tried.items()}
for image in masked.values():
    image[~face] = HOLE
work.show(strip({"ground truth": pair.ground_truth, **masked}))

# %%
Markdown(markdown_table([numbers(name, image) for name, image in tried.items()]))

# %% [markdown]
# **Exercise.** The spatial filter has a threshold, *delta*: steps larger than it are edges and stay. The SDK allows 1
# to 50, in units of the image's values. In this table's rows it smooths next to nothing. To see why, compute how many
# millimetres of this face one unit of the image is. (`pair.depth_range.span_mm` is the depth of the face, and it is
# spread over the values 0 to 65534.)

# %%
unit_mm = ...  # your answer: millimetres of this face for one unit of the image

# %%
from facedepth_kit.depth import FARTHEST
from facedepth_kit.pipeline.exercises import check

print(check(unit_mm, pair.depth_range.span_mm / FARTHEST, tolerance=0.01))

# %% [markdown]
# <details><summary>Solution</summary>
#
# `unit_mm = pair.depth_range.span_mm / 65534`: some micrometres. The SDK expects camera units, a millimetre each. Here
# the face's depth is spread over all sixteen bits, so even the largest delta is a fraction of a millimetre, and nearly
# every step counts as an edge. That may be why the paper saw no effect of the spatial filter without its hole filling.
# </details>
#
# ## What you have seen
#
# Seven filters, each with its own kind of mistake, and inpainting, which the paper did not try. **Next:**
# [07_ddrnet](07_ddrnet.ipynb), a network that was made for whole bodies.
