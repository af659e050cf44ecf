"""Node folders as users of Crossbar.io have them, each run with wampd in the place of crossbar.

Each row of FOLDERS is a folder of crossbar/folders: `.crossbar` with a configuration, and programs: authenticators,
components and clients. A case starts wampd on it, runs the programs of the row one after another as a script would, and
stops the node. The files name fixed ports, as those of users do: what runs is a copy with free ports in their place.
"""

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from programs import HERE, await_node, check, execute, free_port, kill, listens, tail

FOLDERS_AT = HERE / "crossbar/folders"
# Components are started one after the other before the node listens.
READY_TIMEOUT = 60
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
    # What runs before the node starts.
    prepare: tuple = ()
    # The environment of the node.
    environment: dict = field(default_factory=dict)
    # More options of `wampd start`.
    options: tuple = ()
    # What must be in the log of the node before the programs run, and after all of them.
    ready: tuple = ()
    logged: tuple = ()
    # What must never be in the log of the node.
    secrets: tuple = ()


ROBOT = {"ROBOT_TICKET": "r2-d2 beeps"}
REFUSED = "left: wamp.error.not_authorized"
# Keys of the node, of those whom folders know, one who has two, and of one whom they do not know.
KEYS = (Run("credentials.py node"), Run("credentials.py keys anna bert oldbert mallory"))
CERTIFICATES = (Run("credentials.py certificates backend anna mallory"),)
BY_KEY = "@example.org with role visitor by static"
PROVED = "\\['nonce', 'scram_server_signature'\\]"
ROOMS = "\\['rooms'\\]"


def let_in(command, secret, joined, told="\\[\\]"):
    """The client of most folders as somebody who is let in, calls the calculator, and may do nothing else."""
    if command.startswith("cryptosign"):
        # What HELLO says is told, too.
        own = "'challenge', 'channel_binding', 'pubkey'"
        told = "\\[" + own + ("" if told == "\\[\\]" else ", ") + told.removeprefix("\\[")
    more = ("told: " + told, "2 \\+ 3 = 5", "not registered: wamp.error.not_authorized", "left: wamp.close.normal")
    return Run("client.py " + command, {"SECRET": secret}, prints=("joined arithmetic as " + joined, *more))


def refused(command, secret, reason=REFUSED):
    return Run("client.py " + command, {"SECRET": secret}, status=1, prints=(reason,))


# The second is let in by what the first has left.
RETURNING = (
    refused("wampcra anna", "starfish"),
    let_in("wampcra anna", "swordfish", "anna with role visitor by static"),
    let_in("cookie", "", "anna with role visitor by cookie"),
    refused("cookie", "cbtid=AAAABBBBCCCCDDDDEEEEFFFF", "left: wamp.error.no_matching_auth_method"),
)

