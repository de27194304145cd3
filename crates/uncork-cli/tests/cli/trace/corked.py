"""An HTTP server that holds its answers back and forgets to let them go: by TCP_CORK ("cork"), or by
MSG_MORE on its last write ("more"). Says its port.
"""
import socket
import sys

manner = sys.argv[1]
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    connection, _ = server.accept()
    if manner == "cork":
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    flags = socket.MSG_MORE if manner == "more" else 0
    while connection.recv(65536):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", flags)
        connection.send(b"hello", flags)
    connection.close()
