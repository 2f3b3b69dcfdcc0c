/*
 * The order of first touches as text: a header line `offload-order 1`, then one line a page,
 * `task vaddr-hex microseconds`.
 */
#include "pager.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER "offload-order 1\n"

static FILE *record;

struct order_entry *order_read(const char *path, size_t *count, size_t *foreign)
{
	char line[128];
	struct order_entry *list = NULL;
	size_t capacity = 0;
	FILE *file = fopen(path, "re");
	if (!file)
		usage_error("--order %s: %s", path, strerror(errno));
	if (!fgets(line, sizeof(line), file) || strcmp(line, HEADER))
		usage_error("--order %s: does not begin with `offload-order 1`", path);
	for (size_t number = 2; fgets(line, sizeof(line), file); number++) {
		unsigned id;
		unsigned long long vaddr, at_us;
		uint32_t page, following;
		if (sscanf(line, "%u %llx %llu", &id, &vaddr, &at_us) != 3)
			usage_error("--order %s: line %zu is not `task vaddr-hex microseconds`", path, number);
		struct task *task = task_by_id(id);
		if (!task || vaddr % PAGE_BYTES || !task_find(task, vaddr, &page, &following)) {
			++*foreign;
			continue;
		}
		if (*count == capacity) {
			capacity = capacity ? capacity * 2 : 1024;
			list = need(realloc(list, capacity * sizeof(*list)));
		}
		list[(*count)++] = (struct order_entry){ task, page };
	}
	fclose(file);
	return list;
}

void order_record_open(const char *path)
{
	record = fopen(path, "we");
	if (record)
		setlinebuf(record); /* a successor writes on where a dead pager was */
	if (!record || fputs(HEADER, record) < 0)
		usage_error("--record %s: %s", path, strerror(errno));
}

void order_record(uint32_t task, uint64_t vaddr, uint64_t at_us)
{
	if (record)
		fprintf(record, "%u %llx %llu\n", task, (unsigned long long)vaddr, (unsigned long long)at_us);
}

void order_record_close(void)
{
	if (record && fclose(record))
		say("--record: %s", strerror(errno)); /* the restore itself is whole */
	record = NULL;
}
