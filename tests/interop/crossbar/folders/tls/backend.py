"""The calculator, which proves who it is by its certificate."""

from calculator import Calculator


class Backend(Calculator):
    def onConnect(self):
        self.join(self.config.realm, ["tls"])
