"""Decides without being told the options of requests, as authorizers did before there were any."""

from autobahn.twisted.wamp import ApplicationSession
from twisted.internet.defer import inlineCallbacks


class Judge(ApplicationSession):
    @inlineCallbacks
    def onJoin(self, details):
        yield self.register(self.judge, "law.judge")
        print("the judge is there")

    def judge(self, session, uri, action):
        print("may a {} {} {}?".format(session["authrole"], action, uri))
        allow = session["authrole"] == "calculator" or action == "call"
        return {"allow": allow, "cache": False, "disclose": True}
