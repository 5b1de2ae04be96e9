"""What may be said from outside of a network's architecture: options by name and type, and nothing that names a file.

A backbone's name (`timm/NAME?key=value`), a checkpoint's manifest and a folder's config.json all come from outside.
The libraries below take whatever they are given, paths, hub repositories and code among it. So every architecture
goes through `architecture` before it is built: numbers, flags and words of short lists get through, all else is
refused by name.
"""

import re
from collections.abc import Callable
from typing import Any

from studio.core.errors import UsageError, nearest

LARGEST = 1_000_000  # no side, width, depth or count of a network is larger
LONGEST = 4096  # items of a list
Check = Callable[[Any], bool]


def architecture(values: dict[str, Any]) -> dict[str, Any]:
    """An architecture (see `Backbone.architecture`) of which every part may be given to its library.

    Raises UsageError naming the part that may not.
    """
    library = values.get("library") if isinstance(values, dict) else None
    if library == "timm":
        return {
            **_pick(values, "library"),
            "name": timm_name(values.get("name")),
            "arguments": options(values.get("arguments") or {}, TIMM, "timm's networks"),
            "config": timm_config(values.get("config")),
        }
    if library == "studio":
        known = {"in_chans": whole, "width": whole, "widths": wholes}
        arguments = options(values.get("arguments") or {}, known, "the classical few-shot networks")
        return {**_pick(values, "library", "name"), "arguments": arguments}
    if library == "transformers":
        return {**_pick(values, "library", "preprocess"), "config": transformers_config(values.get("config"))}
    raise UsageError(f"model.backbone: networks come from timm, transformers or studio; found library {library!r}.")


def options(values: dict[str, Any], known: dict[str, Check], of: str) -> dict[str, Any]:
    """`values` as they are. Raises UsageError for a key that `known` lacks, or a value that it does not allow."""
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"model.backbone: {of} take no option {key!r} from outside.{nearest(key, known)}")
        if value is not None and not known[key](value):
            raise UsageError(f"model.backbone: {key} is {known[key].__doc__}; found {_shown(value)}.")
    return dict(values)


# --- kinds of values ----------------------------------------------------------------------------


def whole(value: Any) -> bool:
    """a whole number"""
    return type(value) is int and abs(value) <= LARGEST


def number(value: Any) -> bool:
    """a number"""
    return type(value) in (int, float) and abs(value) <= 1e12  # also false for NaN


def flag(value: Any) -> bool:
    """true or false"""
    return type(value) is bool or (type(value) is int and value in (0, 1))


def wholes(value: Any) -> bool:
    """a whole number or a list of them"""
    return whole(value) or _list_of(value, whole)


def numbers(value: Any) -> bool:
    """a number or a list of numbers"""
    return number(value) or _list_of(value, number)


def flags(value: Any) -> bool:
    """true, false or a list of them"""
    return flag(value) or _list_of(value, flag)


def word(*words: str) -> Check:
    def check(value: Any) -> bool:
        return isinstance(value, str) and value in words

    check.__doc__ = f"one of {', '.join(map(repr, words))}"
    return check


def text(value: Any) -> bool:
    """a short text"""
    return isinstance(value, str) and len(value) <= 200 or _list_of(value, lambda part: isinstance(part, str))


def _list_of(value: Any, check: Check, depth: int = 3) -> bool:
    if not isinstance(value, (list, tuple)) or len(value) > LONGEST or depth == 0:
        return False
    return all(check(part) or _list_of(part, check, depth - 1) for part in value)


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"a {type(value).__name__}"


def _pick(values: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: values[key] for key in keys if key in values}


# --- timm ---------------------------------------------------------------------------------------

_ACTIVATIONS = word(
    "celu", "elu", "gelu", "gelu_tanh", "hard_mish", "hard_sigmoid", "hard_swish", "leaky_relu", "mish", "quick_gelu",
    "relu", "relu6", "selu", "sigmoid", "silu", "swish", "tanh",
)  # fmt: skip
_NORMS = word("batchnorm", "batchnorm2d", "groupnorm", "groupnorm1", "layernorm", "layernorm2d", "rmsnorm", "rmsnorm2d")


def _named(check: Check, names: str) -> dict[str, Check]:
    return dict.fromkeys(names.split(), check)