FOLDERS = [
    Folder(
        "anonymous/static",
        runs=(Run("client.py anonymous", prints=("with role anybody by static", "not called: ", "registered")),),
    ),
    Folder(
        "anonymous/static",
        options=("--config=config-named.yaml",),
        runs=(Run("client.py anonymous", prints=("joined arithmetic as number 1 with role anybody by static",)),),
    ),
    Folder(
        "anonymous/dynamic",
        ready=("the door is kept", "the calculator is ready"),
        runs=(let_in("anonymous", "", "[^ ]+ with role visitor by dynamic", "\\['floor', 'rooms'\\]"),),
        logged=("somebody without a name is here: True",),
    ),
    Folder(
        "anonymous/function",
        ready=("the door is kept, alone: True", "the calculator is ready"),
        runs=(let_in("anonymous", "", "[^ ]+ with role visitor by function", "\\['floor', 'rooms'\\]"),),
    ),
    Folder(
        "ticket/static",
        environment=ROBOT,
        ready=("the calculator is ready",),
        runs=(
            let_in("ticket robot", "r2-d2 beeps", "robot with role visitor by static"),
            let_in("ticket guard", "halt", "guard with role visitor by static"),
            refused("ticket robot", "c-3po talks"),
            refused("ticket stranger", "r2-d2 beeps"),
        ),
        secrets=("r2-d2 beeps", "c-3po talks", "halt"),
    ),
    Folder(
        "ticket/dynamic",
        environment=ROBOT,
        ready=("the door is kept", "the calculator is ready"),
        runs=(
            let_in("ticket robot", "r2-d2 beeps", "robot with role visitor by dynamic"),
            let_in("ticket guard", "halt", "guard with role visitor by dynamic"),
            refused("ticket robot", "c-3po talks", "left: door.bad_ticket"),
            refused("ticket stranger", "r2-d2 beeps", "left: door.stranger"),
        ),
        secrets=("r2-d2 beeps", "c-3po talks", "halt"),
    ),
    Folder(
        "ticket/function",
        environment=ROBOT,
        ready=("the door is kept", "the calculator is ready"),
        runs=(
            let_in("ticket robot", "r2-d2 beeps", "robot with role visitor by function"),
            refused("ticket robot", "c-3po talks", "left: door.bad_ticket"),
            refused("ticket stranger", "r2-d2 beeps", "left: door.stranger"),
        ),
        secrets=("r2-d2 beeps", "c-3po talks", "halt"),
    ),
    Folder(
        "ticket/realms",
        ready=("the door is kept",),
        runs=(
            Run("client.py ticket anna -", {"SECRET": "a ticket of anna"}, prints=("kitchen as anna", "registered")),
            Run("client.py ticket bert -", {"SECRET": "a ticket of bert"}, prints=("joined cellar as bert",)),
            Run("client.py ticket anna kitchen", {"SECRET": "a ticket of anna"}, prints=("joined kitchen as anna",)),
            refused("ticket anna cellar", "a ticket of anna", "left: door.wrong_place"),
            refused("ticket anna -", "a ticket of bert", "left: door.bad_ticket"),
        ),
    ),
    Folder(
        "wampcra/static",
        environment={"WORD": "swordfish"},
        ready=("the calculator is ready", "hello: sees True as calculator"),
        runs=(
            let_in("wampcra anna", "swordfish", "anna with role visitor by static"),
            let_in("wampcra bert", "swordfish", "bert with role visitor by static"),
            refused("wampcra anna", "starfish"),
            refused("wampcra bert", "starfish"),
            refused("wampcra stranger", "swordfish"),
        ),
        logged=("anna comes with role visitor", "bert comes with role visitor"),
        secrets=("swordfish", "starfish"),
    ),
    Folder(
        "wampcra/dynamic",
        ready=("the door is kept", "the calculator is ready"),
        runs=(
            let_in("wampcra anna", "anna's word", "anna with role visitor by dynamic"),
            let_in("wampcra bert", "bert's word", "bert with role visitor by dynamic"),
            let_in("wampcra carl", "carl's word", "number 7 with role visitor by dynamic"),
            refused("wampcra anna", "bert's word"),
            refused("wampcra stranger", "anna's word", "left: door.stranger"),
        ),
        secrets=("anna's word", "bert's word", "carl's word"),
    ),
    Folder(
        "wampcra/guest",
        ready=("doorkeeper is ready", "calculator is ready"),
        runs=(
            let_in("wampcra anna", "anna's word", "anna with role visitor by dynamic"),
            let_in("wampcra bert", "bert's word", "bert with role visitor by dynamic"),
            refused("wampcra anna", "bert's word"),
            refused("wampcra stranger", "anna's word", "left: "),
        ),
        logged=("anna comes to arithmetic by wampcra",),
    ),
    Folder(
        "scram/static",
        ready=("the calculator is ready",),
        runs=(
            let_in("scram anna@example.org", "swordfish", "anna@example.org with role visitor by static", PROVED),
            let_in("scram bert@example.org", "angelfish", "bert@example.org with role visitor by static", PROVED),
            refused("scram anna@example.org", "angelfish"),
            refused("scram bert@example.org", "swordfish"),
            refused("scram stranger@example.org", "swordfish"),
        ),
        secrets=("swordfish", "angelfish"),
    ),
    Folder(
        "scram/dynamic",
        ready=("the door is kept", "the calculator is ready"),
        runs=(
            let_in("scram anna", "swordfish", "anna with role visitor by dynamic", PROVED),
            let_in("scram bert", "angelfish", "bert with role visitor by dynamic", PROVED),
            refused("scram anna", "angelfish"),
            refused("scram stranger", "swordfish", "left: door.stranger"),
        ),
        secrets=("swordfish", "angelfish"),
    ),
    Folder(
        "scram/function",
        ready=("the door is kept", "the calculator is ready"),
        runs=(
            let_in("scram anna", "swordfish", "anna with role visitor by function", PROVED),
            refused("scram anna", "angelfish"),
            refused("scram stranger", "swordfish", "left: door.stranger"),
        ),
        secrets=("swordfish", "angelfish"),
    ),
    Folder(
        "cryptosign/static",
        prepare=KEYS,
        ready=("the calculator is ready",),
        runs=(
            let_in("cryptosign anna@example.org", "anna", "anna" + BY_KEY),
            Run("client.py cryptosign - -", {"SECRET": "oldbert"}, prints=("this is the router", "joined ")),
            # The key tells who it is, and that where it is.
            let_in("cryptosign - -", "bert", "bert" + BY_KEY),
            refused("cryptosign anna@example.org", "bert"),
            refused("cryptosign - -", "mallory"),
            refused("cryptosign stranger@example.org", "mallory"),
        ),
    ),
    Folder(
        "cryptosign/tls",
        prepare=(*KEYS, *CERTIFICATES),
        ready=("the calculator is ready",),
        runs=(
            let_in("cryptosign anna@example.org", "anna", "anna" + BY_KEY),
            Run("client.py cryptosign - - tls-exporter", {"SECRET": "bert"}, prints=("this is the router", "joined")),
            refused("cryptosign anna@example.org", "mallory"),
            refused("cryptosign - - tls-exporter", "mallory"),
            refused("cryptosign - - tls-unique", "anna", "left: wamp.error.authentication_failed"),
        ),
        logged=("channel binding of this type is not possible",),
    ),
    Folder(
        "cryptosign/dynamic",
        prepare=KEYS,
        ready=("the door is kept", "the calculator is ready"),
        runs=(
            let_in("cryptosign - -", "anna", "anna@example.org with role visitor by dynamic", ROOMS),
            let_in("cryptosign x arithmetic", "bert", "bert@example.org with role visitor by dynamic", ROOMS),
            refused("cryptosign - -", "mallory", "left: door.stranger"),
        ),
        logged=("cryptosign with ",),
    ),
    Folder(
        "cryptosign/function",
        prepare=KEYS,
        ready=("the door is kept", "the calculator is ready"),
        runs=(
            let_in("cryptosign - -", "anna", "anna@example.org with role visitor by function"),
            refused("cryptosign anna@example.org", "mallory", "left: door.stranger"),
        ),
        logged=("made by ", "somebody wants to "),
    ),
    Folder(
        "cookie/file",
        RETURNING,
        environment={"WORD": "swordfish"},
        ready=("the calculator is ready",),
        secrets=("swordfish", "starfish"),
    ),
    Folder(
        "cookie/database",
        RETURNING,
        environment={"WORD": "swordfish"},
        ready=("the calculator is ready",),
        options=("--config=config-database.yaml",),
        secrets=("swordfish", "starfish"),
    ),
    Folder(
        "tls/static",
        prepare=CERTIFICATES,
        ready=("the calculator is ready",),
        runs=(
            let_in("tls", "anna", "anna with role visitor by static"),
            refused("tls anna", "mallory"),
        ),
        logged=('authid="the backend"',),
    ),
    Folder(
        "tls/dynamic",
        prepare=CERTIFICATES,
        ready=("the door is kept", "the calculator is ready"),
        runs=(
            let_in("tls", "anna", "anna with role visitor by dynamic"),
            refused("tls anna", "mallory", "left: door.stranger"),
        ),
        logged=("anna comes with a certificate of the one between",),
    ),
    Folder(
        "tls/function",
        prepare=CERTIFICATES,
        ready=("the door is kept", "the calculator is ready"),
        runs=(
            let_in("tls", "anna", "anna with role visitor by function"),
            refused("tls anna", "mallory", "left: wamp.error.no_such_role"),
        ),
    ),
    Folder(
        "authorization/component",
        ready=("the judge is there", "the calculator is ready"),
        runs=(let_in("anonymous", "", "[^ ]+ with role visitor by static"),),
        logged=("may a calculator register calc.add?", "may a visitor call calc.add?", "may a visitor register calc.sub"),
    ),
    Folder(
        "authorization/container",
        ready=("the judge is there", "the calculator is ready"),
        runs=(let_in("ticket robot", "beep", "robot with role visitor by static"),),
        logged=("may adder register calc.add?", "may robot call calc.add?", "may robot register calc.subtract?"),
    ),
]


