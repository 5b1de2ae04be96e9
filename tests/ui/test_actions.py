"""What the page does without Gradio: uploads, hosted limits, views of runs, words."""

import ast
import json
import re
import string
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import DataError, UsageError
from studio.core.events import KINDS, EventWriter, read_events
from studio.core.rights import VISITOR
from studio.data import open_data
from studio.data.specs import allows, parse
from studio.runs.sweep.background import Seen
from studio.store import Manifest, Store
from studio.ui import build_app, html
from studio.ui.actions import Actions, safe_name
from studio.ui.catalogue import _FOLDER, explained, say, translated, words
from studio.ui.html import table
from studio.ui.pages.holdings import draw
from studio.ui.pages.runs import MOST_ROWS, has_words, table_of_runs
from studio.ui.pages.sweeps import how_far
from studio.ui.views import POINTS, Curve, View, Views
from studio.ui.visitors import Visitors

WRONG = ("status", "what", "done", "total", "name", "value", "step", "path", "columns", "rows", "message", "metrics")


def test_both_catalogues_have_the_same_keys_and_the_same_blanks():
    english, chinese = words("en"), words("zh")
    assert {key for key in english if not key.startswith("field.")} == {
        key for key in chinese if not key.startswith("field.")
    }
    for key in english.keys() & chinese.keys():
        blanks = [
            {name for _, name, _, _ in string.Formatter().parse(text[key]) if name} for text in (english, chinese)
        ]
        assert blanks[0] == blanks[1], key
        assert chinese[key].strip() and english[key].strip()


def test_every_field_on_the_page_has_its_hint_in_both_languages():
    known = {key for task in registry.tasks() for key in recipes.fields_of(task.name)}
    for key in known - {"about", "task", "method", "params"}:
        assert words("en")[f"field.{key}"]
        assert words("zh")[f"field.{key}"]


@given(st.text(max_size=120))
def test_a_safe_name_is_one_plain_file_name(text):
    name = safe_name(text)
    assert name and not set(name) & set('<>:"/\\|?*') and not name.startswith(".") and name not in (".", "..")
    assert len(name) <= 81


def test_photos_by_class_are_kept_in_the_home(home, tmp_path):
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"x")
    spec = Actions(home).take_classes({"cat": [str(photo)], "../dog": [str(photo), str(photo)]})
    folder = home.uploads / spec.removeprefix("folder:")
    assert folder.is_relative_to(home.uploads)
    assert sorted(child.name for child in folder.iterdir()) == ["_dog", "cat"]
    assert len(list((folder / "_dog").iterdir())) == 2


def test_one_class_is_too_few(home, tmp_path):
    with pytest.raises(DataError, match="two classes"):
        Actions(home).take_classes({"cat": ["x.jpg"], "": ["y.jpg"]})


def test_a_zip_is_kept_by_content(home, tmp_path):
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("cat/1.jpg", b"x")
    actions = Actions(home)
    assert actions.take_zip(file) == actions.take_zip(file)
    with pytest.raises(DataError, match=r"\.zip"):
        actions.take_zip(tmp_path / "a.pt")


def test_what_is_given_to_a_hosted_page_is_kept_with_its_visitor(home, tmp_path, monkeypatch):
    photo = tmp_path / "1.png"
    photo.write_bytes(b"x")
    actions, specs = Actions(home, hosted=True), {}
    for visitor in ("visitor01", "visitor02"):
        monkeypatch.setattr(Visitors, "current", lambda self, visitor=visitor: visitor)
        specs[visitor] = actions.take_classes({"cat": [str(photo)], "dog": [str(photo)]})
    for visitor, other in (("visitor01", "visitor02"), ("visitor02", "visitor01")):
        rights = home.seen_by(visitor).rights
        assert all(allows(part, rights) for part in parse(specs[visitor] + ",builtin:digits"))
        assert not allows(parse(specs[other])[0], rights)


def test_a_hosted_desk_without_a_visitor_shows_nothing_and_keeps_apart(home):
    Store(home).new_run(recipes.parse({"data": {"train": "builtin:digits"}}))
    actions = Actions(home, hosted=True)
    assert actions.store.runs() == [] and actions.home.visitor and len(Actions(home).store.runs()) == 1