# arguments of the constructors of timm's networks
TIMM: dict[str, Check] = {
    **_named(whole, "num_classes in_chans depth base_width cardinality stem_width output_stride block_reduce_first"),
    **_named(whole, "reg_tokens num_reg_tokens stem_size num_features growth_rate bn_size base_dim key_dim num_levels"),
    **_named(whole, "head_dim head_hidden_size pos_embed_grid_size stem_chs num_stages down_kernel_size groups"),
    **_named(wholes, "img_size patch_size embed_dim embed_dims num_heads num_kv_heads depths dims layers channels"),
    **_named(wholes, "window_size window_sizes widths kernel_sizes kernel_size sr_ratios patch_stride patch_padding"),
    **_named(wholes, "hidden_sizes heads ref_feat_shape global_pos_size mask_unit_size q_stride block_config strides"),
    **_named(wholes, "pretrained_window_sizes global_att_blocks focal_levels focal_windows partial_dim d2_scales"),
    **_named(number, "drop_rate drop_path_rate attn_drop_rate proj_drop_rate pos_drop_rate patch_drop_rate dropout"),
    **_named(number, "drop_block_rate init_values layer_scale_init_value ls_init_value head_init_scale norm_eps"),
    **_named(number, "se_ratio expand_ratio channel_multiplier width_mult width depth_mult rope_temperature"),
    **_named(numbers, "mlp_ratio mlp_ratios attn_ratio"),
    **_named(flag, "class_token no_embed_class qkv_bias qk_norm qkv_fused pre_norm final_norm fc_norm use_fc_norm"),
    **_named(flag, "dynamic_img_size dynamic_img_pad strict_img_size always_partition avg_down conv_mlp"),
    **_named(flag, "conv_bias bias head_norm_first head_norm use_grn use_rope use_rot_pos_emb use_abs_pos_emb"),
    **_named(flag, "use_rel_pos_bias use_shared_rel_pos_bias swiglu_mlp scale_mlp proj_bias distilled fix_init"),
    **_named(flag, "zero_init_last replace_stem_pool use_post_norm patch_norm ape use_layer_scale"),
    **_named(flags, "downsamples mask_unit_attn use_pos_emb outlook_attention sep_pos_embed fused_conv"),
    "global_pool": word(
        "", "avg", "max", "avgmax", "catavgmax", "token", "map", "fast", "fastavg", "fastmax", "fastavgmax"
    ),
    "act_layer": _ACTIVATIONS,
    "norm_layer": _NORMS,
    "pad_type": word("", "same", "valid"),
    "stem_type": word("", "patch", "deep", "deep_tiered", "overlap", "overlap_tiered", "overlap_act", "s2d"),
    "weight_init": word("", "skip", "reset", "jax", "jax_nlhb", "moco", "goog"),
    "pos_embed": word("", "none", "learn", "learned", "fixed", "factorized", "rope"),
}  # fmt: skip

# of timm's pretrained_cfg: how images come in, and what the classifier is called; never where weights are
_TIMM_CONFIG: dict[str, Check] = {
    **_named(wholes, "input_size test_input_size min_input_size num_classes label_offset pool_size test_pool_size"),
    **_named(numbers, "crop_pct test_crop_pct mean std"),
    "fixed_input_size": flag,
    "interpolation": word("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming", "random"),
    "crop_mode": word("center", "squash", "border"),
    **_named(text, "architecture tag first_conv classifier"),
}


def timm_name(name: Any) -> str:
    """The name of a network that this version of timm knows, with or without a tag; `hf-hub:` and such name none."""
    import timm

    plain = isinstance(name, str) and re.fullmatch(r"\w{1,80}(\.\w{1,80})?", name)
    if not plain or not timm.is_model(name.partition(".")[0]):
        hint = nearest(name.partition(".")[0], timm.list_models()) if plain else ""
        raise UsageError(f"model.backbone: timm has no model {_shown(name)}.{hint}")
    return name


def timm_config(values: Any) -> dict[str, Any] | None:
    """What of a pretrained_cfg says how images come in; the rest, whereabouts of weights among it, is left out."""
    if not values:
        return None
    if not isinstance(values, dict):
        raise UsageError(f"model.backbone: timm's config is an object of its fields; found {_shown(values)}.")
    return options({key: value for key, value in values.items() if key in _TIMM_CONFIG}, _TIMM_CONFIG, "timm's configs")


# --- transformers -------------------------------------------------------------------------------

