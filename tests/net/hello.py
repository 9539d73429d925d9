"""Handshake messages as tests/net sends them: written against doc/, not
against the source, so that both ends' words for a mismatch can be seen."""
import functools
import hashlib
import hmac

HELLO, REPLY, REJECT, AUTH, DATA, CONTROL = range(1, 7)  # first byte
VERSION_AT, REASON_AT, MAC_AT = 1, 6, 112
REASON_VERSION = 6


@functools.cache
def mac_key(password, role):
    """The key that signs what "client" or "server" says."""
    psk = hashlib.scrypt(password.encode(), salt=b"mlvpn password v1", n=1 << 15,
                         r=8, p=1, maxmem=1 << 26, dklen=32)
    root = hmac.digest(bytes(32), psk, "sha256")
    return hmac.digest(root, b"mlvpn v1 hello " + role.encode() + b"\1",
                       "sha256")


def signed(message, password, role, hello=b"", **fields):
    """A copy of a message with other bytes at some places, and a right MAC:
    signed(m, p, "client", at={1: 9})."""
    message = bytearray(message)
    for at, value in fields.get("at", {}).items():
        message[at] = value
    mac = hmac.digest(mac_key(password, role), hello + message[:MAC_AT],
                      "sha256")
    return bytes(message[:MAC_AT]) + mac[:16]
