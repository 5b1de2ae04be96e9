"""A detector in a Hugging Face folder or as ONNX computes the same, or is refused with the difference."""

import numpy as np
import pytest
from small_detectors import DETECTORS, SIZE, bold, look, small, train

from adapters.detect.exporters import detector_to_hf, detector_to_onnx
from adapters.detect.hf_base import TransformerDetector
from studio.core import registry
from studio.core.errors import StudioError, UsageError
from studio.core.faces import LearnerContext
from studio.data.preprocess import Preprocess
from studio.runs.export import sample_of

PREPROCESS = Preprocess(SIZE, squash=True)
OURS = [name for name in DETECTORS if issubclass(registry.get(name), TransformerDetector)]
RESNET = "timm/test_resnet?random"
pytest.importorskip("onnxruntime")


def learned(method: str, scenes, backbone: str | None = None):
    learner = small(method, backbone=backbone) if backbone else small(method)
    train(learner, scenes, 2)
    learner.train_mode(False)
    return bold(learner)


@pytest.mark.parametrize("method", [name for name in OURS if name != "detect/rf-detr"])
def test_a_folder_for_transformers_gives_the_same_logits_and_boxes(method, scenes, tmp_path):
    learner = learned(method, scenes, RESNET if method != "detect/yolos" else None)
    note = detector_to_hf(learner, PREPROCESS, sample_of(PREPROCESS), tmp_path)
    assert "the same logits and boxes on 8 images" in note
    backbone = registry.backbone(f"file:{tmp_path}", image_size=SIZE)  # and back again
    assert backbone.preprocess.mean == pytest.approx(PREPROCESS.mean)
    again = registry.get(method)()
    again.setup(LearnerContext(backbone, backbone.classes, 0, SIZE))
    for one, two in zip(look(learner, scenes), look(again, scenes), strict=True):
        assert len(one) == len(two)
        np.testing.assert_allclose(one.scores, two.scores, atol=1e-4)
        np.testing.assert_allclose(one.xyxy.mean(axis=0), two.xyxy.mean(axis=0), atol=0.05)


def test_what_transformers_builds_otherwise_is_refused_with_the_difference(scenes, tmp_path):
    """The frozen batch norms of DETR drop the activation that EfficientNet has in its own."""
    with pytest.raises(StudioError, match=r"computes something else: logits by .* of their spread"):
        detector_to_hf(learned("detect/detr", scenes), PREPROCESS, sample_of(PREPROCESS), tmp_path)
    assert not (tmp_path / "model.safetensors").exists()
    with pytest.raises(UsageError, match="has no rf_detr on timm/test_efficientnet"):
        detector_to_hf(learned("detect/rf-detr", scenes), PREPROCESS, sample_of(PREPROCESS), tmp_path)
    with pytest.raises(UsageError, match="no detector of transformers"):
        detector_to_hf(small("detect/fcos"), PREPROCESS, sample_of(PREPROCESS), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("method", [name for name in OURS if name != "detect/deformable-detr"])
def test_onnx_gives_the_same_logits_and_boxes(method, scenes, tmp_path):
    note = detector_to_onnx(learned(method, scenes), sample_of(PREPROCESS), tmp_path / "model.onnx")
    assert "Largest difference from torch on 8 images" in note and (tmp_path / "model.onnx").is_file()
    if method == OURS[0]:
        with pytest.raises(UsageError, match="number differs from image to image"):
            detector_to_onnx(small("detect/fcos"), sample_of(PREPROCESS), tmp_path / "model.onnx")


@pytest.mark.slow
def test_what_onnx_can_not_hold_is_refused_with_what_the_exporters_said(scenes, tmp_path):
    with pytest.raises(StudioError, match="can't be written as ONNX"):
        detector_to_onnx(learned("detect/deformable-detr", scenes), sample_of(PREPROCESS), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