def test_the_owners_checkpoints_and_token_are_not_a_visitors_to_use(home, monkeypatch):
    kept = Store(home).put(Manifest(face="Learner", task="classify", method="finetune/full"), {"a": torch.zeros(2)})
    actions = Actions(home, hosted=True)
    actions.warm.get(f"{kept.id} ", lambda: torch.zeros(1))  # somebody has used it just now
    for use in (lambda: actions.model(kept.id), lambda: actions.export(kept.id, "safetensors")):
        with pytest.raises(UsageError, match="There is no checkpoint"):
            use()
    monkeypatch.setenv("HF_TOKEN", "hf_owner")
    with pytest.raises(UsageError, match="pushes nothing"):
        actions.push(kept.id, "safetensors", "me/model")


def test_a_hosted_page_sends_nothing_to_clusters_and_makes_no_sweeps(home):
    actions = Actions(home, hosted=True)
    assert actions.places == [] and actions.sweeps() == []
    for refused in (
        lambda: actions.start({}, on="ray"),
        lambda: actions.sweep({}, ["train.lr=1,2"], 2),
        lambda: actions.stop_sweep("x"),
    ):
        with pytest.raises(UsageError, match="hosted page"):
            refused()


def test_the_page_shows_the_table_of_a_sweep_from_its_runs_and_then_from_the_run_of_the_whole(home):
    store, runs = Store(home), {}
    for seed in range(3):
        run = store.new_run(recipes.load("quickstart", {"train.seed": seed}, home))
        with EventWriter(run.events_path) as events:
            events.emit("metrics", metrics={"accuracy": 0.9})
            events.emit("table", name="the whole", columns=["method", "mean"], rows=[["coral", 0.5]])
            events.status("finished")
        runs["whole" if seed == 2 else f"seed {seed}"] = run.id
    folder = home.root / "sweeps" / "small"
    folder.mkdir(parents=True)
    progress = {"done": 2, "total": 3, "at_work": 0, "best": None, "best_values": {}, "left_s": None}
    (folder / "progress.json").write_text(json.dumps(progress))
    (folder / "runs.json").write_text(json.dumps({name: run for name, run in runs.items() if name != "whole"}))
    parts = how_far(Actions(home), "en")
    assert "2 of 3 runs done" in parts and "LaTeX" in parts and "the whole" not in parts
    (folder / "runs.json").write_text(json.dumps(runs))
    whole = how_far(Actions(home), "en")
    assert "the whole" in whole and "coral" in whole and "LaTeX" not in whole
    assert how_far(Actions(home, hosted=True), "en") == html.sweeps([], "en")


def test_a_checkpoint_is_named_renamed_and_deleted_and_a_visitor_deletes_only_what_is_theirs(home):
    def put():
        facts = {"face": "EpisodeHead", "task": "classify", "method": "fewshot/prototypes", "classes": ["a", "b"]}
        return Store(home).put(Manifest(**facts), {"a": torch.zeros(2)}).id

    actions, mine, other = Actions(home), put(), put()
    for name in ("cows", "herd"):
        actions.name_checkpoint(mine, name)
        assert dict((key, text) for text, key in actions.checkpoints())[mine].startswith(f"{name}  ·  prototypes")
    assert list(Store(home).tags()) == ["herd"]
    with pytest.raises(UsageError, match="There is no checkpoint"):
        Actions(home, hosted=True).delete_checkpoint(other)
    with pytest.raises(UsageError, match="hosted"):
        Actions(home, hosted=True).name_checkpoint(other, "mine")
    actions.delete_checkpoint(mine)
    assert [key for _, key in actions.checkpoints()] == [other] and not Store(home).tags()


def test_the_owner_sees_what_is_held_and_cleans_up_and_a_visitor_does_neither(home):
    Store(home).blobs.put(b"x" * 3 * 2**20)  # that nothing refers to
    Store(home).new_run(recipes.load("quickstart"))
    actions = Actions(home)
    for language, word in (("en", "can be cleaned up"), ("zh", "可以清理")):
        shown = draw(actions.holdings(), language)
        assert word in shown and "cpu" in shown and "quickstart" not in shown and "prototypes" in shown
    assert "3.0 MB that nothing" in draw(actions.holdings(), "en")
    assert actions.clean_up() == 3 * 2**20 and actions.holdings().garbage == 0
    for refused in (Actions(home, hosted=True).holdings, Actions(home, hosted=True).clean_up):
        with pytest.raises(UsageError, match="hosted"):
            refused()


def test_how_far_sweeps_are_is_said_in_both_languages():
    seen = [Seen(3, 8, 2, 0.93, {"train.lr": 0.0012345, "params.rank": 8}, 600.0, "vit-lora-1")]
    english, chinese = (html.sweeps(seen, language) for language in ("en", "zh"))
    assert "3 of 8 runs done, 2 at work. Best 0.93 with train.lr 0.001234, params.rank 8. About 10 min left" in english
    assert "8 次运行中已完成 3 次" in chinese and "no sweep yet" in html.sweeps([], "en")


