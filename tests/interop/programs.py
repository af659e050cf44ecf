"""Starts programs, waits for them and for what they listen on, and checks what came of it."""

import os
import socket
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CASE_TIMEOUT = 120


def start(command, environment=None, cwd=None, stderr=subprocess.PIPE):
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE / "python"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **(environment or {}),
    }
    return subprocess.Popen(
        command, cwd=cwd or HERE / "python", env=environment, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
    )  # fmt: skip


def execute(command, environment=None, cwd=None):
    program = start(command, environment, cwd)
    try:
        out, err = program.communicate(timeout=CASE_TIMEOUT)
    except subprocess.TimeoutExpired:
        kill(program)
        out, err = program.communicate()
        raise AssertionError("no end after {} s\n{}{}".format(CASE_TIMEOUT, tail(out), tail(err))) from None
    return subprocess.CompletedProcess(command, program.returncode, out, err)


def succeed(command, environment, cwd=None):
    result = execute(command, environment, cwd)
    output = tail(result.stdout) + tail(result.stderr)
    check(result.returncode == 0, "exit status {}\n{}".format(result.returncode, output))


def kill(process):
    if process.poll() is None:
        process.kill()
        process.wait()


def tail(text, lines=60):
    return "".join(line + "\n" for line in text.splitlines()[-lines:])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(kind, address):
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.connect(address if kind == "unix" else ("127.0.0.1", address))
        except OSError:
            return False
    return True


def await_node(process, log, condition, seconds, otherwise, pause=0.02):
    """Waits until `condition()` holds, while the node runs; if it never does, says so with the end of its log."""
    deadline = time.monotonic() + seconds
    while not condition():
        alive = process.poll() is None and time.monotonic() < deadline
        check(alive, "{}:\n{}".format(otherwise, tail(log())))
        time.sleep(pause)


def check(condition, otherwise):
    if not condition:
        raise AssertionError(otherwise)
