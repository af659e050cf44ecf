"""The client of the scenario, as an application session under Twisted.

    MYSECRET=secret123 python scenario_client.py USER [URL [SERIALIZER]]

Exits 0 only if everything was allowed and refused as the permissions say and the router answered GOODBYE with
wamp.close.normal. SERIALIZER is json, cbor or msgpack, with or without ".batched"; without it Autobahn offers all it
knows, cbor.batched first.
"""

import os
import sys

from autobahn.twisted.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp import auth
from twisted.internet import reactor

import scenario
from serializers import named


class ClientSession(ApplicationSession):
    def onConnect(self):
        user = self.config.extra["user"]
        self.log.info(
            "Client session connected. Starting WAMP-CRA authentication on realm '{realm}' as user '{user}' ..",
            realm=self.config.realm,
            user=user,
        )
        self.join(self.config.realm, ["wampcra"], user)

    def onChallenge(self, challenge):
        self.log.info("WAMP-CRA challenge received: {challenge}", challenge=challenge)
        if challenge.method != "wampcra":
            raise Exception("cannot answer a challenge of method {}".format(challenge.method))
        key = self.config.extra["secret"]
        if "salt" in challenge.extra:
            key = auth.derive_key(
                key, challenge.extra["salt"], challenge.extra["iterations"], challenge.extra["keylen"]
            )
        return auth.compute_wcs(key, challenge.extra["challenge"])

    async def onJoin(self, details):
        self.config.extra["errors"] = await scenario.play(
            self, details, lambda line: self.log.info("{line}", line=line)
        )
        self.leave()

    def onLeave(self, details):
        self.log.info("Client session left: {details}", details=details)
        self.config.extra["reason"] = details.reason
        self.disconnect()

    def onDisconnect(self):
        self.log.info("Client session disconnected.")
        if reactor.running:
            reactor.stop()


def main():
    user = sys.argv[1]
    url = sys.argv[2] if len(sys.argv) > 2 else "ws://127.0.0.1:8080/ws"
    serializers = [named(sys.argv[3])] if len(sys.argv) > 3 else None
    secret = os.environ.get("MYSECRET", "")
    print("User '{}' using secret '{}'".format(user, secret), flush=True)

    extra = {"user": user, "secret": secret}
    ApplicationRunner(url, "realm1", extra=extra, serializers=serializers).run(ClientSession)

    for error in extra.get("errors", []):
        print("error: {}".format(error), file=sys.stderr)
    sys.exit(0 if extra.get("reason") == "wamp.close.normal" and extra.get("errors") == [] else 1)


if __name__ == "__main__":
    main()
