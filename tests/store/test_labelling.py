"""Labelling projects: nothing that was said is lost, whoever writes and whenever it is killed."""

import multiprocessing

import pytest

from studio.core.errors import UsageError
from studio.core.home import Home
from studio.store.labelling import Project, projects
from studio.store.uploads import names_in_use


@pytest.fixture
def project(home):
    return Project.create(home, "photos", "images:somewhere", "classes", ["cat", "dog"], {})


def test_what_was_said_is_there_for_another_process_at_once(project, home):
    project.mark("a.jpg", {"label": "cat"})
    project.skip("b.jpg")
    project.mark("b.jpg", {"label": "hen"})
    labels = Project(home, "photos").read()
    assert labels.truths == {"a.jpg": {"label": "cat"}, "b.jpg": {"label": "hen"}}
    assert (labels.classes, labels.skipped, labels.last) == (["cat", "dog", "hen"], [], "b.jpg")


def test_undo_takes_back_act_by_act_down_to_the_beginning(project):
    project.mark("a.jpg", {"label": "cat"})
    project.mark("a.jpg", {"label": "hen"})
    project.rename_class("cat", "kitty")
    assert project.read().classes == ["kitty", "dog", "hen"]
    assert [project.undo(), project.undo()["truth"]] == [{"rename": ["cat", "kitty"]}, {"label": "hen"}]
    assert project.read().truths == {"a.jpg": {"label": "cat"}} and project.read().classes == ["cat", "dog"]
    assert [project.undo()["image"], project.undo()] == ["a.jpg", None]
    assert project.read().truths == {}


def test_a_version_is_what_the_first_acts_said(project):
    for name in ("a", "b", "c"):
        project.mark(name, {"label": "cat"})
    at = project.read().acts
    project.undo()
    project.mark("d", {"label": "dog"})
    assert list(project.read(at).truths) == ["a", "b", "c"]
    assert list(project.read().truths) == ["a", "b", "d"]
    with pytest.raises(UsageError, match="has 6 acts"):
        project.read(7)


def test_an_act_that_a_kill_cut_short_is_dropped_and_written_over(project):
    project.mark("a.jpg", {"label": "cat"})
    whole = project.path.read_bytes()
    project.path.write_bytes(whole + b'{"image": "b.j')
    assert list(project.read().truths) == ["a.jpg"]
    project.mark("c.jpg", {"label": "dog"})
    assert list(project.read().truths) == ["a.jpg", "c.jpg"]
    assert project.path.read_bytes().startswith(whole)


def _mark_many(root, prefix):
    project = Project(Home.find(root), "photos")
    for number in range(25):
        project.mark(f"{prefix}{number}", {"label": "cat"})


def test_two_processes_lose_nothing(project, home):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_mark_many, args=(home.root, prefix)) for prefix in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(project.read().truths) == 50


def test_a_visitor_has_projects_of_their_own(project, home):
    visitor = home.seen_by("visitor01")
    assert projects(visitor) == []
    with pytest.raises(UsageError, match="no labelling project 'photos'"):
        Project(visitor, "photos").read()
    Project.create(visitor, "photos", "images:else", "boxes", [], {})
    assert Project(home, "photos").read().kind == "classes" and projects(home) == ["photos"]


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a" * 65, "a?b", "a\nb"])
def test_a_name_leads_nowhere_else(home, name):
    with pytest.raises(UsageError, match="can't be the name"):
        Project(home, name)


def test_a_class_must_be_a_name(project):
    for name in ("", "  ", "x" * 81, "a\nb"):
        with pytest.raises(UsageError, match="name of a class"):
            project.mark("a.jpg", {"label": name})
    with pytest.raises(UsageError, match="no class 'cta'. Did you mean 'cat'"):
        project.rename_class("cta", "x")
    with pytest.raises(UsageError, match="already"):
        Project.create(project._home, "photos", "images:x", "classes", [], {})


def test_an_upload_that_is_being_labelled_is_in_use(home):
    Project.create(home.seen_by("visitor01"), "p", "images:/x/uploads/visitor01/0123456789abcdef.zip", "boxes", [], {})
    assert "0123456789abcdef.zip" in names_in_use(home)
