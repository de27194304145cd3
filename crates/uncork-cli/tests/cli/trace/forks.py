"""A thousand processes that connect to a port, fifty at a time. Argument: the port."""
import os
import socket
import sys

address = ("127.0.0.1", int(sys.argv[1]))
for _ in range(20):
    children = []
    for _ in range(50):
        child = os.fork()
        if child == 0:
            with socket.create_connection(address) as connection:
                connection.send(b"hello")
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