def test_a_visitors_name_is_believed_only_with_its_signature():
    visitors = Visitors("secret")
    cookie = visitors.new()
    name = visitors.name_in(cookie)
    assert name and VISITOR.fullmatch(name) and visitors.name_in(visitors.new()) != name
    forged = (f"{name}.", f"{name}.{'0' * 64}", name, "", None, f"visitor01.{cookie.split('.')[1]}", "é.ü")
    for value in (*forged, Visitors("other").new()):
        assert visitors.name_in(value) is None


def test_curves_are_thinned_evenly_and_keep_their_last_point():
    curve = Curve()
    for step in range(10_001):
        curve.add({"name": "loss", "step": step, "value": 0.0})
        steps = [point["step"] for point in curve.points]
        assert steps[-1] == step and len(steps) <= POINTS
    gaps = {after - before for before, after in zip(steps, steps[1:-1], strict=False)}
    assert len(steps) > POINTS / 2 and len(gaps) == 1


def test_a_view_is_what_the_events_say(home):
    run = Actions(home).store.new_run(recipes.parse({"data": {"train": "builtin:digits"}}))
    views = Views()
    with run.hold(), EventWriter(run.events_path) as events:
        events.status("running")
        events.progress("training", 3, 10)
        events.scalar("train/loss", 0.5, 1)
        events.warning("left out <b>.jpg")
        seen = views.look(run)
        assert (seen.status, seen.done, seen.total) == ("running", 3, 10)
        shown = html.run_state(seen, "en")
        assert "<b>" not in shown.split("class='notes'")[1].replace("<li>", "").replace("</li>", "")
        events.emit("figure", name="x", path="../../outside.png")
        assert views.look(run).figures == []


def test_the_time_that_is_left_follows_the_pace_since_the_run_went_on(home, monkeypatch):
    run = Actions(home).store.new_run(recipes.parse({"data": {"train": "builtin:digits"}}))
    views, clock = Views(), iter([0, *range(100, 1000, 100)])
    monkeypatch.setattr("studio.core.events.time.time", lambda: next(clock))
    with run.hold(), EventWriter(run.events_path) as events:
        events.status("running")
        events.progress("cells", 60, 132)  # those of an earlier day
        assert views.look(run).left_s is None
        events.progress("cells", 61, 132)
        events.progress("cells", 62, 132)
        seen = views.look(run)
        assert seen.left_s == pytest.approx(100 * 70)
        assert re.search("cells 62 / 132 About .* left", html.run_state(seen, "en"))
        events.progress("training", 1, 4)
        assert views.look(run).left_s is None


def test_a_look_reads_what_was_written_since_and_comes_to_the_same_as_reading_all(home, monkeypatch):
    run = Actions(home).store.new_run(recipes.parse({"data": {"train": "builtin:digits"}}))
    views, reads = Views(), []

    def counted(path, start=0):
        events, end = read_events(path, start)
        reads.append(len(events))
        return events, end

    monkeypatch.setattr("studio.ui.views.read_events", counted)
    with run.hold(), EventWriter(run.events_path) as events:
        for step in range(1500):
            events.scalar("loss", step, step)
            if step % 100 == 0:
                views.look(run)
        events.status("running")
    assert sum(reads) == 1401
    assert views.look(run).status == "failed"  # nobody holds it any more
    assert views.look(run) == Views().look(run)
    assert len(views.look(run).scalars) <= POINTS


def test_events_that_are_no_objects_or_lack_their_fields_are_passed_over(home):
    run = Actions(home).store.new_run(recipes.parse({"data": {"train": "builtin:digits"}}))
    lines = ["3", "null", "[]", '"status"', "{}", '{"kind": 3}', "[" * 100_000, "\x00"]
    lines += [json.dumps({"kind": kind}) for kind in KINDS]
    lines += [json.dumps({"kind": kind, **dict.fromkeys(WRONG, value)}) for kind in KINDS for value in (None, [], "x")]
    with EventWriter(run.events_path) as events:
        events.note("before")
    with open(run.events_path, "a") as file:
        file.write("\n".join(lines) + "\n")
    with run.hold(), EventWriter(run.events_path) as events:
        events.progress("training", 3, 10)
        events.status("finished")
        seen = Views().look(run)
    assert (seen.status, seen.done, seen.notes[0]) == ("finished", 3, "before")
    html.run_state(seen, "en"), html.banner(seen, "en")


