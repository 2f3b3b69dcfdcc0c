/*
 * A client that is there before the server: `first-answer unix:PATH|tcp:PORT DEADLINE_MS`.
 * Prints `waiting` once it tries to connect. When a connection is made it sends what it has read from its
 * standard input, reads to the end of the stream, and prints the time of that end (CLOCK_MONOTONIC,
 * nanoseconds), the number of bytes, and then the bytes. Exit: 0 an answer came, 1 none did, 2 wrong use.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define RETRY_NS 100000

static union {
	struct sockaddr any;
	struct sockaddr_un un;
	struct sockaddr_in in;
} address;
static socklen_t address_bytes;

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static int parse_address(const char *text)
{
	if (!strncmp(text, "unix:", 5) && strlen(text + 5) < sizeof(address.un.sun_path)) {
		address.un.sun_family = AF_UNIX;
		strcpy(address.un.sun_path, text + 5);
		address_bytes = sizeof(address.un);
		return 1;
	}
	if (strncmp(text, "tcp:", 4))
		return 0;
	address.in.sin_family = AF_INET;
	address.in.sin_port = htons((uint16_t)atoi(text + 4));
	address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address_bytes = sizeof(address.in);
	return 1;
}

static char *read_all(int fd, size_t *bytes)
{
	size_t capacity = 1 << 16;
	char *data = malloc(capacity);
	*bytes = 0;
	for (ssize_t got; data && (got = read(fd, data + *bytes, capacity - *bytes)) > 0;) {
		*bytes += (size_t)got;
		if (*bytes == capacity)
			data = realloc(data, capacity *= 2);
	}
	return data;
}

static int connect_until(uint64_t deadline_ns)
{
	struct timespec pause = { .tv_nsec = RETRY_NS };
	while (now_ns() < deadline_ns) {
		/* Cheaper than a socket for each look. */
		if (address.any.sa_family == AF_UNIX && access(address.un.sun_path, F_OK)) {
			nanosleep(&pause, NULL);
			continue;
		}
		int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && !connect(fd, &address.any, address_bytes))
			return fd;
		close(fd);
		nanosleep(&pause, NULL);
	}
	return -1;
}

int main(int argc, char **argv)
{
	size_t request_bytes, answer_bytes;
	if (argc != 3 || !parse_address(argv[1]))
		return 2;
	uint64_t deadline_ms = strtoull(argv[2], NULL, 10), deadline_ns = now_ns() + deadline_ms * 1000000;
	prctl(PR_SET_TIMERSLACK, 1);
	char *request = read_all(STDIN_FILENO, &request_bytes);
	puts("waiting");
	fflush(stdout);
	int fd = connect_until(deadline_ns);
	struct timeval limit = { .tv_sec = (time_t)(deadline_ms / 1000 + 1) };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (fd < 0 || send(fd, request, request_bytes, MSG_NOSIGNAL) != (ssize_t)request_bytes)
		return 1;
	char *answer = read_all(fd, &answer_bytes);
	uint64_t at_ns = now_ns();
	printf("%llu %zu\n", (unsigned long long)at_ns, answer_bytes);
	fwrite(answer, 1, answer_bytes, stdout);
	return answer_bytes ? 0 : 1;
}