# fields that every config has and no network is built by: their values are dropped
DROPPED = {
    "_name_or_path", "architectures", "auto_map", "dtype", "torch_dtype", "transformers_version", "problem_type",
    "label_names", "model_type",
}  # fmt: skip
_BACKBONE_BY_NAME = {"backbone", "use_timm_backbone", "use_pretrained_backbone", "backbone_kwargs"}
_LABELS = {"id2label", "label2id"}
_STAGES = {"out_features", "stage_names"}  # parts of the network, which timm calls layer3, stages.2, blocks.1
_STAGE = re.compile(r"[A-Za-z]\w{0,40}(\.\d{1,3}){0,2}")
_WORDS = re.compile(
    r"stem|stage\d{1,3}|basic|bottleneck|preactivation|[xy]|(full|sliding|chunked)_attention|absolute|relative_key|"
    r"relative_key_query|sine|learned|default|axial|mean|max|avg|nearest|bilinear|bicubic|project|ignore|add|same|valid"
)


def transformers_config(values: Any) -> dict[str, Any]:
    """Fields of a config of transformers, `model_type` first, that its own class has, and sub-configs likewise.

    Fields that the class has not are left out, as transformers leaves them unread. Raises UsageError for a value that
    is no number, flag or known word: it would name a file, a repository or code.
    """
    from transformers import CONFIG_MAPPING

    kind = values.get("model_type") if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        hint = nearest(kind, CONFIG_MAPPING) if isinstance(kind, str) else ""
        raise UsageError(f"model.backbone: transformers has no {_shown(kind)}.{hint}")
    if kind == "timm_wrapper":
        raise UsageError("model.backbone: a timm_wrapper is a network of timm; name it timm/NAME, or its folder.")
    return {"model_type": kind, **_fields(values, CONFIG_MAPPING[kind])}


def _fields(values: dict[str, Any], cls: Any) -> dict[str, Any]:
    from adapters.backbones.hf_logging import quiet

    with quiet():
        default = cls().to_dict()
    known = default.keys() | cls.attribute_map.keys() | {"num_labels"}
    kept = {}
    for key, value in _named_backbone(values, cls).items():
        if key in known - DROPPED:
            kept[key] = _field(key, value, default.get(cls.attribute_map.get(key, key)), cls)
    return kept


def _field(key: str, value: Any, default: Any, cls: Any) -> Any:
    if key in cls.sub_configs:
        return _sub_config(key, value, cls)
    if key == "backbone" and cls.model_type == "timm_backbone":
        return value and timm_name(value)
    if key in _STAGES and _list_of(value, lambda part: isinstance(part, str) and _STAGE.fullmatch(part) is not None):
        return value
    if key in _LABELS and isinstance(value, dict) and all(isinstance(part, (str, int)) for part in value.values()):
        return value
    if _plain(value) or value == default or _list_of(value, lambda part: _plain(part) or _is_word(part)):
        return value
    if _is_word(value) or (isinstance(value, str) and re.search(r"act(ivation)?(_|$)", key) and _is_activation(value)):
        return value
    if isinstance(value, dict) and key.startswith("rope_"):
        return {name: _field(name, part, None, cls) for name, part in value.items()}
    raise UsageError(
        f"model.backbone: {key} of a {cls.model_type}: expected a number, true or false, or a word that it knows; "
        f"found {_shown(value)}."
    )


def _sub_config(key: str, value: Any, cls: Any) -> Any:
    if value is None:
        return None
    own = cls.sub_configs[key]
    kind = value.get("model_type") or getattr(own, "model_type", "") if isinstance(value, dict) else None
    if kind:
        return transformers_config({**value, "model_type": kind})
    if kind is None or not hasattr(own, "attribute_map"):
        raise UsageError(f"model.backbone: {key} of a {cls.model_type} is an object with a model_type.")
    return _fields(value, own)


def _named_backbone(values: dict[str, Any], cls: Any) -> dict[str, Any]:
    """`values` with a backbone that is given by its name as a config: transformers would ask the hub for the name."""
    name = values.get("backbone")
    if "backbone_config" not in cls.sub_configs or not name:
        return values
    rest = {key: value for key, value in values.items() if key not in _BACKBONE_BY_NAME}
    if values.get("backbone_config"):
        return rest
    if values.get("use_timm_backbone") is False:
        raise UsageError(f"model.backbone: backbone {_shown(name)} of a {cls.model_type} is no network of timm.")
    defaults = {"out_indices": [1, 2, 3, 4], **({"output_stride": 16} if values.get("dilation") else {})}
    given = values.get("backbone_kwargs") or {}
    given = {("num_channels" if key == "in_chans" else key): value for key, value in given.items()}
    return {**rest, "backbone_config": {"model_type": "timm_backbone", "backbone": name, **(given or defaults)}}


def _plain(value: Any) -> bool:
    return value is None or type(value) is bool or number(value)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and _WORDS.fullmatch(value) is not None


def _is_activation(name: str) -> bool:
    from transformers.activations import ACT2CLS

    return name in ACT2CLS