def test_only_so_many_runs_are_kept_read(home):
    actions, views = Actions(home), Views(most=3)
    for _ in range(5):
        views.look(actions.store.new_run(recipes.parse({"data": {"train": "builtin:digits"}})))
    assert len(views._readers) == 3


def test_the_help_of_parameters_has_its_chinese_and_nothing_else_is_translated():
    helps = {item["help"] for method in registry.methods() for item in registry.describe(method)["params"]}
    tasks = registry.tasks()
    helps |= {field.description for task in tasks for field in recipes.fields_of(task.name).values()}
    known = set(words("zh-params"))
    assert known <= helps, known - helps  # a translation of a help that was changed is of no use
    assert len(known) >= 0.6 * len(helps)  # a new method need not bring its own; keys that tasks share are in zh.json
    text = sorted(known)[0]
    assert translated(text, "zh") != text == translated(text, "en") and translated("unheard of", "zh") == "unheard of"


def test_what_methods_are_called_is_said_in_chinese_where_it_is_no_name():
    titles = {method.title for method in registry.methods()}
    said = words("zh-titles")
    assert said.keys() <= titles, said.keys() - titles  # one of a title that was changed is of no use
    in_words = {title for title in titles if re.search(r"\b[a-z]{3,}", title)} - {"pix2pix"}
    assert in_words <= said.keys(), in_words - said.keys()
    assert say("method.fewshot/protonet", "zh") == "fewshot/protonet  ·  原型网络"
    assert say("method.align/dann", "zh") == say("method.align/dann", "en") == "align/dann  ·  DANN"


def test_tasks_methods_presets_and_tables_are_said_in_chinese():
    texts = [registry.describe(method)["about"] for method in registry.methods()]
    abouts = {" ".join(part.split()) for text in texts for part in re.split(r"\n\s*\n", text)}
    abouts |= {row["about"] for row in recipes.list_presets()} | {task.title for task in registry.tasks()}
    known = set(words("zh-abouts"))
    stale = known - abouts  # a text that was changed since is shown in English
    assert len(stale) <= 0.1 * len(known), stale
    assert len(known & abouts) >= 0.9 * len(abouts)  # a new method need not bring its own
    shown = table({"name": "heads", "columns": ["head", "accuracy"], "rows": [["fewshot/ridge", 0.5]]}, "zh")
    assert (
        "分类头" in shown and "准确率" in shown and "fewshot/ridge" in shown and "accuracy" not in shown.split("<p>")[0]
    )


def test_errors_are_explained_in_chinese_with_what_they_name_and_else_left_alone(home):
    with pytest.raises(UsageError) as error:
        recipes.load("quickstart", {"eval.shots": 0})
    assert explained(str(error.value), "zh") == "eval.shots：收到 0；应不小于 1。"
    with pytest.raises(DataError) as error:
        open_data(f"folder:{home.root / 'nope'}")
    assert explained(str(error.value), "zh").startswith("没有文件夹") and "nope" in explained(str(error.value), "zh")
    recipe = recipes.read_yaml(recipes.find_preset("detect-quick"))
    for note in recipes.override(recipe, {"data.train": "zip:a.zip"}):
        said = explained(note, "zh")
        assert "只适合预设的内置数据" in said and not re.search(r"[a-z]{3,} [a-z]{3,}", said)
    for text in ("Something nobody foresaw.", ""):
        assert explained(text, "zh") == text
    assert explained(str(error.value), "en") == str(error.value)


def test_what_a_report_says_of_data_is_said_in_chinese():
    folder = Path(__file__).resolve().parents[2] / "studio" / "data" / "checks"
    nodes = [
        node
        for file in folder.glob("*.py")
        for function in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef) and function.name.endswith(("problems", "_ranges", "_features"))
        for node in ast.walk(ast.Module(function.body[1:], []))
    ]
    texts = [
        "".join(part.value if isinstance(part, ast.Constant) else "7" for part in getattr(node, "values", [node]))
        for node in nodes
        if isinstance(node, ast.JoinedStr) or is_text(node)
    ]
    sentences = [text for text in texts if re.match(r"[A-Z7].* .*[.?]7?$", text)]
    groups = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "_groups"]
    sentences += [f"7 images are {node.args[0].value}: a = b." for node in groups]
    assert len(sentences) > 35
    foreign = [text for text in sentences if not re.search("[\u4e00-\u9fff]", explained(text, "zh"))]
    assert not foreign, foreign


