#!/usr/bin/env python3
"""Runs real WAMP clients against wampd: Autobahn|Python, Autobahn|JS, wampy, and a browser.

    cargo build --release -p wampd && tests/interop/run.py target/release/wampd

Starts one wampd with the example adapters/router/examples/wampcra-function and one with tests/interop/node, both on
free ports of the loopback interface, and runs the programs of python/, python/cases/ and js/ against them. Chromium opens
the page of the example. The node folders of crossbar/folders run as those of users of Crossbar.io (folders.py). A router is
restarted under clients with the reconnection of their libraries (restarts.py), and an authenticator comes only when
clients wait for it (late.py). labgrid, an application for Crossbar.io, runs with its own node folder (labgrid_cases.py).
A proxy names the client that it stands before (proxies.py), and one session tries to harm the others (neighbours.py).
With names after the binary it runs only the cases whose names contain one of them.

With --validate CHECKER before the binary, a debug build, it records everything that it sends to any client, and CHECKER
(target/debug/check-recording) validates it at the end: a message that a strict client would refuse fails the suite, whether
the clients here are strict or not.

    cargo build -p wampd && cargo build -p wampd-tests --bin check-recording
    tests/interop/run.py --validate target/debug/check-recording target/debug/wampd

The clients are installed at the versions of requirements.txt and package-lock.json into target/interop. Where python3's
venv, node, npm or Chromium (in the path, or $CHROMIUM) are missing their cases are skipped and reported so; with CI=true
or WAMPD_INTEROP=required a missing tool is a failure. The last line is "N passed, N failed" (", N skipped" where there
were any), and the exit status is 0 only if nothing failed.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from folders import folder_cases
from labgrid_cases import VERSION as LABGRID
from labgrid_cases import labgrid_case
from late import late_cases
from neighbours import neighbour_cases
from programs import CASE_TIMEOUT, check, execute, free_port, kill, listens, start, succeed, tail
from proxies import proxy_cases
from restarts import restart_cases

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
EXAMPLE = REPO / "adapters/router/examples/wampcra-function"
CACHE = Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target")) / "interop"
REQUIRED = os.environ.get("CI") == "true" or os.environ.get("WAMPD_INTEROP") == "required"

INSTALL_TIMEOUT = 600
# Components are started one after the other before a node listens.
READY_TIMEOUT = 60
STOP_TIMEOUT = 10

# What a transport of a type is for: one of each type in a configuration.
KINDS = {"web": "ws", "websocket": "backend", "rawsocket": "rs"}

# What must not be in any log.
SECRETS = ["secret123", "secret2", "123456", "prq7+YkJ1/KlW1X0YczMHw==", "secret1"]
SECRETS += ["ada's secret", "kim's secret", "adm's secret", "eve's secret", "sue's secret", "tim's ticket"]


class Missing(Exception):
    """A tool that is needed is not here."""


# ---- the suite -----------------------------------------------------------------------------------


def main():
    arguments = sys.argv[1:]
    checker = None
    if arguments[:1] == ["--validate"]:
        checker = Path(arguments[1]).resolve() if len(arguments) > 1 else sys.exit(__doc__)
        arguments = arguments[2:]
    if not arguments:
        sys.exit(__doc__)
    wampd = Path(arguments[0]).resolve()
    report = Report(arguments[1:])
    python = report.tool("Autobahn|Python", prepare_python)
    js = report.tool("Autobahn|JS and wampy", prepare_js)
    chromium = report.tool("Chromium", find_chromium)
    labgrid = report.tool("labgrid", prepare_labgrid)
    with tempfile.TemporaryDirectory(prefix="wampd-interop-") as folder:
        folder = Path(folder)
        if checker:
            recordings = folder / "recordings"
            recordings.mkdir()
            os.environ["WAMPD_RECORD"] = str(recordings)
        with Node.scenario(wampd, folder / "scenario") as scenario, Node.interop(wampd, folder / "interop") as interop:
            environment = {
                "WAMP_SCENARIO": scenario.url("ws"),
                "WAMP_WS": interop.url("ws"),
                "WAMP_RS": "127.0.0.1:{}".format(interop.addresses["rs"]),
                "WAMP_UNIX": interop.addresses["unix"],
            }
            if python:
                with Backend(python, scenario, report):
                    scenario_cases(python, scenario, report)
                    if js:
                        js_cases(js, environment, report)
                    if js and chromium:
                        page_cases(js, chromium, scenario, report)
                python_cases(python, environment, report)
                neighbour_cases(python, js, environment, report)
                with Node.crossbar(wampd, folder / "crossbar", python) as crossbar:
                    crossbar_cases(python, crossbar, report)
                if js:
                    report.case("conversions from Python to Autobahn|JS and wampy", lambda: conversions(python, js, environment))
                folder_cases(wampd, python, js, folder / "folders", report)
                restart_cases(wampd, python, js, folder / "restarts", report)
                late_cases(wampd, python, js, folder / "late", report)
                proxy_cases(wampd, python, folder / "proxies", report)
                report.case("shutdown", lambda: shutdown(python, interop, environment))
            if labgrid:
                labgrid_case(wampd, *labgrid, folder / "labgrid", report)
            report.case("the scenario's node stops cleanly", scenario.stop)
            report.case("the suite's node stops cleanly", interop.stop)
            report.case("no secret in the logs", lambda: secrets(scenario, interop))
            if report.failed:
                for node in (scenario, interop):
                    print("---- log of {}\n{}".format(node.name, tail(node.log())))
        if checker:
            report.run("every message sent is valid", lambda: validate(checker, recordings, whole=not report.wanted))
    report.close()


def scenario_cases(python, node, report):
    """The founding scenario: the same lines in the same order, over every serializer and transport."""
    ws = node.url("ws")
    rs = node.url("rs")

    def client(name, program, user, secret, *arguments, expect, status):
        def case():
            result = execute([python, "scenario_{}.py".format(program), user, *arguments], {"MYSECRET": secret})
            transcript(result.stdout, expect)
            check(result.returncode == status, "exit status {}: {}".format(result.returncode, result.stderr))

        report.case("scenario: " + name, case)

    client(
        "right secret", "client", "client1", "secret123", ws,
        expect=good("client1", "secret123", serializer="cbor.batched"), status=0,
    )  # fmt: skip
    client("wrong secret", "client", "client1", "wrongpassword", ws, expect=bad("client1", "wrongpassword"), status=1)
    for serializer in ["cbor.batched", "cbor", "msgpack.batched", "msgpack", "json.batched", "json"]:
        lines = good("client1", "secret123", serializer=serializer)
        client("WebSocket, " + serializer, "client", "client1", "secret123", ws, serializer, expect=lines, status=0)
    for serializer in ["cbor", "msgpack", "json"]:
        lines = good("client1", "secret123", serializer=serializer, transport="rawsocket")
        client("RawSocket, " + serializer, "client", "client1", "secret123", rs, serializer, expect=lines, status=0)
        lines = bad("client1", "wrongpassword")
        client(
            "RawSocket, {}, wrong secret".format(serializer), "client", "client1", "wrongpassword", rs, serializer,
            expect=lines, status=1,
        )  # fmt: skip
    client("joe", "client", "joe", "secret2", ws, expect=good("joe", "secret2"), status=0)
    client("peter, salted", "client", "peter", "secret1", ws, expect=good("peter", "secret1", salted=True), status=0)
    client("peter, wrong", "client", "peter", "secret2", ws, expect=bad("peter", "secret2", salted=True), status=1)
    client(
        "hans, who is ID09125", "client", "hans", "123456", ws,
        expect=good("hans", "123456", authid="ID09125"), status=0,
    )  # fmt: skip
    client("unknown user", "client", "nobody", "x", ws, expect=unknown("nobody", "x"), status=1)
    client(
        "component, asyncio", "component", "client1", "secret123", ws,
        expect=component(good("client1", "secret123")), status=0,
    )  # fmt: skip
    client(
        "component, wrong secret", "component", "client1", "wrong", ws,
        expect=component(bad("client1", "wrong")), status=1,
    )  # fmt: skip


def crossbar_cases(python, node, report):
    """The founding scenario in a folder as Crossbar.io has it: with a Python authenticator and, as a component of the router,
    its backend."""
    ws = node.url("ws")

    def client(user, secret, expect, status):
        def case():
            result = execute([python, "scenario_client.py", user, ws], {"MYSECRET": secret})
            transcript(result.stdout, expect)
            check(result.returncode == status, "exit status {}: {}".format(result.returncode, result.stderr))

        report.case("Crossbar.io folder: {} with {}".format(user, secret), case)

    def logged(*parts):
        deadline = time.monotonic() + READY_TIMEOUT
        for part in parts:
            while part not in node.log():
                check(time.monotonic() < deadline, "{!r} is not in the log:\n{}".format(part, tail(node.log())))
                time.sleep(0.02)

    report.case("Crossbar.io folder: the backend is ready", lambda: logged("Backend ready"))
    client("client1", "secret123", good("client1", "secret123", serializer="cbor.batched"), 0)
    client("client1", "wrongpassword", bad("client1", "wrongpassword"), 1)
    client("joe", "secret2", good("joe", "secret2"), 0)
    client("peter", "secret1", good("peter", "secret1", salted=True), 0)
    client("hans", "123456", good("hans", "123456", authid="ID09125"), 0)
    client("nobody", "x", unknown("nobody", "x"), 1)
    report.case(
        "Crossbar.io folder: what the processes wrote",
        lambda: logged(
            "an authenticator for the role frontend",
            "who is client1 in realm1?",
            "client1 is looked up",
            "joined as backend by backend.Backend",
            "subscription to com.example.topic2 failed: wamp.error.not_authorized",
            "event on com.example.topic1: hello",
            "event on com.foobar.topic1: hello",
            "hello from greeter.Greeter, who has 5",
        ),
    )
    report.case("Crossbar.io folder: the node stops cleanly", node.stop)

    def ended():
        for line in node.log().splitlines():
            if "process started" in line:
                pid = re.search("pid=([0-9]+)", line).group(1)
                check(not Path("/proc", pid).exists(), "process {} is still there".format(pid))
        secrets(node)

    report.case("Crossbar.io folder: no process is left, and no secret in the log", ended)


def python_cases(python, environment, report):
    for program in sorted((HERE / "python/cases").glob("*.py")):
        if program.stem != "shutdown":
            report.case("Autobahn|Python: " + program.stem, lambda: succeed([python, str(program)], environment))


def js_cases(js, environment, report):
    for library in ("autobahn", "wampy"):
        for serializer in ("json", "cbor", "msgpack"):
            for program in ([library + ".mjs"], ["crossbar.mjs", library]):
                command = ["node", str(js / program[0]), *program[1:], serializer]
                name = ", ".join([*program, serializer])
                report.case(name, lambda: succeed(command, environment, cwd=js))


def page_cases(js, chromium, node, report):
    """The page of the example, first with its own client, then with the Autobahn|JS that it finds beside it."""
    command = ["node", str(js / "page.mjs"), "http://127.0.0.1:{}/".format(node.addresses["ws"])]
    environment = {"CHROMIUM": chromium}

    def with_autobahn():
        bundle = node.folder / "web/autobahn.min.js"
        shutil.copy(js / "node_modules/autobahn-browser/autobahn.min.js", bundle)
        succeed([*command, "autobahn"], environment, cwd=js)

    report.case("page in Chromium, its own client", lambda: succeed([*command, "own"], environment, cwd=js))
    report.case("page in Chromium, Autobahn|JS", with_autobahn)


def conversions(python, js, environment):
    """What Python programs say arrives at programs in JavaScript, and ends none of their sessions."""
    program = start(["node", str(js / "conversions.mjs")], environment, cwd=js)
    try:
        check(program.stdout.readline() == "ready\n", "the subscribers did not join")
        succeed([python, "odd_values.py"], environment)
        out, err = program.communicate(timeout=CASE_TIMEOUT)
        check(program.returncode == 0, out + err)
    finally:
        kill(program)


def shutdown(python, node, environment):
    """A node that is told to stop says GOODBYE to every session, if its `farewell` is told."""
    program = start([python, str(HERE / "python/cases/shutdown.py")], environment)
    try:
        check(program.stdout.readline() == "joined\n", "the client did not join")
        node.terminate()
        out, err = program.communicate(timeout=CASE_TIMEOUT)
        check(program.returncode == 0, out + err)
    finally:
        kill(program)


def secrets(*nodes):
    for node in nodes:
        log = node.log()
        check(log.strip(), "{} logged nothing".format(node.name))
        for secret in SECRETS:
            check(secret not in log, "{} logged a secret: {}".format(node.name, secret))


def validate(checker, recordings, whole):
    """What the nodes have sent is valid; of the whole suite, in each serializer over each transport."""
    result = execute([str(checker), str(recordings)])
    print(result.stdout, end="")
    check(result.returncode == 0, "exit status {}: {}".format(result.returncode, result.stderr))
    encodings = result.stdout.count(" messages in ")
    check(not whole or encodings >= 9, "only {} pairs of serializer and transport were played".format(encodings))


# ---- the transcript ------------------------------------------------------------------------------


def component(lines):
    """Those of the lines that the component prints too: Autobahn connects, answers challenges and disconnects alone."""
    alone = ("Client session connected", "WAMP-CRA challenge", "Client session disconnected", "Main loop")
    return [line for line in lines if not line.startswith(alone)]


def good(user, secret, authid=None, serializer=None, transport="websocket", salted=False):
    """The lines of a client that is let in, as patterns."""
    authid = authid or user
    return [
        *challenged(user, secret, authid, salted),
        "Client session joined:",
        'SessionDetails\\(realm="realm1",',
        " +session=(?P<joined>[0-9]+),",
        ' +authid="{}",'.format(authid),
        ' +authrole="frontend",',
        ' +authmethod="wampcra",',
        ' +authprovider="function",',
        " +authextra=.*,",
        ' +serializer="{}",'.format(re.escape(serializer) if serializer else ".*"),
        ' +transport="{}",'.format(transport),
        " +resumed=.*,",
        " +resumable=.*,",
        " +resume_token=.*\\)",
        "call result: 5",
        "registration failed - this is expected: "
        + refusal(
            'session \\(session_id=[0-9]+, authid="{}", authrole="frontend"\\) is not authorized to register procedure '
            '"com.example.mul2" on realm "realm1"'.format(authid)
        ),
        "ok, event published to topic com.example.topic1",
        "ok, event published to topic com.foobar.topic1",
        *(
            "publication to topic {0} failed - this is expected: ".format(topic)
            + refusal("session not authorized to publish to topic '{}'".format(topic))
            for topic in ("com.example.topic2", "com.foobar.topic2")
        ),
        *left("wamp.close.normal", "None"),
        "Main loop terminated.",
    ]


def bad(user, secret, salted=False):
    """The lines of a client whose secret is wrong."""
    text = "WAMP-CRA client signature is invalid"
    return [*challenged(user, secret, user, salted), *left("wamp.error.not_authorized", text), "Main loop terminated."]


def unknown(user, secret):
    """The lines of a client that the authenticator does not know."""
    return [
        *connected(user, secret),
        *left("com.example.no_such_user", "could not authenticate session - no such user " + user),
        "Main loop terminated.",
    ]


def connected(user, secret):
    return [
        "User '{}' using secret '{}'".format(user, secret),
        "Client session connected. Starting WAMP-CRA authentication on realm 'realm1' as user '{}' ..".format(user),
    ]


def challenged(user, secret, authid, salted):
    # A dictionary has no order.
    extra = "(, '(salt': 'salt123'|iterations': 100|keylen': 16)){3}" if salted else ""
    return [
        *connected(user, secret),
        "WAMP-CRA challenge received: Challenge\\(method=wampcra, extra=\\{'challenge': '"
        '\\{"authid": "%s", "authrole": "frontend", "authmethod": "wampcra", "authprovider": "function", '
        '"session": (?P<challenged>[0-9]+), "nonce": "[A-Za-z0-9+/]{64}", '
        '"timestamp": "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"\\}\'%s\\}\\)'
        % (authid, extra),
    ]


def left(reason, message=".*"):
    return [
        "Client session left: CloseDetails\\(reason=<{}>, message='{}'.*\\)".format(reason, message),
        "Client session disconnected.",
    ]


def refusal(text):
    return "ApplicationError\\(error=<wamp.error.not_authorized>, args=\\[['\"]{}['\"]\\], .*\\)".format(text)


def transcript(out, patterns):
    """Checks that the lines match the patterns, one each, in order; the session challenged is the one that joined."""
    stamp = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[+-][0-9]{4} ")
    lines = [stamp.sub("", line) for line in out.splitlines()]
    named = {}
    for i, pattern in enumerate(patterns):
        check(i < len(lines), "the transcript ends before {!r}:\n{}".format(pattern, out))
        # What is looked for may be quoted with escapes where the text itself holds both kinds of quotes.
        match = re.fullmatch(pattern, lines[i].replace("\\'", "'"))
        check(match, "line {} of the transcript is not {!r}:\n{}".format(i + 1, pattern, out))
        named.update(match.groupdict())
    check(len(lines) == len(patterns), "the transcript has more lines:\n" + out)
    if "joined" in named and "challenged" in named:
        check(named["joined"] == named["challenged"], "challenge and WELCOME name different sessions:\n" + out)


# ---- the routers ---------------------------------------------------------------------------------


class Node:
    """A wampd with a configuration folder of its own."""

    def __init__(self, name, wampd, folder, config, where=("--config", "config.json"), path=None):
        """`where` is the option that names the configuration; `path` is looked in for programs first."""
        self.name = name
        self.folder = folder
        self.addresses = assign(config, folder)
        option, file = where[0], folder / where[1]
        (file if option == "--config" else file / "config.json").write_text(json.dumps(config, indent=2))
        self.output = folder / "wampd.log"
        environment = {**os.environ, "PATH": os.pathsep.join(filter(None, [path, os.environ.get("PATH")]))}
        with self.output.open("w") as log:
            self.process = subprocess.Popen(
                [str(wampd), "start", option, str(file)], env=environment, cwd=folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    @classmethod
    def scenario(cls, wampd, folder):
        """The example as it is, but for the port, with RawSocket beside WebSocket, and with patience: all the clients here
        come from one address, and many of them fail to log in on purpose."""
        shutil.copytree(EXAMPLE, folder)
        config = json.loads((folder / "config.json").read_text())
        transports = config["workers"][0]["transports"]
        auth = next(t["paths"]["ws"]["auth"] for t in transports if t["type"] == "web")
        transports.append({"type": "rawsocket", "endpoint": {"type": "tcp"}, "auth": auth})
        config["wampd"] = {"limits": {"max_failed_logins_per_address": 1000, "max_failed_logins_per_authid": 1000}}
        return cls("the scenario's node", wampd, folder, config)

    @classmethod
    def crossbar(cls, wampd, folder, python):
        """A folder of Crossbar.io as it is, but for the port; python3 is the one that has Autobahn."""
        shutil.copytree(HERE / "crossbar/folders/wampcra/function", folder)
        config = json.loads((folder / ".crossbar/config.json").read_text())
        where = ("--cbdir", ".crossbar")
        return cls("the Crossbar.io node", wampd, folder, config, where, str(Path(python).parent))

    @classmethod
    def interop(cls, wampd, folder):
        shutil.copytree(HERE / "node", folder)
        return cls("the suite's node", wampd, folder, json.loads((folder / "config.json").read_text()))

    def __enter__(self):
        deadline = time.monotonic() + READY_TIMEOUT
        for kind, address in self.addresses.items():
            while not listens(kind, address):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    kill(self.process)
                    sys.exit("{} did not start:\n{}\n0 passed, 1 failed".format(self.name, self.log()))
                time.sleep(0.02)
        return self

    def __exit__(self, *_):
        kill(self.process)

    def url(self, kind):
        address = self.addresses[kind]
        return {"ws": "ws://127.0.0.1:{}/ws", "backend": "ws://127.0.0.1:{}/", "rs": "rs://127.0.0.1:{}"}[kind].format(
            address
        )

    def log(self):
        return self.output.read_text(errors="replace")

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        self.terminate()
        try:
            status = self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AssertionError("still running {} s after SIGTERM".format(STOP_TIMEOUT)) from None
        check(status == 0, "exit status {}".format(status))


def assign(config, folder):
    """Gives each transport a free address; returns them by kind."""
    addresses = {}
    for transport in config["workers"][0]["transports"]:
        endpoint = transport["endpoint"]
        kind = KINDS[transport["type"]]
        if endpoint["type"] == "unix":
            kind = "unix"
            endpoint["path"] = str(folder / "rawsocket.sock")
        else:
            endpoint["interface"] = "127.0.0.1"
            endpoint["port"] = free_port()
        check(kind not in addresses, "two transports of type {}".format(transport["type"]))
        addresses[kind] = endpoint.get("port", endpoint.get("path"))
    return addresses


class Backend:
    """The scenario's backend, running while the clients do."""

    def __init__(self, python, node, report):
        self.report = report
        self.process = start([python, "scenario_backend.py", node.url("backend")], stderr=subprocess.STDOUT)
        self.lines = []
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            if "Backend ready" in line:
                self.ready.set()
        self.ready.set()

    def __enter__(self):
        self.ready.wait(READY_TIMEOUT)
        self.report.case("scenario: backend", self.joined)
        return self

    def joined(self):
        check(any("Backend ready" in line for line in self.lines), "".join(self.lines))

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.reader.join(STOP_TIMEOUT)
        kill(self.process)
        self.report.case("scenario: what the backend saw", self.saw)

    def saw(self):
        """Events on the topics that clients may publish to, none on the others."""
        text = "".join(self.lines)
        for topic, expected in [("example.topic1", True), ("foobar.topic1", True), ("foobar.topic2", False)]:
            seen = "event received on topic com.{}: hello".format(topic) in text
            check(seen == expected, "events on com.{}: {}\n{}".format(topic, seen, text))
        check("subscription to topic com.example.topic2 failed - this is expected" in text, text)
        check("Backend session left: CloseDetails(reason=<wamp.close.normal>" in text, text)


