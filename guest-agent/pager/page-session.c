/* The session mode: pages come from the plane's page server; interconnect/page-protocol.h is the law. */
#include "page-client.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define CREDIT_STEP_PAGES (WINDOW_PAGES / 8)
#define MAX_FILE_BYTES (1ull << 40)

static struct {
	uint8_t token[OP_TOKEN_BYTES];
	int images_dir;
	int pages_file;
	uint32_t pages_id;
	uint32_t owed_pages;     /* arrived, and not yet given back as credit */
	uint32_t turn_pages;     /* arrived in this turn of the loop */
	bool files_complete;
} session = { .images_dir = -1, .pages_file = -1 };

static void send_counters(uint16_t type, uint64_t value)
{
	struct op_counters counters = counters_now();
	client_send((struct op_header){ .type = type, .value = value }, &counters, sizeof(counters));
}

static void give_credit(void)
{
	if (session.owed_pages < CREDIT_STEP_PAGES || pager.buffered_bytes > BUFFER_LIMIT_BYTES)
		return;
	client_send((struct op_header){ .type = OP_CREDIT, .page_count = session.owed_pages }, NULL, 0);
	session.owed_pages = 0;
}

static void request(struct task *task, uint32_t page)
{
	client_send((struct op_header){ .type = OP_FAULT, .task = task->id, .vaddr = task_vaddr(task, page),
					.page_count = 1, .value = now_us() - kept->started_us }, NULL, 0);
}

typedef bool choose_fn(const struct task *task, uint32_t page);

static bool is_missing(const struct task *task, uint32_t page)
{
	return !task->frame_of[page] && task_wants(task, page);
}

/* Only once nothing is missing: whatever was never in place was dropped. */
static bool is_dropped(const struct task *task, uint32_t page) { return !task->parts[page]; }

/* MISSING frames, one range for each run of chosen pages. */
static void send_ranges(choose_fn *chosen)
{
	static struct op_range ranges[1024];
	uint32_t count = 0;
	for (struct task *task = kept->tasks; task; task = task->next)
		for (uint32_t page = 0, after; page < task->page_count; page = after) {
			const struct run *run = task_run(task, page);
			for (after = page; after < run->first + run->count && chosen(task, after);)
				after++;
			if (after == page) {
				after++;
				continue;
			}
			ranges[count++] = (struct op_range){ task->id, after - page, task_vaddr(task, page) };
			if (count == sizeof(ranges) / sizeof(ranges[0])) {
				client_send((struct op_header){ .type = OP_MISSING }, ranges, sizeof(ranges));
				count = 0;
			}
		}
	if (count)
		client_send((struct op_header){ .type = OP_MISSING }, ranges, count * (uint32_t)sizeof(ranges[0]));
}

static void request_again(void)
{
	for (struct task *task = kept->tasks; task; task = task->next)
		for (uint32_t page = 0; page < task->page_count; page++)
			if (bit_test(task->requested, page)) {
				if (task_wants(task, page)) {
					request(task, page);
					continue;
				}
				bit_clear(task->requested, page);
				pager.outstanding--;
			}
}

static void connected(bool again)
{
	client_send((struct op_header){ .type = OP_HELLO, .flags = again ? OP_RESUME : 0, .value = OP_VERSION },
		    session.token, OP_TOKEN_BYTES);
	session.owed_pages = 0;
	if (again) {
		send_ranges(is_missing);
		client_send((struct op_header){ .type = OP_MISSING_END }, NULL, 0);
	}
	client_send((struct op_header){ .type = OP_CREDIT, .page_count = WINDOW_PAGES }, NULL, 0);
	if (!again)
		return;
	/* The plane says END anew once it has sent what is missing, and then it is told anew that all is there. */
	pager.all_sent = pager.finished = false;
	if (kept->restored) /* the first one may have been lost with the connection */
		client_send((struct op_header){ .type = OP_RESTORED }, NULL, 0);
	request_again();
}

static void lost(void)
{
	if (!kept->map_sealed || !session.files_complete)
		pager_fail("page session: the plane closed the connection before map and files were complete");
}

/* True when the page_count pages have the digest that the header states. */
static bool pages_verify(const struct op_header *header, const uint8_t *pages, uint64_t *digests)
{
	for (uint32_t i = 0; i < header->page_count; i++)
		digests[i] = XXH64(pages + i * OP_PAGE_BYTES, OP_PAGE_BYTES, 0);
	return XXH64(digests, header->page_count * sizeof(digests[0]), 0) == header->value;
}

/* How many bytes of the payload stand before its pages. */
static uint32_t bytes_before_pages(const struct op_header *header)
{
	uint32_t bytes = header->page_count * OP_PAGE_BYTES;
	if (!header->page_count || header->page_count > OP_MAX_PAGES_PER_FRAME || header->payload_bytes < bytes)
		pager_fail("page session: frame type %u of %u pages with %u bytes", header->type, header->page_count,
			   header->payload_bytes);
	return header->payload_bytes - bytes;
}

