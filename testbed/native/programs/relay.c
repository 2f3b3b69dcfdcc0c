/*
 * Stands for the interconnect: `relay LISTEN TARGET LATENCY_NS BYTES_PER_SECOND` forwards every connection to
 * LISTEN to TARGET (unix:PATH or tcp:PORT; tcp:0 takes a free port) and holds each byte back by the latency, in
 * both directions, behind a line of that bandwidth (0: as fast as it comes). Prints `ready PORT`.
 *
 * `relay echo LISTEN` answers what it gets; `relay measure TARGET COUNT` sends 32 bytes, waits for them, COUNT
 * times, and prints the median round trip in nanoseconds: what a shaper really adds.
 *
 * A wake-up from sleep is tens of microseconds late, so the last stretch of a wait is spent looking at the clock.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CHUNK_BYTES 16384u
#define RING_CHUNKS 256u /* 4 MiB on the line in each direction */
#define SPIN_NS 60000ull
#define MESSAGE_BYTES 32

struct chunk {
	uint64_t due_ns;
	uint32_t bytes, sent;
	unsigned char data[CHUNK_BYTES];
};

struct direction {
	int from, to;
	struct chunk *ring;
	uint32_t head, tail; /* counted on; an index is taken modulo RING_CHUNKS */
	uint64_t line_free_ns;
	bool ended, blocked;
};

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_un un;
		struct sockaddr_in in;
	};
	socklen_t bytes;
};

static struct address target;
static uint64_t latency_ns, bytes_per_second;

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct address parse_address(const char *text)
{
	struct address address = { 0 };
	if (!strncmp(text, "unix:", 5) && strlen(text + 5) < sizeof(address.un.sun_path)) {
		address.un.sun_family = AF_UNIX;
		strcpy(address.un.sun_path, text + 5);
		address.bytes = sizeof(address.un);
	} else if (!strncmp(text, "tcp:", 4)) {
		address.in.sin_family = AF_INET;
		address.in.sin_port = htons((uint16_t)atoi(text + 4));
		address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		address.bytes = sizeof(address.in);
	} else
		exit(2);
	return address;
}

static void no_delay(int fd)
{
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* no matter on a Unix socket */
}

static int dial(const struct address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, &address->any, address->bytes))
		give_up("connect");
	no_delay(fd);
	return fd;
}

