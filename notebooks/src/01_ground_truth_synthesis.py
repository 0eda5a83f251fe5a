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
# *Part 1: Faces and degradation*
#
# **Goal.** Make the perfect depth image of a face: the answer that every enhancer in this kit is measured against.
#
# **You will learn** two ways to make one, the kit's (a face is drawn at random as a list of numbers) and the paper's
# (a network estimates a 3D face from a photo), and what the values of a depth image mean.
#
# **Comes out:** Figures 3 and 4 of the paper (section III-A), both ways.
#
# *What is different here:* the paper takes photos of the MegaFace set, and the network PRNet estimates the 3D faces.
# Neither may be shipped with this kit. So the kit's own faces come from a free parametric model. They cover the same
# part of the head (forehead to chin, no ears), have closed lips, take every pose, and belong to nobody. The way from
# photos is here in full, too. It uses PRNet if you have fetched its weights (`facedepth doctor` says how), otherwise
# MediaPipe's face mesh if you have that. With neither, the kit takes the 3D face that it knows in place of the
# network's estimate.

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes
photo = ""  # path of a photo of your own, such as a webcam picture, for the second way

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("01_ground_truth_synthesis", profile, seed, output)
work

# %% [markdown]
# # The first way: parameters
#
# ## A face is a list of numbers
#
# `draw_face` draws identity, expression and pose from documented ranges. Randomness is always an argument: the same
# generator gives the same face.

# %%
from facedepth_kit.faces.people.parametric import FaceSettings, draw_face

face = draw_face(work.rng("the face"), FaceSettings())
print(
    f"{len(face.targets)} shape weights; "
    f"yaw {face.yaw_deg:.0f}°, pitch {face.pitch_deg:.0f}°, roll {face.roll_deg:.0f}°"
)
for name, weight in sorted(face.targets.items(), key=lambda item: -item[1])[:6]:
    print(f"{weight:5.2f}  {name}")

# %% [markdown]
# The weights move the vertices of a head model. The result is a **mesh**: points in space (millimetres), and triangles
# between them.

# %%
from facedepth_kit.faces.people.parametric import face_mesh

mesh = face_mesh(face)
print(f"{len(mesh.vertices_mm):,} vertices, {len(mesh.triangles):,} triangles")

# %% [markdown]
# ## A camera looks at it
#
# `render_depth_mm` is a z-buffer: for every pixel it keeps the nearest triangle and stores its distance. Where there
# is nothing, there is no number (NaN).

# %%
import numpy as np

from facedepth_kit.rendering.camera import fit_camera
from facedepth_kit.rendering.zbuffer import render_depth_mm

depth_mm = render_depth_mm(mesh, fit_camera(mesh, fill=0.85))
print(f"the face lies between {np.nanmin(depth_mm):.0f} and {np.nanmax(depth_mm):.0f} mm from the camera")
print(f"{np.isnan(depth_mm).mean():.0%} of the pixels see nothing")

# %% [markdown]
# ## Millimetres become a depth image
#
# Everywhere in this kit a depth image is the same kind of array: unsigned 16-bit integers. The nearest point is 0, the
# farthest point of the range is 65534, and 65535 means **hole**: nothing was measured here.

# %%
from facedepth_kit.depth import FARTHEST, HOLE, from_millimetres, own_range

depth_range = own_range(depth_mm)
depth = from_millimetres(depth_mm, depth_range)
step_mm = depth_range.span_mm / FARTHEST
print(f"{depth.dtype} {depth.shape}: nearest {depth.min()}, farthest {depth[depth != HOLE].max()}, hole {HOLE}")
print(f"one step is {step_mm * 1000:.1f} micrometres")

# %% [markdown]
# Grey levels hide the relief, because a nose is a small part of the range. Two better ways to show it: a colour map,
# and shading with a lamp from the upper left.

# %%
from facedepth_kit.plots.colours import shaded_relief
from facedepth_kit.plots.colours import position_map_pictures
from facedepth_kit.plots.grids import squared, strip, with_points
from facedepth_kit.plots.processes import GroundTruthWay, ground_truth_examples, ground_truth_process

