"""The front door: from nothing to an environment, without a network, with real processes and a real pip."""

import ast
import contextlib
import hashlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import types
import zipfile
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import launch
from studio.bootstrap import environment, learn2learn, lock, steps

ROOT = Path(launch.__file__).parent
CLI = "import json, os, sys\nprint(json.dumps([sys.prefix, os.getcwd(), sys.argv[1:]]))\nsys.exit(5)\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the front door with a stand-in for what lies behind it, and no environment."""
    return make_checkout(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A checkout whose environment was made by two processes at once, and what each of them said."""
    if importlib.util.find_spec("ensurepip") is None:
        pytest.skip("this Python can't make environments")
    folder = make_checkout(tmp_path_factory.mktemp("made"))
    both = [start(folder, "runs") for _ in range(2)]
    said = [process.communicate(timeout=200)[1] for process in both]
    assert [process.returncode for process in both] == [5, 5], said
    return folder, said


def make_checkout(folder: Path) -> Path:
    shutil.copy(ROOT / "launch.py", folder)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "studio" / "bootstrap", folder / "studio" / "bootstrap", ignore=ignore)
    (folder / "studio" / "__init__.py").touch()
    (folder / "studio" / "cli.py").write_text(CLI)
    (folder / "requirements.txt").write_text("firstpackage>=1,<2  # a comment\n")
    (folder / "requirements-dev.txt").write_text("# the tests\npytest[x]>=7\n")
    for name in ("firstpackage", "secondpackage"):
        write_wheel(folder / "wheels", name)
    return folder


def write_wheel(folder: Path, name: str, version: str = "1.0") -> Path:
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


def start(checkout: Path, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    """Runs launch.py there; its pip knows the wheels in the checkout and nothing else."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "PYTHON", "VIRTUAL_ENV"))}
    offline = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(checkout / "wheels")}
    return subprocess.Popen(
        [sys.executable, str(checkout / "launch.py"), *arguments],
        cwd=cwd or checkout,
        env={**kept, **offline},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def call(checkout: Path, *arguments: str, cwd: Path | None = None) -> tuple[int, str, str]:
    process = start(checkout, *arguments, cwd=cwd)
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def test_two_at_once_make_one_environment(made: tuple[Path, list[str]]) -> None:
    said = "".join(made[1])
    assert said.count("Making the environment") == said.count("Installing requirements.txt") == 1


def test_a_second_call_installs_nothing_and_passes_arguments_on_untouched(
    made: tuple[Path, list[str]], tmp_path: Path
) -> None:
    folder, _ = made
    (tmp_path / "studio.py").write_text("raise SystemExit('the wrong studio')")
    code, out, err = call(folder, "run", "--set", "a.b=c d", "é*", "--", "", cwd=tmp_path)
    assert (code, err) == (5, "")
    prefix, cwd, arguments = json.loads(out)
    assert Path(prefix).samefile(folder / ".venv")
    assert Path(cwd).samefile(tmp_path)
    assert arguments == ["run", "--set", "a.b=c d", "é*", "--", ""]


def test_help_with_an_environment_is_that_of_the_command_line(made: tuple[Path, list[str]]) -> None:
    assert json.loads(call(made[0], "run", "--help")[1])[2] == ["run", "--help"]


def test_without_learn2learn_all_else_works_and_a_note_says_why(made: tuple[Path, list[str]]) -> None:
    note = (made[0] / ".venv" / "learn2learn.txt").read_text()
    assert note.startswith("Fetching the source of learn2learn==0.2.0 failed: ")
    assert "delete" in note


def test_changed_requirements_are_installed_once(made: tuple[Path, list[str]]) -> None:
    folder, _ = made
    (folder / "requirements.txt").write_text("firstpackage\nsecondpackage==1.0.0\n")
    assert "Installing collected packages: secondpackage" in call(folder)[2]
    assert call(folder)[2] == ""


def test_a_lock_file_decides_the_version_and_its_hash_is_checked(made: tuple[Path, list[str]]) -> None:
    folder, _ = made
    wheel = write_wheel(folder / "wheels", "lockedpackage", "1.0")
    write_wheel(folder / "wheels", "lockedpackage", "1.1")  # allowed by the requirements, not by the lock
    wanted = (folder / "requirements.txt").read_text()
    locked = folder / "requirements.lock"
    try:
        (folder / "requirements.txt").write_text("lockedpackage>=1\n")
        locked.write_text(f"lockedpackage==1.0 --hash=sha256:{'0' * 64}\n")
        code, _, err = call(folder)
        assert code == 1
        assert "Installing requirements.lock failed: a downloaded file is not the one that was locked" in err
        locked.write_text(f"lockedpackage==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
        assert "Installing collected packages: lockedpackage" in call(folder)[2]
        assert list((folder / ".venv").rglob("lockedpackage-1.0.dist-info"))
        assert call(folder)[2] == ""
    finally:
        locked.unlink()
        (folder / "requirements.txt").write_text(wanted)
        call(folder)


def test_where_the_locked_version_has_no_release_one_that_is_allowed_is_taken_and_said(
    made: tuple[Path, list[str]],
) -> None:
    folder, _ = made
    write_wheel(folder / "wheels", "freepackage", "1.0")
    wanted = (folder / "requirements.txt").read_text()
    locked = folder / "requirements.lock"
    try:
        (folder / "requirements.txt").write_text("freepackage>=1\n")
        locked.write_text(f"freepackage==7.0 --hash=sha256:{'0' * 64}\n")
        code, _, err = call(folder)
        assert code == 5
        assert "Taking other versions that requirements.txt allows" in err
        assert "Installing collected packages: freepackage" in err
    finally:
        locked.unlink()
        (folder / "requirements.txt").write_text(wanted)
        call(folder)


def test_the_lock_files_hold_every_requirement_in_a_version_that_fits() -> None:
    for file in environment.requirement_files(testing=True):
        locked = [Requirement(line) for line in lock.pins(environment.lock_of(file)).splitlines()]
        here = {pin.name.lower(): pin.specifier for pin in locked if pin.marker is None or pin.marker.evaluate()}
        for line in file.read_text(encoding="utf-8").splitlines():
            text = line.partition("#")[0].strip()
            if text:
                wanted = Requirement(text)
                version = str(here[wanted.name.lower()]).removeprefix("==")
                assert wanted.specifier.contains(version), f"{text} but {version} is locked: renew the lock files"


def test_a_half_made_environment_is_completed(made: tuple[Path, list[str]]) -> None:
    folder, _ = made
    (folder / ".venv" / "requirements.stamp").unlink()
    code, _, err = call(folder)
    assert code == 5
    assert "Installing requirements.txt" in err
    assert "Making the environment" not in err


def test_a_failed_step_is_one_sentence_with_the_last_lines_below(made: tuple[Path, list[str]]) -> None:
    folder, _ = made
    wanted = (folder / "requirements.txt").read_text()
    (folder / "requirements.txt").write_text("thirdpackage\n")
    code, out, err = call(folder, "runs")
    lines = err.strip().splitlines()
    said = next(line for line in lines if line.startswith("launch.py: "))
    assert (code, out) == (1, "")
    assert "Installing requirements.txt failed: a package has no release for Python" in said
    below = lines[lines.index(said) + 1 :]
    assert 1 <= len(below) <= 8
    assert all(line.startswith("  | ") for line in below)
    assert "thirdpackage" in below[-1]
    (folder / "requirements.txt").write_text(wanted)
    assert call(folder, "runs")[0] == 5


def test_help_answers_without_an_environment_and_names_every_command(checkout: Path) -> None:
    code, out, err = call(checkout, "--help")
    assert (code, err) == (0, "")
    assert "not made yet" in out
    assert not (checkout / ".venv").exists()
    from studio.cli import COMMANDS

    assert [command for command in COMMANDS if f" {command} " not in out] == []


def test_an_interpreter_that_has_the_packages_is_used_as_it_is(checkout: Path) -> None:
    (checkout / "requirements.txt").write_text("pytest[x]>=7,<1000  # a comment\n\n# another\nPyYAML\n")
    code, out, err = call(checkout, "show")
    assert (code, err) == (5, "")
    assert Path(json.loads(out)[0]).samefile(sys.prefix)
    assert not (checkout / ".venv").exists()


def test_test_hands_its_arguments_to_pytest(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (checkout / "requirements.txt").write_text("pytest\n")
    (checkout / "test_it.py").write_text("def test_yes(): pass\ndef test_no(): assert False\n")
    code, out, _ = call(checkout, "test", "-q", "-k", "yes", "test_it.py", cwd=tmp_path_factory.mktemp("elsewhere"))
    assert code == 0
    assert "1 passed, 1 deselected" in out


def test_an_old_python_gets_a_sentence_not_a_syntax_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ast.parse((ROOT / "launch.py").read_text(encoding="utf-8"), feature_version=(3, 6))
    monkeypatch.setattr(launch, "OLDEST_PYTHON", (99, 1))
    assert launch.main(["demo"]) == 1
    assert "Python 99.1 or newer is needed, and this is 3." in capsys.readouterr().err


def test_the_front_door_needs_the_standard_library_alone() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import launch, studio.bootstrap.environment"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


def test_too_little_disk_is_said_before_anything_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=3 * 2**30))
    with pytest.raises(steps.Failure, match=r"needs about 8 GB, and .* has 3.0 GB free"):
        environment.make_venv()


def test_a_python_without_venv_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else object())
    with pytest.raises(steps.Failure, match=rf"apt install python3\.{sys.version_info.minor}-venv"):
        environment.make_venv()


