"""What the page says of runs, checkpoints and data, without a browser."""

import csv
import io
import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import DataError
from studio.runs.comparison import Comparison, Number, Row
from studio.ui import comparison_html, curves, display_names, form_html, forms, html
from studio.ui.catalogue import _FOLDER, words
from studio.ui.pages.data import refuse_one_class, with_data
from studio.ui.pages.live import _curves as drawn_curves
from studio.ui.views import View

ROOT = Path(__file__).resolve().parents[2]


def text(markup: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", markup)).strip()


def test_an_interval_never_leaves_what_an_accuracy_can_be():
    shown = text(html.numbers({"accuracy": 0.98, "accuracy_ci95": 0.052, "episodes": 600}, "en", "classify"))
    assert shown.startswith("0.980 (0.928 – 1.000)") and "other draws from the same images" in shown
    assert text(html.numbers({"accuracy": 0.5, "accuracy_ci95": 0.1}, "en", "classify")).startswith("0.500 ± 0.100")
    assert "nan" not in text(html.numbers({"map": 0.5, "map_ci95": float("nan")}, "en", "detect"))


def test_what_is_expected_on_new_images_stands_beside_the_episodes():
    metrics = {
        "accuracy": 0.91, "accuracy_ci95": 0.01, "episodes": 600,
        "expected_accuracy": 0.85, "expected_accuracy_low": 0.7, "expected_accuracy_high": 0.94,
    }  # fmt: skip
    shown = text(html.numbers(metrics, "en", "classify"))
    assert "0.850 (0.700 – 0.940) expected on new images" in shown
    assert "0.910 ± 0.010 accuracy over 600 episodes" in shown
    assert "新图像" in html.numbers(metrics, "zh", "classify")


def test_a_comparison_names_the_method_whose_numbers_these_are():
    best, alone = (
        html.numbers({"accuracy": 0.9, **more}, "en", "classify") for more in ({"best": "fewshot/ridge"}, {})
    )
    assert "best: fewshot/ridge" in text(best)
    assert "run-best" in alone and "best:" not in alone


def test_numbers_of_several_tasks_side_by_side_have_each_the_name_that_its_task_gives_it():
    rows = [Row("ridge", "classify", "fewshot/ridge", ["a"], {}, {"accuracy": Number(0.8)}),
            Row("fcos", "detect", "detect/fcos", ["b"], {}, {"map": Number(0.4)})]  # fmt: skip
    compared = Comparison([], ["accuracy", "map"], ["accuracy", "map"], rows, [])
    assert "<th>accuracy</th><th>mAP</th>" in comparison_html.draw(compared, "en")
    assert "<th>准确率</th><th>mAP</th>" in comparison_html.draw(compared, "zh")


def test_a_table_can_be_kept_as_csv_whatever_is_in_it():
    rows = [["a 'b' \"c\" <d>, e", 0.5, None], ["é\n2", 1, "x"]]
    drawn = html.table({"name": "heads", "columns": ["head", "accuracy", "note"], "rows": rows}, "en")
    data = re.search(r"href='data:text/csv;charset=utf-8,([^']*)'", drawn).group(1)
    read = list(csv.reader(io.StringIO(unquote(data))))
    assert read[0] == ["head", "accuracy", "note"] and read[1][0] == rows[0][0] and read[2][0] == rows[1][0]
    assert "<d>" not in drawn


def test_a_run_that_goes_on_is_said_on_every_tab_and_one_that_is_over_is_not():
    running = View("run-1", status="running", what="training", done=3, total=12)
    assert "training 3 / 12" in text(html.banner(running, "en"))
    assert html.banner(View("run-1", status="finished"), "en") == ""


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"train": "builtin:digits?per_class=40"}, "digits"),
        ({"train": "zip:/home/me/my photos.zip"}, "my photos.zip"),
        ({"train": r"folder:C:\photos\cats"}, "cats"),
        ({"source": "folder:/d/amazon", "target": "folder:/d/webcam/"}, "amazon → webcam"),
        ({}, ""),
    ],
)
def test_data_are_named_as_a_person_knows_them(data, name):
    assert display_names.data({"data": data}) == name