def folder_cases(wampd, python, js, work, report):
    """`js` has the packages for Node.js; without, the folders that need them are left out."""
    for number, folder in enumerate(FOLDERS):
        if js or not any((FOLDERS_AT / folder.path).glob("*.js")):
            name = " ".join(["folder", folder.path, *folder.options])
            report.case(name, lambda: play(folder, wampd, python, js, work / str(number)))


def play(folder, wampd, python, js, work):
    """Plays a row; its copy of the folder is in `work`, from which everything runs."""
    shutil.copytree(FOLDERS_AT / folder.path, work / folder.path)
    ports = replace_ports(work / folder.path)
    for run in folder.prepare:
        carry_out(run, folder, python, work)
    node = Node(folder, wampd, python, js, work)
    try:
        node.wait(lambda: all(listens("tcp", port) for port in ports), "it listens")
        node.logged(folder.ready)
        for run in folder.runs:
            carry_out(run, folder, python, work, node)
        node.logged(folder.logged)
        node.stop()
    finally:
        node.end()
    for secret in folder.secrets:
        check(secret not in node.log(), "a secret is in the log: {}".format(secret))


def carry_out(run, folder, python, work, node=None):
    program, *arguments = shlex.split(run.program)
    result = execute([python, "./{}/{}".format(folder.path, program), *arguments], run.environment, work)
    output = result.stdout + result.stderr
    told = "{}\n{}---- log of the node\n{}".format(run.program, output, tail(node.log()) if node else "")
    check(result.returncode == run.status, "exit status {} of {}".format(result.returncode, told))
    for pattern in run.prints:
        match = re.search(pattern, output)
        check(match, "no {!r} from {}".format(pattern, told))
        output = output[match.end() :]


