"""The backend of most folders, which have links to this."""

from autobahn.twisted.wamp import ApplicationSession
from twisted.internet.defer import inlineCallbacks


class Calculator(ApplicationSession):
    @inlineCallbacks
    def onJoin(self, details):
        yield self.register(lambda x, y: x + y, "calc.add")
        print("the calculator is ready")
