"""Every method on every family: trained, saved, loaded, the same predictions; or refused with a sentence."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from families import FAMILIES, NO_PROMPTS, learner_of, predict, train  # noqa: E402

from studio.core.errors import StoreError, UsageError  # noqa: E402

METHODS = {
    "full": ("finetune/full", {"layer_decay": 0.8}),
    "lp-ft": ("finetune/lp-ft", {}),
    "lora": ("finetune/lora", {"rank": 2}),
    "lora-all": ("finetune/lora", {"rank": 2, "targets": "all"}),
    "bitfit": ("finetune/bitfit", {}),
    "vpt-deep": ("finetune/vpt", {"prompts": 3}),
    "vpt-shallow": ("finetune/vpt", {"prompts": 3, "deep": False}),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_and_its_state_alone_brings_the_predictions_back(family, name):
    method, params = METHODS[name]
    if method == "finetune/vpt" and family in NO_PROMPTS:
        with pytest.raises(UsageError, match="finetune/lora fits it"):
            learner_of(method, FAMILIES[family], **params)
        return
    learner = learner_of(method, FAMILIES[family], **params)
    before = predict(learner)
    start = {key: tensor.clone() for key, tensor in learner.module.state_dict().items()}
    train(learner)
    after = predict(learner)
    assert after.isfinite().all() and not torch.allclose(before, after)
    if family != "timm-swinv2":  # untrained, its last norm of a branch is zero and lets nothing back into the block
        assert_every_trained_tensor_moved(learner, start)
    state = {key: tensor.clone() for key, tensor in learner.state().items()}
    again = learner_of(method, FAMILIES[family], **params)
    again.load_state(state)
    assert torch.equal(predict(again), after)
    if not learner.whole:
        assert sum(t.numel() for t in state.values()) < sum(t.numel() for t in start.values()) / 2
        frozen = [key for key in start if key not in state]
        now = learner.module.state_dict()
        assert frozen and all(torch.equal(start[key], now[key]) for key in frozen)


def assert_every_trained_tensor_moved(learner, start):
    still = [
        name
        for name, parameter in learner.module.named_parameters()
        if parameter.requires_grad and parameter.grad is not None and torch.equal(parameter.detach(), start[name])
    ]
    reached = [name for name, parameter in learner.module.named_parameters() if parameter.grad is not None]
    assert len(still) <= len(reached) // 4, still


@pytest.mark.parametrize("family", FAMILIES)
def test_lora_starts_as_the_untouched_network_and_merges_into_its_plain_form(family):
    learner = learner_of("finetune/lora", FAMILIES[family], rank=2)
    untouched = learner_of("finetune/full", FAMILIES[family])
    assert torch.allclose(predict(learner), predict(untouched), atol=1e-6)
    reached = [name for name, p in learner.module.backbone.named_parameters() if p.requires_grad]
    assert reached and all("lora_" in name for name in reached)
    train(learner, steps=3, lr=0.05)
    plain = learner.export_module()
    assert plain.state_dict().keys() == untouched.module.state_dict().keys()
    from families import batch_of

    with torch.no_grad():
        merged = plain.eval()(batch_of(learner, seed=9).images)
    assert torch.allclose(merged, predict(learner), atol=1e-4)


def test_every_lora_update_gets_a_gradient():
    for family in ("timm-vit", "timm-swinv2", "timm-eva02", "hf-beit", "hf-siglip-vision", "timm-convnextv2"):
        learner = learner_of("finetune/lora", FAMILIES[family], rank=2, targets="all")
        train(learner, steps=1)
        idle = [n for n, p in learner.module.backbone.named_parameters() if p.requires_grad and p.grad is None]
        assert idle == [], family


def test_a_state_that_does_not_fit_is_refused_with_a_sentence():
    learner = learner_of("finetune/lora", FAMILIES["timm-vit"], rank=2)
    other = learner_of("finetune/lora", FAMILIES["timm-vit"], rank=4)
    with pytest.raises(StoreError, match="does not fit"):
        other.load_state(learner.state())


def test_blocks_nearer_the_input_learn_slower_and_the_head_fastest():
    learner = learner_of("finetune/full", FAMILIES["timm-vit"], layer_decay=0.5, backbone_lr=0.1)
    rates = [group["lr"] for group in learner.param_groups(1.0, 0.0)]
    assert rates == sorted(rates) and rates[-1] == 1.0
    blocks = sorted(set(rates))[:-1]
    assert blocks[-1] == pytest.approx(0.1) and blocks[0] == pytest.approx(0.1 * 0.5 ** (len(blocks) - 1))


def test_a_solved_head_moves_as_gently_as_the_backbone_below_it():
    learner = learner_of("finetune/lp-ft", FAMILIES["timm-vit"])
    assert {round(group["lr"], 9) for group in learner.param_groups(1.0, 0.0)} == {0.05}
    learner = learner_of("finetune/full", FAMILIES["timm-vit"], head_lr=0.5)
    assert learner.param_groups(1.0, 0.0)[-1]["lr"] == pytest.approx(0.5)