# ---- clients -------------------------------------------------------------------------------------


def prepare_python():
    return virtual_environment("venv", HERE / "requirements.txt")


def prepare_labgrid():
    """The interpreter of a virtual environment with labgrid, and the file of its source distribution."""
    python = virtual_environment("labgrid", HERE / "labgrid-requirements.txt")
    source = CACHE / "labgrid-{}.tar.gz".format(LABGRID)
    if not source.exists():
        name = "labgrid=={}".format(LABGRID)
        install([*pip(python), "download", "--no-deps", "--no-binary", "labgrid", "--dest", str(CACHE), name])
    return python, source


def virtual_environment(name, requirements):
    """A virtual environment with the packages of a file; returns its interpreter."""
    python = CACHE / name / "bin/python"
    stamp = stamped(CACHE / (name + ".stamp"), requirements.read_bytes(), sys.version.encode())
    if stamp.fresh and python.exists():
        return str(python)
    shutil.rmtree(CACHE / name, ignore_errors=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    install([sys.executable, "-m", "venv", str(CACHE / name)])
    install([*pip(python), "install", "-r", str(requirements)])
    stamp.write()
    return str(python)


def pip(python):
    return [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]


def prepare_js():
    """A folder with the JavaScript programs and the packages of package-lock.json beside them."""
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            raise Missing("{} is not installed".format(tool))
    folder = CACHE / "js"
    folder.mkdir(parents=True, exist_ok=True)
    lock = HERE / "package-lock.json"
    for file in (HERE / "package.json", lock, *(HERE / "js").glob("*.mjs")):
        shutil.copy(file, folder)
    version = subprocess.run(["node", "--version"], capture_output=True, check=True).stdout
    stamp = stamped(CACHE / "js.stamp", lock.read_bytes(), version)
    if not (stamp.fresh and (folder / "node_modules").exists()):
        # Not `npm ci`, which refuses a lock file that lacks the optional binaries of other platforms.
        shutil.rmtree(folder / "node_modules", ignore_errors=True)
        install(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder)
        stamp.write()
    return folder


def find_chromium():
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        raise Missing("neither $CHROMIUM nor chromium in the path")
    return chromium


class stamped:
    """Remembers what an installation was made from."""

    def __init__(self, path, *parts):
        self.path = path
        self.digest = hashlib.sha256(b"\0".join(parts)).hexdigest()
        self.fresh = path.exists() and path.read_text() == self.digest

    def write(self):
        self.path.write_text(self.digest)


def install(command, cwd=None):
    try:
        result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(str(error)) from None
    if result.returncode != 0:
        raise Missing("{}:\n{}{}".format(" ".join(command), tail(result.stdout), tail(result.stderr)))


# ---- the report ----------------------------------------------------------------------------------


class Report:
    def __init__(self, wanted):
        self.wanted = wanted
        self.passed = self.failed = self.skipped = 0

    def case(self, name, run):
        if not self.wanted or any(part in name for part in self.wanted):
            self.run(name, run)

    def run(self, name, run):
        began = time.monotonic()
        try:
            run()
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            self.failed += 1
            print("FAIL  {}\n      {}".format(name, str(error).replace("\n", "\n      ")), flush=True)
        else:
            self.passed += 1
            print("ok    {} ({:.1f} s)".format(name, time.monotonic() - began), flush=True)

    def tool(self, name, prepare):
        """What `prepare` returns, or None: then the cases that need it can not run."""
        began = time.monotonic()
        try:
            tool = prepare()
        except Missing as reason:
            kind = "FAIL " if REQUIRED else "skip "
            if REQUIRED:
                self.failed += 1
            else:
                self.skipped += 1
            print("{} everything with {}: {}".format(kind, name, reason), flush=True)
            return None
        print("ready {} ({:.1f} s)".format(name, time.monotonic() - began), flush=True)
        return tool

    def close(self):
        skipped = ", {} skipped".format(self.skipped) if self.skipped else ""
        print("{} passed, {} failed{}".format(self.passed, self.failed, skipped), flush=True)
        sys.exit(0 if self.failed == 0 and self.passed > 0 else 1)


if __name__ == "__main__":
    main()
