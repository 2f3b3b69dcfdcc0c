/*
 * What the kernel tells about the address spaces: faults, and fork, remap, unmap, remove.
 *
 * Order is what keeps memory right. While an event is unread the kernel refuses COPY and ZEROPAGE with
 * EAGAIN, so nothing is installed by a map that is stale. But once it is read the program goes on; a
 * fault read in the same batch must therefore be answered after the events of that batch, or a page the
 * program has just discarded would come back with its old content.
 */
#include "arena.h"
#include "pager.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define UNSETTLED_US 200
#define DRAIN_ROUNDS 16 /* a program that faults without end must not starve the plane's connection */

static void uffd_ready(void *subject, uint32_t events)
{
	/* The loop drains all spaces before anything else; readiness only has to end its sleep. */
	(void)subject;
	(void)events;
}

static struct watch uffd_watch = { uffd_ready, NULL };

void space_adopt(struct space *space)
{
	if (++pager.spaces_count > (int)MAX_SPACES)
		pager_fail("events: more than %u address spaces", MAX_SPACES);
	engine_watch(space->uffd, EPOLLIN, &uffd_watch);
}

static void on_fault(struct space *space, uint64_t address)
{
	struct task *task = space->task;
	uint64_t vaddr = address & ~(PAGE_BYTES - 1);
	uint32_t page;
	pager.last_fault_us = now_us();
	/*
	 * A page that the map has in place and that faults nevertheless was taken away by the kernel (a
	 * child of MADV_WIPEONFORK): it is zero. ZEROPAGE says EEXIST where it only raced with our COPY.
	 */
	if (!space_find(space, vaddr, &page) || !bit_test(space->missing, page)) {
		kept->counters.zero_faults += space_zero(space, vaddr);
		return;
	}
	if (!task->frame_of[page] && !bit_test(task->requested, page)) {
		bit_set(task->requested, page);
		if (pager.outstanding++ == 0) {
			pager.waiting_since_us = now_us();
			pager.stalled = false;
		}
		kept->counters.demand_faults++;
		order_record(task->id, task_vaddr(task, page), now_us() - kept->started_us);
		pager.source->request(task, page);
	}
	if (task->frame_of[page])
		frame_install(task->frame_of[page]);
}

static int probe_error(const struct space *space, uint64_t vaddr, uint64_t bytes)
{
	struct uffdio_continue probe = { .range = { vaddr, bytes } };
	return ioctl(space->uffd, UFFDIO_CONTINUE, &probe) ? errno : 0;
}

/*
 * CONTINUE is for shared memory. What CRIU restores lazily is private, and for that it does nothing and says EINVAL;
 * but first it looks whether the addresses are registered, ENOENT, and before all whether an event is unread. A
 * change between those two looks gives ENOENT for what is still to be told of, and EAGAIN from then on.
 */
enum probe space_probe(const struct space *space, uint64_t vaddr, uint64_t bytes)
{
	int error = probe_error(space, vaddr, bytes);
	if (error == ENOENT)
		error = probe_error(space, vaddr, bytes);
	if (error == EAGAIN)
		return CHANGING;
	return error == ESRCH ? EXITED : error == ENOENT ? NOT_REGISTERED : REGISTERED;
}

static void settle(struct space *space)
{
	switch (space_settle(space)) {
	case SETTLED:
		return;
	case UNSETTLED:
		engine_wake_at(now_us() + UNSETTLED_US);
		return;
	case GONE:
		space_exited(space);
		return;
	case CONTRADICTORY:
		if (kept->failing)
			return;
		pager_fail("events: task %u: its threads moved and unmapped memory at once, and which page went where "
			   "does not follow from what the kernel told", space->task->id);
	}
}

static void on_fork(struct space *parent, int uffd)
{
	for (const struct space *space = parent->task->spaces; space; space = space->next)
		if (space->uffd == uffd)
			return; /* a dead pager has come so far */
	struct space *child = space_fork(parent, uffd);
	space_adopt(child);
	settle(child);
}

static void on_event(struct space *space, const struct uffd_msg *message, uint64_t number)
{
	uint64_t start = message->arg.remove.start, end = message->arg.remove.end;
	switch (message->event) {
	case UFFD_EVENT_FORK:
		on_fork(space, (int)message->arg.fork.ufd);
		return;
	case UFFD_EVENT_REMAP:
		space->reshaped = true;
		space_remap(space, message->arg.remap.from, message->arg.remap.to, message->arg.remap.len, number);
		start = message->arg.remap.from;
		end = start + message->arg.remap.len;
		break;
	case UFFD_EVENT_UNMAP:
		space->reshaped = true;
		space_unmap(space, start, end, number);
		break;
	case UFFD_EVENT_REMOVE:
		space_discard(space, start, end, number);
		break;
	default:
		pager_fail("events: unknown userfaultfd event %#x", message->event);
	}
	/* A thread that waits for a page there would wait for ever: no COPY will wake that address. */
	space_wake(space, start, end - start);
}

static void events_apply(void)
{
	const struct uffd_msg *messages = kept->inbox.messages;
	for (size_t i = 0; i < INBOX_MESSAGES && messages[i].event; i++)
		if (messages[i].event != UFFD_EVENT_PAGEFAULT)
			on_event(kept->inbox.space, &messages[i], kept->inbox.first + i);
}

static void inbox_empty(void)
{
	SETTLE();
	kept->inbox.messages[0].event = 0;
	SETTLE();
}

/* The faults in it come again: their threads are woken. */
void inbox_settle(void)
{
	events_apply();
	inbox_empty();
}

static bool space_drain(struct space *space)
{
	struct uffd_msg *messages = kept->inbox.messages;
	memset(messages, 0, sizeof(kept->inbox.messages));
	kept->inbox.space = space;
	kept->inbox.first += INBOX_MESSAGES;
	SETTLE();
	ssize_t got = read(space->uffd, messages, sizeof(kept->inbox.messages));
	if (got > 0)
		SETTLE();
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0)
		pager_fail("events: read of a userfaultfd of task %u: %s", space->task->id,
			   got ? strerror(errno) : "closed");
	size_t count = (size_t)got / sizeof(messages[0]);
	events_apply();
	for (size_t i = 0; i < count && !space->gone; i++)
		if (messages[i].event == UFFD_EVENT_PAGEFAULT)
			on_fault(space, messages[i].arg.pagefault.address);
	inbox_empty();
	return true;
}

bool spaces_drain(void)
{
	bool any = false;
	for (struct task *task = kept->tasks; task; task = task->next)
		for (struct space *space = task->spaces; space; space = space->next) {
			for (int i = 0; i < DRAIN_ROUNDS && !space->gone && space_drain(space); i++)
				any = true;
			if (!space->gone)
				settle(space);
		}
	return any;
}

void spaces_sweep(void)
{
	for (struct task *task = kept->tasks; task; task = task->next)
		for (struct space **link = &task->spaces; *link;) {
			struct space *space = *link;
			if (!space->gone) {
				link = &space->next;
				continue;
			}
			*link = space->next;
			SETTLE();
			engine_close(space->uffd);
			space_free(space);
			pager.spaces_count--;
		}
}
