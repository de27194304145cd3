/* Connects to itself and prints TCP_NODELAY of the three sockets. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

static int nodelay(int fd) {
    int value = -1;
    socklen_t len = sizeof value;
    getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len);
    return value;
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(server, (void *)&address, len) || listen(server, 1) ||
        getsockname(server, (void *)&address, &len) || connect(client, (void *)&address, len)) {
        perror("client");
        return 1;
    }
    int accepted = accept(server, NULL, NULL);
    printf("%d %d %d\n", nodelay(server), nodelay(client), nodelay(accepted));
    return 0;
}
