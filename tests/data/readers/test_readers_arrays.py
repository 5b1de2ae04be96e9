"""npz: and mat: arrays as images or features; anything pickled or misshapen is refused with a sentence."""

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_matrix

from studio.core.errors import DataError
from studio.data import Dataset, FeatureSet, open_data, read_image
from studio.data.files.limits import Limits


@pytest.fixture
def npz(tmp_path):
    def write(**arrays) -> str:
        np.savez_compressed(tmp_path / "a.npz", **arrays)
        return f"npz:{tmp_path / 'a.npz'}"

    return write


@pytest.fixture
def mat(tmp_path):
    def write(**arrays) -> str:
        savemat(tmp_path / "a.mat", arrays)
        return f"mat:{tmp_path / 'a.mat'}"

    return write


PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 5), dtype=np.uint8)
FEATURES = np.random.default_rng(0).normal(size=(4, 3))


def test_bytes_of_three_dimensions_are_grey_images(npz):
    found = open_data(npz(x=PIXELS, y=np.array([3, 1, 3, 1])))
    assert isinstance(found, Dataset) and found.classes == ["1", "3"] and found.labels.tolist() == [1, 0, 1, 0]
    image = read_image(found.items[2].source)
    assert image.size == (5, 6) and (np.asarray(image)[..., 1] == PIXELS[2]).all()


@pytest.mark.parametrize("channels", (1, 3))
def test_bytes_of_four_dimensions_are_images(npz, channels):
    pixels = np.repeat(PIXELS[..., None], channels, axis=3)
    assert np.asarray(read_image(open_data(npz(x=pixels)).items[0].source)).shape == (6, 5, 3)


@pytest.mark.parametrize("kind", (np.float32, np.float64, np.float16, np.int32, np.uint8))
def test_numbers_of_two_dimensions_are_features(npz, kind):
    found = open_data(npz(x=(10 * np.abs(FEATURES)).astype(kind), y=np.array([0, 0, 1, 1])))
    assert isinstance(found, FeatureSet) and found.x.dtype == np.float32 and found.x.shape == (4, 3)


def test_arrays_are_named_by_options(npz):
    found = open_data(npz(feats=FEATURES, names=np.array(["b", "a", "b", "b"])) + "?x=feats&y=names")
    assert found.classes == ["a", "b"] and found.y.tolist() == [1, 0, 1, 1]


def test_without_labels_there_are_none(npz):
    found = open_data(npz(x=FEATURES))
    assert found.classes == [] and found.y.tolist() == [-1] * 4


def test_labels_are_ordered_as_numbers_and_named_as_written(npz):
    assert open_data(npz(x=FEATURES, y=np.array([10, 9, 2, 10]))).classes == ["2", "9", "10"]
    assert open_data(npz(x=FEATURES, y=np.array([1.0, 2.0, 3.0, 1.0]))).classes == ["1", "2", "3"]
    assert open_data(npz(x=FEATURES, y=np.array([b"dog", b"cat", b"cat", b"dog"]))).classes == ["cat", "dog"]


def test_pickled_objects_are_refused(npz, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "run"), "w"))

    spec = npz(x=FEATURES, y=np.array([Evil(), None, None, None], dtype=object))
    with pytest.raises(DataError, match="'y' holds pickled objects, which are refused"):
        open_data(spec)
    assert not (tmp_path / "run").exists()


def test_an_array_bomb_is_refused(npz):
    spec = npz(x=np.zeros((4096, 4096), np.float32))
    with pytest.raises(DataError, match="zip bomb"):
        open_data(spec)
    with pytest.raises(DataError, match="GB allowed"):
        open_data(npz(x=FEATURES), Limits(unpacked_bytes=50))


@pytest.mark.parametrize(
    ("arrays", "options", "words"),
    [
        ({"feats": FEATURES}, "", r"no array 'x'. It has: feats. Name it, as in a.npz\?x=NAME"),
        ({"feats": FEATURES}, "?x=feat", "no array 'feat'. Did you mean 'feats'"),
        ({"x": FEATURES, "y": np.zeros(3)}, "", "x has 4 rows, but there are 3 labels"),
        ({"x": FEATURES.T, "y": np.zeros(4)}, "", "x seems to be turned"),
        ({"x": FEATURES, "y": np.array([0, 1, np.nan, 1])}, "", "1 labels are NaN"),
        ({"x": FEATURES, "y": np.zeros(4, complex)}, "", "expected numbers or texts"),
        ({"x": np.zeros((4, 6, 5))}, "", r"x is float64 of shape \[4, 6, 5\]; expected"),
        ({"x": np.zeros((4, 3, 6, 5), np.uint8)}, "", "expected features"),
        ({"x": np.zeros((0, 5))}, "", "expected features"),
        ({"x": np.float32(1)}, "", "expected features"),
        ({"x": FEATURES.astype(complex)}, "", "expected features"),
    ],
)
def test_arrays_that_do_not_fit_are_explained(npz, arrays, options, words):
    with pytest.raises(DataError, match=words):
        open_data(npz(**arrays) + options)


def test_other_files_are_no_npz(tmp_path):
    (tmp_path / "a.npz").write_text("text")
    with pytest.raises(DataError, match="no readable zip"):
        open_data(f"npz:{tmp_path / 'a.npz'}")
    with pytest.raises(DataError, match="There is no file"):
        open_data(f"npz:{tmp_path / 'b.npz'}")


def test_matlab_features_with_labels_from_one(mat):
    found = open_data(mat(fts=FEATURES, labels=np.array([[2], [1], [2], [3]])) + "?x=fts&y=labels")
    assert found.classes == ["1", "2", "3"] and found.y.tolist() == [1, 0, 1, 2]
    assert np.allclose(found.x, FEATURES, atol=1e-6)


def test_matlab_sparse_features_and_cells_of_texts(mat):
    labels = np.array(["cat", "dog", "cat", "emu"], object)
    found = open_data(mat(fts=csc_matrix(FEATURES), labels=labels) + "?x=fts&y=labels")
    assert found.classes == ["cat", "dog", "emu"] and np.allclose(found.x, FEATURES, atol=1e-6)


def test_what_is_no_matlab_file_is_explained(mat, tmp_path):
    with pytest.raises(DataError, match="no array 'x'. It has: fts"):
        open_data(mat(fts=FEATURES))
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "b.mat").write_bytes(header + b"\x89HDF\r\n\x1a\n" + bytes(500))
    with pytest.raises(DataError, match="MATLAB 7.3 file. Save it again"):
        open_data(f"mat:{tmp_path / 'b.mat'}")
    (tmp_path / "c.mat").write_bytes(b"text")
    with pytest.raises(DataError, match="no readable .mat"):
        open_data(f"mat:{tmp_path / 'c.mat'}")
    with pytest.raises(DataError, match="There is no file"):
        open_data(f"mat:{tmp_path / 'd.mat'}")


def test_structures_are_no_features(mat):
    with pytest.raises(DataError, match="expected features"):
        open_data(mat(x={"a": 1}))


def test_surf_features_for_real(shared_data):
    folder = shared_data / "office_caltech10_surf"
    found = open_data(f"mat:{folder}/amazon.mat?x=fts&y=labels,{folder}/dslr.mat?x=fts&y=labels")
    assert found.x.shape == (1115, 800) and found.classes == [str(number) for number in range(1, 11)]
    assert (found.domains == "dslr").sum() == 157
