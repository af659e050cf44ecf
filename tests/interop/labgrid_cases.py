"""labgrid, an application written for Crossbar.io, unmodified: its coordinator, exporter and client play on a wampd that runs
the node folder labgrid is shipped with.

The folder comes from the source distribution of the release; its files are not touched. They name the port, 20408, and have
the node start the coordinator as a guest.
"""

import hashlib
import os
import re
import subprocess
import tarfile
from pathlib import Path

from programs import await_node, check, execute, kill, listens, start, tail

VERSION = "23.0.6"
SOURCE_SHA256 = "0a8a0a7668633babd52ccddc461431b39ec897ce7f165812841a6b0c0130323e"
PORT = 20408
PATIENCE = 60.0

# A resource that needs no hardware.
RESOURCES = """\
desk:
  NetworkSerialPort:
    host: localhost
    port: 4000
    speed: 115200
"""
RESOURCE = "desk/desk/NetworkSerialPort"


def node_folder(source, folder):
    """Unpacks the node folder of the source distribution into `folder`."""
    digest = hashlib.sha256(Path(source).read_bytes()).hexdigest()
    check(digest == SOURCE_SHA256, "{} is another file than it was: {}".format(source, digest))
    with tarfile.open(source) as archive:
        for name in ("config-anonymous.yaml", "config.yaml"):
            member = archive.extractfile("labgrid-{}/.crossbar/{}".format(VERSION, name))
            (folder / ".crossbar" / name).write_bytes(member.read())


class Lab:
    """A wampd on labgrid's node folder, exporters, and what clients are told."""

    def __init__(self, wampd, python, source, folder):
        (folder / ".crossbar").mkdir(parents=True)
        node_folder(source, folder)
        (folder / "exporter.yaml").write_text(RESOURCES)
        self.folder, self.bin, self.wampd = folder, Path(python).parent, wampd
        self.output = folder / "wampd.log"
        self.programs = []
        check(not listens("tcp", PORT), "something listens on the port {} of labgrid's configuration".format(PORT))
        # `python3` of the configuration is the one that has labgrid.
        path = os.pathsep.join([str(self.bin), os.environ.get("PATH", "")])
        command = [str(wampd), "start", "--cbdir", ".crossbar", "--config", "config-anonymous.yaml"]
        with self.output.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, "PATH": path}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def log(self):
        return self.output.read_text(errors="replace")

    def wait(self, what, condition):
        await_node(self.process, self.log, condition, PATIENCE, "never " + what, pause=0.1)

    def exporter(self):
        program = start([str(self.bin / "labgrid-exporter"), "--name", "desk", "exporter.yaml"], self.environment(), self.folder)
        self.programs.append(program)
        return program

    def environment(self):
        return {"LG_CROSSBAR": "ws://127.0.0.1:{}/ws".format(PORT), "LG_HOSTNAME": "here", "LG_USERNAME": "somebody"}

    def client(self, *arguments):
        """What `labgrid-client` prints; it must succeed."""
        result = execute([str(self.bin / "labgrid-client"), *arguments], self.environment(), self.folder)
        told = "labgrid-client {}\n{}{}{}".format(arguments, result.stdout, tail(result.stderr), tail(self.log()))
        check(result.returncode == 0, "exit status {} of {}".format(result.returncode, told))
        return result.stdout

    def exports(self, there):
        """Waits until the resource is exported, or not any more."""
        self.wait("exported: {}".format(there), lambda: (RESOURCE in self.client("resources")) == there)

    def acquired(self):
        """The resources that the place has."""
        shown = re.search("acquired resources:\n((?:    .*\n)*)", self.client("-p", "board", "show"))
        return shown[1].split()

    def end(self):
        for program in self.programs:
            kill(program)
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            kill(self.process)


def labgrid_case(wampd, python, source, folder, report):
    report.case("labgrid {} with its own node folder".format(VERSION), lambda: play(wampd, python, source, folder))


def play(wampd, python, source, folder):
    lab = Lab(wampd, python, source, folder)
    try:
        lab.wait("ready", lambda: "Coordinator ready." in lab.log())
        exporter = lab.exporter()
        lab.exports(True)
        lab.client("-p", "board", "create")
        lab.client("-p", "board", "add-match", "desk/*/*")
        lab.client("-p", "board", "set-tags", "type=test")
        lab.client("-p", "board", "acquire")
        resource = RESOURCE + "/NetworkSerialPort"
        check(lab.acquired() == [resource], "acquired: {}".format(lab.acquired()))
        # The coordinator is told that the exporter is gone, and takes its resources back.
        kill(exporter)
        lab.exports(False)
        check(lab.acquired() == [], "acquired after the exporter was killed: {}".format(lab.acquired()))
        lab.exporter()
        lab.exports(True)
        check(lab.acquired() == [resource], "acquired after it came back: {}".format(lab.acquired()))
        lab.client("-p", "board", "release")
        reservation = lab.client("reserve", "type=test")
        check("state: allocated" in reservation and "main: board" in reservation, reservation)
        token = re.search("token: (.*)", reservation)[1]
        check(token in lab.client("reservations"), "the reservation is not listed")
        lab.client("cancel-reservation", token)
        check(token not in lab.client("reservations"), "a reservation that was canceled is listed")
        check("Traceback" not in lab.log(), "the coordinator failed:\n{}".format(lab.log()))
        lab.process.terminate()
        check(lab.process.wait(PATIENCE) == 0, "exit status of the node:\n{}".format(tail(lab.log())))
    finally:
        lab.end()
