"""Puts a proxy between Autobahn|Python and the router, which must take the client for whom the proxy names."""

import json
import re
import socket
import subprocess
import threading
import time

from programs import HERE, check, execute, free_port, kill, listens

READY_WITHIN = 60.0
CLIENT = ("192.0.2.7", 4711)

ROLE = {"name": "anonymous", "permissions": [{"uri": "wamp.session.get", "allow": {"call": True}}]}

# What the proxy does with a connection, and the type of the transport behind it.
PROXIES = {
    "X-Forwarded-For": ("x-forwarded-for", "websocket"),
    "Forwarded": ("forwarded", "websocket"),
    "PROXY v1, WebSocket": ("proxy", "websocket"),
    "PROXY v1, RawSocket": ("proxy", "rawsocket"),
    "PROXY v2, RawSocket": ("proxy", "rawsocket"),
}


class Proxy:
    """Passes connections on to a port, and names CLIENT as the one they come from."""

    def __init__(self, name, port):
        self.name, self.port = name, port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, socket.create_connection(("127.0.0.1", self.port)) as router:
            router.sendall(self.beginning(client))
            threading.Thread(target=pump, args=(router, client), daemon=True).start()
            pump(client, router)

    def beginning(self, client):
        """What the router is sent first: a header of its own, or the client's request with one more."""
        address, port = CLIENT
        if self.name.startswith("PROXY v1"):
            return "PROXY TCP4 {} 127.0.0.1 {} {}\r\n".format(address, port, self.port).encode()
        if self.name.startswith("PROXY v2"):
            ends = socket.inet_aton(address) + socket.inet_aton("127.0.0.1")
            ends += port.to_bytes(2, "big") + self.port.to_bytes(2, "big")
            tlv = b"\x04\x00\x03abc"
            fixed = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11" + (len(ends) + len(tlv)).to_bytes(2, "big")
            return fixed + ends + tlv
        head = b""
        while b"\r\n\r\n" not in head:
            received = client.recv(65536)
            if not received:
                return head
            head += received
        value = 'for="{}:{}"' if self.name == "Forwarded" else "198.51.100.1, {}:{}"
        line = "\r\n{}: {}\r\n\r\n".format(self.name, value.format(address, port))
        return head.replace(b"\r\n\r\n", line.encode(), 1)


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def proxy_cases(wampd, python, folder, report):
    with Router(wampd, folder) as router:
        for name in PROXIES:
            report.case("behind a proxy: " + name, lambda name=name: behind(python, router, name))
        report.case("behind a proxy: a client that names itself", lambda: unproxied(python, router))


def behind(python, router, name):
    proxy = Proxy(name, router.ports[name])
    try:
        peer = joined(python, PROXIES[name][1], proxy.address[1])
    finally:
        proxy.listener.close()
    check(peer == "tcp4:{}:{}".format(*CLIENT), "the client is taken for {}".format(peer))
    check("peer=" + peer in router.log(), "the log does not name {}:\n{}".format(peer, router.log()))


def unproxied(python, router):
    """The router believes 127.0.0.1 only, and this comes from somewhere else."""
    port = router.ports["X-Forwarded-For"]
    with socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0)) as client:
        request = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: somebody, else\r\n\r\n"
        client.sendall(request.encode())
        status = client.recv(65536).split(b"\r\n")[0]
    # What it sends is not looked at: it is told that this is a WebSocket, not that its header is malformed.
    check(b" 426 " in status, status.decode())


def joined(python, transport, port):
    """What a client finds in the details of its session, having joined by a port."""
    link, environment = {
        "websocket": ("ws+cbor", {"WAMP_WS": "ws://127.0.0.1:{}/".format(port)}),
        "rawsocket": ("rs+cbor", {"WAMP_RS": "127.0.0.1:{}".format(port)}),
    }[transport]
    result = execute([python, str(HERE / "python/proxied.py"), link], environment)
    check(result.returncode == 0, result.stdout + result.stderr)
    return re.search("peer (.*)", result.stdout).group(1)


class Router:
    """A wampd with a transport for each of PROXIES."""

    def __init__(self, wampd, folder):
        folder.mkdir()
        self.ports = {name: free_port() for name in PROXIES}
        transports = [
            {
                "type": transport,
                "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": self.ports[name]},
                "wampd": {"proxies": {"trusted": ["127.0.0.1"], "protocol": protocol}},
            }
            for name, (protocol, transport) in PROXIES.items()
        ]
        worker = {"type": "router", "realms": [{"name": "interop", "roles": [ROLE]}], "transports": transports}
        (folder / "config.json").write_text(json.dumps({"version": 2, "workers": [worker]}))
        self.output = folder / "wampd.log"
        command = [str(wampd), "start", "--config", str(folder / "config.json")]
        with self.output.open("w") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __enter__(self):
        deadline = time.monotonic() + READY_WITHIN
        while not all(listens("tcp", port) for port in self.ports.values()):
            check(self.process.poll() is None and time.monotonic() < deadline, "no start:\n" + self.log())
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        kill(self.process)

    def log(self):
        return self.output.read_text(errors="replace")
