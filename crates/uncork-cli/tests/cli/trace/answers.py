"""A server that answers each request of 100 bytes with 110 bytes, and says its port. Arguments: address,
and with how many calls an answer is written; every option is at its default.
"""
import socket
import sys

address, calls = sys.argv[1], int(sys.argv[2])
server = socket.create_server((address, 0))
print(server.getsockname()[1], flush=True)
parts = {1: [110], 2: [100, 10]}[calls]
while True:
    connection, _ = server.accept()
    while len(connection.recv(100, socket.MSG_WAITALL)) == 100:
        for part in parts:
            connection.send(b"a" * part)
    connection.close()
