"""Node folders as users of Crossbar.io have them, each run with wampd in the place of crossbar.

Each row of FOLDERS is a folder of crossbar/folders: `.crossbar` with a configuration, and the programs of authenticators,
components and clients. A case starts wampd on it, runs the programs of the row one after another as a script would, and
stops the node. The files name fixed ports, as those of users do: what runs is a copy with free ports in their place.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from programs import HERE, check, execute, free_port, kill, listens, tail

FOLDERS_AT = HERE / "crossbar/folders"
READY_TIMEOUT = 15
STOP_TIMEOUT = 10

# What is a port in the files of a folder.
PORT = re.compile(r"\b80[89][0-9]\b")
# Files that may name ports.
TEXTS = {".json", ".yaml", ".py", ".js", ".html"}


@dataclass(frozen=True)
class Run:
    """A program of the folder."""

    # The file and its arguments; it runs in the folder above, with the Python that has Autobahn.
    program: str
    environment: dict = field(default_factory=dict)
    status: int = 0
    # Patterns that must be found in what it prints, in this order.
    prints: tuple = ()


@dataclass(frozen=True)
class Folder:
    """A node folder, and what is played with it."""

    path: str
    runs: tuple
    # The environment of the node.
    environment: dict = field(default_factory=dict)
    # More options of `wampd start`.
    options: tuple = ()
    # What must be in the log of the node before the programs run, and after all of them.
    ready: tuple = ()
    logged: tuple = ()
    # What must never be in the log of the node.
    secrets: tuple = ()


FOLDERS = [
    Folder(
        "ticket/static",
        environment={"ROBOT_TICKET": "r2-d2 beeps"},
        ready=("the calculator is ready",),
        secrets=("r2-d2 beeps", "nobody knows"),
        runs=(
            Run(
                "client.py robot",
                {"TICKET": "r2-d2 beeps"},
                prints=("joined as robot with role visitor by static", "2 \\+ 3 = 5", "not registered: wamp.error.not_auth"),
            ),
            Run("client.py robot", {"TICKET": "c-3po talks"}, status=1, prints=("left: wamp.error.not_authorized",)),
            Run("client.py nobody", {"TICKET": "nobody knows"}, status=1, prints=("left: wamp.error.not_authorized",)),
        ),
    ),
]


def folder_cases(wampd, python, work, report):
    for folder in FOLDERS:
        report.case("folder " + folder.path, lambda: play(folder, wampd, python, work))


def play(folder, wampd, python, work):
    """Plays a row; its copy of the folder is in `work`, from which everything runs."""
    shutil.copytree(FOLDERS_AT / folder.path, work / folder.path)
    ports = replace_ports(work / folder.path)
    node = Node(folder, wampd, python, work)
    try:
        node.wait(lambda: all(listens("tcp", port) for port in ports), "it listens")
        node.logged(folder.ready)
        for run in folder.runs:
            program, *arguments = shlex.split(run.program)
            result = execute([python, "./{}/{}".format(folder.path, program), *arguments], run.environment, work)
            output = result.stdout + result.stderr
            told = "{}\n{}---- log of the node\n{}".format(run.program, output, tail(node.log()))
            check(result.returncode == run.status, "exit status {} of {}".format(result.returncode, told))
            for pattern in run.prints:
                match = re.search(pattern, output)
                check(match, "no {!r} from {}".format(pattern, told))
                output = output[match.end() :]
        node.logged(folder.logged)
        node.stop()
    finally:
        kill(node.process)
    for secret in folder.secrets:
        check(secret not in node.log(), "a secret is in the log: {}".format(secret))


def replace_ports(place):
    """Puts a free port in the place of each that the files name; returns those of the configuration."""
    free = {}
    for file in (file for file in place.rglob("*") if file.suffix in TEXTS):
        text = PORT.sub(lambda port: str(free.setdefault(port[0], free_port())), file.read_text())
        file.write_text(text)
    configured = "".join(file.read_text() for file in (place / ".crossbar").glob("config.*"))
    return [port for port in free.values() if str(port) in configured]


class Node:
    """A wampd that runs a folder."""

    def __init__(self, folder, wampd, python, work):
        self.output = work / (folder.path.replace("/", "-") + ".log")
        cbdir = "--cbdir=./{}/.crossbar".format(folder.path)
        # The python that the folder's own programs find is the one that has Autobahn.
        path = os.pathsep.join([str(Path(python).parent), os.environ.get("PATH", "")])
        with self.output.open("w") as log:
            self.process = subprocess.Popen(
                [str(wampd), "start", cbdir, *folder.options], cwd=work,
                env={**os.environ, "PATH": path, **folder.environment},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def log(self):
        return self.output.read_text(errors="replace")

    def wait(self, condition, what):
        deadline = time.monotonic() + READY_TIMEOUT
        while not condition():
            alive = self.process.poll() is None and time.monotonic() < deadline
            check(alive, "the node's end, or too long, before {}:\n{}".format(what, tail(self.log())))
            time.sleep(0.02)

    def logged(self, parts):
        for part in parts:
            self.wait(lambda: part in self.log(), "{!r} is in its log".format(part))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AssertionError("still running {} s after SIGTERM".format(STOP_TIMEOUT)) from None
        check(status == 0, "exit status {} of the node".format(status))
