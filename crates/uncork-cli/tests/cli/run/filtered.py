"""Connects with a seccomp filter of its own, and asks for a listener of its own."""

import ctypes
import os
import platform
import socket
import struct

libc = ctypes.CDLL(None, use_errno=True)
SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}[platform.machine()]
# All is allowed.
program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000))
fprog = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 1, ctypes.addressof(program)))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, fprog, 0, 0) == 0
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen()
client = socket.create_connection(server.getsockname())
print([sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for sock in (server, client)])
listener = libc.syscall(SYS_SECCOMP, 1, 8, fprog)
print(os.strerror(ctypes.get_errno()) if listener < 0 else "a listener")
