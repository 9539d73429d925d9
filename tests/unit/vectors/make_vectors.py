#!/usr/bin/env python3
"""Writes crypto_vectors.h: what the wire format says, computed by other means.

This is a second implementation of src/tunnel/{wire,session,handshake}.h, from
their text and the RFCs, with nothing but Python's hashlib below it.  Where the
C code and this file disagree, the format is not what the headers say.  The
primitives are checked against the RFCs' own vectors first.

    python3 make_vectors.py > crypto_vectors.h
"""

import hashlib
import hmac
import struct
import sys

# --- primitives -----------------------------------------------------------

P25519 = 2**255 - 19


def x25519(k, u):
    """RFC 7748, section 5."""
    k = int.from_bytes(k, "little")
    k = k & ~7 & (2**255 - 1) | 2**254
    x1 = int.from_bytes(u, "little") & (2**255 - 1)
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b = x2 + z2, x2 - z2
        c, d = x3 + z3, x3 - z3
        da, cb = d * a, c * b
        x3 = (da + cb) ** 2 % P25519
        z3 = x1 * (da - cb) ** 2 % P25519
        aa, bb = a * a, b * b
        e = aa - bb
        x2 = aa * bb % P25519
        z2 = e * (aa + 121665 * e) % P25519
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P25519 - 2, P25519) % P25519).to_bytes(32, "little")


X25519_BASE = (9).to_bytes(32, "little")


def rotl(v, n):
    return (v << n | v >> (32 - n)) & 0xFFFFFFFF


def chacha_block(key, counter, nonce):
    """RFC 8439, section 2.3."""
    state = list(
        struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", counter) + nonce)
    )
    w = list(state)

    def quarter(a, b, c, d):
        for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            w[x] = (w[x] + w[y]) & 0xFFFFFFFF
            w[z] = rotl(w[z] ^ w[x], n)

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(w, state)))


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def pad16(b):
    return b + bytes(-len(b) % 16)


