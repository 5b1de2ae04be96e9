"""Runs of translation small enough for tests."""

SIZE = 32
TINY = "timm/test_efficientnet?random"
SMALL = {"width": 8, "discriminator_width": 8, "layers": 2}
PAIRS = "builtin:scenes?images=12&size=64&classes=2&look=infrared&truth=pairs"
RUN = {
    "task": "translate",
    "method": "translate/pix2pix",
    "model": {"image_size": SIZE},
    "data": {"train": PAIRS, "test": f"{PAIRS}&seed=5"},
    "params": SMALL,
    "train": {"epochs": 2, "batch_size": 5},
    "eval": {"features": TINY},
    "device": "cpu",
}
UNPAIRED = {
    "source": "builtin:scenes?images=10&size=64&classes=2",
    "target": "builtin:scenes?images=12&size=64&classes=2&look=night&seed=3",
}


def changed(**sections) -> dict:
    """RUN with these keys; a section that is a dictionary is laid over its own, but data are replaced."""
    return {
        **RUN,
        **{
            name: {**RUN[name], **values} if isinstance(values, dict) and name != "data" else values
            for name, values in sections.items()
        },
    }
