"""Joins with the authid of the command line and the ticket of the environment, and calls the calculator."""

import os
import sys

from autobahn.twisted.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.exception import ApplicationError
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks


class Client(ApplicationSession):
    def onConnect(self):
        self.join(self.config.realm, ["ticket"], sys.argv[1])

    def onChallenge(self, challenge):
        return os.environ["TICKET"]

    @inlineCallbacks
    def onJoin(self, details):
        print("joined as {} with role {} by {}".format(details.authid, details.authrole, details.authprovider))
        result = yield self.call("calc.add", 2, 3)
        print("2 + 3 = {}".format(result))
        try:
            yield self.register(lambda: None, "calc.subtract")
        except ApplicationError as error:
            print("not registered: {}".format(error.error))
        self.leave()

    def onLeave(self, details):
        print("left: {}".format(details.reason))
        self.config.extra["reason"] = details.reason
        self.disconnect()

    def onDisconnect(self):
        reactor.stop()


extra = {"reason": None}
ApplicationRunner("ws://localhost:8080/ws", "arithmetic", extra=extra).run(Client)
sys.exit(0 if extra["reason"] == "wamp.close.normal" else 1)
