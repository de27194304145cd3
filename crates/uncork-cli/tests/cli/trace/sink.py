"""A server that reads all that comes, and says its port. Arguments: address, length of the receive buffer
(0: the kernel's own), and for how many seconds it thinks about each piece.
"""
import socket
import sys
import time

address, room, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
server = socket.socket()
if room:
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
server.bind((address, 0))
server.listen()
print(server.getsockname()[1], flush=True)
while True:
    connection, _ = server.accept()
    while connection.recv(65536):
        if pause:
            time.sleep(pause)
    connection.close()
