"""Asks answers.py, one request after the other, with NODELAY. Arguments: address, port, number of
requests, with how many calls each is written, and how many seconds it thinks before the next.
"""
import socket
import sys
import time

address, port, count, calls, pause = sys.argv[1:]
connection = socket.create_connection((address, int(port)))
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
parts = {1: [100], 2: [60, 40]}[int(calls)]
for _ in range(int(count)):
    for part in parts:
        connection.send(b"q" * part)
    assert len(connection.recv(110, socket.MSG_WAITALL)) == 110
    time.sleep(float(pause))
