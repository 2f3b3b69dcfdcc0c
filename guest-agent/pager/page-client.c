#include "page-client.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <linux/vm_sockets.h>
#include <unistd.h>

#define RETRY_US 100000
#define OUT_LIMIT_BYTES (16u << 20) /* the ranges of a resume; faults and credits are a few hundred bytes */
#define FRAME_BYTES (sizeof(struct op_header) + OP_MAX_PAYLOAD_BYTES)
#define IN_BYTES (2 * FRAME_BYTES)  /* a demanded page does not stand behind more, and little has to be moved */

static struct {
	union {
		struct sockaddr any;
		struct sockaddr_un un;
		struct sockaddr_vm vm;
	} address;
	socklen_t address_bytes;
	const struct client_calls *calls;
	int fd;
	bool connected;
	uint64_t retry_until_us;
	uint8_t *in, *out;
	size_t in_start, in_end, out_bytes, out_capacity;
} client = { .fd = -1 };

static void client_ready(void *subject, uint32_t events);
static struct watch client_watch = { client_ready, NULL };
static void retry(void);

void client_prepare(const char *text)
{
	uint64_t cid, port;
	char *copy = need(strdup(text)), *rest = strchr(copy, ':');
	if (rest && !strncmp(text, "unix:", 5) && strlen(rest) <= sizeof(client.address.un.sun_path)) {
		client.address.un.sun_family = AF_UNIX;
		memcpy(client.address.un.sun_path, rest + 1, strlen(rest)); /* with the final zero */
		client.address_bytes = sizeof(client.address.un);
	} else if (rest && !strncmp(text, "vsock:", 6) && (rest = strchr(copy + 6, ':'))) {
		*rest = 0;
		if (!parse_number(copy + 6, 10, UINT32_MAX, &cid) || !parse_number(rest + 1, 10, UINT32_MAX, &port))
			usage_error("--connect %s: expected vsock:CID:PORT", text);
		client.address.vm = (struct sockaddr_vm){ .svm_family = AF_VSOCK, .svm_cid = (unsigned)cid,
							  .svm_port = (unsigned)port };
		client.address_bytes = sizeof(client.address.vm);
	} else
		usage_error("--connect %s: expected vsock:CID:PORT or unix:PATH", text);
	free(copy);
}

static void dial(void)
{
	static bool again;
	client.fd = kept->plane = socket(client.address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* Blocking: to a Unix socket and to a vsock host it is answered at once, one way or the other. */
	struct timeval limit = { .tv_sec = 1 };
	if (client.fd >= 0)
		setsockopt(client.fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (client.fd < 0 || connect(client.fd, &client.address.any, client.address_bytes)) {
		int error = errno;
		if (client.fd >= 0)
			close(client.fd);
		client.fd = kept->plane = -1;
		if (now_us() + RETRY_US > client.retry_until_us) {
			if (kept->finished) { /* nothing is missing any more, so nobody has to die */
				pager.quit = true;
				return;
			}
			pager_fail("page session: connect to the plane: %s", strerror(error));
		}
		engine_after(RETRY_US, retry);
		return;
	}
	client.in_start = client.in_end = client.out_bytes = 0;
	client.connected = true;
	engine_watch(client.fd, EPOLLIN, &client_watch);
	client.calls->connected(again || kept->successors);
	again = true;
}

static void retry(void)
{
	if (!client.connected)
		dial();
}

void client_drop(void)
{
	kept->plane = -1;
	if (client.fd >= 0)
		engine_close(client.fd);
	client.fd = -1;
	client.connected = false;
}

static void connection_lost(void)
{
	client_drop();
	client.calls->lost();
	if (pager.quit)
		return;
	client.retry_until_us = now_us() + pager.deadline_us;
	engine_after(RETRY_US, retry);
}

static void write_some(void)
{
	while (client.connected && client.out_bytes) {
		ssize_t put = send(client.fd, client.out, client.out_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			break; /* an error shows up at the next read */
		client.out_bytes -= (size_t)put;
		memmove(client.out, client.out + put, client.out_bytes);
	}
	if (client.connected)
		engine_rewatch(client.fd, EPOLLIN | (client.out_bytes ? EPOLLOUT : 0), &client_watch);
}

void client_send(struct op_header header, const void *payload, uint32_t payload_bytes)
{
	if (!client.connected)
		return; /* whatever it was, the resume says it anew */
	size_t bytes = sizeof(header) + payload_bytes;
	if (client.out_bytes + bytes > OUT_LIMIT_BYTES)
		pager_fail("page session: the plane does not read, limit %u bytes", OUT_LIMIT_BYTES);
	if (client.out_bytes + bytes > client.out_capacity) {
		client.out_capacity = (client.out_bytes + bytes) * 2;
		client.out = need(realloc(client.out, client.out_capacity));
	}
	bool idle = !client.out_bytes;
	header.payload_bytes = payload_bytes;
	memcpy(client.out + client.out_bytes, &header, sizeof(header));
	if (payload_bytes)
		memcpy(client.out + client.out_bytes + sizeof(header), payload, payload_bytes);
	client.out_bytes += bytes;
	if (idle)
		write_some();
}

void client_flush(void)
{
	uint64_t until = now_us() + 1000000;
	while (client.connected && client.out_bytes && now_us() < until) {
		struct pollfd writable = { client.fd, POLLOUT, 0 };
		poll(&writable, 1, 100);
		if (writable.revents & (POLLERR | POLLHUP))
			return;
		write_some();
	}
}

bool client_take(void)
{
	while (client.connected && client.in_end - client.in_start >= sizeof(struct op_header)) {
		const uint8_t *at = client.in + client.in_start;
		struct op_header header;
		memcpy(&header, at, sizeof(header));
		if (header.payload_bytes > OP_MAX_PAYLOAD_BYTES)
			pager_fail("page session: frame type %u announces %u bytes, limit %zu bytes", header.type,
				   header.payload_bytes, (size_t)OP_MAX_PAYLOAD_BYTES);
		size_t bytes = sizeof(header) + header.payload_bytes;
		if (client.in_end - client.in_start < bytes)
			break;
		client.in_start += bytes;
		if (!client.calls->frame(&header, at + sizeof(header)))
			return true;
	}
	return false;
}

/* A frame that has begun fits behind its beginning. */
static void make_room(void)
{
	if (client.in_start + FRAME_BYTES <= IN_BYTES && client.in_start < client.in_end)
		return;
	client.in_end -= client.in_start;
	memmove(client.in, client.in + client.in_start, client.in_end);
	client.in_start = 0;
}

static void client_ready(void *subject, uint32_t events)
{
	(void)subject;
	if (client.connected && events & EPOLLOUT)
		write_some();
	if (!client.connected)
		return;
	make_room();
	if (client.in_end == IN_BYTES)
		return;
	ssize_t got = recv(client.fd, client.in + client.in_end, IN_BYTES - client.in_end, MSG_DONTWAIT);
	if (got > 0)
		client.in_end += (size_t)got;
	else if (!got || (errno != EAGAIN && errno != EINTR)) {
		while (client_take()) /* the plane's last words may be among them */
			;
		if (client.connected)
			connection_lost();
	}
}

bool client_connected(void) { return client.connected; }

void client_redial(void)
{
	if (client.connected)
		connection_lost();
}

void client_start(const struct client_calls *calls)
{
	client.calls = calls;
	client.in = need(malloc(IN_BYTES));
	client.retry_until_us = now_us() + pager.deadline_us;
	dial();
}
