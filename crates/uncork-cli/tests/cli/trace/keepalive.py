"""Asks an HTTP server for paths in turns, over one connection, one request after the other.

Arguments: host, port, paths with commas between them, number of requests.
"""
import http.client
import sys

host, port, paths, count = sys.argv[1:]
paths = paths.split(",")
connection = http.client.HTTPConnection(host, int(port))
for number in range(int(count)):
    connection.request("GET", paths[number % len(paths)])
    response = connection.getresponse()
    assert response.status == 200, response.status
    response.read()
connection.close()
