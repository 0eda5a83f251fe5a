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
# # The kit in your own programs
#
# *Part 5: Panels, and the kit in your own programs*
#
# **Goal.** Use the package without its notebooks: convert your depth, enhance a camera's frame, read pairs for your own
# training, and compare an enhancer of yours with those of Table IV.
#
# **You will learn** what a depth image and its span are, which function does what a command does, how a pair store is
# read in NumPy and in PyTorch, and how an enhancer of your own gets a name.
#
# **Comes out:** a small Table IV with one more row.
#
# *What is simulated:* the faces and the camera.

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("19_use_as_a_library", profile, seed, output)
work

# %% [markdown]
# ## The depth image and its span
#
# Everything in the kit exchanges one kind of image: `uint16`, 256x256, where 0 is the nearest point, 65534 the far end
# of the image's span and 65535 a hole. How many millimetres the span covers is not part of the image. It travels beside
# it, as a `DepthRange`. So millimetres become an image and come back:

# %%
import numpy as np

from facedepth_kit.depth import HOLE, camera_range, from_millimetres, to_millimetres

rows, columns = np.mgrid[:256, :256]
distance = np.hypot(rows - 128, columns - 128)
bowl_mm = np.where(distance < 100, 600 + distance, np.nan).astype(np.float32)  # NaN is a hole

span = camera_range(bowl_mm)  # 25 cm from the nearest point, as for camera images
depth = from_millimetres(bowl_mm, span)
error_mm = np.nanmax(np.abs(to_millimetres(depth, span) - bowl_mm))
print(span, f"holes: {(depth == HOLE).sum()}", f"largest error of rounding: {error_mm:.4f} mm", sep="\n")

# %% [markdown]
# **Predict.** What becomes of a point that is farther away than the span reaches, and what of one that is nearer than
# its beginning?

# %%
from facedepth_kit.depth import DepthRange

shallow = from_millimetres(bowl_mm, DepthRange(610.0, 50.0))
print(f"holes: {(shallow == HOLE).sum()}, values from {shallow[shallow != HOLE].min()}")

# %% [markdown]
# <details><summary>Solution</summary>
#
# Both become holes. Nothing is moved onto the face: a clipped value would be a depth that nobody measured.
# </details>
#
# ## A camera's frame
#
# A camera gives millimetres and zeros where it has seen nothing. `enhance_frame` finds its way from there and back: it
# cuts the face out, enhances it, and writes the result into a copy of the frame. It is what `facedepth enhance` calls.

# %%
from facedepth_kit.cameras.simulated.data_sets import KinectSettings, kinect_recording
from facedepth_kit.enhancers.frames import enhance_frame, recording_enhancer
from facedepth_kit.faces.detection import detect_face

frame = kinect_recording(work.seed, 1, "s1", "Neutral", KinectSettings())
face = detect_face(frame.picture)
enhanced, crop = enhance_frame(frame, recording_enhancer("DL-Kit-1"), face.box)
print(f"{frame.depth.dtype} {frame.depth.shape}, face in {crop.square.box}, {crop.depth_range}")
print(f"holes: {(frame.depth == 0).sum()} before, {(enhanced.depth == 0).sum()} after")

# %% [markdown]
# The command, on the same frame in a file, gives the same pixels:

# %%
import subprocess
import sys

from facedepth_kit.cameras.recorded.depth_files import read_frame, write_frame

folder = work.results.parent / "library"
folder.mkdir(exist_ok=True)
write_frame(folder / "frame.png", frame.depth, overwrite=True)
box = [str(edge) for edge in face.box]
command = [sys.executable, "-m", "facedepth_kit.cli", "enhance", "frame.png", "--output", "enhanced", "--overwrite"]
ran = subprocess.run([*command, "--box", *box], cwd=folder, capture_output=True, text=True, check=True)
print(ran.stdout.strip())
assert np.array_equal(read_frame(folder / "enhanced" / "frame.png"), enhanced.depth)

