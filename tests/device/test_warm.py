"""Warm models: least recently used goes first, one build for all who ask, never over the budget."""

import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from studio.device.manager import DeviceManager
from studio.device.warm import WarmModels, measure_gb

MB = 2**20 / 2**30  # in GB


def module(megabytes: int) -> nn.Module:
    return nn.Linear(megabytes * 2**18, 1, bias=False)


def test_the_least_recently_used_model_goes_when_the_budget_is_full():
    warm = WarmModels(3 * MB)
    for key in "abc":
        warm.get(key, lambda: module(1))
    warm.get("a", pytest.fail)
    warm.get("d", lambda: module(1))
    assert warm.keys() == ["c", "a", "d"]
    warm.get("e", lambda: module(2))
    assert warm.keys() == ["d", "e"]
    assert warm.size_gb == pytest.approx(3 * MB)


def test_a_kept_model_is_the_same_object_until_evicted():
    warm = WarmModels(1)
    first = warm.get("a", lambda: module(1))
    assert warm.get("a", pytest.fail) is first
    assert warm.evict("a") and not warm.evict("a")
    assert warm.get("a", lambda: module(1)) is not first
    warm.clear()
    assert warm.keys() == [] and warm.size_gb == 0


def test_a_model_over_the_whole_budget_is_returned_and_drives_nobody_out():
    warm = WarmModels(1 * MB)
    warm.get("small", lambda: module(1))
    assert isinstance(warm.get("large", lambda: module(2)), nn.Module)
    assert warm.keys() == ["small"]


def test_callers_at_once_share_one_build():
    warm, builds, begun = WarmModels(1), [], threading.Barrier(8)

    def build():
        builds.append(1)
        time.sleep(0.05)
        return module(1)

    def ask(_):
        begun.wait()
        return warm.get("a", build)

    with ThreadPoolExecutor(8) as pool:
        models = list(pool.map(ask, range(8)))
    assert len(builds) == 1 and len(set(map(id, models))) == 1


def test_a_failed_build_is_told_to_all_and_can_be_tried_again():
    warm = WarmModels(1)

    def fail():
        raise OSError("no such file")

    with pytest.raises(OSError, match="no such file"):
        warm.get("a", fail)
    assert isinstance(warm.get("a", lambda: module(1)), nn.Module)


def test_an_evicted_model_is_gone_before_its_devices_cache_is_emptied(home):
    alive_at = []

    class Probe:
        def empty_cache(self, device_id):
            alive_at.append((device_id, ghost() is not None))

    warm = DeviceManager(home, Probe(), warm_gb=1).warm
    ghost = weakref.ref(warm.get("a", lambda: module(1)))
    warm.evict("a")
    warm.get("b", lambda: module(1))
    warm.clear()
    assert alive_at == [("cpu", False), ("cpu", False)]


def test_size_counts_parameters_buffers_and_arrays_once_each_wherever_they_are_held():
    norm = nn.BatchNorm1d(1000)  # 2 parameters and 2 buffers of 1000 floats, 1 counter
    assert measure_gb(norm) * 2**30 == 4 * 4000 + 8
    tied = nn.Sequential(norm, norm)
    predictor = SimpleNamespace(
        parts={"net": [tied], "again": norm}, means=torch.zeros(10), prior=np.zeros(5), classes=["a"]
    )
    assert measure_gb(SimpleNamespace(predictor=predictor)) * 2**30 == 4 * 4000 + 8 + 40 + 40
    with pytest.raises(TypeError, match="size_gb"):
        measure_gb(SimpleNamespace(classes=["a"]))
