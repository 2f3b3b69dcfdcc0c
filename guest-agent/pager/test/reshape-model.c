/*
 * Threads that move, unmap and discard memory of a model of the kernel, which tells of it as late as the kernel may:
 * whenever all is told, the map has to be the model's, or to say that it cannot know.
 */
#include "reshape-model.h"
#include "reshape.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(page) (0x100000ull + (page) * PAGE_BYTES)
enum { SPAN = 96, PAGES = 48, THREADS = 4, QUEUE = 64 };

struct told {
	enum { REMAP, UNMAP, DISCARD } what;
	int from, to, count;
};

/* A thread that has changed something goes on when each of its events was read. */
struct thread {
	struct told due[3];
	int due_count, queued;
	struct told then; /* what a discard does once it was told of */
	bool discards;
};

static struct world {
	int page[SPAN];    /* of the checkpoint; UNTRACKED, ZERO, or NOTHING where nothing is registered */
	int owner[SPAN];   /* the thread whose business it is */
	int mapping[SPAN]; /* which mapping it lies in */
	int mappings;
	struct thread threads[THREADS];
	struct { struct told told; int thread; } queue[QUEUE];
	int queue_count;
} world;
enum { NOTHING = -1, UNTRACKED = -2, ZERO = -3 };

static uint32_t draw(uint32_t limit) { return (uint32_t)rand() % limit; }

static bool changing(void)
{
	for (int i = 0; i < THREADS; i++)
		if (world.threads[i].due_count || world.threads[i].queued)
			return true;
	return false;
}

enum probe model_probe(uint64_t vaddr, uint64_t bytes)
{
	if (changing())
		return CHANGING;
	for (uint64_t at = vaddr; at < vaddr + bytes; at += PAGE_BYTES) {
		int first = (int)((vaddr - AT(0)) / PAGE_BYTES), i = (int)((at - AT(0)) / PAGE_BYTES);
		if (vaddr < AT(0) || i >= SPAN || world.page[i] == NOTHING || world.mapping[i] != world.mapping[first])
			return NOT_REGISTERED;
	}
	return REGISTERED;
}

static void vacate(int start, int count)
{
	for (int i = start; i < start + count; i++)
		world.page[i] = NOTHING, world.owner[i] = -1, world.mapping[i] = -1;
}

/* A stretch of the thread's, in one mapping: its first page, or -1. */
static int own_stretch(int thread, int *count)
{
	int start = (int)draw(SPAN), limit = 1 + (int)draw(4);
	for (*count = 0; *count < limit && start + *count < SPAN && world.owner[start + *count] == thread &&
			 world.mapping[start + *count] == world.mapping[start];)
		(*count)++;
	return *count ? start : -1;
}

static int free_stretch(int count)
{
	for (int tries = 0; tries < 20; tries++) {
		int start = (int)draw(SPAN - 8), free = 0;
		while (free < count && world.owner[start + free] < 0)
			free++;
		if (free == count)
			return start;
	}
	return -1;
}

static void split(int start, int count)
{
	int mapping = world.mapping[start], behind = ++world.mappings;
	for (int i = start + count; i < SPAN && world.mapping[i] == mapping; i++)
		world.mapping[i] = behind;
}

static void move(struct thread *thread, int number, int from, int to, int count)
{
	if (world.owner[to] >= 0) { /* onto pages of its own */
		split(to, count);
		vacate(to, count);
		thread->due[thread->due_count++] = (struct told){ UNMAP, to, 0, count };
	}
	split(from, count);
	++world.mappings;
	for (int i = 0; i < count; i++) {
		world.page[to + i] = world.page[from + i];
		world.owner[to + i] = number;
		world.mapping[to + i] = world.mappings;
	}
	vacate(from, count);
	thread->due[thread->due_count++] = (struct told){ REMAP, from, to, count };
	thread->due[thread->due_count++] = (struct told){ UNMAP, from, 0, count };
}

static bool overlap(int a, int b, int count) { return a < b + count && b < a + count; }

