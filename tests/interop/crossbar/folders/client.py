"""Joins by the method and with the authid of the command line and the secret of the environment, and calculates.

Folders have links to this.
"""

import os
import sys

from autobahn.twisted.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp import auth
from autobahn.wamp.exception import ApplicationError
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks

METHOD, AUTHID, REALM = (sys.argv[1:] + [None] * 3)[:3]
SECRET = os.environ.get("SECRET", "")


class Client(ApplicationSession):
    def onConnect(self):
        self.join(self.config.realm, [METHOD], AUTHID)

    def onChallenge(self, challenge):
        if challenge.method == "ticket":
            return SECRET
        key, extra = SECRET, challenge.extra
        if "salt" in extra:
            key = auth.derive_key(SECRET, extra["salt"], extra["iterations"], extra["keylen"])
        return auth.compute_wcs(key, extra["challenge"])

    @inlineCallbacks
    def onJoin(self, details):
        print("joined {} as {} with role {} by {}".format(*map(details.__getattribute__, WHO)))
        print("told: {}".format(sorted(details.authextra or {})))
        try:
            result = yield self.call("calc.add", 2, 3)
            print("2 + 3 = {}".format(result))
        except ApplicationError as error:
            print("not called: {}".format(error.error))
        try:
            yield self.register(lambda: None, "calc.subtract")
            print("registered")
        except ApplicationError as error:
            print("not registered: {}".format(error.error))
        self.leave()

    def onLeave(self, details):
        print("left: {}".format(details.reason))
        self.config.extra["reason"] = details.reason
        self.disconnect()

    def onDisconnect(self):
        reactor.stop()


WHO = ("realm", "authid", "authrole", "authprovider")
extra = {"reason": None}
realm = {None: "arithmetic", "-": None}.get(REALM, REALM)
ApplicationRunner("ws://localhost:8080/ws", realm, extra=extra).run(Client)
sys.exit(0 if extra["reason"] == "wamp.close.normal" else 1)
