"""Sends a number of pieces that fill no whole number of segments, and waits until all has been read.
Arguments: address, port, number of pieces, length of the send buffer (0: the kernel's own).
"""
import socket
import sys

address, port, pieces, room = sys.argv[1], *map(int, sys.argv[2:])
connection = socket.socket()
if room:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
connection.connect((address, port))
piece = b"x" * 100_001
for _ in range(pieces):
    connection.sendall(piece)
connection.shutdown(socket.SHUT_WR)
connection.recv(1)
