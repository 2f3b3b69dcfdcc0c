#include "page-map.h"
#include "util.h"
#include <stdlib.h>
#include <string.h>

#define USER_END (1ull << 47)

/* Index of the first run that ends after vaddr. */
static size_t runs_seek(const struct runs *runs, uint64_t vaddr)
{
	size_t low = 0, high = runs->count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct run *run = &runs->list[middle];
		if (run->vaddr + run->count * PAGE_BYTES <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void runs_insert(struct runs *runs, size_t at, struct run run)
{
	if (runs->count == runs->capacity) {
		runs->capacity = runs->capacity ? runs->capacity * 2 : 16;
		runs->list = need(realloc(runs->list, runs->capacity * sizeof(run)));
	}
	memmove(&runs->list[at + 1], &runs->list[at], (runs->count - at) * sizeof(run));
	runs->list[at] = run;
	runs->count++;
}

static void runs_erase(struct runs *runs, size_t at, size_t count)
{
	runs->count -= count;
	memmove(&runs->list[at], &runs->list[at + count], (runs->count - at) * sizeof(struct run));
}

/* Makes vaddr a border between runs. Returns the index of the first run at or behind it. */
static size_t runs_split(struct runs *runs, uint64_t vaddr)
{
	size_t at = runs_seek(runs, vaddr);
	if (at == runs->count || runs->list[at].vaddr >= vaddr)
		return at;
	struct run *head = &runs->list[at];
	uint32_t kept = (uint32_t)((vaddr - head->vaddr) / PAGE_BYTES);
	struct run tail = { vaddr, head->first + kept, head->count - kept };
	head->count = kept;
	runs_insert(runs, at + 1, tail);
	return at + 1;
}

bool task_add_run(struct task *task, uint64_t vaddr, uint32_t page_count)
{
	if (!page_count || vaddr % PAGE_BYTES || vaddr >= USER_END ||
	    page_count > (USER_END - vaddr) / PAGE_BYTES || page_count > MAX_MAP_PAGES - task->page_count)
		return false;
	runs_insert(&task->runs, task->runs.count, (struct run){ vaddr, 0, page_count });
	task->page_count += page_count;
	return true;
}

static int run_compare(const void *left, const void *right)
{
	const struct run *a = left, *b = right;
	return (a->vaddr > b->vaddr) - (a->vaddr < b->vaddr);
}

static uint64_t *bits_new(uint32_t count) { return need(calloc(count / 64 + 1, sizeof(uint64_t))); }

bool task_seal(struct task *task)
{
	struct runs *runs = &task->runs;
	if (runs->count)
		qsort(runs->list, runs->count, sizeof(struct run), run_compare);
	uint32_t first = 0;
	for (size_t i = 0; i < runs->count; i++) {
		struct run *run = &runs->list[i];
		if (i && run[-1].vaddr + run[-1].count * PAGE_BYTES > run->vaddr)
			return false;
		run->first = first;
		first += run->count;
	}
	task->requested = bits_new(task->page_count);
	task->counted = bits_new(task->page_count);
	task->frame_of = need(calloc(task->page_count + 1, sizeof(struct frame *)));
	return true;
}

static bool runs_find(const struct runs *runs, uint64_t vaddr, uint32_t *page, uint32_t *following)
{
	size_t at = runs_seek(runs, vaddr);
	if (at == runs->count || runs->list[at].vaddr > vaddr)
		return false;
	uint32_t offset = (uint32_t)((vaddr - runs->list[at].vaddr) / PAGE_BYTES);
	*page = runs->list[at].first + offset;
	*following = runs->list[at].count - offset;
	return true;
}

bool task_find(const struct task *task, uint64_t vaddr, uint32_t *page, uint32_t *following)
{
	if (!runs_find(&task->runs, vaddr, page, following))
		return false;
	/* Two runs that touch are one stretch to whoever sends pages. */
	for (size_t at = runs_seek(&task->runs, vaddr) + 1; at < task->runs.count && *following < 64; at++) {
		const struct run *run = &task->runs.list[at];
		if (run[-1].vaddr + run[-1].count * PAGE_BYTES != run->vaddr)
			break;
		*following += run->count;
	}
	return true;
}

const struct run *task_run(const struct task *task, uint32_t page)
{
	size_t low = 0, high = task->runs.count;
	while (high - low > 1) {
		size_t middle = (low + high) / 2;
		if (task->runs.list[middle].first <= page)
			low = middle;
		else
			high = middle;
	}
	return &task->runs.list[low];
}

uint64_t task_vaddr(const struct task *task, uint32_t page)
{
	const struct run *run = task_run(task, page);
	return run->vaddr + (page - run->first) * PAGE_BYTES;
}

bool task_wants(const struct task *task, uint32_t page)
{
	for (const struct space *space = task->spaces; space; space = space->next)
		if (bit_test(space->missing, page))
			return true;
	return !task->handed_over;
}

void task_free(struct task *task)
{
	free(task->runs.list);
	free(task->requested);
	free(task->counted);
	free(task->frame_of);
	free(task);
}

static struct space *space_attach(struct task *task, int uffd, const struct runs *runs)
{
	struct space *space = need(calloc(1, sizeof(*space)));
	space->task = task;
	space->uffd = uffd;
	space->segments.count = space->segments.capacity = runs->count;
	if (runs->count) {
		space->segments.list = need(malloc(runs->count * sizeof(struct run)));
		memcpy(space->segments.list, runs->list, runs->count * sizeof(struct run));
	}
	space->missing = bits_new(task->page_count);
	space->next = task->spaces;
	task->spaces = space;
	return space;
}

struct space *space_new(struct task *task, int uffd)
{
	struct space *space = space_attach(task, uffd, &task->runs);
	for (uint32_t page = 0; page < task->page_count; page++)
		bit_set(space->missing, page);
	space->missing_count = task->page_count;
	task->handed_over = true;
	return space;
}

struct space *space_fork(struct space *parent, int uffd)
{
	struct space *child = space_attach(parent->task, uffd, &parent->segments);
	memcpy(child->missing, parent->missing, (parent->task->page_count / 64 + 1) * sizeof(uint64_t));
	child->missing_count = parent->missing_count;
	child->reshaped = true;
	return child;
}

bool space_find(const struct space *space, uint64_t vaddr, uint32_t *page)
{
	uint32_t following;
	return runs_find(&space->segments, vaddr, page, &following);
}

bool space_vaddr(const struct space *space, uint32_t page, uint64_t *vaddr, uint32_t *following)
{
	/* Nearly always the page still lives where it was; only moved ones cost a walk. */
	uint32_t found;
	*vaddr = task_vaddr(space->task, page);
	if (runs_find(&space->segments, *vaddr, &found, following) && found == page)
		return true;
	for (size_t i = 0; i < space->segments.count; i++) {
		const struct run *run = &space->segments.list[i];
		if (page - run->first >= run->count)
			continue; /* unsigned: also true for page < first */
		*vaddr = run->vaddr + (page - run->first) * PAGE_BYTES;
		*following = run->count - (page - run->first);
		return true;
	}
	return false;
}

void space_in_place(struct space *space, uint32_t page)
{
	bit_clear(space->missing, page);
	space->missing_count--;
}

static void forget(struct space *space, const struct run *run, drop_fn *dropped)
{
	for (uint32_t page = run->first; page < run->first + run->count; page++) {
		if (!bit_test(space->missing, page))
			continue;
		space_in_place(space, page);
		if (!bit_test(space->task->counted, page) && !task_wants(space->task, page))
			dropped(space->task, page);
	}
}

void space_drop(struct space *space, uint64_t start, uint64_t end, drop_fn *dropped)
{
	size_t from = runs_split(&space->segments, start);
	size_t to = runs_split(&space->segments, end);
	for (size_t at = from; at < to; at++)
		forget(space, &space->segments.list[at], dropped);
	runs_erase(&space->segments, from, to - from);
}

void space_remap(struct space *space, uint64_t from, uint64_t to, uint64_t bytes, drop_fn *dropped)
{
	struct runs *segments = &space->segments;
	size_t first = runs_split(segments, from), last = runs_split(segments, from + bytes);
	size_t count = last - first;
	struct run *moved = need(malloc((count + 1) * sizeof(struct run)));
	if (count)
		memcpy(moved, &segments->list[first], count * sizeof(struct run));
	runs_erase(segments, first, count);
	space_drop(space, to, to + bytes, dropped);
	for (size_t i = 0; i < count; i++) {
		moved[i].vaddr += to - from;
		runs_insert(segments, runs_seek(segments, moved[i].vaddr), moved[i]);
	}
	free(moved);
}

void space_free(struct space *space)
{
	free(space->segments.list);
	free(space->missing);
	free(space);
}
