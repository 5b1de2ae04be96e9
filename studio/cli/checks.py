"""What is right and what is missing: of a data set, and of this machine."""

import argparse

from studio.cli.parser import command, json_option
from studio.core.home import Home


def _data_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["check"])
    parser.add_argument("spec", help="such as folder:photos or zip:photos.zip")
    json_option(parser)


@command("data", "check a dataset: counts, broken files, duplicates, leaks", _data_arguments)
def data(args: argparse.Namespace) -> int:
    from studio.data import check
    from studio.terminal import show_data_report

    return show_data_report(check(args.spec), args.json)


@command("doctor", "versions, devices, memory, home folder, what is missing", json_option)
def doctor(args: argparse.Namespace) -> int:
    from studio.runs.doctor import examine
    from studio.terminal import show_doctor

    return show_doctor(examine(Home.find()), args.json)
