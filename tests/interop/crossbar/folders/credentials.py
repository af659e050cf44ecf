"""Makes keys and certificates for those of the command line, and fills in what the files of the folder say of them.

`node` makes the key of the node, as Crossbar.io does when a node first starts. `keys anna` makes .keys/anna.key; a file
says KEY-OF-ANNA for the public key. `certificates anna` makes .crossbar/anna.crt and anna.key beside those of the server
and of two authorities; a file says PRINT-OF-ANNA for the fingerprint. Folders have links to this.
"""

import datetime
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from nacl.signing import SigningKey

FOLDER = Path(__file__).resolve().parent
NODE = FOLDER / ".crossbar"
NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


def node(_):
    key = SigningKey.generate()
    public = "creator: anna@example.org\npublic-key-ed25519: {}\n".format(key.verify_key.encode().hex())
    private = "private-key-ed25519: {}\n".format(key.encode().hex())
    (NODE / "key.priv").write_text("Crossbar.io node private key - KEEP THIS SAFE!\n\n" + public + private)
    (NODE / "key.pub").write_text("Crossbar.io node public key\n\n" + public)


def keys(names):
    (FOLDER / ".keys").mkdir()
    for name in names:
        key = SigningKey.generate()
        (FOLDER / ".keys" / (name + ".key")).write_bytes(key.encode())
        fill_in("KEY-OF-" + name.upper(), key.verify_key.encode().hex())


def certificates(names):
    root = Issued("the root", None, authority=True)
    between = Issued("the one between", root, authority=True)
    (NODE / "ca.pem").write_bytes(root.certificate())
    (NODE / "intermediate.pem").write_bytes(between.certificate())
    server = Issued("localhost", between)
    server.save("server")
    # Who has to send its chain sends it in one file.
    with (NODE / "server.crt").open("ab") as file:
        file.write(between.certificate())
    for name in names:
        issued = Issued(name, between)
        issued.save(name)
        fill_in("PRINT-OF-" + name.upper(), issued.issued.fingerprint(hashes.SHA1()).hex(":").upper())


class Issued:
    """A certificate and its key."""

    def __init__(self, name, issuer, authority=False):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        issuer = issuer or self
        builder = x509.CertificateBuilder(issuer.name, self.name, self.key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(NOW - DAY).not_valid_after(NOW + DAY)
        builder = builder.add_extension(x509.BasicConstraints(authority, None), critical=True)
        if name == "localhost":
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        self.issued = builder.sign(issuer.key, hashes.SHA256())

    def certificate(self):
        return self.issued.public_bytes(serialization.Encoding.PEM)

    def save(self, name):
        (NODE / (name + ".crt")).write_bytes(self.certificate())
        pem, pkcs8, clear = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (NODE / (name + ".key")).write_bytes(self.key.private_bytes(pem, pkcs8, clear))


def fill_in(name, text):
    for file in (*NODE.glob("config*"), *FOLDER.glob("*.py")):
        file.write_text(file.read_text().replace(name, text))


{"node": node, "keys": keys, "certificates": certificates}[sys.argv[1]](sys.argv[2:])