grey = (depth.astype(np.float32) / HOLE * 255).astype(np.uint8)
work.show(strip({"grey": grey, "colour": depth, "shaded relief": shaded_relief(depth, depth_range)}))

# %% [markdown]
# # The second way: a photo
#
# ## A person to photograph
#
# Here is the same face, now rendered as a photo with skin, hair and a lamp. From here on we pretend to have only this
# picture. (This person does not exist.)
#
# **Try it with your own face:** take a webcam picture, write its path into `photo` in the cell at the top, and run the
# notebook again.

# %%
from facedepth_kit.faces.people.portraits import draw_portrait
from facedepth_kit.faces.photos.unwrapping import source_at_hand
from facedepth_kit.faces.photos.reconstruction import find_faces, read_photo, whole_face

taken = draw_portrait(face, work.rng("the photo"))
source = source_at_hand(taken)
standing_in = source.fingerprint == "stand-in"  # no network: the known 3D face stands in for its estimate
picture = read_photo(photo) if photo else taken.picture
if photo and standing_in:
    print("No network that makes a photo 3D is installed (facedepth doctor says how to get one).")
    print("Your photo is used for the face detector; the 3D face below is the rendered person's.")
print(f"photo: {picture.shape[1]} x {picture.shape[0]} pixels; 3D faces by {source.name}")

# %% [markdown]
# ## Where is the face?
#
# Dlib finds the face and 68 landmarks on it. The network gets a square around the face, scaled to its input size. The
# position of the square in the photo is kept, because the result has to be mapped back.

# %%
faces = find_faces(picture)
if not faces:
    raise RuntimeError(f"Dlib finds no face in {photo or 'the rendered photo'}: take another photo")
found = faces[0]
crop = source.crop(picture, found)
marked = with_points(picture, found.landmarks, box=found.box)
work.show(strip({"photo, with Dlib's landmarks": marked, "what the network sees": crop.pixels}))

# %%
if photo and standing_in:  # go on with the rendered person
    picture = taken.picture
    crop = source.crop(picture, find_faces(picture)[0])

# %% [markdown]
# ## The position map
#
# PRNet's idea: its output is an image again. Imagine the skin of the face unrolled flat. Each pixel of the *position
# map* is one place of that skin, the same place for everybody, and its three channels are the coordinates of that
# place in space. So a network that outputs images can output 3D faces. Neighbouring pixels are neighbours on the skin,
# so the triangles between them are always the same.

# %%
photo_face = source.faces([crop])[0]
if photo_face is None:
    raise RuntimeError(f"{source.name} sees no face in this photo: take another")
if hasattr(source, "position_maps"):
    (position_map,) = source.position_maps([crop])
    *axes, coloured_map = position_map_pictures(position_map)
    answer = dict(zip(("x", "y", "z (nearer is brighter)"), axes, strict=True))
else:
    coloured_map = None  # this model answers with points, without a map
    answer = {"its points in the photo": with_points(picture, photo_face.vertices_px[:, :2])}
work.show(strip({"the crop": crop.pixels, **answer}))

# %% [markdown]
# ## From the map to the mesh, from the mesh to depth
#
# The map's face pixels become vertices, mapped back from the crop into the photo. A photo does not say how large a
# face is, so it gets the size of an average one. The rest is as before: camera, z-buffer, depth image.

# %%
photo_mesh = source.mesh(photo_face)
photo_mm = render_depth_mm(photo_mesh, fit_camera(photo_mesh, fill=0.85))
photo_range = own_range(photo_mm)
photo_depth = from_millimetres(photo_mm, photo_range)
print(f"{len(photo_mesh.triangles):,} triangles; the face spans {photo_range.span_mm:.0f} mm of depth")
both = {"from parameters": (depth, depth_range), f"from the photo\n({source.name})": (photo_depth, photo_range)}
work.show(strip({name: shaded_relief(*one) for name, one in both.items()}))

