"""What an attacker on the line does: capture datagrams, replay them, change
them, send his own. Frames are built and injected at the operator's end of a
line, so that a router cannot tell them from those of its peer."""
import socket
import struct
import threading
import time

ETH_IP, ETH_IP6 = 0x0800, 0x86DD
UDP = 17
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Datagram:
    """A UDP datagram with its addresses, from a frame or made by hand."""

    def __init__(self, src, sport, dst, dport, payload, at=0.0):
        self.src, self.sport = src, sport
        self.dst, self.dport = dst, dport
        self.payload = bytes(payload)
        self.at = at

    @classmethod
    def parse(cls, frame, at=0.0):
        """Gives None for anything but UDP."""
        (kind,) = struct.unpack_from("!H", frame, 12)
        if kind == ETH_IP and frame[23] == UDP:
            head = 14 + (frame[14] & 15) * 4
            family, src, dst = socket.AF_INET, frame[26:30], frame[30:34]
        elif kind == ETH_IP6 and frame[20] == UDP:
            head, family = 54, socket.AF_INET6
            src, dst = frame[22:38], frame[38:54]
        else:
            return None
        sport, dport, length = struct.unpack_from("!HHH", frame, head)
        return cls(socket.inet_ntop(family, src), sport,
                   socket.inet_ntop(family, dst), dport,
                   frame[head + 8:head + length], at)

    def but(self, **changes):
        """A copy with other fields."""
        fields = dict(src=self.src, sport=self.sport, dst=self.dst,
                      dport=self.dport, payload=self.payload)
        return Datagram(**{**fields, **changes})

    def reflected(self):
        """The same payload, sent back to where it came from."""
        return self.but(src=self.dst, sport=self.dport,
                        dst=self.src, dport=self.sport)

    def flipped(self, bit):
        """A copy with one bit of the payload inverted."""
        payload = bytearray(self.payload)
        payload[bit // 8] ^= 1 << (bit % 8)
        return self.but(payload=payload)

    def frame(self, dst_mac, src_mac):
        """An Ethernet frame with right checksums."""
        udp = struct.pack("!HHHH", self.sport, self.dport,
                          8 + len(self.payload), 0) + self.payload
        six = ":" in self.src
        family = socket.AF_INET6 if six else socket.AF_INET
        src = socket.inet_pton(family, self.src)
        dst = socket.inet_pton(family, self.dst)
        pseudo = src + dst + (struct.pack("!II", len(udp), UDP) if six else
                              struct.pack("!BBH", 0, UDP, len(udp)))
        total = checksum(pseudo + udp) or 0xFFFF
        udp = udp[:6] + struct.pack("!H", total) + udp[8:]
        if six:
            kind = ETH_IP6
            head = struct.pack("!IHBB", 6 << 28, len(udp), UDP, 64) + src + dst
        else:
            kind = ETH_IP
            head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0x4000,
                               64, UDP, 0) + src + dst
            head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
        return (bytes.fromhex(dst_mac.replace(":", "")) +
                bytes.fromhex(src_mac.replace(":", "")) +
                struct.pack("!H", kind) + head + udp)

    def __repr__(self):
        return (f"<{self.src}:{self.sport} > {self.dst}:{self.dport} "
                f"{len(self.payload)} {self.payload[:12].hex()}>")


class Tap:
    """Sees what a router sends into its line (side "a" or "b") and sends
    frames to that router."""

    def __init__(self, line, side):
        self.line, self.side = line, side
        self.datagrams = []
        self.sock = line.lab.m.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                      socket.htons(3))
        self.sock.bind((line.port(side), 3))
        self.sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, 33, 1 << 25)  # RCVBUFFORCE
        self.sock.settimeout(0.2)
        self.open = True
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while self.open:
            try:
                frame = self.sock.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                return
            datagram = Datagram.parse(frame, time.monotonic())
            if datagram:
                self.datagrams.append(datagram)

    def inject(self, *datagrams):
        """Sends datagrams to the router of this side, as if by the line."""
        for datagram in datagrams:
            self.sock.send(datagram.frame(self.line.mac(self.side),
                                          self.line.mac("operator")))

    def close(self):
        self.open = False
        self.thread.join()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
