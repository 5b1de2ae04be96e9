"""Numbers and sentences about a set of individuals: cameras, who is seen by several, who by one alone."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from studio.data.items import Dataset


def measure_identities(data: Dataset, rows: Iterable[int]) -> dict[str, Any]:
    """Of the images at `rows`: images by camera, individuals with one image, in one camera and in several, nobody."""
    cameras, images = defaultdict(set), Counter[int]()
    by_camera = Counter[str]()
    nobody = 0
    for row in rows:
        item = data.items[row]
        by_camera[item.camera or ""] += 1
        if item.label < 0:
            nobody += 1
            continue
        images[item.label] += 1
        cameras[item.label].add(item.camera)
    return {
        "individuals": len(images),
        "cameras": {name: count for name, count in sorted(by_camera.items()) if name},
        "no_camera": by_camera[""],
        "single": sum(count == 1 for count in images.values()),
        "one_camera": sum(len(seen) == 1 for seen in cameras.values()),
        "nobody": nobody,
    }


def identity_problems(data: Dataset, numbers: dict[str, Any]) -> list[str]:
    """Sentences for a person, from the numbers of `measure_identities`."""
    count, named = numbers["individuals"], bool(numbers["cameras"])
    sentences = []
    if count < 4:
        sentences.append(f"{count} individuals; at least four are needed to learn of some and score others.")
    if numbers["single"] and count:
        sentences.append(
            f"{numbers['single']} of {count} individuals have one image alone: nothing is learned of what they keep "
            "from image to image, and they can't be found."
        )
    if not named:
        sentences.append(
            "No camera is named: images of one moment may ask and answer, and are easier than those of another camera. "
            "Folders within those of individuals, or ?names=, name cameras."
        )
    elif numbers["one_camera"] == count:
        sentences.append(
            "Every individual is seen by one camera only, and images of a query's own camera take no part: a run is "
            "refused. Add images from another camera, or leave the cameras out of the names."
        )
    elif numbers["one_camera"]:
        sentences.append(f"{numbers['one_camera']} of {count} individuals are seen by one camera only.")
    if numbers["nobody"]:
        sentences.append(f"{numbers['nobody']} images show nobody that is known; they are distractors of the gallery.")
    missing = {"query", "gallery"} - data.splits.keys()
    if len(missing) == 1:
        sentences.append(f"There is no {missing.pop()}; query and gallery go together.")
    return sentences


def what_identities_teach(numbers: dict[str, Any]) -> str:
    """What a run would learn from, in a sentence; `numbers` are of train where the data is divided."""
    count, cameras = numbers["individuals"] - numbers["single"], len(numbers["cameras"])
    images = sum(numbers["cameras"].values()) + numbers["no_camera"]
    if count < 2:
        return f"nothing: {count} individuals have two images or more, and it takes two to tell them apart"
    seen = f" of {cameras} cameras" if cameras else ""
    return f"{count} individuals with two images or more, from {images} images{seen}"
