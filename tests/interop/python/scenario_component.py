"""The client of the scenario, as a component under asyncio.

    MYSECRET=secret123 python scenario_component.py USER [URL]

Exits as scenario_client.py does. Autobahn connects, answers the challenge and disconnects by itself, so no line tells
of these.
"""

import os
import sys

from autobahn.asyncio.component import Component, run

import scenario

user = sys.argv[1]
url = sys.argv[2] if len(sys.argv) > 2 else "ws://127.0.0.1:8080/ws"
secret = os.environ.get("MYSECRET", "")
outcome = {"errors": None, "reason": None}

component = Component(
    transports=[{"type": "websocket", "url": url, "max_retries": 0}],
    realm="realm1",
    authentication={"wampcra": {"authid": user, "secret": secret}},
)


@component.on_join
async def joined(session, details):
    outcome["errors"] = await scenario.play(session, details, print)
    session.leave()


@component.on_leave
def left(session, details):
    print("Client session left: {}".format(details))
    outcome["reason"] = details.reason


if __name__ == "__main__":
    print("User '{}' using secret '{}'".format(user, secret))
    run([component], log_level=None)
    for error in outcome["errors"] or []:
        print("error: {}".format(error), file=sys.stderr)
    sys.exit(0 if outcome["reason"] == "wamp.close.normal" and outcome["errors"] == [] else 1)
