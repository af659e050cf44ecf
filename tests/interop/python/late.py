"""A session that tries once: late.py asyncio|twisted URL REALM

Joins without any reconnection, prints "joined" and ends.
"""

import sys

library, url, realm = sys.argv[1:]
if library == "twisted":
    from autobahn.twisted.wamp import ApplicationRunner, ApplicationSession
    from twisted.internet import reactor
else:
    from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession

joined = False


class Session(ApplicationSession):
    def onJoin(self, details):
        global joined
        joined = True
        self.leave()

    def onDisconnect(self):
        if library == "twisted":
            if reactor.running:
                reactor.stop()
        else:
            import asyncio

            asyncio.get_event_loop().stop()


ApplicationRunner(url, realm).run(Session)
print("joined" if joined else "not joined", file=sys.__stdout__)
sys.exit(not joined)
