/*
 * CRIU's side: `criu restore --lazy-pages` connects to lazy-pages.socket in its work directory and
 * sends for each task its pid (int32) and then, with one byte, the userfaultfd; a negative pid is a
 * zombie without a descriptor; at the end comes the uint32 "restore finished".
 *
 * What is read goes straight into the arena, as with events: the kernel has handed it out for good.
 */
#include "arena.h"
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

/* No pid, and not what CRIU says at the end: nothing has been read. */
#define NOTHING INT32_MIN

static struct watch listen_watch, criu_watch;

/* Forgotten first: a number that is known to a successor has to be a descriptor of its own. */
static void forget_and_close(int *kept_fd)
{
	int fd = *kept_fd;
	*kept_fd = -1;
	SETTLE();
	if (fd >= 0)
		engine_close(fd);
}

static void listener_close(void)
{
	if (kept->listener < 0)
		return;
	forget_and_close(&kept->listener);
	unlinkat(pager.work_dir, SOCKET_NAME, 0);
}

void handshake_close(void)
{
	listener_close();
	forget_and_close(&kept->criu);
}

static void restore_finished(void)
{
	for (struct task *task = kept->tasks; task; task = task->next)
		if (task->page_count && !task->handed_over)
			pager_fail("handshake: CRIU finished without a descriptor for task %u", task->id);
	kept->restored = true;
	SETTLE();
	pager.last_fault_us = pager.heard_us = now_us();
	pager.source->restored();
	forget_and_close(&kept->criu);
}

/* Each step below may be repeated by a successor: what it says is stored before that it was said. */
static void expect(int what)
{
	if (what == NUMBER)
		kept->incoming.number = NOTHING;
	else
		memset(&kept->incoming.control, 0, sizeof(kept->incoming.control));
	SETTLE();
	kept->incoming.expected = what;
	SETTLE();
}

static void on_number(void)
{
	int32_t number = kept->incoming.number;
	if ((uint32_t)number == RESTORE_FINISHED) {
		restore_finished();
		return;
	}
	if (number == 0)
		pager_fail("handshake: CRIU announced a task with pid 0");
	kept->incoming.task = (uint32_t)number;
	expect(number > 0 ? DESCRIPTOR : NUMBER);
}

static bool handed_over(const struct task *task, int uffd)
{
	const struct space *space = task->spaces;
	while (space && space->uffd != uffd)
		space = space->next;
	return space != NULL;
}

static void on_descriptor(void)
{
	int uffd;
	memcpy(&uffd, CMSG_DATA(&kept->incoming.control.header), sizeof(uffd));
	/* CRIU opens it non-blocking; a blocking one would stop the loop for good. */
	fcntl(uffd, F_SETFL, fcntl(uffd, F_GETFL) | O_NONBLOCK);
	struct task *task = task_open(kept->incoming.task);
	if (!task || (task->handed_over && !handed_over(task, uffd)))
		pager_fail("handshake: task %u was handed over twice, or there are too many", kept->incoming.task);
	if (!task->frame_of) /* not in the map: all of it is zero, or CRIU has installed it */
		task_seal(task);
	if (!handed_over(task, uffd))
		space_adopt(space_new(task, uffd));
	task->handed_over = true;
	expect(NUMBER);
}

/* One piece of the conversation; false when nothing more is to be read now. */
static bool criu_read(void)
{
	uint8_t byte;
	bool number = kept->incoming.expected == NUMBER;
	struct iovec part = { number ? (void *)&kept->incoming.number : &byte, number ? sizeof(int32_t) : 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &kept->incoming.control,
				  .msg_controllen = number ? 0 : sizeof(kept->incoming.control) };
	ssize_t got = recvmsg(kept->criu, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	SETTLE();
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0)
		pager_fail("handshake: CRIU closed the connection before the restore was finished");
	if (got != (ssize_t)part.iov_len) /* it writes each number at once */
		pager_fail("handshake: CRIU sent %zd bytes of a number", got);
	if (number)
		on_number();
	else if (kept->incoming.control.header.cmsg_type == SCM_RIGHTS)
		on_descriptor();
	else
		pager_fail("handshake: no descriptor came for task %u", kept->incoming.task);
	return kept->criu >= 0;
}

static void criu_ready(void *subject, uint32_t events)
{
	(void)subject;
	(void)events;
	while (kept->criu >= 0 && criu_read())
		;
}

static void criu_watch_start(void)
{
	criu_watch.ready = criu_ready;
	engine_watch(kept->criu, EPOLLIN, &criu_watch);
}

static void listener_ready(void *subject, uint32_t events)
{
	(void)subject;
	(void)events;
	int criu = accept4(kept->listener, NULL, NULL, SOCK_CLOEXEC);
	if (criu < 0)
		return;
	kept->criu = criu;
	kept->criu_seen = true;
	listener_close();
	criu_watch_start();
}

void handshake_listen(void)
{
	/* By way of the directory's descriptor: a long path would not fit into sun_path. */
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" SOCKET_NAME, pager.work_dir);
	unlinkat(pager.work_dir, SOCKET_NAME, 0);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask = umask(0077);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1)) {
		say("handshake: listen on " SOCKET_NAME " in the work directory: %s", strerror(errno));
		exit(1);
	}
	umask(mask);
	kept->listener = listener;
	kept->criu = -1;
	kept->incoming.number = NOTHING;
}

/* Not before the map is known: an address space could not be made of it. Until then CRIU queues. */
void handshake_accept(void)
{
	listen_watch.ready = listener_ready;
	engine_watch(kept->listener, EPOLLIN, &listen_watch);
}

void handshake_resume(void)
{
	if (kept->criu < 0) {
		if (kept->listener >= 0)
			handshake_accept();
		return;
	}
	listener_close();
	if (kept->incoming.expected == NUMBER && kept->incoming.number != NOTHING)
		on_number();
	else if (kept->incoming.expected == DESCRIPTOR && kept->incoming.control.header.cmsg_type == SCM_RIGHTS)
		on_descriptor();
	if (kept->criu >= 0)
		criu_watch_start();
}