/* One system call, up to where it has let go of the lock. */
static void call(int number)
{
	struct thread *thread = &world.threads[number];
	int count, other, start = own_stretch(number, &count), to;
	if (start < 0)
		return;
	switch (draw(8)) {
	case 0:
		split(start, count);
		vacate(start, count);
		thread->due[thread->due_count++] = (struct told){ UNMAP, start, 0, count };
		break;
	case 1:
		thread->then = thread->due[thread->due_count++] = (struct told){ DISCARD, start, 0, count };
		thread->discards = true;
		break;
	case 2:
		to = own_stretch(number, &other);
		if (to >= 0 && other >= count && !overlap(start, to, count))
			move(thread, number, start, to, count);
		break;
	case 3: /* grows in place: nothing tells of that */
		to = start;
		while (to < SPAN && world.owner[to] == number && world.mapping[to] == world.mapping[start])
			to++;
		if (to < SPAN && world.owner[to] < 0) {
			world.page[to] = UNTRACKED;
			world.owner[to] = number;
			world.mapping[to] = world.mapping[start];
		}
		break;
	default:
		to = free_stretch(count);
		if (to >= 0)
			move(thread, number, start, to, count);
	}
}

static void queue_next(int number)
{
	struct thread *thread = &world.threads[number];
	world.queue[world.queue_count].told = thread->due[0];
	world.queue[world.queue_count++].thread = number;
	thread->queued = 1;
}

/* It was read, and the thread has noticed. */
static void go_on(struct thread *thread)
{
	memmove(&thread->due[0], &thread->due[1], sizeof(thread->due) - sizeof(thread->due[0]));
	thread->due_count--;
	thread->queued = 0;
	for (int i = 0; thread->discards && i < thread->then.count; i++)
		world.page[thread->then.from + i] = ZERO;
	thread->discards = false;
}

static void read_all(struct space *space, uint64_t *event)
{
	for (int i = 0; i < world.queue_count; i++) {
		struct told told = world.queue[i].told;
		uint64_t from = AT(told.from), bytes = (uint64_t)told.count * PAGE_BYTES;
		if (told.what == REMAP)
			space_remap(space, from, AT(told.to), bytes, ++*event);
		else if (told.what == UNMAP)
			space_unmap(space, from, from + bytes, ++*event);
		else
			space_discard(space, from, from + bytes, ++*event);
		world.threads[world.queue[i].thread].queued = 2;
	}
	world.queue_count = 0;
}

/* Every page that is missing is where it is in the model, and nowhere else. */
static bool agrees(const struct space *space)
{
	uint32_t missing = 0, page;
	for (int i = 0; i < SPAN; i++) {
		bool waits = space_find(space, AT(i), &page) && bit_test(space->missing, page);
		if (waits != (world.page[i] >= 0) || (waits && (int)page != world.page[i]))
			return false;
		missing += waits;
	}
	return missing == space->missing_count;
}

static void begin(struct task *task)
{
	memset(&world, 0, sizeof(world));
	for (int i = 0; i < SPAN; i++) {
		world.page[i] = i >= PAGES ? NOTHING : i % 16 == 15 ? UNTRACKED : i;
		world.owner[i] = i >= PAGES ? -1 : i / (PAGES / THREADS);
		world.mapping[i] = i >= PAGES ? -1 : 0;
	}
	for (int i = 0; i < PAGES; i += 16)
		task_add_run(task, AT(i), 15);
	task_seal(task);
	/* The numbers of the pages are dense. */
	for (int i = 0; i < PAGES; i++)
		if (world.page[i] >= 0)
			world.page[i] = i - i / 16;
}

enum outcome model_run(unsigned seed, int steps, struct task *task)
{
	srand(seed);
	begin(task);
	uint64_t event = 0;
	struct space *space = space_new(task, -1);
	for (int step = 0; step < steps; step++) {
		int number = (int)draw(THREADS);
		struct thread *thread = &world.threads[number];
		if (draw(3) == 0) {
			read_all(space, &event);
			enum settled settled = space_settle(space);
			if (settled == CONTRADICTORY)
				return IN_DOUBT;
			if (settled == SETTLED && !changing() && !agrees(space))
				return WRONG;
		} else if (thread->queued == 2) {
			go_on(thread);
		} else if (thread->due_count && !thread->queued) {
			queue_next(number);
		} else if (!thread->due_count) {
			call(number);
		}
	}
	return RIGHT;
}
