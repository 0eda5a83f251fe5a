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
# # Start here
#
# *Part 0: Start*
#
# A depth camera measures, for every pixel, how far away the world is. Of a face it gives a relief with holes and
# noise. Can that be repaired? This kit rebuilds a study of the question, *Deep Learning-based Single Image Face Depth
# Data Enhancement* by Schlett, Rathgeb and Busch, and reruns all of its tables and figures.
# Its last part turns to a second paper, by Shabanov and others, in which a better camera teaches a network to denoise a
# worse one: there, all recordings are simulated.
#
# **Goal.** See the whole story at a glance, and check that this machine is ready for it.
#
# **You will learn** what the notebooks are about and in which order to read them, the few words that they take for
# granted, and how to run them all with one command.
#
# **Comes out:** a map of the notebooks, with what each makes and how long it takes; and what this machine has.

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("00_start_here", profile, seed, output)
work

# %% [markdown]
# ## The story in one picture
#
# A face is rendered (**ground truth**), damaged as a depth camera would damage it (**degraded**), and repaired
# (**enhanced**). Because the ground truth is known, the error of the repair can be measured.

# %%
from facedepth_kit import enhancers
from facedepth_kit.pairs.store import SynthesisSettings, make_pair

pair = make_pair(work.seed, 0, SynthesisSettings())
degraded = pair.degraded[0]
name = next((name for name in ("DL-Kit-1", "DL-Delta-1") if name in enhancers.available()), "Telea")
enhanced = enhancers.get(name).enhance(degraded)

# %% [markdown]
# **Predict.** The same three images follow twice: first with colour for distance, then shaded, as if a lamp shone from
# the upper left. In which of the two will the degraded face look worse?

# %%
from facedepth_kit.plots.grids import strip

pictures = {"ground truth": pair.ground_truth, "degraded": degraded, f"enhanced by {name}": enhanced}
work.show(strip(pictures, size=2.4))

# %%
from facedepth_kit.plots.colours import shaded_relief

reliefs = {title: shaded_relief(depth, pair.depth_range) for title, depth in pictures.items()}
work.show(strip(reliefs, size=2.4))

# %% [markdown]
# <details><summary>Solution</summary>
#
# In the shaded one. Shading follows the *slope* of the surface, and noise changes slopes much more than it changes
# depth. Colour follows depth itself: it shows holes and wrong distances well, and roughness hardly at all.
# </details>
#
# ## Words
#
# You need some Python and nothing else. These words come back everywhere:
#
# | word | meaning |
# | --- | --- |
# | depth image | an image whose pixels are distances from the camera, not colours |
# | hole | a pixel for which the camera could not measure the distance |
# | ground truth | what a perfect camera would have measured; known here because the faces are rendered |
# | degraded | ground truth with holes, noise and blur added on purpose |
# | enhancer | anything that takes a depth image and returns a better one: a filter, a network |
# | mask | the pixels that count, usually those of the face |
# | RMSE | root of the mean squared error: one number for "how far off", in which large errors weigh most |
# | network, weights | a function with millions of adjustable numbers, and those numbers once they are adjusted |
# | landmarks | named points of a face: corners of the eyes, tip of the nose, the jaw |
# | presentation attack | something held before a camera to be taken for a face: a print, a screen, a mask |
# | bona fide | the opposite: a real person |
# | PAD | presentation attack detection: telling the two apart |
# | APCER, BPCER | the share of attacks that are accepted, and the share of bona fide presentations that are rejected |
#
# ## The map
#
# The notebooks tell one story, in this order. Each opens with its goal and closes with a link to the next. The seconds
# are those of a first run on the machine that made the figures. Notebooks with *sliders* have a panel to play with.

# %%
from facedepth_kit.pipeline.manifest import durations
from facedepth_kit.pipeline.notebooks import NOTEBOOKS


def row(notebook):
    """A row of the map: from the notebook's own header, and from what the pipeline knows of it."""
    sliders = " *(sliders)*" if notebook.has_sliders else ""
    return {
        "part": notebook.part,
        "notebook": f"[{notebook.name}]({notebook.name}.ipynb)",
        "about": notebook.title + sliders,
        "makes": ", ".join(name for name in notebook.outputs if not name.endswith(".md")),
        "first run": durations(notebook.name),
    }


# %%
from IPython.display import Markdown

from facedepth_kit.common.tables import markdown_table

Markdown(markdown_table([row(notebook) for notebook in NOTEBOOKS]))

# %% [markdown]
# ## Is this machine ready?
#
# The same findings as `facedepth doctor` prints. *absent* means optional; *broken* must be fixed, and the last column
# says how.

# %%
from facedepth_kit.cli import doctor

findings = list(doctor.examine())
Markdown(
    markdown_table(
        [{"topic": one.topic, "state": one.state, "found": one.text, "how to fix it": one.fix} for one in findings]
    )
)

# %%
for line in doctor.advice(findings):
    print(line)

# %%
keras = next((one.text for one in findings if one.topic == "Keras" and one.state == "ok"), "unknown")
work.save_result("machine.json", {"device": keras, "machine": [one.text for one in findings if one.topic == "machine"]})

# %% [markdown]
# ## How to use the kit
#
# * **Step through** a notebook: run its cells one by one. `make lab` opens copies of the notebooks in `my_notebooks/`,
#   so you can write into them and save. Tables and pictures go to `build/<profile>/output`; the figures in the
#   repository stay as they are.
# * **Answer before you look.** Where a notebook says *Predict*, answer before you run the next cell. Cells marked
#   *Your answer* are for you to fill in; the cell below checks what you wrote. Solutions are folded.
# * **Run everything** without a screen: `make figures`. A second run does only what has changed. `PROFILE=smoke` is
#   quick, `PROFILE=paper` takes the paper's counts and needs a GPU.
# * **Use it** on depth images of your own: `facedepth enhance`, as [16_your_recordings](16_your_recordings.ipynb)
#   shows.
#
# **Next:** [01_ground_truth_synthesis](01_ground_truth_synthesis.ipynb) renders the faces.
