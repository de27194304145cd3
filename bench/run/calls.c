/* Prints how many microseconds a call takes.
 *
 * usage: calls connect|getppid|sendto COUNT
 *        connect: a connection to itself, closed by a reset; getppid, sendto: nothing but that call
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

int main(int words, char **word) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct linger reset = {1, 0};
    socklen_t len = sizeof address;
    if (words != 3)
        return 2;
    int count = atoi(word[2]), server = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(server, (void *)&address, len) || listen(server, 1) ||
        getsockname(server, (void *)&address, &len)) {
        perror("server");
        return 1;
    }
    double start = now_us();
    for (int n = 0; n < count; n++) {
        if (strcmp(word[1], "getppid") == 0) {
            syscall(SYS_getppid);
        } else if (strcmp(word[1], "sendto") == 0) {
            /* Refused at once: only the way there is measured. */
            sendto(-1, "", 0, 0, NULL, 0);
        } else {
            int client = socket(AF_INET, SOCK_STREAM, 0);
            if (connect(client, (void *)&address, len)) {
                perror("connect");
                return 1;
            }
            int accepted = accept(server, NULL, NULL);
            setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
            close(client);
            close(accepted);
        }
    }
    printf("%f\n", (now_us() - start) / count);
    return 0;
}