def chacha20_poly1305(key, nonce, aad, plain):
    """RFC 8439, section 2.8: ciphertext and tag."""
    stream = b"".join(
        chacha_block(key, 1 + i, nonce) for i in range((len(plain) + 63) // 64)
    )
    out = xor(plain, stream)
    otk = chacha_block(key, 0, nonce)[:32]
    r = int.from_bytes(otk[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    s = int.from_bytes(otk[16:], "little")
    mac = pad16(aad) + pad16(out) + struct.pack("<QQ", len(aad), len(out))
    acc = 0
    for i in range(0, len(mac), 16):
        acc = (acc + int.from_bytes(mac[i : i + 16] + b"\1", "little")) * r % (2**130 - 5)
    return out + ((acc + s) % 2**128).to_bytes(16, "little")


def xtime(a):
    return (a << 1 ^ 0x11B) & 0xFF if a & 0x80 else a << 1


def make_sbox():
    """FIPS 197, 5.1.1: inverse, then affine map."""
    exp, log, x = [0] * 255, [0] * 256, 1
    for i in range(255):
        exp[i], log[x] = x, i
        x ^= xtime(x)
    box = []
    for v in range(256):
        inv = exp[-log[v] % 255] if v else 0
        out = 0x63
        for n in range(5):
            out ^= (inv << n | inv >> (8 - n)) & 0xFF
        box.append(out)
    return box


SBOX = make_sbox()


def aes256_block(key, block):
    """FIPS 197, for 256-bit keys."""
    words = [list(key[4 * i : 4 * i + 4]) for i in range(8)]
    rcon = 1
    for i in range(8, 60):
        t = list(words[i - 1])
        if i % 8 == 0:
            t = [SBOX[b] for b in t[1:] + t[:1]]
            t[0] ^= rcon
            rcon = xtime(rcon)
        elif i % 8 == 4:
            t = [SBOX[b] for b in t]
        words.append([a ^ b for a, b in zip(words[i - 8], t)])
    keys = [sum(words[4 * r : 4 * r + 4], []) for r in range(15)]
    s = [a ^ b for a, b in zip(block, keys[0])]
    for rnd in range(1, 15):
        s = [SBOX[b] for b in s]
        s = [s[(i + 4 * (i % 4)) % 16] for i in range(16)]
        if rnd < 14:
            mixed = []
            for c in range(0, 16, 4):
                col = s[c : c + 4]
                total = col[0] ^ col[1] ^ col[2] ^ col[3]
                for i in range(4):
                    mixed.append(col[i] ^ total ^ xtime(col[i] ^ col[(i + 1) % 4]))
            s = mixed
        s = [a ^ b for a, b in zip(s, keys[rnd])]
    return bytes(s)


def gf128_mul(x, y):
    """SP 800-38D, 6.3."""
    z = 0
    for i in range(128):
        if x >> (127 - i) & 1:
            z ^= y
        y = y >> 1 ^ (0xE1 << 120 if y & 1 else 0)
    return z


def aes_256_gcm(key, nonce, aad, plain):
    """SP 800-38D: ciphertext and tag."""
    stream = b"".join(
        aes256_block(key, nonce + struct.pack(">I", 2 + i))
        for i in range((len(plain) + 15) // 16)
    )
    out = xor(plain, stream)
    h = int.from_bytes(aes256_block(key, bytes(16)), "big")
    acc = 0
    data = pad16(aad) + pad16(out) + struct.pack(">QQ", 8 * len(aad), 8 * len(out))
    for i in range(0, len(data), 16):
        acc = gf128_mul(acc ^ int.from_bytes(data[i : i + 16], "big"), h)
    return out + xor(acc.to_bytes(16, "big"), aes256_block(key, nonce + b"\0\0\0\1"))


def hkdf(ikm, info, length, salt=b""):
    """RFC 5869 with SHA-256."""
    prk = hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()
    out, t, i = b"", b"", 1
    while len(out) < length:
        t = hmac.new(prk, t + info + bytes([i]), hashlib.sha256).digest()
        out, i = out + t, i + 1
    return out[:length]


def check(what, got, want):
    if got.hex() != want.replace(" ", ""):
        sys.exit(f"{what}: got {got.hex()}")


def self_test():
    check(
        "x25519 (RFC 7748, 5.2)",
        x25519(
            bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
            bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
        ),
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    )
    check(
        "chacha20-poly1305 (RFC 8439, 2.8.2)",
        chacha20_poly1305(
            bytes(range(0x80, 0xA0)),
            bytes.fromhex("070000004041424344454647"),
            bytes.fromhex("50515253c0c1c2c3c4c5c6c7"),
            b"Ladies and Gentlemen of the class of '99: If I could offer you "
            b"only one tip for the future, sunscreen would be it.",
        )[-16:],
        "1ae10b594f09e26a7e902ecbd0600691",
    )
    check(
        "aes-256 (FIPS 197, C.3)",
        aes256_block(bytes(range(32)), bytes.fromhex("00112233445566778899aabbccddeeff")),
        "8ea2b7ca516745bfeafc49904b496089",
    )
    check(
        "aes-256-gcm (GCM specification, case 14)",
        aes_256_gcm(bytes(32), bytes(12), b"", bytes(16)),
        "cea7403d4d606b6e074ec5d3baf39d18 d0d1c8a799996bf0265b98b5d48ab919",
    )
    check(
        "hkdf (RFC 5869, A.1)",
        hkdf(
            b"\x0b" * 22,
            bytes.fromhex("f0f1f2f3f4f5f6f7f8f9"),
            42,
            bytes.fromhex("000102030405060708090a0b0c"),
        ),
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    )


# --- the format -----------------------------------------------------------

HELLO, REPLY, REJECT, AUTH, DATA, CONTROL = range(1, 7)
AES, CHACHA, NONE = 1, 2, 3
AEAD = {AES: aes_256_gcm, CHACHA: chacha20_poly1305}
HS_TUNTAP = 8

PASSWORD = b"correct horse battery staple"
PSK = hashlib.scrypt(
    PASSWORD, salt=b"mlvpn password v1", n=2**15, r=8, p=1, maxmem=2**26, dklen=32
)
MAC_KEY = [hkdf(PSK, b"mlvpn v1 hello " + role, 32) for role in (b"client", b"server")]


class Random:
    """What the tests' random source gives: bytes that count up."""

    def __init__(self, first):
        self.next = first

    def take(self, n):
        out = bytes((self.next + i) & 0xFF for i in range(n))
        self.next += n
        return out


class End:
    def __init__(self, server, ciphers, aes_fast, tap=False):
        self.server, self.tap = server, tap
        self.ciphers, self.aes_fast = ciphers, aes_fast
        self.link = 0 if server else 3
        self.instance = 0xF1F2F3F4F5F6F7F8 if server else 0x0102030405060708
        self.tx, self.rx = (2500000, 0) if server else (125000, 1250000000000)
        self.mtu = 1500 if server else 1440
        self.name = b"adsl1"
        self.random = Random(0x80 if server else 0x40)

    def message(self, kind, ciphers, body, epoch=0, link=None, reason=0, answer=b""):
        flags = self.server | self.tap << 1 | self.aes_fast << 2
        msg = struct.pack(
            ">8B3QH16s6x32s20s4x",
            kind,
            1,
            flags,
            ciphers,
            epoch,
            self.link if link is None else link,
            reason,
            0,
            self.instance,
            self.tx,
            self.rx,
            self.mtu,
            self.name,
            body,
            answer,
        )
        assert len(msg) == 112
        return msg


def sign(msg, role, hello=b""):
    return msg + hmac.new(MAC_KEY[role], hello + msg, hashlib.sha256).digest()[:16]


def session_keys(secret, hello, reply):
    transcript = hashlib.sha256(hello + reply).digest()
    return [
        hkdf(secret + PSK, b"mlvpn v1 " + way + transcript, 44)
        for way in (b"client to server", b"server to client")
    ]


def seal(cipher, kind, epoch, seq, key, inner, packet):
    head = struct.pack(">BBHI", kind, epoch, seq >> 32, seq & 0xFFFFFFFF)
    if cipher == NONE:
        return head + key + inner + packet
    nonce = xor(key[32:], bytes(6) + head[2:])
    return head + AEAD[cipher](key[:32], nonce, head, inner + packet)


def data_inner(bucket, seq, stamp, link, flags):
    return struct.pack(">Q", bucket << 54 | seq << 32 | stamp << 12 | link << 8 | flags)


def control_inner(control, echo, stamp, link, flags):
    return struct.pack(">Q", control << 60 | echo << 32 | stamp << 12 | link << 8 | flags)


out = []


def emit(name, value):
    text = value.hex()
    rows = [f"#define VEC_{name}"]
    rows += [f'\t"{text[i:i + 64]}"' for i in range(0, len(text), 64)]
    out.append(" \\\n".join(rows))


def sealed_handshake(name, cipher, aes_fast):
    client = End(False, 1 << AES | 1 << CHACHA, aes_fast)
    server = End(True, 1 << AES | 1 << CHACHA, aes_fast)
    a = client.random.take(32)
    hello = sign(client.message(HELLO, client.ciphers, x25519(a, X25519_BASE)), 0)
    b = server.random.take(32)
    reply = server.message(REPLY, cipher, x25519(b, X25519_BASE), epoch=0x5A, link=3)
    reply = sign(reply, 1, hello)
    secret = x25519(a, x25519(b, X25519_BASE))
    assert secret == x25519(b, x25519(a, X25519_BASE))
    up, down = session_keys(secret, hello, reply)
    emit(f"HELLO_{name}", hello)
    emit(f"REPLY_{name}", reply)
    emit(f"UP_{name}", up)
    emit(f"DOWN_{name}", down)
    emit(f"DATA_{name}", seal(cipher, DATA, 0x5A, SEQ, up, INNER_DATA, PACKET))
    emit(f"CONTROL_{name}", seal(cipher, CONTROL, 0x5A, 1, down, INNER_CONTROL, b""))
    return hello


def clear_handshake():
    client, server = End(False, 1 << NONE, True), End(True, 1 << NONE, True)
    asked = b"\0" + client.random.take(20)[1:]
    rx_client = client.random.take(8)
    hello = sign(client.message(HELLO, client.ciphers, asked + rx_client), 0)
    asks = b"\1" + server.random.take(20)[1:]
    rx_server = server.random.take(8)
    reply = server.message(
        REPLY,
        NONE,
        asks + rx_server,
        epoch=0x5A,
        link=3,
        answer=hashlib.sha1(PASSWORD + asked).digest(),
    )
    reply = sign(reply, 1, hello)
    auth = client.message(
        AUTH, NONE, b"", epoch=0x5A, answer=hashlib.sha1(PASSWORD + asks).digest()
    )
    emit("HELLO_NONE", hello)
    emit("REPLY_NONE", reply)
    emit("AUTH_NONE", sign(auth, 0, hello))
    emit("DATA_NONE", seal(NONE, DATA, 0x5A, SEQ, rx_server, INNER_DATA, PACKET))
    emit("CONTROL_NONE", seal(NONE, CONTROL, 0x5A, 1, rx_client, INNER_CONTROL, b""))


SEQ = 0x0102030405F6
PACKET = bytes(range(0x10, 0x43))  # 51 bytes: no multiple of any block
INNER_DATA = data_inner(0x2A5, 0x31415F, 0xABCDE, 9, 0x85)
INNER_CONTROL = control_inner(2, 0x12345, 0xFEDCB, 0, 0x08)


def main():
    self_test()
    emit("PSK", PSK)
    emit("MAC_KEY_CLIENT", MAC_KEY[0])
    emit("MAC_KEY_SERVER", MAC_KEY[1])
    emit("INNER_DATA", INNER_DATA)
    emit("INNER_CONTROL", INNER_CONTROL)
    emit("COUNTS", struct.pack(">QQQ", SEQ, 0xFFFFFFFFFFFFFFFE, 0x0A0B0C0D))
    emit("PACKET", PACKET)
    hello = sealed_handshake("AES", AES, True)
    sealed_handshake("CHACHA", CHACHA, False)
    clear_handshake()
    tap = End(True, 1 << AES | 1 << CHACHA, True, tap=True)
    reject = tap.message(REJECT, tap.ciphers, b"", link=3, reason=HS_TUNTAP)
    emit("REJECT_TUNTAP", sign(reject, 1, hello))
    print("/* Made by make_vectors.py, not by the code it tests. Hexadecimal. */")
    print("/* clang-format off */")
    print("#ifndef MLVPN_TESTS_CRYPTO_VECTORS_H\n#define MLVPN_TESTS_CRYPTO_VECTORS_H\n")
    print("#define VEC_PASSWORD \"" + PASSWORD.decode() + '"')
    print("\n".join(out))
    print("\n#endif")


main()
