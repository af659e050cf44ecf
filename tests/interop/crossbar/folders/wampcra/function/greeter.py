"""A component of a container, for asyncio: calls the backend as soon as it is there."""

import asyncio

from autobahn.asyncio.wamp import ApplicationSession
from autobahn.wamp.exception import ApplicationError


class Greeter(ApplicationSession):
    async def onJoin(self, details):
        while True:
            try:
                result = await self.call("com.example.add2", 2, 3)
            except ApplicationError:
                await asyncio.sleep(0.05)
            else:
                break
        print("{} from {}, who has {}".format(self.config.extra["greeting"], details.authid, result))
