/* Appends mails as imaplib does, with one send for the literal and one for the line end behind it, and
 * prints how many milliseconds each took.
 *
 * usage: append PORT USER PASSWORD MAILS
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int server;
static char line[4096];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void say(const char *text, size_t len) {
    if (write(server, text, len) != (ssize_t)len)
        fail("write");
}

/* Reads lines until one begins with `start`. */
static void hear(const char *start) {
    for (;;) {
        size_t len = 0;
        while (len == 0 || line[len - 1] != '\n')
            if (len == sizeof line || read(server, line + len++, 1) != 1)
                fail("read");
        if (strncmp(line, start, strlen(start)) == 0)
            return;
    }
}

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

int main(int count, char **words) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    char command[256], tag[32], mail[400];
    if (count != 5)
        return 2;
    int mails = atoi(words[4]);
    memset(mail, 'x', sizeof mail);
    memcpy(mail, "Subject: A mail\r\n\r\n", 19);
    memcpy(mail + sizeof mail - 2, "\r\n", 2);
    address.sin_port = htons(atoi(words[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(server, (void *)&address, sizeof address))
        fail("connect");
    hear("* OK");
    say(command, sprintf(command, "a LOGIN %s \"%s\"\r\n", words[2], words[3]));
    hear("a OK");
    double start = now_ms();
    for (int n = 0; n < mails; n++) {
        sprintf(tag, "b%d", n);
        say(command, sprintf(command, "%s APPEND INBOX {%zu}\r\n", tag, sizeof mail));
        hear("+");
        say(mail, sizeof mail);
        say("\r\n", 2);
        strcat(tag, " OK");
        hear(tag);
    }
    printf("%f\n", (now_ms() - start) / mails);
    return 0;
}
