/*
 * CRIU's side: `criu restore --lazy-pages` connects to lazy-pages.socket in its work directory and
 * sends for each task its pid (int32) and then, with one byte, the userfaultfd; a negative pid is a
 * zombie without a descriptor; at the end comes the uint32 "restore finished".
 */
#include "pager.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_NAME "lazy-pages.socket"
#define RESTORE_FINISHED 0x52535446u

static int listener = -1, criu = -1;
static bool seen;
static struct {
	uint32_t task;      /* whose descriptor comes next; 0 between tasks */
	uint8_t bytes[4];
	size_t got;
} incoming;
static struct watch listen_watch, criu_watch;

bool handshake_seen(void) { return seen; }

static void listener_close(void)
{
	if (listener < 0)
		return;
	close(listener);
	listener = -1;
	unlinkat(pager.work_dir, SOCKET_NAME, 0);
}

void handshake_close(void)
{
	listener_close();
	if (criu >= 0)
		close(criu);
	criu = -1;
}

static void restore_finished(void)
{
	for (struct task *task = pager.tasks; task; task = task->next)
		if (task->page_count && !task->handed_over)
			pager_fail("handshake: CRIU finished without a descriptor for task %u", task->id);
	pager.restored = true;
	pager.last_fault_us = now_us();
	pager.source->restored();
	close(criu);
	criu = -1;
}

static void on_number(void)
{
	int32_t number;
	memcpy(&number, incoming.bytes, sizeof(number));
	incoming.got = 0;
	if ((uint32_t)number == RESTORE_FINISHED)
		restore_finished();
	else if (number > 0)
		incoming.task = (uint32_t)number;
	else if (number == 0)
		pager_fail("handshake: CRIU announced a task with pid 0");
}

static void on_descriptor(int uffd)
{
	/* CRIU opens it non-blocking; a blocking one would stop the loop for good. */
	fcntl(uffd, F_SETFL, fcntl(uffd, F_GETFL) | O_NONBLOCK);
	struct task *task = task_open(incoming.task);
	if (!task || task->handed_over)
		pager_fail("handshake: task %u was handed over twice, or there are too many", incoming.task);
	if (!task->frame_of) /* not in the map: all of it is zero, or CRIU has installed it */
		task_seal(task);
	space_adopt(space_new(task, uffd));
	incoming.task = 0;
}

/* One piece of the conversation; false when nothing more is to be read now. */
static bool criu_read(void)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = { incoming.bytes + incoming.got, incoming.task ? 1 : 4 - incoming.got };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	ssize_t got = recvmsg(criu, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0)
		pager_fail("handshake: CRIU closed the connection before the restore was finished");
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (incoming.task) {
		int uffd;
		if (!header || header->cmsg_type != SCM_RIGHTS)
			pager_fail("handshake: no descriptor came for task %u", incoming.task);
		memcpy(&uffd, CMSG_DATA(header), sizeof(uffd));
		on_descriptor(uffd);
		return true;
	}
	incoming.got += (size_t)got;
	if (incoming.got == 4)
		on_number();
	return criu >= 0;
}

static void criu_ready(void *subject, uint32_t events)
{
	(void)subject;
	(void)events;
	while (criu >= 0 && criu_read())
		;
}

static void listener_ready(void *subject, uint32_t events)
{
	(void)subject;
	(void)events;
	criu = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (criu < 0)
		return;
	seen = true;
	listener_close();
	criu_watch.ready = criu_ready;
	engine_watch(criu, EPOLLIN, &criu_watch);
}

void handshake_listen(void)
{
	/* By way of the directory's descriptor: a long path would not fit into sun_path. */
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" SOCKET_NAME, pager.work_dir);
	unlinkat(pager.work_dir, SOCKET_NAME, 0);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask = umask(0077);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1)) {
		say("handshake: listen on " SOCKET_NAME " in the work directory: %s", strerror(errno));
		exit(1);
	}
	umask(mask);
}

/* Not before the map is known: an address space could not be made of it. Until then CRIU queues. */
void handshake_accept(void)
{
	listen_watch.ready = listener_ready;
	engine_watch(listener, EPOLLIN, &listen_watch);
}
