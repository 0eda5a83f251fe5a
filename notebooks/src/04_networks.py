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
# # The networks
#
# *Part 2: Networks and filters*
#
# **Goal.** Build the paper's four networks and count what they can learn.
#
# **You will learn** what a U-Net is, where its parameters sit, and how four published numbers pin down four drawings.
#
# **Comes out:** Table III and Figure 7 (sections III-C and IV-C).

# %% tags=["parameters"]
profile = ""  # smoke, laptop or paper; empty: what FACEDEPTH_PROFILE says, or laptop
seed = 2023
output = ""  # empty: a folder of your own, build/<profile>/output, so that no shipped figure changes

# %%
from facedepth_kit.pipeline.workspace import open_workspace

work = open_workspace("04_networks", profile, seed, output)
work

# %% [markdown]
# ## A U-Net in one sentence
#
# Halve the picture again and again while looking for ever larger shapes (the left side of the U); double it again and
# again while painting (the right side); and hand each level's fine detail straight across, so that it need not squeeze
# through the bottom.
#
# Its building block is the **convolution**: every pixel of the result is a weighted sum of a small window of pixels of
# the input, with the same weights everywhere. One convolution has many such sets of weights, each of which makes a
# picture of its own, a **channel**: one may answer to edges, another to slopes. The weights are the **parameters**:
# nobody writes them down, training finds them.

# %%
from facedepth_kit.networks.unet import SIZES, build_unet

models = {name: build_unet(size) for name, size in SIZES.items()}
models["DL-Delta"].input_shape, models["DL-Delta"].output_shape

# %% [markdown]
# ## Table III: do the counts come out?
#
# The drawing of the paper's Figure 7 does not survive in its text, but the number of trainable parameters is printed
# for all four networks, and it fixes filters, levels and kernels.

# %%
from facedepth_kit.evaluation.published import rows, verdicts

counted = {name: {"parameters": model.count_params()} for name, model in models.items()}
published = rows("III")
same = {verdict.claim.row: verdict.holds for verdict in verdicts("III", counted)}
notes = {
    "DL-Alpha": "four 3x3 convolutions a level, by its count",
    "DL-Gamma": "the 5x5 version of DL-Delta, by its count; the paper's text says of DL-Alpha",
}

# %%
table = [
    {
        "network": name,
        "parameters": counted[name]["parameters"],
        "published_parameters": published[name]["parameters"],
        "same": same[name],
        "filters": " ".join(map(str, size.filters)),
        "convolutions_per_level": size.convolutions,
        "kernel": f"{size.kernel}x{size.kernel}",
        "note": notes.get(name, ""),
    }
    for name, size in SIZES.items()
]

# %%
caption = (
    "Trainable parameters counted on the networks as built, beside Table III of the paper. "
    "Activation (ReLU) and pooling are not fixed by the counts and are the kit's choice."
)
work.save_table("table_3", table, caption)

# %% [markdown]
# ## Figure 7: the smallest of them

# %%
from facedepth_kit.plots.networks import network_drawing

layers = [
    {
        "kind": type(layer).__name__,
        "size": layer.output.shape[1],
        "channels": layer.output.shape[3],
        "kernel": getattr(layer, "kernel_size", (0,))[0],
    }
    for layer in models["DL-Delta"].layers
]

# %%
caption = "After Figure 7: DL-Delta, drawn from the built Keras model. Height: resolution; small numbers: channels."
work.save_figure(network_drawing(layers, "DL-Delta"), "figure_07.png", caption, width=1100)

# %% [markdown]
# ## Predict: where do the parameters sit?
#
# Near the top of the U the pictures are large, near the bottom they are small. Which single layer of DL-Delta has the
# most parameters? Think before you run the cell.

# %%
largest = sorted(models["DL-Delta"].layers, key=lambda layer: -layer.count_params())[:4]
for layer in largest:
    share = layer.count_params() / models["DL-Delta"].count_params()
    print(f"{layer.name:<16} {layer.count_params():>9,} parameters, {share:.0%} of all, side {layer.output.shape[1]}")

# %% [markdown]
# <details><summary>Solution</summary>
#
# At the bottom. A convolution has (kernel area) x (channels in) x (channels out) weights and one bias for each channel
# out, whatever the size of the picture, and the channels are many where the picture is small. The *work* is the other
# way round: it grows with the picture.
# </details>
#
# **Exercise.** Compute the count of that layer by hand from its kernel and channels, and check it.

# %%
layer = largest[0]
channels_in, channels_out = layer.input.shape[3], layer.output.shape[3]
area = layer.kernel_size[0] * layer.kernel_size[1]
by_hand = area * channels_in * channels_out + channels_out
print(f"by hand {by_hand:,}, counted {layer.count_params():,}")

# %% [markdown]
# ## What you have seen
#
# Four networks, four counts, all exact. They know nothing yet. **Next: [05_training](05_training.ipynb)** teaches one.
