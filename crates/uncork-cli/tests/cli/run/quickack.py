"""Connections whose TCP_QUICKACK somebody sets: prints, as JSON, of which the option came back.

It is switched off here, and nothing is sent, so that the kernel leaves it off.
"""

import json
import os
import socket
import sys
import time

PATIENCE_SECONDS = 60
TIMES = 10
found = {}


def option(sock, name=socket.TCP_QUICKACK):
    return sock.getsockopt(socket.IPPROTO_TCP, name)


def comes_back(sock):
    """As often as it is switched off. Gives up after a time that no machine takes."""
    for _ in range(TIMES):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        until = time.monotonic() + PATIENCE_SECONDS
        while not option(sock):
            if time.monotonic() > until:
                return False
            time.sleep(0.001)
    return True


def listening():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(100)
    return sock


server = listening()
address = server.getsockname()
client = socket.create_connection(address)
accepted, _ = server.accept()
found["nodelay"] = option(client, socket.TCP_NODELAY)
status = open("/proc/self/status").read().split()
found["filters"] = int(status[status.index("Seccomp_filters:") + 1])
if sys.argv[1:] == ["off"]:
    # For a while in which it would have come back; what isn't there proves no more.
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
    time.sleep(0.3)
    found["connect"] = option(client) != 0
    json.dump(found, sys.stdout)
    sys.exit()

found.update(connect=comes_back(client), accept=comes_back(accepted))

# A process whose parent is gone, and its connection, which nobody else has.
readable, writable = os.pipe()
if os.fork() == 0:
    ready, go = os.pipe()
    if os.fork() == 0:
        parent = os.getppid()
        own = socket.create_connection(address)
        comes_back(own)
        os.write(go, b"x")
        while os.getppid() == parent:
            time.sleep(0.001)
        os.write(writable, b"1" if comes_back(own) else b"0")
        os._exit(0)
    # As an orphan it is looked after if it was known before.
    os.read(ready, 1)
    os._exit(0)
os.wait()
found["orphan"] = os.read(readable, 1) == b"1"

# A close is a close: the other end sees it, whatever is set on the way.
ends = 0
for n in range(100):
    client = socket.create_connection(address)
    peer, _ = server.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
    while n % 10 == 0 and not option(client):
        time.sleep(0.001)
    client.close()
    peer.settimeout(PATIENCE_SECONDS)
    ends += peer.recv(1) == b""
    peer.close()
found["ends"] = ends
json.dump(found, sys.stdout)
