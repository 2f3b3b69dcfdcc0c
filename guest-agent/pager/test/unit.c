/* Unit tests that need no kernel: the page map, and the golden frames as this side of the wire sees them. */
#include "../../../interconnect/page-protocol.h"
#include "arena.h"
#include "page-map.h"
#include "reshape-model.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks, failures;
#define CHECK(condition)                                                                   \
	do {                                                                               \
		checks++;                                                                  \
		if (!(condition)) {                                                        \
			failures++;                                                        \
			printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);     \
		}                                                                          \
	} while (0)

#define AT(page) (0x100000ull + (page) * PAGE_BYTES)

/* Plain memory, under the eyes of the address sanitizer. */
void *arena_alloc(size_t bytes) { return calloc(1, bytes); }
void arena_free(void *block) { free(block); }

static uint64_t event; /* events are numbered upwards */

static enum probe (*kernel)(uint64_t vaddr, uint64_t bytes);
enum probe space_probe(const struct space *space, uint64_t vaddr, uint64_t bytes)
{
	(void)space;
	return kernel ? kernel(vaddr, bytes) : REGISTERED;
}

/* As the kernel tells of one: what was at the target first, and that nothing is left behind last. */
static void move(struct space *space, uint64_t from, uint64_t to, uint64_t bytes)
{
	space_unmap(space, to, to + bytes, ++event);
	space_remap(space, from, to, bytes, ++event);
	space_unmap(space, from, from + bytes, ++event);
	CHECK(space_settle(space) == SETTLED);
}

static uint32_t dropped_count(const struct task *task)
{
	uint32_t count = 0;
	for (uint32_t page = 0; page < task->page_count; page++)
		count += task_dropped(task, page);
	return count;
}

/* Pages 0-9 at AT(0), 10-19 at AT(10) (touching), 20-24 at AT(100). */
static struct task *make_task(void)
{
	struct task *task = calloc(1, sizeof(*task));
	task->id = 7;
	CHECK(task_add_run(task, AT(100), 5));
	CHECK(task_add_run(task, AT(0), 10));
	CHECK(task_add_run(task, AT(10), 10));
	CHECK(task_seal(task));
	return task;
}

static void free_all(struct task *task)
{
	while (task->spaces) {
		struct space *space = task->spaces;
		task->spaces = space->next;
		space_free(space);
	}
	task_free(task);
}

static bool lives_at(const struct space *space, uint32_t page, uint64_t vaddr)
{
	uint64_t at;
	uint32_t following, back;
	return space_vaddr(space, page, &at, &following) && at == vaddr && space_find(space, vaddr, &back) &&
	       back == page;
}

static void test_build(void)
{
	struct task *task = make_task();
	uint32_t page, following;
	CHECK(task->page_count == 25);
	CHECK(task_find(task, AT(3), &page, &following) && page == 3 && following == 17);
	CHECK(task_find(task, AT(104), &page, &following) && page == 24 && following == 1);
	CHECK(!task_find(task, AT(20), &page, &following));
	CHECK(!task_find(task, AT(0) - 1, &page, &following));
	CHECK(task_vaddr(task, 22) == AT(102));
	CHECK(task_wants(task, 0));
	CHECK(!task_add_run(task, AT(0) + 1, 1) && !task_add_run(task, AT(0), 0));
	CHECK(!task_add_run(task, 1ull << 47, 1) && !task_add_run(task, 0, UINT32_MAX));
	free_all(task);
	task = calloc(1, sizeof(*task));
	CHECK(task_add_run(task, AT(0), 2) && task_add_run(task, AT(1), 2) && !task_seal(task));
	free_all(task);
}

static void test_drop(void)
{
	struct task *task = make_task();
	struct space *space = space_new(task, -1);
	uint32_t page;
	space_in_place(space, 4);
	task->parts[4] = 1;
	space_drop(space, AT(3), AT(6), ++event);
	CHECK(dropped_count(task) == 2 && space->missing_count == 22);
	CHECK(!space_find(space, AT(3), &page) && !space_find(space, AT(5), &page));
	CHECK(lives_at(space, 2, AT(2)) && lives_at(space, 6, AT(6)));
	CHECK(!task_wants(task, 5) && task_wants(task, 6));
	space_drop(space, AT(50), AT(60), ++event);
	space_drop(space, 0, UINT64_MAX - PAGE_BYTES + 1, ++event);
	CHECK(space->missing_count == 0 && dropped_count(task) == 24 && space->segments->count == 0);
	free_all(task);
}

static void test_remap(void)
{
	struct task *task = make_task();
	struct space *space = space_new(task, -1);
	uint32_t page;
	move(space, AT(8), AT(200), 4 * PAGE_BYTES);
	CHECK(lives_at(space, 8, AT(200)) && lives_at(space, 11, AT(203)) && lives_at(space, 12, AT(12)));
	CHECK(!space_find(space, AT(9), &page) && dropped_count(task) == 0);
	move(space, AT(201), AT(8), 2 * PAGE_BYTES);
	CHECK(lives_at(space, 9, AT(8)) && lives_at(space, 10, AT(9)) && lives_at(space, 8, AT(200)));
	/* What was at the target is gone. */
	move(space, AT(0), AT(100), 2 * PAGE_BYTES);
	CHECK(dropped_count(task) == 2 && lives_at(space, 0, AT(100)) && lives_at(space, 22, AT(102)));
	move(space, AT(60), AT(70), 2 * PAGE_BYTES);
	CHECK(space->missing_count == 23);
	free_all(task);
}

