"""Drawing masks replayed on data whose masks are hidden: mIoU on other images against images labelled, rule by rule.

    python benchmarks/label_masks.py --data "masks:../shared/data/camvid_mini?ignore=11&classes=camvid" --out rows.jsonl

A head that is solved, not trained, so that nothing but the images tells two rows apart: linear discriminant analysis
(shrunk by Ledoit and Wolf) of each place of a frozen backbone's maps, all brought to stride 8. mIoU is over the pixels
of all scored images together, at their own size. `unsure` are the images of whose places the last head is least sure,
in the mean. Things drawn are regions of one class that hang together. The rest is said in benchmarks/label_replay.py.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from adapters.backbones.pyramid_maps import PyramidMaps, resized
from adapters.segment.data.decoded import at_size, to_canvas
from benchmarks.label_replay import parser, replay
from studio.core import registry
from studio.core.home import Home
from studio.data import open_data
from studio.data.files.images import read_image
from studio.data.items import Dataset
from studio.data.masks.class_map import things_of
from studio.data.transforms import normalize
from studio.metrics.segmentation import confusion_of, scores_of

CAMVID = "masks:../shared/data/camvid_mini?ignore=11&classes=camvid"
STRIDES, PLACE = (4, 8, 16, 32), 8


def main() -> None:
    out = Path("label-masks.jsonl")
    asked = parser(__doc__, data=CAMVID, pool=90, size=160, seeds=list(range(10)), out=out)
    args, home = asked.parse_args(), Home.find()
    data = open_data(args.data)
    replay(args, data, Head(args, data, home), home)


class Head:
    """Names the class of each place by its features."""

    def __init__(self, args: argparse.Namespace, data: Dataset, home: Home) -> None:
        self.data, self.masks = data, [item.mask.read() for item in data.items]
        backbone = registry.backbone(args.backbone, image_size=args.size, home=home).eval()
        pyramid, self.places = PyramidMaps(backbone, STRIDES), list[np.ndarray]()
        for item in data.items:
            pixels = to_canvas(read_image(item.source, item.name), args.size)[None]
            size = [side // PLACE for side in pixels.shape[2:]]
            with torch.no_grad():
                maps = pyramid(normalize(pixels, backbone.preprocess))
            self.places.append(torch.cat([resized(one, size) for one in maps], 1)[0].permute(1, 2, 0).numpy())

    def learn(self, rows: list[int], scored: list[int], seed: int) -> float:
        places = np.concatenate([self.places[row].reshape(-1, self.places[row].shape[2]) for row in rows])
        truth = np.concatenate([at_size(self.masks[row], self.places[row].shape[1::-1]).ravel() for row in rows])
        known = truth < len(self.data.classes)
        self.head = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(places[known], truth[known])
        return scores_of(sum(self.confusion(row) for row in scored)).miou

    def likely(self, row: int) -> np.ndarray:
        """Probabilities [h, w, C] of the classes that were learned."""
        places = self.places[row]
        return self.head.predict_proba(places.reshape(-1, places.shape[2])).reshape(*places.shape[:2], -1)

    def confusion(self, row: int) -> np.ndarray:
        likely = torch.from_numpy(self.likely(row)).permute(2, 0, 1)[None]
        classes = self.head.classes_[resized(likely, self.masks[row].shape)[0].argmax(0).numpy()]
        return confusion_of(self.masks[row], classes.astype(np.uint8), len(self.data.classes))

    def doubt(self, row: int) -> float:
        return 1.0 - float(self.likely(row).max(2).mean())

    def drawn(self, row: int) -> int:
        return sum(1 for _ in things_of(self.data.items[row].mask))


if __name__ == "__main__":
    main()