# %% [markdown]
# ## Figure 3: both ways
#
# The ground truth need not lie where the face lies in the photo, says the paper; it only has to be a realistic face.
# So both ways end with the same camera.

# %%
network = "PRNet\n(stand-in:\nknown positions)" if standing_in else source.name.replace(" ", "\n", 1)
between = None if coloured_map is None else ("position map", coloured_map)
parameters = "Identity,\nexpression, pose:\nrandom numbers"
ways = [
    GroundTruthWay(squared(picture), network, photo_mesh, photo_depth, between),
    GroundTruthWay(parameters, "Parametric\nface model", mesh, depth),
]

# %%
shown = "a rendered photo of a parametric face" if picture is taken.picture else "a photo"
caption = (
    f"After Figure 3 of the paper. Above the paper's way, with {shown} and {source.name}"
    f"{' (map computed from the known face, not guessed)' if standing_in else ''}; below the kit's way. Simulated."
)
work.save_figure(ground_truth_process(ways), "figure_03.png", caption)

# %% [markdown]
# ## Figure 4: four faces, both ways
#
# Four people, each at another resolution, the paper's: 180, 460, 108 and 37 pixels. Each is made 3D from its photo, and
# from its parameters.

# %%
from facedepth_kit.depth import DepthImage
from facedepth_kit.faces.people.portraits import Portrait
from facedepth_kit.rendering.mesh import Mesh

rng = work.rng("figure 4")
sizes = (180, 460, 108, 37)  # the paper's, from its Figure 4
people = [draw_portrait(draw_face(rng), rng, size_px=size) for size in sizes]


def render(mesh: Mesh) -> DepthImage:
    """A mesh's depth image, scaled to its own range."""
    depth_mm = render_depth_mm(mesh, fit_camera(mesh, fill=0.85))
    return from_millimetres(depth_mm, own_range(depth_mm))


# %%
def from_photo(taken: Portrait) -> DepthImage:
    """A portrait's depth image by the second way; where Dlib finds no face in so small a photo, all of it is one."""
    answering = source_at_hand(taken) if standing_in else source
    face = next(iter(find_faces(taken.picture) or [whole_face(taken.picture)]))
    found = answering.faces([answering.crop(taken.picture, face)])[0]
    return np.full((256, 256), HOLE) if found is None else render(answering.mesh(found))


# %%
depths = {
    f"from the photo\n({source.name})": [from_photo(one) for one in people],
    "from parameters": [render(face_mesh(one.face)) for one in people],
}

# %%
caption = (
    f"After Figure 4. First row rendered photos of parametric faces (the paper: MegaFace), with their resolutions; "
    f"then ground truth by {source.name}"
    f"{' (positions known, not guessed)' if standing_in else ''} and by the kit's parameters. All simulated."
)
labels = [f"{size}×{size}" for size in sizes]
work.save_figure(ground_truth_examples([one.picture for one in people], labels, depths), "figure_04.png", caption)

# %% [markdown]
# ## One call each
#
# `render_ground_truth` does the first way in one call, with a slightly different camera every time; `facedepth
# synthesize` writes whole stores of such pairs. With a folder of photos, the second way does:
#
# ```
# facedepth synthesize --faces photos my_photos/ --prnet-root PRNet/ --output pairs/
# facedepth synthesize --faces photos my_photos/ --mesh-source mediapipe --output pairs/
# ```
#
# Both write the same kind of store, so training and evaluation do not need to know where a pair came from.
#
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
work.show(strip(pictures))

# %% [markdown]
# <details><summary>Solution</summary>
#
# From near, the nose is much closer to the camera than the sides of the face are. So it looks bigger and hides more,
# and the face seems narrow. From afar all points are about equally far away, and more of the cheeks is visible. That
# is why the distance is part of the camera's settings; the paper's is half a metre.
# </details>
#
# ## What you have seen
#
# A face is drawn at random or estimated from a photo, then rendered and scaled to its own depth range; holes are where
# nothing was seen. Such an image is perfect. **Next:** [02_screening](02_screening.ipynb) asks what goes wrong with
# photos by the million, and how the paper sorted them out.