/* Takes what is there onto the line. */
static void take(struct direction *way)
{
	while (!way->ended && way->head - way->tail < RING_CHUNKS) {
		struct chunk *chunk = &way->ring[way->head % RING_CHUNKS];
		ssize_t got = recv(way->from, chunk->data, CHUNK_BYTES, MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		uint64_t now = now_ns(), start = way->line_free_ns > now ? way->line_free_ns : now;
		way->ended = got <= 0;
		if (way->ended)
			return;
		way->line_free_ns = start;
		if (bytes_per_second)
			way->line_free_ns += (uint64_t)got * 1000000000ull / bytes_per_second;
		chunk->due_ns = way->line_free_ns + latency_ns;
		chunk->bytes = (uint32_t)got;
		chunk->sent = 0;
		way->head++;
	}
}

/* Gives away what is due; false when the other side is gone. */
static bool give(struct direction *way, uint64_t now)
{
	way->blocked = false;
	while (way->tail != way->head) {
		struct chunk *chunk = &way->ring[way->tail % RING_CHUNKS];
		if (chunk->due_ns > now)
			return true;
		ssize_t put = send(way->to, chunk->data + chunk->sent, chunk->bytes - chunk->sent,
				   MSG_DONTWAIT | MSG_NOSIGNAL);
		if (put < 0 && (errno == EAGAIN || errno == EINTR)) {
			way->blocked = true;
			return true;
		}
		if (put < 0)
			return false;
		chunk->sent += (uint32_t)put;
		if (chunk->sent == chunk->bytes)
			way->tail++;
	}
	return true;
}

static uint64_t next_due(const struct direction *way)
{
	if (way->tail == way->head || way->blocked)
		return UINT64_MAX;
	return way->ring[way->tail % RING_CHUNKS].due_ns;
}

static void wait_for(struct direction ways[2])
{
	struct pollfd fds[4];
	for (int i = 0; i < 2; i++) {
		bool full = ways[i].head - ways[i].tail == RING_CHUNKS;
		fds[i] = (struct pollfd){ ways[i].ended || full ? -1 : ways[i].from, POLLIN, 0 };
		fds[2 + i] = (struct pollfd){ ways[i].blocked ? ways[i].to : -1, POLLOUT, 0 };
	}
	uint64_t first = next_due(&ways[0]), second = next_due(&ways[1]), now = now_ns();
	uint64_t due = first < second ? first : second, sleep = due > now + SPIN_NS ? due - now - SPIN_NS : 0;
	struct timespec limit = { (time_t)(sleep / 1000000000ull), (long)(sleep % 1000000000ull) };
	ppoll(fds, 4, due == UINT64_MAX ? NULL : &limit, NULL);
}

static void *serve(void *argument)
{
	int fd = (int)(intptr_t)argument, other = dial(&target);
	struct direction ways[2] = { { .from = fd, .to = other }, { .from = other, .to = fd } };
	for (int i = 0; i < 2; i++)
		ways[i].ring = malloc(RING_CHUNKS * sizeof(struct chunk));
	for (bool alive = ways[0].ring && ways[1].ring; alive;) {
		wait_for(ways);
		take(&ways[0]);
		take(&ways[1]);
		uint64_t now = now_ns();
		alive = give(&ways[0], now) && give(&ways[1], now);
		for (int i = 0; i < 2; i++)
			alive = alive && !(ways[i].ended && ways[i].head == ways[i].tail);
	}
	for (int i = 0; i < 2; i++)
		free(ways[i].ring);
	close(fd);
	close(other);
	return NULL;
}

static void *echo(void *argument)
{
	char data[CHUNK_BYTES];
	int fd = (int)(intptr_t)argument;
	for (ssize_t got; (got = recv(fd, data, sizeof(data), 0)) > 0;)
		if (send(fd, data, (size_t)got, MSG_NOSIGNAL) != got)
			break;
	close(fd);
	return NULL;
}

static void listen_on(const char *text, void *(*handle)(void *))
{
	struct address own = parse_address(text);
	int listener = socket(own.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, &own.any, own.bytes) || listen(listener, 64))
		give_up("listen");
	getsockname(listener, &own.any, &own.bytes);
	printf("ready %u\n", own.any.sa_family == AF_INET ? ntohs(own.in.sin_port) : 0);
	fflush(stdout);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		pthread_t thread;
		if (fd < 0)
			give_up("accept");
		no_delay(fd);
		if (pthread_create(&thread, NULL, handle, (void *)(intptr_t)fd))
			give_up("thread");
		pthread_detach(thread);
	}
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static int measure(const char *where, size_t count)
{
	char message[MESSAGE_BYTES] = { 0 };
	uint64_t *trips = calloc(count, sizeof(*trips));
	target = parse_address(where);
	int fd = dial(&target);
	for (size_t i = 0; i < count; i++) {
		uint64_t start = now_ns();
		if (send(fd, message, sizeof(message), MSG_NOSIGNAL) != sizeof(message) ||
		    recv(fd, message, sizeof(message), MSG_WAITALL) != sizeof(message))
			give_up("echo");
		trips[i] = now_ns() - start;
	}
	qsort(trips, count, sizeof(*trips), by_value);
	printf("%llu\n", (unsigned long long)trips[count / 2]);
	return 0;
}

int main(int argc, char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_TIMERSLACK, 1);
	if (argc == 3 && !strcmp(argv[1], "echo"))
		listen_on(argv[2], echo);
	if (argc == 4 && !strcmp(argv[1], "measure"))
		return measure(argv[2], strtoull(argv[3], NULL, 10));
	if (argc != 5)
		return 2;
	target = parse_address(argv[2]);
	latency_ns = strtoull(argv[3], NULL, 10);
	bytes_per_second = strtoull(argv[4], NULL, 10);
	listen_on(argv[1], serve);
}