def test_a_checkpoint_is_named_by_method_data_score_and_date():
    row = {
        "checkpoint": "fcos-97292b", "task": "detect", "method": "detect/fcos",
        "metrics": {"map": 0.412, "map_50": 0.7}, "created": "2026-11-29T14:05:00+00:00",
    }  # fmt: skip
    name = display_names.checkpoint(row, "scenes")
    assert name.startswith("fcos  ·  scenes  ·  mAP 0.412  ·  2026-11-") and name.endswith("fcos-97292b")
    known = {"checkpoint": "x", "task": "classify", "metrics": {"accuracy": 0.5}}
    assert display_names.checkpoint(known, "", "zh") == "准确率 0.500  ·  x"
    assert display_names.checkpoint({"checkpoint": "x", "created": "nonsense"}, "") == "x"


def test_every_task_says_its_headlines_in_both_languages_and_numbers_beyond_1_keep_their_interval():
    chinese = json.loads((_FOLDER / "zh.json").read_text(encoding="utf-8"))
    for task in registry.tasks():
        for name, english in task.headlines.items():
            assert english in text(html.numbers({name: 0.5}, "en", task.name))
            assert f"metric.{task.name}.{name}" in chinese
    shown = text(html.numbers({"psnr": 14.6, "psnr_ci95": 0.4}, "en", "translate"))
    assert shown.startswith("14.6 ± 0.4") and display_names.score({"task": "gone", "metrics": {"x": 1}}) == ""


def test_what_recognising_may_not_be_used_for_stands_wherever_it_is_shown():
    for language, sentence in (("en", "Not for watching or identifying anybody else"), ("zh", "不得用于监视")):
        drawn = [form_html.draw(form(preset), language) for preset in ("reid-quick", "quickstart")]
        drawn += [html.run_state(View("a", task=task), language) for task in ("reid", "classify")]
        assert [sentence in part for part in drawn] == [True, False, True, False]


def form(preset):
    return forms.screen_of(recipes.read_yaml(recipes.find_preset(preset)), preset)


PLAIN = {"truth": "labels", "classes": {"cat": 3, "dog": 4}}
BOXED = {"truth": "boxes", "boxes": {"boxes": 9, "small": 0}, "classes": {"cat": 9}}
SEEN = {"truth": "identities", "classes": {"berta": 3, "emma": 4}}
MASKED = {"truth": "masks", "masks": {"void": 0.1}, "classes": {"road": 900, "car": 100}}


@pytest.mark.parametrize(
    ("before", "report", "role", "after"),
    [
        ("fewshot-photos", PLAIN, "train", "fewshot-photos"),
        ("fewshot-photos", BOXED, "train", "detect-quick"),
        ("align-compare", PLAIN, "train", "quickstart"),
        ("quickstart", PLAIN, "source", "align-compare"),
        ("align-compare", PLAIN, "target", "align-compare"),
        ("quickstart", BOXED, "source", "scenes-clear-to-fog"),
        ("quickstart", MASKED, "train", "segment-quick"),
        ("segment-quick", PLAIN, "train", "quickstart"),
        ("quickstart", SEEN, "train", "reid-quick"),
        ("animals", PLAIN, "train", "animals"),  # a folder each individual
    ],
)
def test_data_lead_to_a_preset_that_takes_them(before, report, role, after):
    screen = with_data(form(before), "folder:/mine", report, role)
    assert screen.preset == after and screen.texts[f"data.{role}"] == "folder:/mine"
    recipes.parse(forms.values_of(screen))


def test_two_uploads_make_both_domains():
    source = with_data(form("quickstart"), "folder:/a", PLAIN, "source")
    assert "data.target" not in source.texts  # the preset's own went with it
    both = with_data(source, "folder:/b", PLAIN, "target")
    values = recipes.parse(forms.values_of(both)).data
    assert (values.source, values.target) == ("folder:/a", "folder:/b")


def given(screen, *parts):
    """The data of a form after some more were given, as (role, spec)."""
    for role, spec in parts:
        screen = with_data(screen, spec, PLAIN, role)
    return {key.removeprefix("data."): text for key, text in screen.texts.items() if key.startswith("data.")}