def test_what_a_run_says_as_it_goes_is_said_in_chinese():
    view = View("a-run", "running", "fewshot/prototypes", what="features of train", done=1, total=2)
    view.notes = ["Starts from checkpoint ridge-1a2b3c: its backbone.", "Goes on from step 5 of 9."]
    shown = html.run_state(view, "zh")
    assert "计算 train 的特征 1 / 2" in shown and "从第 5 步（共 9 步）继续" in shown and "Starts" not in shown
    assert "features of train 1 / 2" in html.run_state(view, "en") and "计算 train 的特征" in html.banner(view, "zh")


def test_what_is_translated_of_runs_is_what_they_say_today():
    """A sentence that was changed since would be shown in English: some words of each stand in the code."""
    root = Path(__file__).resolve().parents[2]
    modules = [path for wing in ("studio", "adapters", "fewshot") for path in (root / wing).rglob("*.py")]
    code = " ".join(node.value for path in modules for node in ast.walk(ast.parse(path.read_text())) if is_text(node))
    for pattern, chinese in json.loads((_FOLDER / "zh-runs.json").read_text(encoding="utf-8")):
        literal = re.sub(r"(?<!\\)\((?:[^()\\]|\\.)*\)\??|\\[dS]\+|\.\+|[$^]", "\0", pattern)
        words = max((piece.replace("\\", "") for piece in literal.split("\0")), key=len).strip(": ")
        assert words in code, pattern
        assert re.search("[\u4e00-\u9fff]", chinese)


def test_what_runs_remark_has_its_chinese_words():
    root = Path(__file__).resolve().parents[2]
    rows = json.loads((_FOLDER / "zh-runs.json").read_text(encoding="utf-8"))
    known = " ".join(pattern.replace("\\", "") for pattern, _ in rows)
    modules = [path for wing in ("studio", "adapters", "fewshot") for path in (root / wing).rglob("*.py")]
    calls = [node for path in modules for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    said = [pieces for call in calls if is_remark(call) and (pieces := texts_of(call.args[0]))]
    assert len(said) > 60 and [pieces for pieces in said if not any(piece[:24] in known for piece in pieces)] == []


def is_remark(call: ast.Call) -> bool:
    """Whether this is `events.note(...)` or `events.warning(...)`."""
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr not in ("note", "warning"):
        return False
    return getattr(function.value, "attr", getattr(function.value, "id", "")) == "events"


def texts_of(sentence: ast.AST) -> list[str]:
    """The longer pieces of a sentence that do not hang on what is filled in."""
    parts = sentence.values if isinstance(sentence, ast.JoinedStr) else [sentence]
    return [part.value.strip() for part in parts if is_text(part) and len(part.value.strip()) > 8]


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_a_list_of_runs_is_searched_by_words():
    row = ["first try", "accuracy 0.9", "finished", "fewshot/prototypes"]
    assert all(has_words(row, text) for text in ("", "FIRST", "proto finished", " 0.9 "))
    assert not has_words(row, "first failed")


def test_a_list_of_runs_says_what_its_columns_are_sorted_by_and_escapes_names():
    scored = {"task": "classify", "metrics": {"accuracy": 0.25}, "seconds": 3.0}
    rows = [{"run": "a", "name": "<b>", "method": "fewshot/ridge", **scored}]
    rows += [{"run": "b", "task": "detect", "method": "detect/z", "metrics": {}, "seconds": None}]
    shown = table_of_runs(rows, "en")
    assert "<b>" not in shown and "&lt;b&gt;" in shown
    assert re.findall("<tr data-run='(.)'>", shown) == ["a", "b"]
    assert re.findall("data-by='([^']*)'", shown)[1::8] == ["0.25", ""]
    many = table_of_runs([rows[1]] * (MOST_ROWS + 1), "en")
    assert many.count("<tr data-run") == MOST_ROWS and say("runs.more", "en", shown=MOST_ROWS, count=201) in many


@pytest.mark.parametrize("hosted", [False, True])
def test_a_hosted_page_shows_of_its_owners_presets_the_one_it_was_started_with(home, hosted):
    for name in ("mine-one", "mine-two"):
        (home.presets / f"{name}.yaml").write_text("about: My own\nmethod: fewshot/ridge\n", encoding="utf-8")
    page = build_app(home=home, preset="mine-one", hosted=hosted)
    box = next(block for block in page.blocks.values() if getattr(block, "elem_id", None) == "train-preset")
    names = {name for _, name in box.choices}
    assert {"mine-one", "quickstart"} <= names and ("mine-two" in names) != hosted
