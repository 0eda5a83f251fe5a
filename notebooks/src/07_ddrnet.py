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
# # DDRNet-dn: a network made for whole bodies
#
# *Part 2: Networks and filters*
#
# **Goal.** Run DDRNet-dn, with which the paper compares its networks: a network that removes noise from depth images
# of whole people. See what it does for people, and why it does little for faces.
#
# **You will learn** how a network trained on one kind of scene behaves on another, what a residual network is, and how
# much depends on where a normalised image is put back into millimetres.
#
# **Comes out:** a drawing of the network, the scenes it is trained on, its errors on people (simulated, and real ones
# measured elsewhere), and its errors on faces (sections IV-B and IV-D).

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("07_ddrnet", profile, seed, output)
work

# %% [markdown]
# ## Whose weights run here?
#
# The authors of DDRNet publish their weights, but this kit may not include them. If you have fetched them (`facedepth
# doctor` says where they are looked for), they run. If not, a **stand-in** runs: the same network, trained by this kit
# on simulated people. Its numbers say something about the idea, not about DDRNet itself.

# %%
from facedepth_kit import enhancers
from facedepth_kit.enhancers.ddrnet import load_denoiser

denoise = load_denoiser()
whose = enhancers.stand_in("DDRNet-dn") or f"its authors' weights: {denoise.source.name}"
print(whose)

# %% [markdown]
# ## The network
#
# Two halvings, two residual blocks, two doublings, and a sum at the end: the network does not output a depth image, it
# computes a *correction* to the one that it was given.

# %%
from facedepth_kit.networks.ddrnet import build_ddrnet, official_variables

