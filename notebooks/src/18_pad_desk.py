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
# # Is this a face?
#
# **Goal.** Hold the depth at a face's landmarks against three rules, and decide: a face, or something held up before
# the camera (a *presentation attack*: a print, a screen, a mask).
#
# **You will learn** what the 68 landmarks are, which of them fail which rule and why, and what a threshold trades
# against what.
#
# **Comes out:** a picture of the landmarks by the rule that they break (after section IV-G).
#
# *What is simulated:* all faces here are drawn by the kit, and their landmarks are the face model's own. With a camera,
# Dlib finds them in the picture beside the depth.

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a desk of your own under build/, so that trying things changes no shipped figure

# %%
from facedepth_kit.workspace import open_workspace

work = open_workspace("18_pad_desk", profile, seed, output)
work

# %% [markdown]
# ## Sixty-eight points
#
# They follow the jaw from ear to ear, the brows, the nose, the eyes and the mouth. On a true face, depth at these
# points obeys simple rules. Section IV-G of the paper takes three: each landmark **has** depth; none is **nearer than
# the tip of the nose**; and along the **jaw**, from the chin to either ear, each is no nearer than the one before. The
# share of landmarks that break a rule is the *geometric PAD error*.

# %%
from facedepth_kit.panels import FaceChoice, synthetic

choices = [FaceChoice(1), FaceChoice(3, "smile"), FaceChoice(4, "open mouth", yaw_deg=20.0)]
specimens = [synthetic(choice, seed=work.seed + number) for number, choice in enumerate(choices)]

# %% [markdown]
# ## Predict
#
# Degraded as in `02_degradation`, a face has holes everywhere and most at its rim. Which landmarks will suffer most?
# And what happens to the whole check if the one hole too many lies at the tip of the nose?
#
# ## The panel
#
# Left the image as it was measured, right after an enhancer. The first slider is the threshold of the geometric PAD
# error; the second belongs to a check of the kit's own: how far the nose must stand out of the best (bent) sheet of
# paper through the other landmarks.

# %%
from facedepth_kit.panels import pad_panel

panel = pad_panel(specimens)
panel

# %% [markdown]
# <details><summary>Solution</summary>
#
# The jaw: it runs along the rim, where holes are. A hole at the tip of the nose is the worst that can happen: a hole
# counts as the farthest depth, so every landmark is nearer than the nose, and all fail at once. That is why an
# enhancer that fills holes helps this check so much, whether or not it fills them *rightly*.
# </details>
#
# ## In numbers

# %%
from IPython.display import Markdown

from facedepth_kit.evaluation.pad import geometric_pad
from facedepth_kit.workspace import markdown_table

rules = {"hole": "hole", "before_nose": "nearer than the nose", "jaw": "jaw"}
rows = []
for one in specimens:
    for name, depth in (("degraded", one.depth), ("enhanced", one.enhanced(panel.enhancer.value))):
        result = geometric_pad(depth, one.landmarks)
        counts = {title: int(getattr(result, rule).sum()) for rule, title in rules.items()}
        rows.append({"face": one.name, "image": name, **counts, "error": result.error})
Markdown(markdown_table(rows))

# %% [markdown]
# ## In a picture

# %%
import numpy as np

from facedepth_kit import plots
from facedepth_kit.depth import HOLE, colourize
from facedepth_kit.panels import landmark_picture


def dotted(one, depth):
    """A depth image with its landmarks, coloured as in the panel."""
    shown = colourize(np.where(one.area, depth, HOLE), one.depth_range)
    return landmark_picture(shown, geometric_pad(depth, one.landmarks), one.landmarks)


# %%
top = [dotted(one, one.depth) for one in specimens]
bottom = [dotted(one, one.enhanced(panel.enhancer.value)) for one in specimens]
errors = [[f"{geometric_pad(one.depth, one.landmarks).error:.3f}" for one in specimens]]
errors.append([f"{geometric_pad(one.enhanced(panel.enhancer.value), one.landmarks).error:.3f}" for one in specimens])
figure = plots.picture_grid(
    [top, bottom], errors, row_labels=["degraded", panel.enhancer.value], size=2.6, title_size=9
)
caption = (
    "The 68 landmarks of simulated faces by the rule of section IV-G that they break: black has no depth, red is "
    "nearer than the tip of the nose, orange (jaw) nearer than the one before it; white breaks none. Above each: the "
    "error."
)
work.save_figure(figure, "pad_desk.png", caption, width=820)

# %% [markdown]
# ## What you have seen
#
# Three rules, one number, one threshold; and that filling holes alone makes a check look better. The map of all
# notebooks is in **`00_start_here`**.