static void on_map(const struct op_header *header, const uint8_t *payload)
{
	struct op_range range;
	if (kept->map_sealed || header->payload_bytes % sizeof(range))
		pager_fail("page session: a MAP frame after its end, or of %u bytes", header->payload_bytes);
	for (uint32_t at = 0; at < header->payload_bytes; at += sizeof(range)) {
		memcpy(&range, payload + at, sizeof(range));
		struct task *task = range.task && range.task <= INT32_MAX ? task_open(range.task) : NULL;
		if (!task || !task_add_run(task, range.vaddr, range.page_count))
			pager_fail("page session: unusable range in the map: task %u, %u pages at %#llx", range.task,
				   range.page_count, (unsigned long long)range.vaddr);
		kept->mapped_pages += range.page_count;
		if (kept->mapped_pages > MAX_MAP_PAGES)
			pager_fail("page session: the map is larger than %u pages", MAX_MAP_PAGES);
	}
}

static void on_map_end(const struct op_header *header)
{
	if (kept->map_sealed || header->value != kept->mapped_pages)
		pager_fail("page session: the map ends with %llu pages, received %llu",
			   (unsigned long long)header->value, (unsigned long long)kept->mapped_pages);
	for (struct task *task = kept->tasks; task; task = task->next)
		if (!task_seal(task))
			pager_fail("page session: ranges of task %u in the map overlap", task->id);
	kept->map_sealed = true;
	handshake_accept();
}

/* Where the pages of each range belong. */
static uint32_t ranges_find(const struct op_header *header, const uint8_t *table, uint32_t count, struct frame *frames)
{
	uint32_t pages = 0;
	struct task *task = NULL;
	for (uint32_t i = 0; i < count; i++) {
		struct op_range range;
		uint32_t first, following;
		memcpy(&range, table + i * sizeof(range), sizeof(range));
		if (!task || task->id != range.task)
			task = task_by_id(range.task);
		if (!task || range.vaddr % OP_PAGE_BYTES || !task_find(task, range.vaddr, &first, &following) ||
		    !range.page_count || following < range.page_count)
			pager_fail("page session: %u pages at %#llx of task %u are not in the map", range.page_count,
				   (unsigned long long)range.vaddr, range.task);
		frames[i] = (struct frame){ .task = task, .vaddr = range.vaddr, .first = first,
			.count = range.page_count, .flags = header->flags };
		pages += range.page_count;
		if (pages > header->page_count)
			break;
	}
	return pages;
}

static void on_pages(const struct op_header *header, const uint8_t *payload)
{
	static struct frame frames[OP_MAX_PAGES_PER_FRAME];
	uint64_t digests[OP_MAX_PAGES_PER_FRAME];
	uint32_t table_bytes = bytes_before_pages(header), count = table_bytes / OP_RANGE_BYTES;
	if (header->flags != OP_DEMAND && header->flags != OP_PUSH && header->flags != OP_FILL)
		pager_fail("page session: pages with flags %#x", header->flags);
	if (!kept->map_sealed || table_bytes % OP_RANGE_BYTES || count > header->page_count ||
	    ranges_find(header, payload, count, frames) != header->page_count)
		pager_fail("page session: %u pages, and %u bytes that do not name as many", header->page_count,
			   table_bytes);
	if (!pages_verify(header, payload + table_bytes, digests))
		pager_fail("page session: digest mismatch in %u pages, the first at %#llx of task %u",
			   header->page_count, (unsigned long long)frames->vaddr, frames->task->id);
	if (pager.buffered_bytes > 2 * BUFFER_LIMIT_BYTES)
		pager_fail("page session: the plane sends beyond its credit, limit %llu bytes", 2 * BUFFER_LIMIT_BYTES);
	session.turn_pages += header->page_count;
	if (header->flags != OP_DEMAND)
		session.owed_pages += header->page_count;
	if (pager.finished)
		return;
	for (uint32_t i = 0, page = 0; i < count; page += frames[i++].count) {
		frames[i].digests = digests + page;
		frames[i].data = (unsigned char *)payload + table_bytes + page * OP_PAGE_BYTES;
	}
	frames_arrived(frames, count);
}

