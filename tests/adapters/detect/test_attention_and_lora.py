"""Where queries look, and LoRA in a detector: what learns, what stays, and one network again for others."""

import pytest
import torch
from small_detectors import DETECTORS, SIZE, look, small, train

from adapters.detect.hf_base import TransformerDetector
from studio.core import registry
from studio.data.transforms import normalize

OURS = [name for name in DETECTORS if issubclass(registry.get(name), TransformerDetector)]


@pytest.mark.parametrize("method", OURS)
def test_the_surest_queries_have_a_box_and_a_map_each(method, scenes):
    pixels, _, preprocess = scenes
    learner = small(method)
    name, found, heats = learner.query_heatmaps(normalize(torch.from_numpy(pixels[:2]), preprocess), 3)
    assert name == ("attention" if method in ("detect/detr", "detect/conditional-detr", "detect/yolos") else name)
    assert len(found) == len(heats) == 2
    for one, heat, whole in zip(found, heats, look(learner, scenes), strict=False):
        assert len(one) == 3 and heat.shape[0] == 3 and heat.ndim == 3 and heat.shape[1] == heat.shape[2] > 1
        assert float(heat.min()) == 0.0 and float(heat.max()) == 1.0
        assert one.xyxy.min() >= 0 and one.xyxy.max() <= SIZE
        assert float(one.scores[0]) == pytest.approx(float(whole.scores[0]), abs=1e-4)
    assert small("detect/fcos").query_heatmaps(torch.zeros(1, 3, SIZE, SIZE), 3) is None


@pytest.mark.parametrize("method", OURS)
def test_lora_moves_attention_and_heads_alone_and_merges_into_one_network(method, scenes):
    before = small(method)
    learner = small(method, lora=4)
    learner.inherit(before.state(), ["0", "1"], ["0", "1"])
    learning = [name for name, parameter in learner.module.named_parameters() if parameter.requires_grad]
    assert any("lora_" in name for name in learning) and len(learning) < len(list(learner.module.parameters()))
    train(learner, scenes, 2)
    after = {name.replace(".base_layer", ""): tensor for name, tensor in learner.state().items()}
    stays = [name for name, _ in before.module.named_parameters() if name not in learning]
    assert stays and all(torch.equal(after[name], before.state()[name]) for name in stays)
    learner.train_mode(False)
    merged = learner.export_module().eval()
    assert not any("lora_" in name for name in merged.state_dict())
    images = normalize(torch.from_numpy(scenes[0][:2]), scenes[2])
    with torch.inference_mode():
        one, two = learner.module(pixel_values=images), merged(pixel_values=images)
    torch.testing.assert_close(one.logits.sort(1)[0], two.logits.sort(1)[0], rtol=1e-3, atol=1e-3)
