"""A function for asyncio that lets anybody in, and says what for."""

import asyncio


def create_authenticator(config, controller):
    print("the door is kept, alone: {}".format(controller is None))

    async def open_door(realm, authid, details):
        await asyncio.sleep(0)
        return {"role": "visitor", "extra": {**config, "rooms": ["a", "b"]}}

    return open_door
