"""Annotations in any encoding that they declare; one that nothing says is not guessed."""

import pytest
from box_writers import coco, right, said, voc, xml, yolo

from studio.data import open_data


@pytest.mark.parametrize(
    ("declared", "codec"),
    [("gb2312", "gb2312"), ("GBK", "gbk"), ("Big5", "big5"), ("Shift_JIS", "shift_jis"), ("UTF-16", "utf-16"),
     ("utf-16", "utf-8"), ("utf-8", "utf-8-sig"), (None, "utf-16-le"), ("euc-kr", "euc-kr"),
     ("windows-1251", "cp1251")],
)  # fmt: skip
def test_an_xml_is_read_in_the_encoding_that_it_declares(tmp_path, declared, codec):
    name = {"cp1251": "гайка", "euc-kr": "너트"}.get(codec, "螺母" if codec not in ("shift_jis",) else "ナット")
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    voc(tmp_path)
    for path in (tmp_path / "Annotations").iterdir():
        path.write_bytes(xml(int(path.stem), f"{path.stem}.jpg", name, head).encode(codec))
    data = open_data(f"voc:{tmp_path}")
    right(data, names=[name, name])
    assert data.classes == [name]


@pytest.mark.parametrize(("head", "codec"), [("", "gbk"), ("utf-8", "gbk"), ("rot13", "utf-8"), ("idna", "ascii")])
def test_an_encoding_that_nothing_says_is_not_guessed(tmp_path, head, codec):
    voc(tmp_path)
    start = f'<?xml version="1.0" encoding="{head}"?>' if head else ""
    name = "螺母" if codec == "gbk" else "nut"
    (tmp_path / "Annotations" / "0.xml").write_bytes(xml(0, "0.jpg", name, start).encode(codec))
    data = open_data(f"voc:{tmp_path}")
    assert len(data) == 5 and "0.xml: no XML (its text is not" in said(data)


def test_a_json_and_a_yaml_may_be_utf16(tmp_path):
    spec = coco(tmp_path)
    (tmp_path / "ann.json").write_bytes((tmp_path / "ann.json").read_text().encode("utf-16"))
    right(open_data(spec))
    spec = yolo(tmp_path)
    for path in (tmp_path / "data.yaml", tmp_path / "labels" / "0.txt"):
        path.write_bytes(path.read_text().encode("utf-16"))
    right(open_data(spec))
