/* Puts pages in place: the queue of verified frames and the userfaultfd calls that empty it. */
#include "arena.h"
#include "pager.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define PART_UNKNOWN 1 /* spoils the memory digest, as it should */

enum put { PUT_DONE, PUT_LATER, PUT_NOT_REGISTERED };

struct task *task_by_id(uint32_t id)
{
	struct task *task = kept->tasks;
	while (task && task->id != id)
		task = task->next;
	return task;
}

struct task *task_open(uint32_t id)
{
	struct task *task = task_by_id(id);
	if (task || kept->tasks_count == MAX_TASKS)
		return task;
	task = arena_alloc(sizeof(*task));
	task->id = id;
	task->next = kept->tasks;
	SETTLE();
	kept->tasks = task;
	kept->tasks_count++;
	return task;
}

/* The memory of frames that came together; it goes with the last of them. */
struct parcel {
	uint32_t frames_count;
	uint64_t bytes;
	struct frame frames[];
};

static uint32_t pages_of(const struct frame *frames, uint32_t count)
{
	uint32_t pages = 0;
	for (uint32_t i = 0; i < count; i++)
		pages += frames[i].count;
	return pages;
}

static void frame_link(struct frame *frame, struct frame *next)
{
	frame->next = next;
	frame->previous = next ? next->previous : pager.queue_tail;
	*(frame->next ? &frame->next->previous : &pager.queue_tail) = frame;
	*(frame->previous ? &frame->previous->next : &pager.queue_head) = frame;
}

static void frame_free(struct frame *frame)
{
	for (uint32_t page = frame->first; page < frame->first + frame->count; page++)
		if (frame->task->frame_of[page] == frame)
			frame->task->frame_of[page] = NULL;
	*(frame->next ? &frame->next->previous : &pager.queue_tail) = frame->previous;
	*(frame->previous ? &frame->previous->next : &pager.queue_head) = frame->next;
	if (--frame->parcel->frames_count)
		return;
	pager.buffered_bytes -= frame->parcel->bytes;
	free(frame->parcel);
}

static void frames_queue(const struct frame *frames, uint32_t count)
{
	uint32_t pages = pages_of(frames, count);
	uint64_t bytes = pages * PAGE_BYTES;
	struct parcel *parcel = need(malloc(sizeof(*parcel) + count * sizeof(frames[0]) + pages * sizeof(uint64_t) + bytes));
	uint64_t *digests = memcpy(parcel->frames + count, frames->digests, pages * sizeof(digests[0]));
	unsigned char *data = memcpy(digests + pages, frames->data, bytes);
	struct frame *next = frames->flags == OP_DEMAND ? pager.queue_head : NULL;
	parcel->frames_count = count;
	parcel->bytes = bytes;
	pager.buffered_bytes += bytes;
	for (uint32_t i = 0; i < count; i++) {
		struct frame *frame = &parcel->frames[i];
		*frame = frames[i];
		frame->parcel = parcel;
		frame->digests = digests;
		frame->data = data;
		digests += frame->count;
		data += frame->count * PAGE_BYTES;
		for (uint32_t page = frame->first; page < frame->first + frame->count; page++)
			if (!frame->task->frame_of[page] && task_wants(frame->task, page))
				frame->task->frame_of[page] = frame;
		frame_link(frame, next);
	}
}

static void frame_note(const struct frame *frame)
{
	struct task *task = frame->task;
	for (uint32_t page = frame->first; page < frame->first + frame->count; page++) {
		kept->counters.duplicates += task->frame_of[page] || !task_wants(task, page);
		if (!bit_test(task->requested, page))
			continue;
		bit_clear(task->requested, page);
		pager.outstanding--;
		pager.waiting_since_us = pager.heard_us;
		pager.stalled = false;
	}
}

/* Counts a page the first time it is in place anywhere, however many spaces a fork has made. */
static void page_installed(const struct frame *frame, uint32_t page)
{
	struct task *task = frame->task;
	if (task->parts[page])
		return;
	kept->counters.pushed += frame->flags == OP_PUSH;
	kept->counters.filled += frame->flags == OP_FILL;
	uint32_t at = page - frame->first;
	uint64_t part[3] = { frame->digests[at], task->id, frame->vaddr + at * PAGE_BYTES };
	task->parts[page] = XXH64(part, sizeof(part), 0);
}

/*
 * The page was there already. A pager that was killed after its COPY has not noted it, and from the same
 * frame it would have been the same page. Where there was none, nobody knows what it is.
 */
static void page_found(const struct frame *frame, uint32_t page)
{
	kept->counters.duplicates++;
	if (kept->successors)
		page_installed(frame, page);
	else if (!frame->task->parts[page])
		frame->task->parts[page] = PART_UNKNOWN;
}

void space_exited(struct space *space)
{
	space->gone = true;
	space_drop(space, 0, UINT64_MAX - PAGE_BYTES + 1, NO_EVENT);
}

void space_wake(struct space *space, uint64_t vaddr, uint64_t bytes)
{
	struct uffdio_range range = { vaddr, bytes };
	ioctl(space->uffd, UFFDIO_WAKE, &range);
}

/*
 * ENOENT for a single page: nothing registered is there. Before CRIU is done that is normal. Later it is
 * explained by a mapping that a child does not inherit or by an unmap whose event overtook a remap's;
 * where nothing explains it the map names memory that CRIU did not make lazy, and that would read as zero.
 */
