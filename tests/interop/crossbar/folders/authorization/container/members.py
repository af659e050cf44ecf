"""Two components that log in as any client does: one decides about the other."""

from autobahn.twisted.wamp import ApplicationSession
from twisted.internet.defer import inlineCallbacks


class Member(ApplicationSession):
    def onConnect(self):
        self.join(self.config.realm, ["ticket"], self.NAME)

    def onChallenge(self, challenge):
        return self.TICKET


class Judge(Member):
    NAME, TICKET = "judge", "justice"

    @inlineCallbacks
    def onJoin(self, details):
        yield self.register(self.judge, "law.judge")
        print("the judge is there")

    def judge(self, session, uri, action, options):
        print("may {} {} {}?".format(session["authid"], action, uri))
        return session["authid"] == "adder" or action == "call"


class Adder(Member):
    NAME, TICKET = "adder", "numbers"

    @inlineCallbacks
    def onJoin(self, details):
        yield self.register(lambda x, y: x + y, "calc.add")
        print("the calculator is ready")
