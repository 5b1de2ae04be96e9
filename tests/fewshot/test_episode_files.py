"""Episode files: what is written can be read, and a wrong one is refused with its place."""

import json

import numpy as np
import pytest
import torch

from fewshot.episode_files import read_episodes, save_episodes
from fewshot.episodes import EpisodeSampler
from studio.core.errors import DataError


@pytest.fixture
def photos(tmp_path):
    files = [tmp_path / "photos" / f"{i}.png" for i in range(12)]
    files[0].parent.mkdir()
    for file in files:
        file.write_bytes(b"x")
    return files


def write(tmp_path, episodes):
    path = tmp_path / "episodes.json"
    path.write_text(json.dumps(episodes))
    return path


def test_saved_episodes_read_back_the_same(tmp_path, photos):
    labels = np.repeat([0, 1, 2], [2, 5, 5])
    source = EpisodeSampler(labels, ["ant", "bee", "cat"], ways=2, shots=2, queries=2, episodes=9)
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / "episodes.json"
    save_episodes(path, source, photos)
    fixed = read_episodes(path)
    drawn = source.draw(0, 9)
    [(numbers, index)] = list(fixed.chunks(lambda *_: 100))
    assert numbers.tolist() == list(range(9)) and fixed.classes == ["ant", "bee", "cat"]
    assert torch.equal(index.classes, drawn.classes)
    number = torch.tensor([int(path.stem) for path in fixed.paths])
    assert torch.equal(torch.where(index.index >= 0, number[index.index], -1), drawn.index)
    assert "\\" not in path.read_text() and "../photos/" in path.read_text()


def test_episodes_of_different_ways_are_grouped_and_keep_their_numbers(tmp_path, photos):
    a, b, c, d, e, f = [f"photos/{i}.png" for i in range(6)]
    episodes = [
        {"support": {"x": [a], "y": [b]}, "query": {"x": [c]}},
        {"support": {"x": [a], "y": [b, c], "z": [d]}, "query": {"y": [e], "z": [f]}},
        {"support": {"z": [a, b], "x": [c]}, "query": {"x": [d, e], "z": [f]}},
    ]
    fixed = read_episodes(write(tmp_path, episodes))
    groups = {tuple(numbers): index for numbers, index in fixed.chunks(lambda *_: 10)}
    assert set(groups) == {(0, 2), (1,)}
    assert groups[0, 2].classes.tolist() == [[0, 1], [2, 0]]
    assert groups[0, 2].query_labels.tolist() == [[0, -1, -1, -1], [0, -1, 1, 1]]
    assert groups[1,].support_labels.tolist() == [[0, -1, 1, 1, 2, -1]]


@pytest.mark.parametrize(
    ("episode", "words"),
    [
        ({"support": {"x": ["photos/0.png"], "y": ["photos/nope.png"]}, "query": {"x": ["photos/1.png"]}},
         "episode 1: the support image 'photos/nope.png' of class 'y' is not there"),
        ({"support": {"x": ["photos/0.png"]}, "query": {"x": ["photos/1.png"]}}, "found 1 support classes"),
        ({"support": {"x": ["photos/0.png"], "y": ["photos/1.png"]}, "query": {"z": ["photos/2.png"]}},
         "query class 'z' is not among"),
        ({"support": {"x": ["photos/0.png"], "y": ["photos/1.png"]}, "query": {"x": ["photos/0.png"]}},
         "both support and query"),
        ({"support": {"x": ["photos/0.png"], "y": []}, "query": {"x": ["photos/2.png"]}}, "'y' has no support"),
        ({"support": {"x": ["photos/0.png"], "y": ["photos/1.png"]}, "query": {"x": []}}, "no query image"),
        ({"support": {"x": "photos/0.png"}, "query": {}}, "lists of paths"),
        ({"support": {}}, "expected"),
        (3, "expected"),
    ],
)  # fmt: skip
def test_a_wrong_episode_is_named(tmp_path, photos, episode, words):
    good = {"support": {"x": ["photos/0.png"], "y": ["photos/1.png"]}, "query": {"x": ["photos/2.png"]}}
    with pytest.raises(DataError, match=words):
        read_episodes(write(tmp_path, [good, episode]))


@pytest.mark.parametrize("text", ["", "{}", "[]", "no json"])
def test_a_file_of_another_form_is_refused(tmp_path, text):
    (tmp_path / "e.json").write_text(text)
    with pytest.raises(DataError, match="eval.episodes_file"):
        read_episodes(tmp_path / "e.json")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        read_episodes(tmp_path / "e.json")
