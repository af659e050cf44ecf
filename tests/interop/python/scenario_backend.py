"""The backend of the scenario, as an application session under Twisted.

    MYSECRET=... python scenario_backend.py URL [USER]

Joins realm1 with WAMP-CRA as USER, anonymously without one; subscribes to the scenario's topics, is refused
com.example.topic2, registers com.example.add2 and serves until it is terminated. Prints "Backend ready" once.
"""

import os
import sys

from autobahn.twisted.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp import auth
from autobahn.wamp.exception import ApplicationError
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks


class BackendSession(ApplicationSession):
    def onConnect(self):
        user = self.config.extra["user"]
        if user:
            self.join(self.config.realm, ["wampcra"], user)
        else:
            self.join(self.config.realm)

    def onChallenge(self, challenge):
        return auth.compute_wcs(self.config.extra["secret"], challenge.extra["challenge"])

    @inlineCallbacks
    def onJoin(self, details):
        for topic, allowed in [
            ("com.example.topic1", True),
            ("com.foobar.topic1", True),
            ("com.foobar.topic2", True),
            ("com.example.topic2", False),
        ]:
            try:
                yield self.subscribe(lambda msg, topic=topic: self.on_event(topic, msg), topic)
                self.log.info("ok, subscribed to topic {topic}", topic=topic)
                if not allowed:
                    self.fail("{} was subscribed to".format(topic))
            except ApplicationError as e:
                self.log.info(
                    "subscription to topic {topic} failed - this is expected: {error}", topic=topic, error=e
                )
                if allowed or e.error != ApplicationError.NOT_AUTHORIZED:
                    self.fail("subscribing to {} was refused with {}".format(topic, e.error))

        try:
            yield self.register(lambda x, y: x + y, "com.example.add2")
            self.log.info("ok, procedure com.example.add2 registered")
        except ApplicationError as e:
            self.fail("registering com.example.add2 was refused with {}".format(e.error))
        self.log.info("Backend ready")

    def on_event(self, topic, msg):
        self.log.info("event received on topic {topic}: {msg}", topic=topic, msg=msg)

    def fail(self, error):
        print("error: {}".format(error), file=sys.stderr)
        self.config.extra["failed"] = True
        self.leave()

    def onLeave(self, details):
        self.log.info("Backend session left: {details}", details=details)
        self.disconnect()

    def onDisconnect(self):
        if reactor.running:
            reactor.stop()


def main():
    user = sys.argv[2] if len(sys.argv) > 2 else None
    extra = {"user": user, "secret": os.environ.get("MYSECRET", ""), "failed": False}
    ApplicationRunner(sys.argv[1], "realm1", extra=extra).run(BackendSession)
    sys.exit(1 if extra["failed"] else 0)


if __name__ == "__main__":
    main()