def test_an_interpreter_left_without_its_packages_does_not_count(tmp_path: Path) -> None:
    assert not environment.works(tmp_path / "python")
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    assert not environment.works(bare / steps.venv_python().relative_to(steps.VENV))


@pytest.mark.parametrize("version", ["0.9", "1.0", "1.0.0", "1.5.3", "1.10", "2.0", "2.6.0+cu128", "2.14.1"])
@pytest.mark.parametrize("bound", [">=1.5", "<2", "==1", "==1.5.3", ">=1.10", "<1.10.0", ">=2.6", "==0.9.0"])
def test_version_bounds_read_as_pip_reads_them(version: str, bound: str) -> None:
    assert environment.fits(version, bound) == SpecifierSet(bound).contains(version)


def test_every_bound_in_the_requirement_files_can_be_read() -> None:
    for file in environment.requirement_files(testing=True):
        assert environment.is_met_here(file) in (True, False)


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("NewConnectionError('...: Name or service not known')\nNo matching distribution", "registry can't be reached"),
        ("ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied", "can't be written"),
        ("error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory", "no C compiler"),
        ("error: command '/usr/bin/gcc' failed with exit code 1", "no C compiler"),
        ("error: Microsoft Visual C++ 14.0 or greater is required.", "no C compiler"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "not the one that was locked"),
        ("ERROR: No matching distribution found for torch>=2.6", "no release for Python"),
        ("something never seen", "pip's last lines say why"),
    ],
)
def test_pip_failures_are_explained(output: str, sentence: str) -> None:
    assert sentence in steps.reason(output)


