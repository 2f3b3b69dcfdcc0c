/*
 * When something is wrong, no task may go on with a page missing: the last userfaultfd that closes turns
 * every missing page into zeros, silently. So the container is killed while the descriptors are still
 * open, or, where no cgroup was named, each missing page is poisoned: whoever touches it gets SIGBUS.
 */
#include "pager.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define KILL_DEADLINE_US 5000000
#define POISON_DEADLINE_US 5000000

static bool cgroup_is_empty(int cgroup)
{
	char text[256] = "";
	int events = openat(cgroup, "cgroup.events", O_RDONLY | O_CLOEXEC);
	if (events < 0)
		return errno == ENOENT;
	ssize_t got = read(events, text, sizeof(text) - 1);
	close(events);
	return got < 0 || strstr(text, "populated 0");
}

static bool cgroup_kill(const char *path)
{
	int cgroup = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int kill = cgroup < 0 ? -1 : openat(cgroup, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	if (kill < 0 || write(kill, "1", 1) != 1) {
		say("failure: kill of container cgroup %s: %s", path, strerror(errno));
		return false;
	}
	uint64_t until = now_us() + KILL_DEADLINE_US;
	while (!cgroup_is_empty(cgroup)) {
		kept->turns++;
		if (now_us() > until) {
			say("failure: container cgroup %s is still populated after %d ms", path, KILL_DEADLINE_US / 1000);
			return false;
		}
		usleep(1000);
	}
	return true;
}

/* False while an unread event, or a fork it tells of, keeps the kernel from poisoning. */
static bool range_poison(struct space *space, uint64_t vaddr, uint64_t end)
{
	uint64_t bytes = end - vaddr;
	while (vaddr < end) {
		struct uffdio_poison poison = { .range = { vaddr, bytes } };
		int error = ioctl(space->uffd, UFFDIO_POISON, &poison) ? errno : 0;
		uint64_t done = error ? (poison.updated > 0 ? (uint64_t)poison.updated : 0) : bytes;
		if (!done && error == EAGAIN)
			return false;
		if (!done && error == ESRCH)
			return true; /* no mm, no harm */
		if (!done && error == ENOENT && bytes > PAGE_BYTES) { /* it crosses the border of two mappings */
			bytes = bytes / PAGE_BYTES / 2 * PAGE_BYTES;
			continue;
		}
		vaddr += done ? done : PAGE_BYTES; /* it is there, or nothing is */
		bytes = 2 * bytes < end - vaddr ? 2 * bytes : end - vaddr;
	}
	return true;
}

static bool space_poison_missing(struct space *space)
{
	const struct runs *segments = space->segments;
	uint64_t start, end;
	for (size_t at = 0; at < segments->count && !space->gone; at++)
		for (uint32_t i = 0; i < segments->list[at].count; i++) {
			const struct run *run = &segments->list[at];
			uint32_t count = 0;
			while (i + count < run->count && bit_test(space->missing, run->first + i + count))
				count++;
			uint64_t vaddr = run->vaddr + i * PAGE_BYTES;
			if (!range_poison(space, vaddr, vaddr + count * PAGE_BYTES))
				return false;
			i += count;
		}
	for (size_t i = 0; space_open_range(space, i, &start, &end); i++)
		if (!range_poison(space, start, end))
			return false;
	return true;
}

/* A source that has no pages any more: faults that are read while poisoning stay unanswered. */
static void no_request(struct task *task, uint32_t page) { (void)task, (void)page; }
static bool no_refill(void) { return false; }
static void no_call(void) { }
static void no_reason(const char *reason) { (void)reason; }
static const struct source no_source = { no_request, no_refill, no_call, no_call, no_call, no_reason };

static void poison_all(void)
{
	uint64_t until = now_us() + POISON_DEADLINE_US;
	pager.source = &no_source;
	inbox_settle();
	bool all;
	do {
		all = true;
		kept->turns++;
		spaces_drain();
		for (struct task *task = kept->tasks; task; task = task->next)
			for (struct space *space = task->spaces; space; space = space->next)
				all = space_poison_missing(space) && all;
	} while (!all && now_us() < until);
}

_Noreturn void pager_fail(const char *format, ...)
{
	static bool failing;
	char reason[OP_MAX_ERROR_BYTES];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	say("%s", reason);
	if (failing) { /* failed while failing: what could be killed or poisoned has been */
		kept->failed = true;
		_exit(1);
	}
	failing = kept->failing = true;
	const struct source *source = pager.source;
	if (kept->finished) { /* nothing is missing any more, so nobody has to die */
		kept->failed = true;
		_exit(1);
	}
	/* First the connection: a CRIU that is not done yet kills its tasks when it finds it closed. */
	handshake_close();
	if (!pager.container_cgroup || !cgroup_kill(pager.container_cgroup))
		poison_all();
	if (source)
		source->failed(reason);
	kept->failed = true;
	_exit(1);
}
