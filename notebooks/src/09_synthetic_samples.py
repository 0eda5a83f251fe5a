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
# # What the enhancers do to a face
#
# *Part 3: Evaluation on synthetic faces*
#
# **Goal.** See the output of every enhancer on two random faces, as the paper shows it.
#
# **You will learn** to recognise an enhancer by its mistakes.
#
# **Comes out:** Figures 13 and 14 (section IV-H).

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("09_synthetic_samples", profile, seed, output)
work

# %% [markdown]
# ## Two random faces
#
# They come from the test pairs of Table IV, so each image has its error there.

# %%
from facedepth_kit import enhancers
from facedepth_kit.evaluation.error import read_errors

errors = read_errors(work.find("table_4_errors.csv"))  # of notebook 08
store = work.pairs("test", work.profile.test_pairs)
chosen = [int(index) for index in work.rng("two samples").choice(len(store), 2, replace=False)]
ground_truth, degraded = store.batch(chosen)
ready = enhancers.available()
enhanced = {name: enhancers.get(name).enhance(degraded) for name in ready}

# %% [markdown]
# ## The paper's arrangement
#
# Top row: ground truth, degraded, hand-crafted filters. Middle row: the learned enhancers of the paper. The bottom row
# is the kit's own addition. As in the paper, everything outside the face is masked, because only the face is measured.

# %%
hand_crafted = [name for name in enhancers.names() if enhancers.get(name).kind == "hand-crafted"]
ours = [name for name in enhancers.names() if enhancers.get(name).ours]
learned = ["DDRNet-dn", "DL-Delta-1", "DL-Delta-2", "DL-Delta-3", "DL-Delta-4", "DL-Alpha", "DL-Beta", "DL-Gamma"]
arrangement = [["Ground Truth", "Degraded", *hand_crafted], learned, ours]

# %%
from facedepth_kit.plots.grids import strip
from facedepth_kit.plots.samples import sample_grid


def sample(number):
    """The grid of one sample; titles carry the face RMSE that went into Table IV."""
    images = {name: stack[number] for name, stack in enhanced.items()}
    figures = {name: float(values[chosen[number]]) for name, values in errors.items()}
    figures["Degraded"] = figures["None"]
    return sample_grid(ground_truth[number], degraded[number], images, arrangement, figures)


# %%
caption = (
    "After Figure 13: random synthetic sample 1, a simulated (parametric) face; small numbers: face RMSE. Last row: "
    f"the kit's own. {enhancers.training_remark()}"
) + "".join(f" {name}: {enhancers.stand_in(name)}." for name in ready if enhancers.stand_in(name))
work.save_figure(sample(0), "figure_13.png", caption, width=1100)

# %%
work.save_figure(sample(1), "figure_14.png", caption.replace("13", "14").replace("sample 1", "sample 2"), width=1100)

# %% [markdown]
# ## Predict: which filter is it?
#
# Each filter makes mistakes of its own. *Hf-L* fills a hole from its left. *De-M2* and *De-M8* replace blocks of two
# by two and eight by eight pixels by one value. Which image below belongs to which? Write the letters into the second
# cell.

# %%
names = ["De-M8", "Hf-L", "De-M2"]
shuffled = [names[int(index)] for index in work.rng("which filter").permutation(3)]
work.show(strip({letter: enhanced[name][0] for letter, name in zip("ABC", shuffled, strict=True)}))

# %%
my_letters = {"Hf-L": "", "De-M8": "", "De-M2": ""}  # your answer: A, B or C for each

# %%
from facedepth_kit.pipeline.exercises import check

letters = {name: letter for letter, name in zip("ABC", shuffled, strict=True)}
for name, letter in my_letters.items():
    print(f"{name}: {check(letter, letters[name])}")

# %% [markdown]
# <details><summary>Solution</summary>
#
# Sideways streaks: filling from the left (Hf-L). Steps like stairs: decimation by eight (De-M8), which averages blocks
# and so closes small holes. Open holes: decimation by two (De-M2), whose blocks are too small for the larger ones.
# </details>

# %% [markdown]
# ## Where the error lies
#
# The difference to the ground truth, brighter where it is larger. Look at the outline of the face.

# %%
import numpy as np

from facedepth_kit.depth import HOLE, to_unit

best = sorted((name for name in ready if name in errors), key=lambda name: float(errors[name].mean()))[:5]
face = ground_truth[0] != HOLE
difference = {name: np.abs(to_unit(enhanced[name][0]) - to_unit(ground_truth[0])) * face for name in best}
scale = max(float(np.quantile(image[face], 0.99)) for image in difference.values())
work.show(strip({name: (np.clip(image / scale, 0, 1) * 255).astype(np.uint8) for name, image in difference.items()}))

# %% [markdown]
# ## What you have seen
#
# The best enhancers differ most at the face's outline. All of this was made with a degradation whose settings nobody
# published. **Next:** [10_degradation_calibration](10_degradation_calibration.ipynb) tells where they come from.
