"""Lets in whoever asks as a visitor: late_authenticator.py URL REALM PROCEDURE"""

import asyncio
import sys

from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession

url, realm, procedure = sys.argv[1:]


class Authenticator(ApplicationSession):
    async def onJoin(self, details):
        await self.register(lambda realm, authid, details: "visitor", procedure)
        print("registered", flush=True)

    def onDisconnect(self):
        asyncio.get_event_loop().stop()


ApplicationRunner(url, realm).run(Authenticator)
