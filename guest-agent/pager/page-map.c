#include "page-map.h"
#include "arena.h"
#include "reshape.h"
#include <stdlib.h>
#include <string.h>

/* Index of the first run that ends after vaddr. */
size_t runs_seek(const struct runs *runs, uint64_t vaddr)
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

static void runs_reserve(struct runs *runs, size_t capacity)
{
	struct run *old = runs->list;
	runs->list = arena_alloc(capacity * sizeof(struct run));
	runs->capacity = capacity;
	if (runs->count)
		memcpy(runs->list, old, runs->count * sizeof(struct run));
	arena_free(old);
}

void runs_append(struct runs *runs, const struct run *list, size_t count)
{
	if (runs->count + count > runs->capacity)
		runs_reserve(runs, runs->count + count + 16);
	if (count)
		memcpy(&runs->list[runs->count], list, count * sizeof(struct run));
	runs->count += count;
}

void runs_insert(struct runs *runs, size_t at, struct run run)
{
	if (runs->count == runs->capacity)
		runs_reserve(runs, runs->capacity * 2 + 16);
	memmove(&runs->list[at + 1], &runs->list[at], (runs->count - at) * sizeof(run));
	runs->list[at] = run;
	runs->count++;
}

void runs_erase(struct runs *runs, size_t at, size_t count)
{
	if (!count)
		return;
	runs->count -= count;
	memmove(&runs->list[at], &runs->list[at + count], (runs->count - at) * sizeof(struct run));
}

/* Makes vaddr a border between runs. Returns the index of the first run at or behind it. */
size_t runs_split(struct runs *runs, uint64_t vaddr)
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

static size_t bits_bytes(uint32_t count) { return (count / 64 + 1) * sizeof(uint64_t); }

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
	task->requested = arena_alloc(bits_bytes(task->page_count));
	task->parts = arena_alloc((task->page_count + 1) * sizeof(uint64_t));
	task->frame_of = arena_alloc((task->page_count + 1) * sizeof(struct frame *));
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

bool task_dropped(const struct task *task, uint32_t page) { return !task->parts[page] && !task_wants(task, page); }

static void space_count_missing(struct space *space)
{
	space->missing_count = 0;
	for (uint32_t page = 0; page < space->task->page_count; page++)
		space->missing_count += bit_test(space->missing, page);
}

void task_reset(struct task *task)
{
	memset(task->requested, 0, bits_bytes(task->page_count));
	memset(task->frame_of, 0, task->page_count * sizeof(struct frame *));
	for (struct space *space = task->spaces; space; space = space->next)
		space_count_missing(space);
}

void task_free(struct task *task)
{
	arena_free(task->runs.list);
	arena_free(task->requested);
	arena_free(task->parts);
	arena_free(task->frame_of);
	arena_free(task);
}

static struct space *space_make(struct task *task, int uffd, const struct runs *runs)
{
	struct space *space = arena_alloc(sizeof(*space));
	space->task = task;
	space->uffd = uffd;
	space->segments = segments_copy(runs);
	space->missing = arena_alloc(bits_bytes(task->page_count));
	space->next = task->spaces;
	return space;
}

static struct space *space_attach(struct space *space)
{
	SETTLE();
	space->task->spaces = space;
	SETTLE();
	return space;
}

struct space *space_new(struct task *task, int uffd)
{
	struct space *space = space_make(task, uffd, &task->runs);
	for (uint32_t page = 0; page < task->page_count; page++)
		bit_set(space->missing, page);
	space->missing_count = task->page_count;
	space_attach(space);
	task->handed_over = true;
	return space;
}

struct space *space_fork(struct space *parent, int uffd)
{
	struct space *child = space_make(parent->task, uffd, parent->segments);
	memcpy(child->missing, parent->missing, bits_bytes(parent->task->page_count));
	child->missing_count = parent->missing_count;
	child->reshaped = true;
	space_inherit(child);
	return space_attach(child);
}

bool space_find(const struct space *space, uint64_t vaddr, uint32_t *page)
{
	uint32_t following;
	return runs_find(space->segments, vaddr, page, &following);
}

bool space_vaddr(const struct space *space, uint32_t page, uint64_t *vaddr, uint32_t *following)
{
	/* Nearly always the page still lives where it was; only moved ones cost a walk. */
	uint32_t found;
	*vaddr = task_vaddr(space->task, page);
	if (runs_find(space->segments, *vaddr, &found, following) && found == page)
		return true;
	for (size_t i = 0; i < space->segments->count; i++) {
		const struct run *run = &space->segments->list[i];
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

void space_free(struct space *space)
{
	segments_free(space->segments);
	arena_free(space->missing);
	arena_free(space);
}
