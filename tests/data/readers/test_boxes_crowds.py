"""Crowds and difficult objects, however they are written: ignored, learned where asked, never guessed."""

import pytest
from box_writers import coco, right, said, voc

from studio.data import check, open_data


@pytest.mark.parametrize("flag", ["0", 0.0, False, "false", None, "no", ""])
def test_no_crowd_is_no_crowd_however_it_is_written(tmp_path, flag):
    data = open_data(coco(tmp_path, lambda one, number: one.update(iscrowd=flag)))
    right(data)
    assert not any(item.boxes.ignore.any() for item in data.items)


def test_an_unclear_crowd_is_left_out_by_name(tmp_path):
    data = open_data(coco(tmp_path, lambda one, number: one.update(iscrowd="maybe" if number == 0 else "1")))
    assert "annotation 0: its iscrowd 'maybe' is neither yes nor no" in said(data)
    assert all(item.boxes.ignore.all() for item in data.items[1:])


def test_boxes_that_are_all_ignored_are_said_and_can_be_learned(tmp_path):
    spec = coco(tmp_path, lambda one, number: one.update(iscrowd=1))
    report = check(spec)
    assert report.boxes["learned"] == 0 and report.learns.startswith("nothing")
    assert any("would learn nothing" in problem for problem in report.problems)
    learned = check(f"{spec}&crowds=learn")
    assert learned.boxes["learned"] == 6 and learned.learns == "6 boxes of 2 classes in 6 images"
    voc(tmp_path / "voc")
    for path in (tmp_path / "voc" / "Annotations").iterdir():
        path.write_text(path.read_text().replace("<difficult>0", "<difficult>1"))
    assert check(f"voc:{tmp_path / 'voc'}").boxes["learned"] == 0
    assert check(f"voc:{tmp_path / 'voc'}?difficult=learn").boxes["learned"] == 6
