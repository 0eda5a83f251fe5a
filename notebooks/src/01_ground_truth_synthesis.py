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
# # Where ground truth comes from
#
# **Goal.** Make the perfect depth image of a face: the answer that every enhancer in this kit is measured against.
#
# **You will learn** how a face becomes a list of numbers, the numbers a mesh, and the mesh a depth image; and what
# the values of a depth image mean.
#
# **Comes out:** Figures 3 and 4 of the paper (section III-A).
#
# *What is different here:* the paper starts from photos of the MegaFace set and lets a network, PRNet, guess the 3D
# face. Neither may be shipped. This kit draws faces from a free parametric model instead: the same extent (forehead
# to chin, no ears), closed lips, every pose, and no photo of anybody.

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a desk of your own under build/, so that trying things changes no shipped figure

# %%
from facedepth_kit.workspace import open_workspace

work = open_workspace("01_ground_truth_synthesis", profile, seed, output)
work

# %% [markdown]
# ## A face is a list of numbers
#
# `draw_face` draws identity, expression and pose from documented ranges. Randomness is always an argument: the same
# generator gives the same face.

# %%
from facedepth_kit.faces.parametric import FaceSettings, draw_face

face = draw_face(work.rng("the face"), FaceSettings())
print(
    f"{len(face.targets)} shape weights; "
    f"yaw {face.yaw_deg:.0f}°, pitch {face.pitch_deg:.0f}°, roll {face.roll_deg:.0f}°"
)
for name, weight in sorted(face.targets.items(), key=lambda item: -item[1])[:6]:
    print(f"{weight:5.2f}  {name}")

# %% [markdown]
# The weights push the vertices of a head model about. What comes out is a **mesh**: points in space (millimetres),
# and triangles between them.

# %%
from facedepth_kit.faces.parametric import face_mesh

mesh = face_mesh(face)
print(f"{len(mesh.vertices_mm):,} vertices, {len(mesh.triangles):,} triangles")

# %% [markdown]
# ## A camera looks at it
#
# `render_depth_mm` is a z-buffer: for every pixel it keeps the nearest triangle and writes down how far away it is.
# Where there is nothing, there is no number.

# %%
import numpy as np

from facedepth_kit.rendering import fit_camera, render_depth_mm

depth_mm = render_depth_mm(mesh, fit_camera(mesh, fill=0.85))
print(f"the face lies between {np.nanmin(depth_mm):.0f} and {np.nanmax(depth_mm):.0f} mm from the camera")
print(f"{np.isnan(depth_mm).mean():.0%} of the pixels see nothing")

# %% [markdown]
# ## Millimetres become a depth image
#
# Everything between the rooms of this kit is one kind of array: unsigned integers of sixteen bits. The nearest point
# is zero, the farthest point of the range is the largest value but one, and the largest value of all means **hole**:
# nothing was measured here.

# %%
from facedepth_kit.depth import FARTHEST, HOLE, from_millimetres, own_range

depth_range = own_range(depth_mm)
depth = from_millimetres(depth_mm, depth_range)
step_mm = depth_range.span_mm / FARTHEST
print(f"{depth.dtype} {depth.shape}: nearest {depth.min()}, farthest {depth[depth != HOLE].max()}, hole {HOLE}")
print(f"one step is {step_mm * 1000:.1f} thousandths of a millimetre")

# %% [markdown]
# Grey levels would hide the relief: a nose is a small part of the range. Two ways to see it: a colour map, and a lamp
# from the upper left.

# %%
from facedepth_kit import plots
from facedepth_kit.depth import shaded_relief

grey = (depth.astype(np.float32) / HOLE * 255).astype(np.uint8)
work.show(plots.strip({"grey": grey, "colour": depth, "shaded relief": shaded_relief(depth, depth_range)}))

# %% [markdown]
# ## Figure 3: the whole way

# %%
figure = plots.ground_truth_process(mesh, depth, "Identity,\nexpression, pose:\nrandom numbers\n(paper: a photo)")
caption = "After Figure 3 of the paper. Simulated: a parametric face drawn by the kit stands in for a photo and PRNet."
work.save_figure(figure, "figure_03.png", caption)

# %% [markdown]
# ## Figure 4: four faces
#
# `render_ground_truth` does all of the above in one call, with the camera a little different every time.

# %%
from facedepth_kit.pairs import SynthesisSettings, render_ground_truth

rng = work.rng("figure 4")
faces = [draw_face(rng) for _ in range(4)]
rendered = [render_ground_truth(one, SynthesisSettings(), rng) for one in faces]
depths, ranges = zip(*rendered, strict=True)
labels = [f"yaw {one.yaw_deg:.0f}°, pitch {one.pitch_deg:.0f}°" for one in faces]

# %%
caption = (
    "After Figure 4. Simulated: first row parametric faces, shaded (the paper: photos); second row their ground truth."
)
work.save_figure(plots.ground_truth_examples(depths, ranges, labels), "figure_04.png", caption)

# %% [markdown]
# ## Predict: what does distance do?
#
# The same face, seen from very near and from far away, each time with a lens that makes it fill the picture. Before
# you run the cell: which of the two noses looks bigger, and which picture shows more of the cheeks?

# %%
near, far = (render_depth_mm(mesh, fit_camera(mesh, fill=0.85, distance_mm=mm)) for mm in (250.0, 2500.0))
pictures = {
    name: shaded_relief(from_millimetres(seen, own_range(seen)), own_range(seen))
    for name, seen in (("near", near), ("far", far))
}
work.show(plots.strip(pictures))

# %% [markdown]
# <details><summary>Solution</summary>
#
# From near, the nose is much closer to the camera than the ears are, so it looks bigger and hides more: the face
# seems narrow. From afar all points are about equally far away, and the cheeks come round. That is why the distance
# is part of the camera's settings; the paper's is half a metre.
# </details>
#
# ## What you have seen
#
# A face is drawn, rendered and scaled to its own depth range; holes are where nothing was seen. Such a picture is too
# good to be true. **Next: `02_degradation`** spoils it the way a depth camera would.