static void test_fork(void)
{
	struct task *task = make_task();
	struct space *parent = space_new(task, -1);
	space_in_place(parent, 0);
	task->parts[0] = 1;
	move(parent, AT(2), AT(300), PAGE_BYTES);
	struct space *child = space_fork(parent, -1);
	CHECK(child->missing_count == 24 && !bit_test(child->missing, 0));
	CHECK(lives_at(child, 2, AT(300)));
	space_drop(parent, AT(3), AT(4), ++event);
	CHECK(dropped_count(task) == 0 && task_wants(task, 3));
	CHECK(lives_at(child, 3, AT(3)));
	space_drop(child, AT(3), AT(4), ++event);
	CHECK(dropped_count(task) == 1 && !task_wants(task, 3));
	space_in_place(parent, 5);
	CHECK(task_wants(task, 5));
	space_in_place(child, 5);
	CHECK(!task_wants(task, 5));
	free_all(task);
}

/* A successor does again what a dead pager may have done already, up to any point. */
static void test_again(void)
{
	struct task *task = make_task();
	struct space *space = space_new(task, -1);
	uint32_t page;
	for (int done = 1; done <= 5; done++) {
		space_drop(space, AT(0), AT(2), event + 1);
		if (done > 1)
			space_remap(space, AT(5), AT(0), 2 * PAGE_BYTES, event + 2);
		if (done > 2)
			space_remap(space, AT(0), AT(200), PAGE_BYTES, event + 3);
		if (done > 3)
			space_drop(space, AT(0), AT(1), event + 4);
	}
	event += 4;
	CHECK(lives_at(space, 5, AT(200)) && lives_at(space, 6, AT(1)) && !space_find(space, AT(0), &page));
	CHECK(dropped_count(task) == 2 && space->missing_count == 23);
	bit_set(task->requested, 3);
	space->missing_count = 7;
	task_reset(task);
	CHECK(space->missing_count == 23 && !bit_test(task->requested, 3));
	free_all(task);
}

/* Random remaps and drops against a plain array: page number by address. */
static void test_random(void)
{
	enum { PAGES = 64, SPAN = 256 };
	struct task *task = calloc(1, sizeof(*task));
	task_add_run(task, AT(0), PAGES);
	task_seal(task);
	struct space *space = space_new(task, -1);
	int model[SPAN];
	for (int i = 0; i < SPAN; i++)
		model[i] = i < PAGES ? i : -1;
	srand(1);
	for (int step = 0; step < 2000; step++) {
		int from = rand() % (SPAN - 16), to = rand() % (SPAN - 16), count = 1 + rand() % 8;
		if (step % 40 == 0) {
			space_drop(space, AT(from), AT(from + 1), ++event);
			model[from] = -1;
		} else if (from + count <= to || to + count <= from) {
			move(space, AT(from), AT(to), (uint64_t)count * PAGE_BYTES);
			memcpy(&model[to], &model[from], (size_t)count * sizeof(int));
			memset(&model[from], -1, (size_t)count * sizeof(int));
		}
		for (int i = 0; i < SPAN; i++) {
			uint32_t page;
			bool found = space_find(space, AT(i), &page);
			if (found != (model[i] >= 0) || (found && (page != (uint32_t)model[i] || !lives_at(space, page, AT(i))))) {
				CHECK(!"the map and the model agree");
				return;
			}
		}
	}
	CHECK(space->missing_count + dropped_count(task) == PAGES);
	free_all(task);
}

/* Whatever comes late: no page is taken for another, and seldom is it not known where one is. */
static void test_late_events(void)
{
	enum { RUNS = 10000, STEPS = 600 };
	int count[3] = { 0 };
	kernel = model_probe;
	for (unsigned seed = 1; seed <= RUNS; seed++) {
		struct task *task = calloc(1, sizeof(*task));
		enum outcome outcome = model_run(seed, STEPS, task);
		if (outcome == WRONG && !count[WRONG])
			printf("late events: the map is wrong with seed %u\n", seed);
		count[outcome]++;
		free_all(task);
	}
	kernel = NULL;
	printf("late events: %d runs right, %d in doubt, %d wrong\n", count[RIGHT], count[IN_DOUBT], count[WRONG]);
	CHECK(count[WRONG] == 0);
	CHECK(count[IN_DOUBT] < RUNS / 10);
}

/* Each golden file is one frame: its header has to account for exactly the bytes that follow. */
static void test_golden(const char *path)
{
	DIR *entries = opendir(path);
	for (struct dirent *entry; entries && (entry = readdir(entries));) {
		static uint8_t bytes[sizeof(struct op_header) + OP_MAX_PAYLOAD_BYTES + 1];
		char name[512];
		struct op_header header;
		size_t length = strlen(entry->d_name);
		if (length < 4 || strcmp(entry->d_name + length - 4, ".bin"))
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		FILE *file = fopen(name, "rb");
		size_t got = file ? fread(bytes, 1, sizeof(bytes), file) : 0;
		memcpy(&header, bytes, sizeof(header));
		CHECK(got >= sizeof(header) && got == sizeof(header) + header.payload_bytes);
		CHECK(header.type >= OP_MAP && header.type <= OP_MISSING_END);
		if (file)
			fclose(file);
	}
	if (entries)
		closedir(entries);
}

int main(int argc, char **argv)
{
	test_build();
	test_drop();
	test_remap();
	test_fork();
	test_again();
	test_random();
	test_late_events();
	if (argc > 1)
		test_golden(argv[1]);
	printf("page map: %d checks, %d failed\n", checks, failures);
	return failures != 0;
}
