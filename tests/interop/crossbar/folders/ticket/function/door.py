"""A function that knows the tickets of some, written with the logger of txaio for Twisted."""

import os

import txaio

txaio.use_twisted()

from autobahn.wamp.exception import ApplicationError  # noqa: E402

TICKETS = {"robot": os.environ.get("ROBOT_TICKET"), "guard": "halt"}
log = txaio.make_logger()


async def create_authenticator(config, controller):
    log.info("an authenticator with {config}", config=config)
    print("the door is kept")

    def open_door(realm, authid, details):
        if authid not in TICKETS:
            raise ApplicationError("door.stranger", "nobody here knows {}".format(authid))
        if details["ticket"] != TICKETS[authid]:
            raise ApplicationError("door.bad_ticket", "{} has another ticket".format(authid))
        return config["role"]

    return open_door
