"""Films without flicker: what stands still is averaged over time, what moves is not."""

import numpy as np
from PIL import Image

from adapters.translate.film_filter import steadied
from adapters.translate.run.steady import SteadyFilm


class Flickering:
    """Makes of every frame the same, with noise of its own."""

    def __init__(self) -> None:
        self.draw = np.random.default_rng(0)

    def translate(self, image: Image.Image) -> np.ndarray:
        noise = self.draw.normal(0, 20, (image.height, image.width, 1))
        return np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)


def test_what_stands_still_flickers_less() -> None:
    still = [Image.new("RGB", (24, 16), (120, 120, 120))] * 8
    steady = SteadyFilm(Flickering(), 0.8).answers(still)
    plain = [Flickering().translate(image) for image in still[:1]] + [None]
    spread = np.std(np.asarray(steady[-1].draw(still[0]), float))
    assert spread < 0.6 * np.std(plain[0].astype(float))


def test_what_moves_is_shown_as_it_is_made() -> None:
    made, before = np.full((16, 16, 3), 200.0), np.zeros((16, 16, 3))
    still, moved = np.zeros((16, 16, 3)), np.full((16, 16, 3), 255.0)
    assert np.allclose(steadied(made, before, still, still, 0.75), 50)
    assert np.allclose(steadied(made, before, moved, still, 0.75), 200)


def test_a_film_that_changes_its_size_begins_anew() -> None:
    film = SteadyFilm(Flickering(), 0.9)
    film.answers([Image.new("RGB", (24, 16), "black")])
    assert film.answers([Image.new("RGB", (16, 24), "white")])[0].image.size == (16, 24)