model = build_ddrnet()
sizes = {"cnv_down0": 2, "cnv_down1": 4, "res0": 4, "res1": 4, "cat1": 4, "cnv_up0": 2, "cat2": 2}
layers, halved = [], 1
for layer in model.layers:
    halved = 4 if layer.name.startswith("res") else sizes.get(layer.name, halved if layer.name != "cnv_up1" else 1)
    if layer.weights or layer.name in ("depth", "res0", "res1", "cat1", "cat2", "cat_final"):
        kind = type(layer).__name__
        layers.append({"name": layer.name, "kind": kind, "size": 256 // halved, "channels": layer.output.shape[-1]})
layers.append({"name": "output", "kind": "Add", "size": 256, "channels": 1})

# %%
from facedepth_kit.plots.grids import picture_grid, strip
from facedepth_kit.plots.networks import denoiser_drawing

skips = {"cat_final": "cnv0", "cat2": "cnv_down0", "cat1": "cnv_down1", "output": "depth"}
caption = (
    f"DDRNet-dn, drawn from the built Keras model: {model.count_params():,} parameters in "
    f"{len(official_variables(model))} variables, as in the published checkpoint. Numbers: channels; dashed: handed on."
)
work.save_figure(denoiser_drawing(layers, skips, "DDRNet-dn"), "ddrnet_network.png", caption, width=1100)

# %% [markdown]
# ## The scenes it was trained for
#
# People at half a metre to two metres, measured by a camera with noise that neighbouring pixels share, ragged outlines
# and holes. For the stand-in they are rendered: body models in random postures, before walls and objects or before
# nothing.

# %%
import numpy as np
from tqdm.auto import tqdm

from facedepth_kit.evaluation.bodies import bilateral, compare, simulated_body_pairs

count = work.profile.validation_pairs
people = simulated_body_pairs(count, work.seed)
pairs = list(tqdm(people, total=count, desc="people", disable=not work.by_hand, leave=False))
shown = pairs[:4]
results = {pair.name: denoise(pair.noisy_mm) for pair in shown}


# %%
def relief(depth_mm, like):
    """Millimetres as a depth image, on the middle 96 % of the person's range."""
    from facedepth_kit.depth import DepthRange, from_millimetres
    from facedepth_kit.plots.colours import shaded_relief

    near, far = np.nanquantile(like, (0.02, 0.98))
    depth = from_millimetres(depth_mm, DepthRange(float(near), float(max(min(far, near + 700) - near, 50))))
    return shaded_relief(depth, DepthRange(0.0, float(max(min(far, near + 700) - near, 50))), pixel_mm=2.0)


# %%
columns = [
    [
        relief(pair.fused_mm, pair.fused_mm),
        relief(pair.noisy_mm, pair.fused_mm),
        relief(results[pair.name], pair.fused_mm),
    ]
    for pair in shown
]
grid = [list(row) for row in zip(*columns, strict=True)]
titles = [[f"{what} {number + 1}" for number in range(len(shown))] for what in ("truth", "measured", "denoised")]

# %%
caption = f"Simulated people that the network has not seen, and what it makes of them ({whose})."
work.save_figure(picture_grid(grid, titles, size=2.2), "ddrnet_scenes.png", caption)

# %% [markdown]
# ## Predict: what can it repair?
#
# Three things are wrong in the middle row: noise on the surfaces, ragged outlines, holes. Which of them does the
# network repair? And does it do better than a bilateral filter, which has learnt nothing?

# %%
rows = compare(pairs, {"after": denoise, "bilateral": bilateral})
words = {"mae_mm": "mean distance", "median_mm": "median distance", "rmse_mm": "root mean square"}
columns_of_numbers = ("before", "after", "bilateral")
words["inside_mae_mm"] = "mean distance, 4 px and more from any rim"
table = [
    {
        "people": "simulated",
        "frames": len(rows),
        "millimetres": text,
        **{word: float(np.mean([row[f"{key}_{word}"] for row in rows])) for word in columns_of_numbers},
        "weights": "stand-in" if denoise.source is None else denoise.source.name,
    }
    for key, text in words.items()
]

# %% [markdown]
# Frames of real people are not in the repository, but numbers are. `facedepth bodies` compares real frames of one
# standing person with the surface that many frames of a moving camera agree on; its results are in
# `figures/recordings`.

# %%
from facedepth_kit.common.paths import figures_dir
from facedepth_kit.common.tables import read_table

recorded = figures_dir("recordings") / "ddrnet_bodies.csv"
real = read_table(recorded) if recorded.is_file() else None

# %%
if real is not None:
    table += [
        {
            "people": "real (Kinect v2)",
            "frames": len(real),
            "millimetres": text,
            **{word: real[f"{key}_{word}"].mean() for word in columns_of_numbers},
            "weights": real["weights"][0],
        }
        for key, text in words.items()
    ]

# %%
caption = (
    "Millimetres to the truth (simulated people) or to frames fused of many (real ones): before, after DDRNet-dn, and "
    "after a bilateral filter instead."
)
work.save_table("ddrnet_bodies", table, caption, digits=2)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Mostly the noise: compare the median before and after. It repairs outlines in some places. They dominate the root
# mean square, and there the network is ahead of the filter, which cannot tell an error at an outline from an edge. It
# never fills holes: its output is masked by what the camera measured. On the real person's surfaces the plain filter
# is ahead of the stand-in, because the simulated noise differs from this camera's. With faces the difference is larger
# still, as you will see next.
# </details>
#
# ## Now a face
#
# A depth image of this kit is a share of a span, the network needs millimetres, and the paper does not say how one
# became the other. The kit places every image at one metre, well inside the network's 500 to 2,000 mm.

# %%
from facedepth_kit.depth import HOLE, DepthRange
from facedepth_kit.enhancers.ddrnet import PLACEMENT, ddrnet_enhancer
from facedepth_kit.evaluation.error import face_rmse
from facedepth_kit.networks.ddrnet import denormalise, normalise

store = work.pairs("validation", work.profile.validation_pairs)
ground_truth, degraded = store.batch(range(len(store)))
placed = ddrnet_enhancer(PLACEMENT, denoise)(degraded)
face = ground_truth != HOLE
left_open = (placed == HOLE)[face].mean() / (degraded == HOLE)[face].mean()
before, after = (float(np.mean(face_rmse(image, ground_truth))) for image in (degraded, placed))
print(f"face RMSE {before:.4f} before, {after:.4f} after")
print(f"of the holes in the face {left_open:.0%} are still there")

# %% [markdown]
# ## Predict: what if the face is nearer?
#
# Section III of the paper speaks of half a metre between camera and face. Suppose the images are placed at that
# distance. What happens to a face whose nose is 440 mm away?

# %%
puts = {"1000 mm, 25 cm deep (the kit)": PLACEMENT, "1500 mm, 25 cm deep": DepthRange(1500.0, 250.0)}
puts |= {f"{near} mm, 12 cm deep": DepthRange(float(near), 120.0) for near in (700, 500, 440)}
unchanged = type(denoise)(None, lambda unit: unit)
outputs, nothing = {}, {}
for name, where in tqdm(puts.items(), desc="places", disable=not work.by_hand, leave=False):
    outputs[name] = ddrnet_enhancer(where, denoise)(degraded)
    nothing[name] = ddrnet_enhancer(where, unchanged)(degraded)

# %%
from facedepth_kit.evaluation.published import rows as published_rows

measured = face & (degraded != HOLE)


def moved(image):
    """Mean distance to the ground truth over what was measured, as a share of the span."""
    return float(np.abs(image.astype(np.float64) - ground_truth)[measured].mean() / 65535)


# %%
faces = [{"image put at": "(untouched)", "face RMSE": before, "off where measured": moved(degraded)}]
faces += [
    {
        "image put at": name,
        "face RMSE": float(np.mean(face_rmse(image, ground_truth))),
        "off where measured": moved(np.where(image == HOLE, ground_truth, image)),
        "face RMSE without the network": float(np.mean(face_rmse(nothing[name], ground_truth))),
    }
    for name, image in outputs.items()
]

# %%
official = published_rows("IV")["DDRNet-dn"]["mean"]
caption = (
    f"DDRNet-dn ({whose}) on {len(store)} simulated degraded faces, put at different places of its range. Published: "
    f"{official}. 'Without the network': only clipped to its 500 to 2,000 mm and back."
)
work.save_table("ddrnet_faces", faces, caption)

# %%
pictures = {"ground truth": ground_truth[0], "degraded": degraded[0]}
pictures |= {name.split(",")[0].replace(" (the kit)", ""): image[0] for name, image in outputs.items()}
masked = {name: np.where(face[0], image, HOLE) for name, image in pictures.items()}
caption = (
    f"One simulated face put at different distances before DDRNet-dn ({whose}), and taken back. Masked by the truth."
)
work.save_figure(strip(masked), "ddrnet_faces.png", caption, width=1100)

# %% [markdown]
# <details><summary>Solution</summary>
#
# The network's range begins at 500 mm. What is nearer is cut off before the network sees it, and the nose, the mouth
# and the cheeks come back as one flat plate. That alone, without any network (last column), brings the error close to
# the published one. The paper's text does not tell whether this is what happened there; it says that DDRNet-dn
# "distorts the depth range" and explains that by the training data. It is a good example of how a comparison can
# depend on a number that no table shows.
# </details>
#
# ## Why it cannot help a face
#
# Placed in the middle of its range it does no harm: between the holes it removes some of the noise (third column). But
# nearly all of a degraded face's error comes from holes, and this network leaves holes as they are. In its input a
# hole even looks like the nearest possible surface, at 500 mm.

# %% [markdown]
# **Exercise.** Holes enter the network as -1, the near end of the range. Does that disturb the pixels around them?
# Take clean faces, punch the degradation's holes into them, and compare the network's outputs for both, by the
# distance to a hole.
#
# The next cell does it. Write down first what you expect: at which distance from a hole will the change be largest?

# %%
import cv2

enhance = ddrnet_enhancer(PLACEMENT, denoise)
punched = np.where(degraded == HOLE, HOLE, ground_truth)
step_mm = PLACEMENT.span_mm / 65534
change_mm = (enhance(punched).astype(np.float64) - enhance(ground_truth)) * step_mm
away = np.stack([cv2.distanceTransform((image != HOLE).astype(np.uint8), cv2.DIST_L2, 5) for image in punched])
for low, high in ((0, 2), (2, 5), (5, 10), (10, 20), (20, 99)):
    ring = change_mm[(away > low) & (away <= high) & (ground_truth != HOLE)]
    print(f"{low:>2} to {high:>2} px from a hole: {np.abs(ring).mean():.2f} mm, on average {ring.mean():+.2f} mm")

# %% [markdown]
# <details><summary>Solution</summary>
#
# It does, and the nearer the hole the more: to the network the edge of a hole looks like the outline of somebody half
# a metre from the camera. What remains far from holes comes in steps of whole millimetres: like the authors' code, the
# kit drops what is behind the decimal point.
# </details>
#
# ## A last look: the checkerboard
#
# The paper saw checkerboard artifacts and suspected the architecture: transposed convolutions with a 3x3 kernel and
# steps of two write some pixels once, some twice, some four times. To check, show the network a flat wall with a
# little noise, and average the output by the pixel's position in a block of four by four.

# %%
wall = np.full((256, 256), 1000.0) + work.rng("wall").normal(0, 2, (256, 256))
unit = denoise.forward(normalise(wall)[None, ..., None])[0, ..., 0]
error_mm = (denormalise(unit) - 1000)[32:-32, 32:-32]
print("mean error in mm by place in a block of 4 x 4 pixels:")
print(np.round([[error_mm[row::4, column::4].mean() for column in range(4)] for row in range(4)], 2))

# %% [markdown]
# **Open task** (no solution given). Train the stand-in yourself with `facedepth train-ddrnet`, and change one thing in
# its training: the noise, the distance, or heads in place of whole bodies. Does it then help a face? Compare on the
# same images as above.
#
# ## What you have seen
#
# A network that works well on the scenes it was trained for and hardly at all on others; and a comparison that depends
# on a number which the paper does not give. **Next:** [08_synthetic_evaluation](08_synthetic_evaluation.ipynb) has its
# row among all the others.
