"""Clients that try once, and an authenticator that is registered only when they wait to be let in."""

import json
import subprocess

from programs import HERE, await_node, check, free_port, kill, listens, start, tail

PATIENCE = 60.0
PROCEDURE = "com.example.authenticate"
REALM = "realm1"


class Router:
    """A wampd whose WebSocket asks PROCEDURE about logins, which is registered over another transport."""

    def __init__(self, wampd, folder):
        folder.mkdir()
        self.output = folder / "wampd.log"
        self.clients, self.authenticators = free_port(), free_port()
        endpoint = {"type": "tcp", "interface": "127.0.0.1"}
        auth = {"type": "dynamic", "authenticator": PROCEDURE}
        transports = [
            {"type": "websocket", "endpoint": {**endpoint, "port": self.clients}, "auth": {"anonymous": auth}},
            {"type": "websocket", "endpoint": {**endpoint, "port": self.authenticators},
             "auth": {"anonymous": {"type": "static", "role": "doorkeeper"}}},
        ]  # fmt: skip
        roles = [
            {"name": "doorkeeper", "permissions": [{"uri": PROCEDURE, "match": "exact", "allow": {"register": True}}]},
            {"name": "visitor"},
        ]
        worker = {"type": "router", "realms": [{"name": REALM, "roles": roles}], "transports": transports}
        # No client is to be let in because the time of its login happens to be longer than its patience.
        limits = {"auth_timeout_ms": int(PATIENCE * 1000)}
        config = {"version": 2, "wampd": {"limits": limits}, "workers": [worker]}
        (folder / "config.json").write_text(json.dumps(config))
        with self.output.open("w") as log:
            command = [str(wampd), "start", "--config", str(folder / "config.json"), "--log-level", "debug"]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait("listens", lambda: all(listens("tcp", port) for port in (self.clients, self.authenticators)))

    def log(self):
        return self.output.read_text(errors="replace")

    def wait(self, what, condition):
        await_node(self.process, self.log, condition, PATIENCE, "it never " + what)


def late_cases(wampd, python, js, folder, report):
    libraries = "Autobahn|Python" + (", Autobahn|JS and wampy" if js else "")
    report.case("an authenticator that is late, twice, under " + libraries, lambda: late(wampd, python, js, folder))


def late(wampd, python, js, folder):
    """Each time all clients wait for the authenticator, which then comes, lets them in, and is killed."""
    router = Router(wampd, folder)
    url = "ws://127.0.0.1:{}/".format
    commands = [
        ([python, str(HERE / "python/late.py"), library, url(router.clients), REALM], None)
        for library in ("asyncio", "twisted")
    ]
    for library in ("autobahn", "wampy") if js else ():
        commands.append((["node", str(js / "late.mjs"), library, url(router.clients), REALM], js))
    authenticator = [python, "late_authenticator.py", url(router.authenticators), REALM, PROCEDURE]
    programs = []
    try:
        for time_ in (1, 2):
            clients = [start(command, cwd=cwd) for command, cwd in commands]
            programs += clients
            # Each has a transport: those of the clients, and of the authenticators before.
            opened = len(commands) * time_ + time_ - 1
            router.wait("has all clients", lambda: router.log().count("transport open") >= opened)
            router.wait("misses it", lambda: router.log().count("procedure is not registered yet") == time_)
            check(all(client.poll() is None for client in clients), "a client has not waited")
            keeper = start(authenticator)
            programs.append(keeper)
            for client, (command, _) in zip(clients, commands, strict=True):
                out, err = client.communicate(timeout=PATIENCE)
                told = "{}\n{}{}{}".format(command, tail(out), tail(err), tail(router.log()))
                check(client.returncode == 0 and "joined" in out, "not let in: {}".format(told))
            kill(keeper)
    finally:
        for program in programs:
            kill(program)
        kill(router.process)
