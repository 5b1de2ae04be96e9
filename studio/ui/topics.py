"""The topics of transfer learning, in the order of a course, and which methods belong to each.

What a topic is, when it works and when it fails are words: `topic.NAME`, `topic.NAME.about`, `.works`, `.fails`.
"""

from studio.core import registry

#: a method's id, or a part of the ids before their slash with it
TOPICS: dict[str, tuple[str, ...]] = {
    "question": ("rank/",),
    "instances": ("align/kmm", "align/kliep", "align/ulsif", "align/discriminator", "align/tradaboost"),
    "features": (
        "align/none", "align/coral", "align/sa", "align/gfk", "align/tca", "align/jda", "align/bda", "align/tjm",
        "align/jgsa", "align/artl", "align/meda", "align/table",
    ),
    "transport": ("align/ot", "align/jdot", "align/deep-jdot"),
    "heterogeneous": ("align/hfa", "align/cdls", "align/stn"),
    "parameters": ("finetune/", "align/asvm", "align/dasvm"),
    "distances": (
        "align/source-only", "align/ddc", "align/dan", "align/deep-coral", "align/jan", "align/dsan", "align/m3sda",
    ),
    "adversaries": (
        "align/dann", "align/adda", "align/cdan", "align/mcd", "align/mdd", "align/wdgrl", "align/bsp",
    ),
    "statistics": ("align/adabn", "align/transnorm", "align/dsbn"),
    "objectives": ("align/mcc", "align/bnm", "align/entropy", "align/afn", "align/fixmatch", "align/self-ensembling"),
    "other-classes": ("align/pada", "align/iwan", "align/etn", "align/osbp"),
    "source-free": ("align/shot", "align/nrc", "align/bn-adapt", "align/tent", "align/eata"),
    "generalization": ("generalize/",),
    "few-shot": (
        "fewshot/prototypes", "fewshot/matching", "fewshot/simpleshot", "fewshot/ridge", "fewshot/logistic",
        "fewshot/bd-cspn", "fewshot/laplacianshot", "fewshot/pt-map", "fewshot/tim",
        "fewshot/transductive-finetuning", "fewshot/compare",
    ),
    "meta-learning": (
        "fewshot/protonet", "fewshot/matching-networks", "fewshot/relation-networks", "fewshot/feat", "fewshot/maml",
        "fewshot/fomaml", "fewshot/anil", "fewshot/meta-sgd", "fewshot/reptile", "fewshot/pmf",
    ),
    "detection": ("detect/",),
    "segmentation": ("segment/",),
    "looks": ("translate/",),
    "individuals": ("reid/",),
}  # fmt: skip


def methods_of(topic: str) -> list[str]:
    """Ids of the methods of a topic, in its order."""
    known = [cls.id for cls in registry.methods()]
    return [
        method
        for part in TOPICS[topic]
        for method in known
        if method == part or (part.endswith("/") and method.startswith(part))
    ]
