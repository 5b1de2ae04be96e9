"""The registry: every method says what it is, and is found by its id."""

import pytest

from studio.core import registry
from studio.core.errors import UsageError
from studio.core.faces import EpisodeHead, Estimator, Learner

METHODS = registry.methods()


@pytest.mark.parametrize("cls", METHODS, ids=lambda cls: cls.id)
def test_a_method_names_its_title_paper_and_every_parameter_in_a_line(cls):
    facts = registry.describe(cls)
    assert facts["title"] and facts["paper"] and facts["about"]
    for field in facts["params"]:
        assert field["help"], f"{cls.id}: {field['name']} has no help"
        assert "\n" not in field["help"]
    cls.Params()  # the defaults are valid


@pytest.mark.parametrize("cls", METHODS, ids=lambda cls: cls.id)
def test_the_procedure_of_each_method_is_one_for_its_task_and_face(cls):
    procedure = registry.procedure_for(cls)
    assert procedure.task == cls.task and issubclass(cls, procedure.face)
    with pytest.raises(UsageError, match="nothing here can run"):
        registry.procedure_for(type("Stray", (cls,), {"task": "no-such-task"}))


def test_ids_start_with_their_wing_and_are_kebab_case():
    for cls in METHODS:
        wing, _, name = cls.id.partition("/")
        assert wing in {"fewshot", "finetune", "align", "generalize", "rank", "detect", "segment", "translate", "reid"}
        assert name == name.lower() and "_" not in name and " " not in name


def test_every_face_has_methods():
    for face in (EpisodeHead, Estimator, Learner):
        assert any(issubclass(cls, face) for cls in METHODS)


def test_two_methods_of_one_id_are_refused():
    with pytest.raises(ValueError, match="two methods"):

        @registry.register("fewshot/prototypes")
        class Impostor(EpisodeHead):
            pass


def test_an_unknown_method_or_backbone_names_the_nearest():
    with pytest.raises(UsageError, match="'finetune/full'"):
        registry.get("finetune/ful")
    with pytest.raises(UsageError, match="'timm'"):
        registry.backbone("tim/resnet18")
