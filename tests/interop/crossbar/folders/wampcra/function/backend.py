"""The backend of the scenario as a component of the router: it joins with its role, and needs no credentials."""

from autobahn.twisted.wamp import ApplicationSession
from autobahn.wamp.exception import ApplicationError
from twisted.internet.defer import inlineCallbacks


class Backend(ApplicationSession):
    @inlineCallbacks
    def onJoin(self, details):
        print("joined as {} by {}".format(details.authrole, details.authid))
        for topic in ("com.example.topic1", "com.foobar.topic1", "com.foobar.topic2", "com.example.topic2"):
            try:
                yield self.subscribe(lambda text, topic=topic: print("event on {}: {}".format(topic, text)), topic)
            except ApplicationError as error:
                print("subscription to {} failed: {}".format(topic, error.error))
        yield self.register(lambda x, y: x + y, "com.example.add2")
        print("Backend ready")
