/* The stand-alone mode: pages come from CRIU images on this machine, in the place of `criu lazy-pages`. */
#include "images.h"
#include <stdlib.h>
#include <unistd.h>

#define REFILL_FRAMES 16

static struct image *images;
static struct order_entry *order;
static size_t order_count, order_at, order_foreign;
static bool recording;

static struct image *image_of(const struct task *task)
{
	struct image *image = images;
	while (image->task != task)
		image = image->next;
	return image;
}

static bool page_is_due(const struct task *task, uint32_t page)
{
	return !task->frame_of[page] && task_wants(task, page);
}

/* Reads up to `count` due pages that follow `page` in the same run. Returns how many. */
static uint32_t pages_load(struct task *task, uint32_t page, uint32_t count, uint16_t flags)
{
	struct image *image = image_of(task);
	const struct run *run = task_run(task, page);
	uint32_t due = 1;
	while (due < count && due < OP_MAX_PAGES_PER_FRAME && page + due < run->first + run->count &&
	       page_is_due(task, page + due))
		due++;
	static unsigned char data[OP_MAX_PAGES_PER_FRAME * PAGE_BYTES];
	static uint64_t digests[OP_MAX_PAGES_PER_FRAME]; /* nobody asks for the memory digest */
	struct frame frame = { .task = task, .vaddr = task_vaddr(task, page), .first = page, .count = due,
		.flags = flags, .digests = digests, .data = data };
	uint64_t offset = image->offsets[run - task->runs.list] + (page - run->first) * PAGE_BYTES;
	if (!pread_all(image->pages_file, data, due * PAGE_BYTES, (off_t)offset))
		pager_fail("images: read of %u pages of task %u at offset %llu failed", due, task->id,
			   (unsigned long long)offset);
	frames_arrived(&frame, 1);
	return due;
}

static void request(struct task *task, uint32_t page) { pages_load(task, page, 1, OP_DEMAND); }

static bool refill_ordered(void)
{
	while (order_at < order_count) {
		struct order_entry first = order[order_at++];
		uint32_t count = 1;
		if (!page_is_due(first.task, first.page))
			continue;
		while (order_at < order_count && order[order_at].task == first.task &&
		       order[order_at].page == first.page + count)
			count++, order_at++;
		for (uint32_t done = 0; done < count;) {
			if (page_is_due(first.task, first.page + done))
				done += pages_load(first.task, first.page + done, count - done, OP_PUSH);
			else
				done++;
		}
		return true;
	}
	return false;
}

static bool refill_rest(void)
{
	for (struct image *image = images; image; image = image->next)
		while (image->cursor < image->task->page_count) {
			if (!page_is_due(image->task, image->cursor)) {
				image->cursor++;
				continue;
			}
			image->cursor += pages_load(image->task, image->cursor, OP_MAX_PAGES_PER_FRAME, OP_FILL);
			return true;
		}
	pager.all_sent = true;
	return false;
}

static bool refill(void)
{
	for (int i = 0; i < REFILL_FRAMES && !pager.queue_head; i++) {
		if (refill_ordered())
			continue;
		/* Before CRIU is done the frames could only lie in memory. */
		if (!kept->restored)
			return i > 0;
		/* While an order is recorded, filling would hide touches: it starts when faults have dried up. */
		if (recording && now_us() < pager.last_fault_us + pager.quiet_us) {
			engine_wake_at(pager.last_fault_us + pager.quiet_us);
			return i > 0;
		}
		/* One frame at a time: a fault must not stand behind a long read. */
		return refill_rest() || i > 0;
	}
	return true;
}

static void nothing(void) { }
static void no_reason(const char *reason) { (void)reason; }

static void finished(void)
{
	order_record_close();
	if (order_foreign)
		say("--order: %zu pages are not in these images, ignored", order_foreign);
	pager.quit = true;
}

void local_prepare(const char *images_dir, const char *order_path, const char *record_path)
{
	images = images_open(images_dir);
	if (order_path)
		order = order_read(order_path, &order_count, &order_foreign);
	if (record_path) {
		order_record_open(record_path);
		recording = true;
	}
	kept->map_sealed = true;
}

void local_start(void)
{
	static const struct source source = { request, refill, nothing, nothing, finished, no_reason };
	pager.source = &source;
	if (kept->successors)
		return;
	handshake_accept();
	announce_ready();
}
