"""Resume state: bit for bit, without pickle, one whole generation at a time."""

import random
import struct
import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from studio.core.errors import StoreError
from studio.store.state import generations, load_state, save_state

DTYPES = [
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.uint8,
    torch.bool,
    torch.complex128,
    torch.float8_e4m3fn,
]
tensors = st.builds(
    lambda data, dtype: torch.tensor(list(data), dtype=torch.uint8).repeat_interleave(16).view(dtype).reshape(2, -1),
    st.binary(min_size=2, max_size=6).filter(lambda data: len(data) % 2 == 0),
    st.sampled_from([dtype for dtype in DTYPES if dtype != torch.bool]),
) | st.lists(st.booleans(), max_size=4).map(torch.tensor)
arrays = hnp.arrays(
    hnp.scalar_dtypes() | hnp.unicode_string_dtypes(min_len=1) | hnp.byte_string_dtypes(min_len=1),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
simple = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
keys = st.text() | st.integers() | st.none() | st.booleans() | st.tuples(st.integers(), st.text())
values = st.recursive(
    simple | tensors | arrays | arrays.filter(lambda array: array.ndim == 0).map(lambda array: array[()]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=12,
)


def same(a, b):
    """Equal in type, order, shape and every bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, torch.Tensor):
        raw = [x.contiguous().reshape(-1).view(torch.uint8) for x in (a, b)]
        return a.dtype == b.dtype and a.shape == b.shape and raw[0].equal(raw[1])
    if isinstance(a, (np.ndarray, np.generic)):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b)
    return a == b


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(state=st.dictionaries(keys, values, max_size=4))
def test_what_is_saved_comes_back_bit_for_bit(tmp_path, state):
    save_state(tmp_path / "state", state)
    found = load_state(tmp_path / "state")
    assert same(found, state), (found, state)


def test_what_comes_back_can_be_changed(tmp_path):
    save_state(tmp_path, {"tensor": torch.zeros(3), "array": np.zeros(3)})
    found = load_state(tmp_path)
    found["tensor"] += 1
    found["array"] += 1
    assert found["tensor"].sum() == 3 and found["array"].sum() == 3


def test_shared_and_strided_tensors_and_parameters_keep_their_values(tmp_path):
    weight = torch.nn.Parameter(torch.randn(4, 6))
    save_state(tmp_path, {"a": weight, "b": weight, "t": weight.t()[::2], "row": weight[1], "none": torch.zeros(0, 2)})
    found = load_state(tmp_path)
    assert found["a"].equal(weight) and found["b"].equal(weight) and found["row"].equal(weight[1])
    assert found["t"].equal(weight.t()[::2]) and found["none"].shape == (0, 2)


def step(model, optimizer, scheduler):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(model(torch.randn(8, 5)), torch.from_numpy(np.random.rand(8, 3)).float()) * (
        1 + random.random()
    )
    loss.backward()
    optimizer.step()
    scheduler.step()
    return loss.item()


def training():
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(5, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(), torch.nn.Linear(8, 3)
    )
    optimizer = torch.optim.AdamW(
        [{"params": model[0].parameters(), "lr": 0.1}, {"params": [*model[1].parameters(), *model[3].parameters()]}],
        amsgrad=True,
    )
    return model, optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)


def test_a_resumed_training_gives_the_losses_of_one_never_stopped_bit_for_bit(tmp_path):
    model, optimizer, scheduler = training()
    generator = np.random.default_rng(3)
    for _ in range(5):
        step(model, optimizer, scheduler)
    generator.random(7)
    save_state(
        tmp_path,
        {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
            "rng": {
                "torch": torch.get_rng_state(),
                "numpy": np.random.get_state(),
                "python": random.getstate(),
                "generator": generator.bit_generator.state,
            },
        },
    )
    expected = [step(model, optimizer, scheduler) for _ in range(5)], generator.random(3).tolist()

    model, optimizer, scheduler = training()
    state = load_state(tmp_path)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    torch.set_rng_state(state["rng"]["torch"])
    np.random.set_state(state["rng"]["numpy"])
    random.setstate(state["rng"]["python"])
    generator = np.random.default_rng(0)
    generator.bit_generator.state = state["rng"]["generator"]
    assert ([step(model, optimizer, scheduler) for _ in range(5)], generator.random(3).tolist()) == expected


@pytest.mark.parametrize("bad", [object(), {1, 2}, np.array([None]), torch.device("cpu"), np.zeros(1, "i4,f4")])
def test_what_would_need_a_pickle_is_refused_by_its_place(tmp_path, bad):
    with pytest.raises(TypeError, match=r"state\.a\[1\]\.b"):
        save_state(tmp_path, {"a": [0, {"b": bad}]})
    assert generations(tmp_path) == []


def test_nothing_saved_yet_is_none(tmp_path):
    assert load_state(tmp_path / "state") is None


def test_two_generations_stay_and_a_damaged_one_gives_way_to_the_one_before(tmp_path):
    for i in range(5):
        save_state(tmp_path, {"step": i, "w": torch.full((10,), float(i))})
    (newest, newest_path), (_, older_path) = generations(tmp_path)
    assert newest == 5 and len(list(tmp_path.iterdir())) == 2 and load_state(tmp_path)["step"] == 4
    data = newest_path.read_bytes()
    for damaged in (data[: len(data) // 2], b"", data[:-1] + bytes([data[-1] ^ 1])):
        newest_path.write_bytes(damaged)
        with pytest.warns(UserWarning, match="damaged"):
            assert load_state(tmp_path)["step"] == 3
    told = []
    load_state(tmp_path, told.append)
    assert len(told) == 1 and newest_path.name in told[0]
    older_path.write_bytes(b"")
    with pytest.raises(StoreError, match="begin the run again"), warnings.catch_warnings(action="ignore"):
        load_state(tmp_path)


def test_what_a_killed_writer_left_is_ignored_and_cleared_by_the_next(tmp_path):
    save_state(tmp_path, {"step": 1})
    (tmp_path / ".tmp-0123-gen-000002").write_bytes(b"half")
    assert load_state(tmp_path) == {"step": 1}
    save_state(tmp_path, {"step": 2})
    assert not list(tmp_path.glob(".tmp-*")) and load_state(tmp_path) == {"step": 2}


def test_a_forged_state_makes_no_array_of_objects(tmp_path):
    from studio.store.state import _array

    with pytest.raises(StoreError, match="none is written with"):
        _array(["0", "|O", [1]], {"0": np.zeros(8, np.uint8)})
