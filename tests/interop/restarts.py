"""Restarts the router under clients that are left alone, each with the default reconnection of its library."""

import json
import selectors
import signal
import subprocess
import time

from programs import HERE, check, free_port, kill, listens, start

RESTARTS = 10
# What a session may take to come back, once the router is there again.
BACK_WITHIN = 10.0
FIRST_WITHIN = 60.0

ROLE = {"name": "anonymous", "permissions": [{"uri": "", "match": "prefix", "allow": {"call": True}}]}


class Router:
    """A wampd that can be started on the same ports again."""

    def __init__(self, wampd, folder):
        folder.mkdir()
        self.wampd, self.folder, self.ports = wampd, folder, (free_port(), free_port())
        endpoints = [{"type": "tcp", "interface": "127.0.0.1", "port": port} for port in self.ports]
        transports = [
            {"type": "websocket", "endpoint": endpoints[0]},
            {"type": "rawsocket", "endpoint": endpoints[1]},
        ]
        worker = {"type": "router", "realms": [{"name": "realm1", "roles": [ROLE]}], "transports": transports}
        (folder / "config.json").write_text(json.dumps({"version": 2, "workers": [worker]}))
        self.process = None

    def start(self):
        with (self.folder / "wampd.log").open("a") as log:
            command = [str(self.wampd), "start", "--config", str(self.folder / "config.json")]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + FIRST_WITHIN
        while not all(listens("tcp", port) for port in self.ports):
            check(self.process.poll() is None and time.monotonic() < deadline, "the router does not start")
            time.sleep(0.02)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        check(self.process.wait(timeout=BACK_WITHIN) == 0, "the router does not end in good order")


def restart_cases(wampd, python, js, folder, report):
    def case():
        restarts(wampd, python, js, folder)

    libraries = "Autobahn|Python" + (", Autobahn|JS and wampy" if js else "")
    report.case("{} restarts under {}".format(RESTARTS, libraries), case)


def restarts(wampd, python, js, folder, times=RESTARTS):
    """Each client must join as often as the router is started, in time."""
    router = Router(wampd, folder)
    ws, rs = "ws://127.0.0.1:{}/".format(router.ports[0]), "rs://127.0.0.1:{}".format(router.ports[1])
    commands = {}
    for library in ("asyncio", "twisted"):
        for url in (ws, rs):
            command = [python, str(HERE / "python/restart.py"), library, url, "realm1"]
            commands["Autobahn|Python, {}, {}".format(library, url[:2])] = (command, None)
    for library in ("autobahn", "wampy") if js else ():
        commands[library] = (["node", str(js / "restart.mjs"), library, ws, "realm1"], js)
    programs = {}
    try:
        router.start()
        with selectors.DefaultSelector() as selector:
            for name, (command, cwd) in commands.items():
                programs[name] = start(command, cwd=cwd, stderr=subprocess.DEVNULL)
                selector.register(programs[name].stdout, selectors.EVENT_READ, name)
            await_joins(selector, set(commands), FIRST_WITHIN, "first start")
            for number in range(1, times + 1):
                router.stop()
                router.start()
                await_joins(selector, set(commands), BACK_WITHIN, "restart {}".format(number))
    finally:
        for program in programs.values():
            kill(program)
        if router.process:
            kill(router.process)


def await_joins(selector, missing, seconds, when):
    deadline = time.monotonic() + seconds
    while missing:
        ready = selector.select(max(0, deadline - time.monotonic()))
        check(ready, "{}: not back after {} s: {}".format(when, seconds, ", ".join(sorted(missing))))
        for key, _ in ready:
            line = key.fileobj.readline()
            check(line, "{}: {} has ended".format(when, key.data))
            if "joined" in line:
                missing.discard(key.data)
