"""In a network namespace of its own: brings loopback up, then becomes the command given."""

import fcntl
import os
import socket
import struct
import sys

SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
IFF_UP = 1
INTERFACE = "16sh14x"

others = [name for _, name in socket.if_nameindex() if name != "lo"]
if others:
    sys.exit(f"not cut off: there is {', '.join(others)}")
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    asked = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack(INTERFACE, b"lo", 0))
    flags = struct.unpack(INTERFACE, asked)[1]
    fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack(INTERFACE, b"lo", flags | IFF_UP))
os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606
