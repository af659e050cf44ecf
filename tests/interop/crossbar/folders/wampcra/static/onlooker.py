"""Sees who is there and who comes, from a container that connects by the node's unix socket."""

from autobahn.twisted.wamp import ApplicationSession
from twisted.internet.defer import inlineCallbacks


class Onlooker(ApplicationSession):
    def onConnect(self):
        self.join(self.config.realm)

    @inlineCallbacks
    def onJoin(self, details):
        def comes(session):
            print("{} comes with role {}".format(session["authid"], session["authrole"]))

        yield self.subscribe(comes, "wamp.session.on_join")
        sessions = yield self.call("wamp.session.list")
        details = yield self.call("wamp.session.get", details.session)
        print("{}: sees {} as {}".format(self.config.extra["greeting"], len(sessions) > 0, details["authrole"]))
