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
# **Comes out:** Table II (section IV-A), and a picture of each filter's handwriting.

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("06_filters", profile, seed, output)
work

# %% [markdown]
# ## The real thing
#
# These are not imitations: each filter is the SDK's. A *software device* takes an array for a camera's frame.

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
# *Decimation* replaces each block of pixels by one value, and scales the picture up again. *Hole filling* lets each
# hole take the value of a neighbour. *Spatial* smooths along rows and columns and closes holes along rows. Which of
# them will close all holes, and which will smear the face into the background?

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
# Hole filling from the left closes everything that has anything to its left, and draws the face's rim out to the edge
# of the picture. The spatial filter does so from both sides. Decimation by two leaves most holes; by eight it closes
# the small ones and makes blocks. None of them knows what a face is: outside the face they all invent.
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
# Before learning anything, most people would try inpainting, as made for scratched photographs. OpenCV has two kinds,
# and both take depth of sixteen bits. Alone and followed by a filter that smooths but keeps edges:

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
# **Exercise.** The spatial filter has a threshold, *delta*: steps larger than it are edges and stay. The SDK allows
# one to fifty, in units of the image's values. Why does it smooth next to nothing here?

# %%
step = 1 / HOLE * pair.depth_range.span_mm
delta = TABLE_II["Sp-HfU"].delta
print(f"one unit is {step:.4f} mm of this face; delta {delta:.0f} is {delta * step:.2f} mm")

# %% [markdown]
# <details><summary>Solution</summary>
#
# The SDK counts on camera units, a millimetre each. Here the face's depth is stretched over all sixteen bits, so that
# delta is a tiny fraction of a millimetre: nearly every step is an "edge". That may be why the paper saw no effect of
# the spatial filter without its hole filling.
# </details>
#
# ## What you have seen
#
# Seven filters with seven handwritings, and a rival that nobody had asked. **Next: `07_ddrnet`**, a network that was
# made for something else; then all of them sit the same exam.
