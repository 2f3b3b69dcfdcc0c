#include "arena.h"
#include "util.h"
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARENA_BYTES (8ull << 30) /* of addresses: only what is touched takes memory */
#define LEAST_ORDER 5            /* blocks of 32 bytes and their doubles */

struct block {
	size_t order;
	struct block *next; /* while it is free; otherwise the user's bytes begin here */
};
#define HEAD_BYTES offsetof(struct block, next)

static struct arena {
	size_t used;
	struct block *free[40];
} *arena;

void arena_make(void)
{
	void *memory = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
			    -1, 0);
	arena = need(memory == MAP_FAILED ? NULL : memory);
	arena->used = sizeof(*arena);
}

void *arena_alloc(size_t bytes)
{
	size_t order = LEAST_ORDER;
	while (1ull << order < bytes + HEAD_BYTES)
		order++;
	struct block *block = arena->free[order];
	if (block) {
		arena->free[order] = block->next;
	} else {
		need(1ull << order <= ARENA_BYTES - arena->used ? arena : NULL);
		block = (struct block *)((char *)arena + arena->used);
		arena->used += 1ull << order;
		block->order = order;
		return &block->next; /* never used before: zero */
	}
	return memset(&block->next, 0, bytes);
}

void arena_free(void *used)
{
	if (!used)
		return;
	struct block *block = (struct block *)((char *)used - HEAD_BYTES);
	block->next = arena->free[block->order];
	SETTLE();
	arena->free[block->order] = block;
}
