"""Sends a number of pieces that fill no whole number of segments, and waits until all has been read.
Arguments: address, port, number of pieces.
"""
import socket
import sys

connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
piece = b"x" * 100_001
for _ in range(int(sys.argv[3])):
    connection.sendall(piece)
connection.shutdown(socket.SHUT_WR)
connection.recv(1)
