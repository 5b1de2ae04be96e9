"""Detection runs small enough for tests, worked on in this process."""

SMALL = {
    "task": "detect",
    "method": "detect/fcos",
    "model": {"image_size": 64},
    "data": {
        "train": "builtin:scenes?images=10&size=96&classes=2",
        "test": "builtin:scenes?images=4&size=96&classes=2&seed=5",
    },
    "params": {"width": 32, "depth": 1},
    "train": {"epochs": 1, "batch_size": 4},
    "device": "cpu",
}
