"""Prints TCP_NODELAY of sockets of all kinds, as JSON; `other` where there is no such option."""

import json
import os
import select
import socket
import sys
import threading

FASTOPEN = 0x20000000
found = {}


def nodelay(sock):
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    except OSError:
        return "other"


def listening(family=socket.AF_INET, host="127.0.0.1"):
    sock = socket.socket(family)
    sock.bind((host, 0))
    sock.listen(100)
    return sock


server = listening()
address = server.getsockname()
client = socket.create_connection(address)
accepted, _ = server.accept()
found.update(listen=nodelay(server), connect=nodelay(client), accept=nodelay(accepted))


def connect(name):
    with socket.create_connection(address) as sock:
        found[name] = nodelay(sock)


thread = threading.Thread(target=connect, args=["thread"])
thread.start()
thread.join()

readable, writable = os.pipe()
if os.fork() == 0:
    connect("fork")
    os.write(writable, b"1" if found["fork"] is True else b"0")
    os._exit(0)
found["fork"] = os.read(readable, 1) == b"1"
os.wait()

patient = socket.socket()
patient.setblocking(False)
patient.connect_ex(address)
select.select([], [patient], [])
found["non_blocking"] = nodelay(patient)

six = listening(socket.AF_INET6, "::1")
with socket.create_connection(six.getsockname()[:2]) as sock:
    found["ipv6"] = nodelay(six) and nodelay(sock)

for name, send in {
    "sendto": lambda sock: sock.sendto(b"x", FASTOPEN, address),
    "sendmsg": lambda sock: sock.sendmsg([b"x"], [], FASTOPEN, address),
}.items():
    with socket.socket() as sock:
        send(sock)
        found[name] = nodelay(sock)

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.connect(address)
    found["udp"] = nodelay(sock)
one, _ = socket.socketpair()
found["unix"] = nodelay(one)
with socket.socket(socket.AF_UNIX) as unix, socket.socket(socket.AF_UNIX) as peer:
    name = "\0uncork-%d" % os.getpid()
    unix.bind(name)
    unix.listen()
    peer.connect(name)
    found["unix_connect"] = nodelay(peer)
with socket.socket() as sock:
    found["refused"] = sock.connect_ex(("127.0.0.1", 1))
    sock.close()
try:
    socket.socket(fileno=os.dup(client.fileno())).connect(address)
except OSError as error:
    found["again"] = error.errno
json.dump(found, sys.stdout)