def replace_ports(place):
    """Puts a free port in the place of each that the files name; returns those of the configuration."""
    free = {}
    for file in (file for file in place.rglob("*") if file.suffix in TEXTS):
        text = PORT.sub(lambda port: str(free.setdefault(port[0], free_port())), file.read_text())
        file.write_text(text)
    configured = "".join(file.read_text() for file in (place / ".crossbar").glob("config*"))
    return [port for port in free.values() if str(port) in configured]


class Node:
    """A wampd that runs a folder."""

    def __init__(self, folder, wampd, python, js, work):
        self.output = work / (folder.path.replace("/", "-") + ".log")
        cbdir = "--cbdir=./{}/.crossbar".format(folder.path)
        # The programs that the node starts find the Python and the packages that have Autobahn.
        path = os.pathsep.join([str(Path(python).parent), os.environ.get("PATH", "")])
        found = {"PATH": path, "NODE_PATH": str(js / "node_modules")} if js else {"PATH": path}
        self.work = work
        self.stopping = [str(wampd), "stop", cbdir]
        with self.output.open("w") as log:
            self.process = subprocess.Popen(
                [str(wampd), "start", cbdir, *folder.options], cwd=work,
                env={**os.environ, **found, **folder.environment},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def log(self):
        return self.output.read_text(errors="replace")

    def wait(self, condition, what):
        await_node(self.process, self.log, condition, READY_TIMEOUT, "the node's end, or too long, before " + what)

    def logged(self, parts):
        for part in parts:
            self.wait(lambda: part in self.log(), "{!r} is in its log".format(part))

    def end(self):
        """However a case went, nothing stays: told to end, the node ends its guests."""
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            kill(self.process)

    def stop(self):
        """As scripts do: `stop` returns when the node has ended."""
        result = execute(self.stopping, cwd=self.work)
        check(result.returncode == 0, "stop failed: {}{}".format(result.stdout, result.stderr))
        status = self.process.wait(STOP_TIMEOUT)
        check(status == 0, "exit status {} of the node".format(status))