def test_unpacking_leaves_out_links_climbers_and_old_c_files(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with tarfile.open(folder / "x-1.tar.gz", "w:gz") as archive:
        for name in (
            "x-1/setup.py",
            "x-1/a/b.pyx",
            "x-1/a/b.c",
            "../out.py",
            "x-1/../../out.py",
            "/tmp/out-of-here.py",
        ):
            member = tarfile.TarInfo(name)
            member.size = 2
            archive.addfile(member, io.BytesIO(b"hi"))
        link = tarfile.TarInfo("x-1/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    source = learn2learn.unpack(folder / "x-1.tar.gz", folder.resolve())
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if not path.is_dir())
    assert written == ["in/x-1.tar.gz", "in/x-1/a/b.pyx", "in/x-1/setup.py"]
    with pytest.raises(steps.Failure, match=r"its setup\.py has no "):
        learn2learn.modernize(source)


def test_the_learn2learn_built_here_adapts_a_model_through_its_gradients() -> None:
    if importlib.util.find_spec("learn2learn") is None:
        pytest.skip("learn2learn is not installed here; `launch.py doctor` says why")
    with contextlib.redirect_stderr(io.StringIO()):  # gym's banner
        from learn2learn.algorithms import MAML
    start = torch.tensor([2.0], dtype=torch.float64)
    module = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
    module.weight.data.fill_(3.0)
    learner = MAML(module, lr=0.1)
    clone = learner.clone()
    clone.adapt(clone(start).square().sum())  # w' = w - 0.1 * 8 w = 0.2 w
    clone(start).square().sum().backward()  # 4 w'^2 = 0.16 w^2, and its slope is 0.32 w
    assert clone.module.weight.item() == pytest.approx(0.6)
    assert module.weight.grad.item() == pytest.approx(0.96)


def test_on_windows_the_child_is_waited_for_and_its_exit_code_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "os", types.SimpleNamespace(name="nt", environ={}, pathsep=";"))
    assert launch.hand_over(sys.executable, ["-c", "raise SystemExit(7)"]) == 7