# %% [markdown]
# ## Pairs for your own training
#
# `facedepth synthesize` writes a pair store, `PairStore` reads it. Nothing is loaded before you ask for it.

# %%
from facedepth_kit.pairs.store import PairStore

store = PairStore(work.pairs("library", 24).folder)
truth, degraded = store.batch([0, 5, 7])  # NumPy, uint16 (3, 256, 256) each
pair = store[5]
print(len(store), truth.shape, pair.depth_range)

# %% [markdown]
# PyTorch asks for a class with a length and an item. Networks see depth scaled to 0..1 (`to_unit`), a hole as 1:

# %%
from facedepth_kit.depth import to_unit


class Pairs:  # in PyTorch: class Pairs(torch.utils.data.Dataset)
    def __init__(self, folder):
        self.store = PairStore(folder)

    def __len__(self):
        return len(self.store)

    def __getitem__(self, index):
        pair = self.store[index]
        return to_unit(pair.degraded[0])[None], to_unit(pair.ground_truth)[None]  # each float32 (1, 256, 256)


# %% [markdown]
# PyTorch is no part of the kit. Where it is installed, its `DataLoader` makes batches of these pairs, in workers of its
# own if you like; elsewhere this cell says so:

# %%
import importlib.util

if importlib.util.find_spec("torch"):
    from torch.utils.data import DataLoader

    inputs, targets = next(iter(DataLoader(Pairs(store.folder), batch_size=8, shuffle=True)))
    print(tuple(inputs.shape), inputs.dtype)
else:
    inputs, targets = Pairs(store.folder)[0]
    print("PyTorch is not installed; one item:", inputs.shape, inputs.dtype)

# %% [markdown]
# ## An enhancer of your own
#
# A function from depth image to depth image becomes an enhancer by `register`. From then on it has a name here: panels
# offer it, and every comparison that goes through the names has one more row.

# %%
from scipy.ndimage import distance_transform_edt

from facedepth_kit import enhancers


def nearest_pixel(depth):
    """Every hole takes the depth of the nearest measured pixel."""
    places = distance_transform_edt(depth == HOLE, return_distances=False, return_indices=True)
    return depth[tuple(places)]


enhancers.register("nearest pixel", nearest_pixel, "each hole takes the nearest measured depth")

# %% [markdown]
# **Predict.** It fills every hole and smooths nothing. Will it be better or worse than inpainting?

# %%
from facedepth_kit.evaluation.error import evaluate, summary
from facedepth_kit.evaluation.published import rows as published_rows

names = [name for name in ("None", "Hf-FFA", "Telea", "nearest pixel", "DL-Kit-1") if name in enhancers.available()]
functions = {name: enhancers.get(name).enhance for name in names}
errors = evaluate(store, functions, progress=False).face
published = published_rows("IV")
table = [
    {"enhancer": name, "mean": summary(errors[name]).mean, "published_mean": published.get(name, {}).get("mean")}
    for name in names
]
work.save_table("library", table, f"Face RMSE on {len(store)} simulated pairs, beside Table IV; the same measure.")

# %% [markdown]
# <details><summary>Solution</summary>
#
# Near Telea's: most holes are small, and the nearest depth is a good guess for a small hole. It loses at the rim, where
# the nearest pixel lies on the other side of the outline, and it keeps the noise that a network removes.
# </details>
#
# **Exercise.** Smooth your enhancer's result with `cv2.bilateralFilter` (as float32), register it under another name,
# and add it to the table.
#
# ## A network of your own
#
# `facedepth train --export DIR` writes a network's weights and its model card into a folder. Let that be `my_networks`,
# or name the folder in `FACEDEPTH_WEIGHTS` or with a command's `--weights`. Panels and commands then offer the network
# by its name, and so does this:

# %%
print(enhancers.offered())

# %% [markdown]
# ## What you have seen
#
# One image type, the functions behind the commands, pairs for any framework, and a name for what you have made.
# **Next:** [20_two_cameras](20_two_cameras.ipynb) begins the second paper, in which a better camera is the teacher.
