"""What is right and what is missing of this machine."""

import argparse

from studio.cli.parser import command, json_option
from studio.core.home import Home


@command("doctor", "versions, devices, memory, home folder, what is missing", json_option)
def doctor(args: argparse.Namespace) -> int:
    from studio.runs.doctor import examine
    from studio.terminal import show_doctor

    return show_doctor(examine(Home.find()), args.json)