static void pages_file_open(uint32_t id)
{
	char name[32];
	if (session.pages_file >= 0 && session.pages_id == id)
		return;
	if (session.pages_file >= 0)
		close(session.pages_file);
	snprintf(name, sizeof(name), "pages-%u.img", id);
	session.pages_id = id;
	session.pages_file = openat(session.images_dir, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (session.pages_file < 0)
		pager_fail("page session: open %s: %s", name, strerror(errno));
}

static void on_file_pages(const struct op_header *header, const uint8_t *payload)
{
	uint64_t digests[OP_MAX_PAGES_PER_FRAME];
	if (session.files_complete || session.images_dir < 0)
		pager_fail("page session: file pages %s",
			   session.files_complete ? "after their end" : "without --images-dir");
	if (bytes_before_pages(header) || header->vaddr % OP_PAGE_BYTES || header->vaddr > MAX_FILE_BYTES ||
	    !pages_verify(header, payload, digests))
		pager_fail("page session: digest mismatch in pages-%u.img at %llu", header->task,
			   (unsigned long long)header->vaddr);
	pages_file_open(header->task);
	if (!pwrite_all(session.pages_file, payload, header->payload_bytes, (off_t)header->vaddr))
		pager_fail("page session: write to pages-%u.img: %s", header->task, strerror(errno));
	kept->counters.file_pages += header->page_count;
	session.owed_pages += header->page_count;
}

static void on_files_end(const struct op_header *header)
{
	if (session.files_complete || header->value != kept->counters.file_pages)
		pager_fail("page session: files end with %llu pages, received %llu", (unsigned long long)header->value,
			   (unsigned long long)kept->counters.file_pages);
	session.files_complete = true;
	if (session.pages_file >= 0)
		close(session.pages_file);
	session.pages_file = -1;
	announce_ready();
}

static uint32_t text_bytes(const struct op_header *header)
{
	return header->payload_bytes < OP_MAX_ERROR_BYTES ? header->payload_bytes : 400;
}

static bool on_frame(const struct op_header *header, const uint8_t *payload)
{
	switch (header->type) {
	case OP_MAP: on_map(header, payload); break;
	case OP_MAP_END: on_map_end(header); break;
	case OP_PAGES: on_pages(header, payload); break;
	case OP_FILE_PAGES: on_file_pages(header, payload); break;
	case OP_FILES_END: on_files_end(header); break;
	case OP_MARK: send_counters(OP_STATUS, header->value); break;
	case OP_END:
		if (pager.finished) { /* the plane has our DONE */
			pager.quit = true;
			return false;
		}
		if (!kept->map_sealed || !session.files_complete)
			pager_fail("page session: END before map and files were complete");
		pager.all_sent = true;
		break;
	case OP_ABORT:
		pager_fail("page session: aborted by the plane: %.*s", (int)text_bytes(header), (const char *)payload);
	case OP_ERROR:
		if (kept->finished) { /* the plane had our DONE, and we never heard that it had */
			pager.quit = true;
			return false;
		}
		pager_fail("page session: refused by the plane: %.*s", (int)text_bytes(header), (const char *)payload);
	default:
		pager_fail("page session: unknown frame type %u", header->type);
	}
	give_credit();
	return session.turn_pages < TURN_PAGES;
}

static bool refill(void)
{
	session.turn_pages = 0;
	give_credit();
	return client_take();
}

static void restored(void) { client_send((struct op_header){ .type = OP_RESTORED }, NULL, 0); }
static void give_up_waiting(void) { pager.quit = true; }

/*
 * Stays until the plane has it in writing, over another connection if need be, at most as long as a deadline. Without
 * a connection the next one says it, and the time for dialling is the limit.
 */
static void finished(void)
{
	send_ranges(is_dropped);
	send_counters(OP_DONE, 0);
	client_flush();
	if (client_connected())
		engine_after(pager.deadline_us, give_up_waiting);
}

static void failed(const char *reason)
{
	client_send((struct op_header){ .type = OP_ERROR }, reason, (uint32_t)strlen(reason));
	client_flush();
}

static void token_read(const char *path)
{
	char text[2 * OP_TOKEN_BYTES + 2] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text));
	if (fd >= 0)
		close(fd);
	if (got == OP_TOKEN_BYTES) {
		memcpy(session.token, text, OP_TOKEN_BYTES);
		return;
	}
	bool hex = got == 2 * OP_TOKEN_BYTES || (got == 2 * OP_TOKEN_BYTES + 1 && text[got - 1] == '\n');
	for (size_t i = 0; hex && i < OP_TOKEN_BYTES; i++) {
		char digits[3] = { text[2 * i], text[2 * i + 1], 0 };
		uint64_t byte;
		hex = parse_number(digits, 16, 255, &byte);
		session.token[i] = (uint8_t)byte;
	}
	if (!hex)
		usage_error("--token-file %s: expected 32 bytes or 64 hexadecimal digits", path);
}

void session_prepare(const char *address, const char *token_file, const char *images_dir)
{
	client_prepare(address);
	token_read(token_file);
	if (images_dir) {
		session.images_dir = open(images_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (session.images_dir < 0)
			usage_error("--images-dir %s: %s", images_dir, strerror(errno));
	}
}

void session_start(void)
{
	static const struct source source = { request, refill, client_redial, restored, finished, failed };
	static const struct client_calls calls = { connected, on_frame, lost };
	pager.source = &source;
	session.files_complete = kept->successors;
	client_start(&calls);
}
