"""One step of making the environment: where things go, a pip command, and a failure in one sentence."""

import collections
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"


class Failure(Exception):
    """A step that failed: one sentence, and below it the last lines that the step itself printed."""

    def __init__(self, sentence: str, output: str = "") -> None:
        lines = [f"  | {line[:160]}" for line in output.splitlines()[-8:]]
        super().__init__("\n".join([sentence, *lines]))
        self.sentence = sentence


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def venv_python() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def pip(*arguments: str, doing: str) -> None:
    """Runs one pip command in `.venv` with plain progress. Raises Failure with the reason in a sentence."""
    say(f"{doing} ...")
    command = [str(venv_python()), "-m", "pip", "--no-input", "--disable-pip-version-check", *arguments]
    last: collections.deque[str] = collections.deque(maxlen=300)
    with subprocess.Popen(
        [*command, "--progress-bar", "off"],
        cwd=ROOT,
        env={**os.environ, "PIP_USER": "0", "PYTHONIOENCODING": "utf-8"},  # PIP_USER=1 is refused inside a venv
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            last.append(line.rstrip())
            if line.lstrip().startswith(("Collecting ", "Downloading ", "Building wheel", "Installing collected")):
                say(f"  {line.strip()[:110]}")
    if process.returncode:
        output = "\n".join(last)
        raise Failure(f"{doing} failed: {reason(output)}", output)


NO_RELEASE = (
    f"a package has no release for Python {sys.version.split()[0]} on this system; another Python from 3.11 on may "
    "have one."
)
#: what pip's output shows, and what it means for the person in front of it
REASONS = (
    (r"No space left|Errno 28|not enough space", "the disk is full; make room and run this again."),
    (
        r"NewConnectionError|name resolution|getaddrinfo|timed out|ProxyError|SSLError|Max retries|Connection\w*Error",
        "the package registry can't be reached; check the network or proxy and run this again.",
    ),
    (r"Permission denied|Errno 13|WinError 5", "a folder can't be written; check who owns it and run this again."),
    (
        r"command '\S*(gcc|cc|clang|g\+\+)\S*' failed|Visual C\+\+ \S+ or greater is required|Python\.h",
        "there is no C compiler with Python's headers (Debian, Ubuntu: apt install build-essential python3-dev).",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        "a downloaded file is not the one that was locked (its hash differs). If it came from a mirror, ask its "
        "keeper; nothing of it was installed.",
    ),
    (r"No matching distribution|Could not find a version|Requires-Python", NO_RELEASE),
)


def reason(output: str) -> str:
    """pip's output in one sentence."""
    return next((sentence for seen, sentence in REASONS if re.search(seen, output)), "pip's last lines say why.")
