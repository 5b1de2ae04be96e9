#!/usr/bin/env python3
"""The front door: makes the environment once, then hands over. Standard library only.

python launch.py demo                a first run, from nothing to a working classifier
python launch.py test [ARGUMENTS]    the whole test suite on all cores, or pytest with these arguments
python launch.py COMMAND ...         everything else goes to studio.cli, untouched
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
OLDEST_PYTHON = (3, 11)
#: a process a core, which keeps the fixtures of a file together; files go in the order of tests/conftest.py
WHOLE_SUITE = ["-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder"]

HELP = """Transfer Studio: move pretrained vision models to your classes.

usage: python launch.py [COMMAND] [OPTIONS]

  ui            serve the page (also without a command): --host --port --preset --auth --share
  demo          a first run, from nothing to a working classifier
  test          run the test suite; the arguments go to pytest
  presets       list presets                    methods      list methods and their parameters
  backbones     list backbones usable now       run          run a preset or a YAML file
  runs          list runs                       show         show a run
  compare       several runs side by side       stop         ask a run to save and stop
  resume        go on with a run                label        label images that have no truth yet
  sweep         many runs of one recipe, its keys chosen by Optuna
  predict       predict images or folders       teach        teach a checkpoint a class, or correct it
  embed         write features of a data set    nearest      find the nearest images among them
  checkpoints   list checkpoints                verify       check stored files
  import        bring a checkpoint in           export       write a checkpoint for other tools
  push          send to STUDIO_STORE            pull         bring from STUDIO_STORE
  serve         answer over HTTP                bench         measure every form of a checkpoint
  tools         list what else can be done      tool         do it with a checkpoint
  gc            remove what nothing refers to   data check   report on a dataset
  doctor        versions, devices, missing      space        make the folder of a Hugging Face Space

`python launch.py COMMAND --help` tells more once the environment is made. It is not made yet: the
first command makes it (several GB, some minutes), and `python launch.py demo` is a good first one."""


def main(argv: list) -> int:
    if sys.version_info < OLDEST_PYTHON:
        print(f"launch.py: {too_old()}", file=sys.stderr)
        return 1
    sys.path.insert(0, str(ROOT))
    from studio.bootstrap import environment
    from studio.bootstrap.steps import Failure, say

    testing = argv[:1] == ["test"]
    try:
        python = environment.find(testing)
        if python is None and ("--help" in argv or "-h" in argv):
            print(HELP)
            return 0
        python = python or environment.make(testing)
    except Failure as failure:
        say(f"launch.py: {failure}")
        return 1
    except OSError as error:
        say(f"launch.py: The environment can't be made in {ROOT}: {error}.")
        return 1
    except KeyboardInterrupt:
        say("\nlaunch.py: Stopped; the same command goes on from here.")
        return 3
    if testing:
        os.chdir(ROOT)
        return hand_over(python, ["-m", "pytest", *(argv[1:] or WHOLE_SUITE)])
    return hand_over(python, ["-m", "studio.cli", *argv])


def too_old() -> str:
    needed, found = ".".join(map(str, OLDEST_PYTHON)), sys.version.split()[0]
    return f"Python {needed} or newer is needed, and this is {found}; install a newer one and run launch.py with it."


def hand_over(python: str, arguments: list) -> int:
    """Becomes Python with these arguments; on Windows waits for it instead and returns its exit code."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [python, "-P", *arguments]  # -P: a stray studio.py in the working folder is not taken for ours
    if os.name != "nt":
        os.execv(python, command)
    process = subprocess.Popen(command)
    while True:
        with contextlib.suppress(KeyboardInterrupt):  # the child got it too, and decides
            return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