def test_what_a_person_named_stays_whatever_is_named_next():
    a, b, c = "builtin:glyphs?domain=mono", "builtin:glyphs?domain=stix", "folder:/c"
    align, own = form("align-compare"), form("align-compare").texts["data.source"]
    assert given(align, ("source", a), ("target", c)) == {"source": a, "target": c}
    assert given(align, ("target", b), ("source", c)) == {"source": c, "target": b}
    assert given(align, ("source", own), ("target", c)) == {"source": own, "target": c}
    assert given(align, ("source", a), ("target", b), ("target", c)) == {"source": a, "target": c}
    assert given(form("quickstart"), ("val", "folder:/v"), ("train", c)) == {"train": c, "val": "folder:/v"}


def test_what_belonged_to_the_data_before_goes_with_them():
    assert given(form("align-compare"), ("target", "folder:/b")) == {"target": "folder:/b"}
    assert given(form("quickstart"), ("train", "folder:/a"), ("val", "folder:/v"), ("train", "folder:/b")) == {
        "train": "folder:/b"
    }


def test_one_class_is_no_classifier_and_boxes_of_one_class_are_a_detector():
    with pytest.raises(DataError, match="cat"):
        refuse_one_class({"truth": "labels", "classes": {"cat": 30, "dog": 0}}, "en")
    refuse_one_class(BOXED, "en")


def test_code_is_shown_whole_whatever_fence_is_in_it():
    shown = html.code("a: 1\n~~~~\n<b>x</b>", "yaml")
    fence = shown.splitlines()[-1]
    assert set(fence) == {"~"} and len(fence) == 5 and shown.startswith(f"{fence}yaml\n")
    assert html.code("ls", "shell") == "~~~~shell\nls\n~~~~"


@pytest.mark.parametrize(("judged", "legends"), [(0.9 - 4e-7, 1), (0.2, 2)])
def test_a_score_that_is_another_curve_over_again_does_not_hide_it(judged, legends):
    names = {"train/loss": 1.0, "val/accuracy": 0.9, "val/score": judged}
    view = View(
        "a-run", scalars=[dict(name=name, step=step, value=value) for name, value in names.items() for step in (0, 9)]
    )
    losses, scores = drawn_curves(view, "en")
    assert losses.count("<polyline") == 1 and scores.count("<polyline") == legends and "accuracy · validation" in scores


def test_every_kind_of_figure_has_its_chinese_name():
    saved = r"""job\.(?:figure|film)\(\s*f?"([\w -]+?)(?=[ -]?["{])"""
    kinds = {kind for wing in ("adapters", "fewshot") for file in (ROOT / wing).rglob("*.py")
             for kind in re.findall(saved, file.read_text(encoding="utf-8"))}  # fmt: skip
    assert kinds == set(words("zh-figures"))
    assert display_names.figure("samples-0012", "zh") == "样例-0012"
    assert display_names.figure("before-and-after-a to b", "zh") == "适应前后-a to b"
    assert display_names.figure("classes of mine", "en") == "classes of mine"


def test_a_curve_is_called_by_its_number_and_the_images_it_is_of():
    assert display_names.curve("val/map_50", "detect", "en") == "mAP at IoU 0.5 · validation"
    assert display_names.curve("val/miou", "segment", "zh") == "mIoU · 验证"
    assert display_names.curve("fewshot/ridge/train/loss", "classify", "en") == "fewshot/ridge/loss · training"
    assert display_names.curve("train/bbox_ctrness", "detect", "zh") == "bbox ctrness · 训练"
    assert display_names.curve("gap_to_target", "align", "en") == "gap to target"
    assert display_names.curve("interval/width", "align", "en") == "interval/width"  # no part of a word


def test_curves_of_runs_share_axes_and_none_leaves_them():
    drawn = curves.draw(
        {"<a>": [(0, 0.2), (50, 0.91)], "b": [(0, 0.1), (120, float("nan"))], "none": []}, "val/accuracy"
    )
    assert drawn.count("<polyline") == 2 and "&lt;a&gt;" in drawn and "nan" not in drawn
    numbers = [float(part) for way in re.findall("points='([^']*)'", drawn) for part in re.split("[ ,]", way)]
    assert all(0 <= number <= curves.WIDTH for number in numbers)
    assert curves.draw({"empty": []}, "x") == ""


@pytest.mark.parametrize("values", [[0.0], [0.93, 0.9312], [0, 12345], [-3, 2]])
def test_ticks_are_few_and_hold_all_values(values):
    ticks = curves.ticks(values)
    assert 2 <= len(ticks) <= 8 and ticks[0] <= min(values) and ticks[-1] >= max(values)
