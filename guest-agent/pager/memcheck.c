/*
 * offload-memcheck: compares the memory of running tasks with the digests of a checkpoint.
 * The index is a sequence of { u32 task, u32 page_count, u64 vaddr, u64 digest[page_count] }.
 */
#include "util.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define PAGE_BYTES 4096ull
#define CHUNK_PAGES 256u
#define MAX_TASKS 1024u
#define SOFT_DIRTY (1ull << 55)

static struct task {
	uint32_t id, pid;
	int memory, pagemap;
} tasks[MAX_TASKS];
static size_t task_count;

static struct {
	unsigned long long pages, equal, changed, soft_dirty, unmapped, zeroed;
	uint32_t first_task;
	uint64_t first_vaddr;
} found;

_Noreturn static void give_up(const char *operation, const char *subject)
{
	say("%s %s: %s", operation, subject, errno ? strerror(errno) : "cut short or malformed");
	exit(1);
}

static int open_proc(uint32_t pid, const char *name, int flags)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%u/%s", pid, name);
	int fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		give_up("open", path);
	return fd;
}

static void parse_pid_map(char *text)
{
	for (char *pair = strtok(text, ","); pair; pair = strtok(NULL, ",")) {
		uint64_t id, pid;
		char *colon = strchr(pair, ':');
		if (colon)
			*colon = 0;
		if (!colon || !parse_number(pair, 10, INT32_MAX, &id) || !parse_number(colon + 1, 10, INT32_MAX, &pid))
			usage_error("--pid-map: expected TASK:PID[,TASK:PID...]");
		if (task_count == MAX_TASKS)
			usage_error("--pid-map: more than %u tasks", MAX_TASKS);
		tasks[task_count++] = (struct task){ (uint32_t)id, (uint32_t)pid, open_proc((uint32_t)pid, "mem", O_RDONLY),
						     open_proc((uint32_t)pid, "pagemap", O_RDONLY) };
	}
}

static void count_changed(const struct task *task, uint64_t vaddr, const uint8_t *page)
{
	static const uint8_t zero[PAGE_BYTES];
	uint64_t entry = 0;
	if (!found.changed++) {
		found.first_task = task->id;
		found.first_vaddr = vaddr;
	}
	found.zeroed += !memcmp(page, zero, PAGE_BYTES);
	if (pread_all(task->pagemap, &entry, sizeof(entry), (off_t)(vaddr / PAGE_BYTES * sizeof(entry))))
		found.soft_dirty += !!(entry & SOFT_DIRTY);
}

static void compare_chunk(const struct task *task, uint64_t vaddr, const uint64_t *digests, uint32_t count)
{
	static uint8_t memory[CHUNK_PAGES * PAGE_BYTES];
	bool whole = pread_all(task->memory, memory, count * PAGE_BYTES, (off_t)vaddr);
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *page = memory + i * PAGE_BYTES;
		found.pages++;
		/* One unmapped page ends a large read: then page by page. */
		if (!whole && !pread_all(task->memory, (void *)page, PAGE_BYTES, (off_t)(vaddr + i * PAGE_BYTES)))
			found.unmapped++;
		else if (XXH64(page, PAGE_BYTES, 0) == digests[i])
			found.equal++;
		else
			count_changed(task, vaddr + i * PAGE_BYTES, page);
	}
}

static void compare_record(FILE *index, const char *path, const struct task *task, uint64_t vaddr, uint32_t count)
{
	uint64_t digests[CHUNK_PAGES];
	while (count) {
		uint32_t chunk = count < CHUNK_PAGES ? count : CHUNK_PAGES;
		errno = 0;
		if (fread(digests, sizeof(digests[0]), chunk, index) != chunk)
			give_up("read of index", path);
		compare_chunk(task, vaddr, digests, chunk);
		vaddr += chunk * PAGE_BYTES;
		count -= chunk;
	}
}

static void compare_index(const char *path)
{
	struct { uint32_t task, page_count; uint64_t vaddr; } record;
	FILE *index = fopen(path, "re");
	if (!index)
		give_up("open", path);
	for (size_t got; (got = fread(&record, 1, sizeof(record), index)) != 0;) {
		struct task *task = tasks;
		while (task < tasks + task_count && task->id != record.task)
			task++;
		errno = 0;
		if (got != sizeof(record) || record.vaddr % PAGE_BYTES || record.vaddr >> 47)
			give_up("read of index", path);
		if (task == tasks + task_count) {
			say("index %s: task %u is not in --pid-map", path, record.task);
			exit(1);
		}
		compare_record(index, path, task, record.vaddr, record.page_count);
	}
	fclose(index);
}

static void print_result(void)
{
	printf("{\"pages\":%llu,\"equal\":%llu,\"changed\":%llu,\"softDirtyChanged\":%llu,\"unmapped\":%llu,"
	       "\"zeroed\":%llu,\"firstChanged\":", found.pages, found.equal, found.changed, found.soft_dirty,
	       found.unmapped, found.zeroed);
	if (found.changed)
		printf("\"%u:%#llx\"}\n", found.first_task, (unsigned long long)found.first_vaddr);
	else
		printf("null}\n");
}

static void clear_soft_dirty(const char *text)
{
	uint64_t pid;
	if (!parse_number(text, 10, INT32_MAX, &pid))
		usage_error("--clear-soft-dirty %s: expected pids", text);
	int fd = open_proc((uint32_t)pid, "clear_refs", O_WRONLY);
	if (write(fd, "4", 1) != 1)
		give_up("clear soft-dirty of", text);
	close(fd);
}

static const char help[] =
	"offload-memcheck --index FILE --pid-map TASK:PID[,TASK:PID...]\n"
	"    compares the memory of running tasks with digests; prints one line of JSON\n"
	"offload-memcheck --clear-soft-dirty PID...\n"
	"    begins to track which pages are written to from now on\n";

int main(int argc, char **argv)
{
	static const struct option list[] = { { "index", 1, NULL, 'i' }, { "pid-map", 1, NULL, 'p' },
		{ "clear-soft-dirty", 0, NULL, 'c' }, { "help", 0, NULL, 'h' }, { "version", 0, NULL, 'v' }, { 0 } };
	const char *index = NULL;
	bool clear = false;
	for (int option; (option = getopt_long(argc, argv, "", list, NULL)) != -1;)
		switch (option) {
		case 'i': index = optarg; break;
		case 'p': parse_pid_map(optarg); break;
		case 'c': clear = true; break;
		case 'h': fputs(help, stdout); return 0;
		case 'v': puts("offload-memcheck " PROGRAM_VERSION); return 0;
		default: return 2;
		}
	if (clear && !index && optind < argc) {
		while (optind < argc)
			clear_soft_dirty(argv[optind++]);
		return 0;
	}
	if (clear || !index || !task_count || optind < argc)
		usage_error("expected --index and --pid-map, or --clear-soft-dirty and pids; see --help");
	compare_index(index);
	print_result();
	return 0;
}
