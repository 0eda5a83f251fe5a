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
# # Training
#
# *Part 2: Networks and filters*
#
# **Goal.** Teach DL-Delta to undo the degradation, by the paper's schedule, for as long as this profile allows; and
# look up how long the shipped weights were taught.
#
# **You will learn** what one training step is, what a chunk and an epoch are in the paper, and what a model card says.
#
# **Comes out:** Figure 6, a loss curve, and the list of shipped weights (section IV-C).

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("05_training", profile, seed, output)
work

# %% [markdown]
# ## Pairs to learn from
#
# The paper degrades every ground truth three times: holes kept as holes, holes filled with random values, and holes
# filled with soft clouds. The store is written once, in pieces, and can be resumed after a kill.

# %%
from facedepth_kit.pairs.store import SynthesisSettings

three_ways = SynthesisSettings(hole_values=("keep", "random", "blurred"))
store = work.pairs("training", work.profile.training_ground_truths, three_ways)
print(f"{len(store)} ground truths, {len(three_ways.hole_values)} degraded images each")

# %%
from facedepth_kit.plots.curves import loss_curve
from facedepth_kit.plots.grids import strip
from facedepth_kit.plots.processes import training_concept

pair = store[0]
work.show(strip({"ground truth": pair.ground_truth, **dict(zip(three_ways.hole_values, pair.degraded, strict=True))}))

# %% [markdown]
# ## The schedule
#
# One **step**: show a few degraded images (a *batch*), measure how far the answers are from the ground truths (the
# **loss**), and move each of the millions of parameters a little into the direction that lowers it. How little is the
# *learning rate*.
#
# A **chunk** of ground truths is trained for some **epochs** (passes over all its images), then comes the next chunk.
# The network is kept only when its loss has improved. A run that is killed goes on at the epoch it was in.

# A **recipe** says all of this, for each network of the paper: it is a file that `facedepth train --recipe NAME` reads.
# `--fraction 0.01` takes a hundredth of its ground truths. Here is DL-Delta-1's, cut down to this profile.

# %%
from facedepth_kit.pairs.recipes import chosen_recipe

recipe = chosen_recipe(
    "DL-Delta-1",
    [store],
    name="first-steps",
    chunks=max(1, work.profile.training_ground_truths // work.profile.chunk_ground_truths),
    epochs=work.profile.epochs,
    batch=16,
    full_resolution=True,
    seed=work.seed,
)
recipe.training

# %%
from facedepth_kit.common.settings import settings_hash
from facedepth_kit.pairs.recipes import train_recipe

key = f"{settings_hash(recipe)} {store.fingerprint}"
folder = work.cache_folder("first-steps", key, ["facedepth_kit.networks.trainer", "facedepth_kit.pairs.recipes"])
trained = train_recipe(recipe, [store], folder, progress_bar=False)
progress = trained.progress
print(f"{progress.steps} steps over {progress.images} images")

# %% [markdown]
# ## Does it learn?

# %%
history = [{"epoch": epoch + 1, "loss": loss} for epoch, loss in enumerate(progress.losses)]
caption = f"A first training run of {progress.steps} steps, far shorter than the paper's: to watch, not to use."
work.save_figure(loss_curve(history), "training_curve.png", caption, width=620)

# %%
work.save_table("training", history, caption, digits=5)

# %% [markdown]
# ## Figure 6: what one step does
#
# Enhance, compare, adjust, repeat. The enhanced image below is what the network that was trained above makes of a face
# that it has not seen.

# %%
from facedepth_kit.depth import from_unit, to_unit

model = trained.network()
unseen = work.pairs("validation", work.profile.validation_pairs)
ground_truth, degraded = unseen.batch(range(len(unseen)))
enhanced = from_unit(model.predict(to_unit(degraded)[..., None], batch_size=8, verbose=0)[..., 0])
caption = f"After Figure 6: the training concept, with a simulated face and the network after {progress.steps} steps."
work.save_figure(training_concept(ground_truth[0], degraded[0], enhanced[0]), "figure_06.png", caption)

# %% [markdown]
# ## Predict: better than doing nothing?
#
# The network has had a short schooling. Is its output already nearer to the ground truth than the degraded image
# itself?

# %%
from facedepth_kit.evaluation.error import face_rmse

print(f"untouched: {face_rmse(degraded, ground_truth).mean():.4f}")
print(f"enhanced:  {face_rmse(enhanced, ground_truth).mean():.4f}   (mean face RMSE of {len(unseen)} unseen faces)")

# %% [markdown]
# <details><summary>Solution</summary>
#
# Soon, yes: a hole is wrong by nearly the whole range, so even a blurred guess of a face beats it. To beat the filters
# of the next notebook takes much longer: details and, above all, the face's rim come late.
# </details>
#
# ## The shipped weights
#
# Each file of weights has a model card. It says what the network saw, how long it learnt and with which settings.
#
# **What is shipped as DL-Delta-1 was not trained by the paper's schedule**, but in two phases: first with the error of
# the whole image, then with a loss over the face (the recipes `DL-Kit-0-start` and `DL-Kit-0`). The recipes of the
# paper's seven networks, `DL-Alpha` to `DL-Delta-4`, wait for a machine that can run them.

# %%
from facedepth_kit.common.paths import weights_dir
from facedepth_kit.evaluation.published import rows
from facedepth_kit.networks.cards import ModelCard

cards = [ModelCard.read(path) for path in sorted(weights_dir().glob("*.json"))]
fields = ("parameters", "fraction", "ground_truths", "images_seen", "steps", "training_seconds", "pairs")
shipped = {card.name: {"weights": card.name, **{field: getattr(card, field) for field in fields}} for card in cards}
for name in rows("IV"):
    if name.startswith("DL-") and name not in shipped:
        shipped[name] = {"weights": name, **dict.fromkeys(fields), "pairs": "not shipped"}

# %%
caption = "Weights in this kit and what their model cards say; networks of the paper without weights are listed, too."
work.save_table("weights", list(shipped.values()), caption)

# %% [markdown]
# **Exercise.** The paper's DL-Delta-1 saw sixty thousand ground truths, three degradations each, ten times. How many
# training steps is that with batches of this run's size, and how many times as long as the run above?

# %%
paper_steps = 60_000 * 3 * 10 // recipe.batch
print(f"{paper_steps:,} steps, {paper_steps / progress.steps:,.0f} times this run")

# %% [markdown]
# ## What you have seen
#
# A network that starts to see faces, and the cards of those that went to school longer. **Next:
# [06_filters](06_filters.ipynb)** shows what can be had without any learning.