static enum put page_unregistered(struct space *space, uint64_t vaddr)
{
	if (!kept->restored)
		return PUT_NOT_REGISTERED;
	if (space_probe(space, vaddr, PAGE_BYTES) == CHANGING) /* it may just have been moved */
		return PUT_LATER;
	if (!space->reshaped)
		pager_fail("install: task %u, page %#llx is in the map but not in memory CRIU registered",
			   space->task->id, (unsigned long long)vaddr);
	space_drop(space, vaddr, vaddr + PAGE_BYTES, NO_EVENT);
	return PUT_DONE;
}

/* Copies consecutive missing pages of the frame to vaddr in this space. */
static enum put run_install(struct space *space, const struct frame *frame, uint32_t page, uint32_t count,
			    uint64_t vaddr)
{
	uint32_t limit = count;
	while (count) {
		struct uffdio_copy copy = { .dst = vaddr, .len = (limit < count ? limit : count) * PAGE_BYTES,
			.src = (uintptr_t)frame->data + (page - frame->first) * PAGE_BYTES };
		int error = ioctl(space->uffd, UFFDIO_COPY, &copy) ? errno : 0;
		SETTLE();
		uint32_t done = copy.copy > 0 ? (uint32_t)((uint64_t)copy.copy / PAGE_BYTES) : 0;
		if (!done && error == EEXIST) {
			/* COPY wakes nobody in this case, and someone may have begun to wait just before. */
			space_wake(space, vaddr, PAGE_BYTES);
			page_found(frame, page);
			space_in_place(space, page);
			page++, count--, vaddr += PAGE_BYTES;
			continue;
		}
		for (uint32_t i = 0; i < done; i++) {
			page_installed(frame, page + i);
			SETTLE();
			space_in_place(space, page + i);
		}
		page += done, count -= done, vaddr += done * PAGE_BYTES;
		if (done || error == EINTR)
			continue;
		if (error == EAGAIN) /* an event is unread, or about to be queued: the map may be stale */
			return PUT_LATER;
		if (error == ESRCH || error == ENOSPC) { /* the mm is gone; ENOSPC before Linux 4.13 */
			space_exited(space);
			return PUT_DONE;
		}
		if (error != ENOENT)
			pager_fail("install: UFFDIO_COPY of %u pages at %#llx of task %u: %s", count,
				   (unsigned long long)vaddr, space->task->id, strerror(error));
		/* ENOENT also when the stretch crosses the border of two mappings: try smaller ones. */
		uint32_t tried = (uint32_t)(copy.len / PAGE_BYTES);
		if (tried > 1) {
			limit = tried / 2;
			continue;
		}
		enum put put = page_unregistered(space, vaddr);
		if (put != PUT_DONE)
			return put;
		page++, count--, vaddr += PAGE_BYTES;
	}
	return PUT_DONE;
}

static enum put space_install(struct space *space, const struct frame *frame)
{
	uint32_t page = frame->first, end = frame->first + frame->count;
	if (space_in_doubt(space))
		return PUT_LATER;
	while (page < end) {
		uint64_t vaddr;
		uint32_t following, count = 1;
		if (space->gone || !bit_test(space->missing, page) ||
		    !space_vaddr(space, page, &vaddr, &following)) {
			page++;
			continue;
		}
		while (count < following && page + count < end && bit_test(space->missing, page + count))
			count++;
		enum put put = run_install(space, frame, page, count, vaddr);
		if (put != PUT_DONE)
			return put;
		page += count;
	}
	return PUT_DONE;
}

/* Done once no space waits for any of its pages. */
static enum put frame_put(const struct frame *frame)
{
	struct task *task = frame->task;
	if (!task->handed_over)
		return PUT_NOT_REGISTERED;
	enum put worst = PUT_DONE;
	for (struct space *space = task->spaces; space; space = space->next) {
		enum put put = space_install(space, frame);
		if (put != PUT_DONE)
			worst = put;
	}
	return worst;
}

void frames_arrived(struct frame *frames, uint32_t count)
{
	bool at_once = !pager.queue_head || frames->flags == OP_DEMAND;
	pager.heard_us = now_us();
	pager.silences = 0;
	for (uint32_t i = 0; i < count; i++)
		frame_note(&frames[i]);
	while (at_once && count && frame_put(frames) == PUT_DONE)
		frames++, count--;
	if (count)
		frames_queue(frames, count);
}

static enum put queued_put(struct frame *frame)
{
	enum put put = frame_put(frame);
	if (put == PUT_DONE)
		frame_free(frame);
	return put;
}

void frame_install(struct frame *frame) { queued_put(frame); }

bool queue_install(void)
{
	struct frame *next;
	uint32_t pages = 0;
	for (struct frame *frame = pager.queue_head; frame; frame = next) {
		next = frame->next;
		pages += frame->count;
		switch (queued_put(frame)) {
		case PUT_DONE:
			if (pages >= TURN_PAGES)
				return true;
			break;
		case PUT_LATER:
			if (spaces_drain())
				return true;
			engine_wake_at(now_us() + 500);
			return false;
		case PUT_NOT_REGISTERED:
			/* The restorer registers one mapping after the other and tells nobody: look again soon. */
			if (frame->task->handed_over)
				engine_wake_at(now_us() + 1000);
			return false;
		}
	}
	return false;
}

/* True when the page reads as zero now or has content already; false: an event has to be read first. */
bool space_zero(struct space *space, uint64_t vaddr)
{
	struct uffdio_zeropage zero = { .range = { vaddr, PAGE_BYTES } };
	bool in_doubt = space_in_doubt(space);
	if (!in_doubt && !ioctl(space->uffd, UFFDIO_ZEROPAGE, &zero))
		return true;
	if (!in_doubt && (errno == ESRCH || errno == ENOSPC))
		space_exited(space);
	else /* EEXIST, EAGAIN, ENOENT: let the thread look again, it will fault anew if need be */
		space_wake(space, vaddr, PAGE_BYTES);
	return false;
}
