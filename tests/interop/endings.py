#!/usr/bin/env python3
"""Measures from which ends of a connection the client libraries come back: tests/interop/endings.py, after run.py has
installed them.

A router of a few lines, here, ends connections in each of the ways in which one could; the libraries, with their default
reconnection, have PATIENCE to join again. What it prints is the reason for what `wampd` does at a shutdown and with logins
that may work later.
"""

import asyncio
import base64
import hashlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
PATIENCE = 9.0
AT_ONCE = 4
KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

CLIENTS = {
    "Autobahn|JS": ("node", "restart.mjs", "autobahn"),
    "wampy": ("node", "restart.mjs", "wampy"),
    "Autobahn|Python, asyncio": ("python", "restart.py", "asyncio"),
    "Autobahn|Python, Twisted": ("python", "restart.py", "twisted"),
}

# What is sent, and then the code of the close frame; 0: the connection is cut.
ENDINGS = {
    "nothing, 1000": (None, 1000),
    "nothing, 1001": (None, 1001),
    "nothing, 1012": (None, 1012),
    "nothing, 1013": (None, 1013),
    "nothing, cut": (None, 0),
}
GOODBYES = {
    "GOODBYE system_shutdown, 1001": ([6, {}, "wamp.close.system_shutdown"], 1001),
    "GOODBYE normal, 1001": ([6, {}, "wamp.close.normal"], 1001),
    "GOODBYE close_realm, 1001": ([6, {}, "wamp.close.close_realm"], 1001),
    "GOODBYE killed, cut": ([6, {}, "wamp.close.killed"], 0),
}
ABORTS = {
    "ABORT authentication_failed, 1000": ([3, {}, "wamp.error.authentication_failed"], 1000),
    "ABORT system_shutdown, 1001": ([3, {}, "wamp.close.system_shutdown"], 1001),
    "ABORT authentication_failed, cut": ([3, {}, "wamp.error.authentication_failed"], 0),
}


class Router:
    """Ends its connections one after the other as `script` says: joined or not, what is sent, the close code."""

    def __init__(self, script):
        self.script = list(script)

    async def serve(self, reader, writer):
        try:
            await self.connection(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        writer.close()

    async def connection(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head)}
        accept = base64.b64encode(hashlib.sha1(headers["sec-websocket-key"].encode() + KEY).digest()).decode()
        lines = [
            "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Accept: " + accept, "Sec-WebSocket-Protocol: wamp.2.json", "", "",
        ]  # fmt: skip
        writer.write("\r\n".join(lines).encode())
        while (await self.message(reader))[0] != 1:
            pass
        joins, sent, code = self.script.pop(0) if self.script else (True, None, None)
        if joins:
            roles = {"broker": {"features": {}}, "dealer": {"features": {}}}
            self.send(writer, [2, 1, {"roles": roles, "realm": "realm1", "authid": "a", "authrole": "anonymous"}])
            await asyncio.sleep(0.3 if code is not None else 3600)
        if sent:
            self.send(writer, sent)
        if code:
            writer.write(bytes([0x88, 2]) + code.to_bytes(2, "big"))
            # Until the client has answered, or a second.
            try:
                async with asyncio.timeout(1):
                    while True:
                        await self.message(reader)
            except TimeoutError:
                pass
        elif sent:
            await writer.drain()
            await asyncio.sleep(0.05)

    def send(self, writer, message):
        data = json.dumps(message).encode()
        length = bytes([len(data)]) if len(data) < 126 else bytes([126]) + len(data).to_bytes(2, "big")
        writer.write(b"\x81" + length + data)

    async def message(self, reader):
        while True:
            first, length = await reader.readexactly(2)
            length &= 127
            if length == 126:
                length = int.from_bytes(await reader.readexactly(2), "big")
            elif length == 127:
                length = int.from_bytes(await reader.readexactly(8), "big")
            mask = await reader.readexactly(4)
            data = bytes(b ^ mask[i % 4] for i, b in enumerate(await reader.readexactly(length)))
            if first & 15 == 8:
                raise ConnectionError("closed")
            if first & 15 in (1, 2):
                return json.loads(data)


async def measure(client, script, joins):
    """Whether a client joins as often as it must: "back", with the seconds that took, or "stranded"."""
    kind, program, library = CLIENTS[client]
    router = Router(script)
    server = await asyncio.start_server(router.serve, "127.0.0.1", 0)
    url = "ws://127.0.0.1:{}/ws".format(server.sockets[0].getsockname()[1])
    cache = REPO / "target/interop"
    command = ["node", str(cache / "js" / program)] if kind == "node" else [
        str(cache / "venv/bin/python"), str(HERE / "python" / program)
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, library, url, "realm1", cwd=cache / "js",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    clock, began, told = asyncio.get_running_loop().time, None, "stranded"
    try:
        for number in range(joins):
            began = began or (clock() if number else None)
            async with asyncio.timeout(30 if began is None and script[0][0] else PATIENCE * joins):
                line = b""
                while b"joined" not in line:
                    line = await process.stdout.readline()
                    if not line:
                        return "ends"
        told = "back after {:.1f} s".format(clock() - began) if began else "back"
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        server.close()
    return told


async def main():
    cases = []
    for name, (sent, code) in {**ENDINGS, **GOODBYES}.items():
        cases.append(("joined", name, [(True, sent, code)], 2))
    for name, (sent, code) in {**ENDINGS, **ABORTS}.items():
        cases.append(("joining, had joined before", name, [(True, None, 0), (False, sent, code)], 2))
        cases.append(("joining for the first time", name, [(False, sent, code)], 1))
    clients = [client for client in CLIENTS if not sys.argv[1:] or client in sys.argv[1:]]
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(client, script, joins):
        async with slots:
            return await measure(client, script, joins)

    print("| the session is | it is ended by |", " | ".join(clients), "|")
    print("| --- | --- |", " | ".join("---" for _ in clients), "|")
    async with asyncio.TaskGroup() as group:
        rows = [[group.create_task(one(client, script, joins)) for client in clients] for *_, script, joins in cases]
    for (state, name, *_), row in zip(cases, rows, strict=True):
        print("|", state, "|", name, "|", " | ".join(task.result() for task in row), "|")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
