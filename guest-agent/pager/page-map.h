/*
 * Which pages the pager answers for, and where each of them lives in each address space.
 *
 * A task is what the checkpoint knows: runs of pages at their addresses at the time of the checkpoint,
 * numbered 0..page_count-1. A space is a live address space that began as that task: the restored one,
 * and every child it forks while pages are still missing. Spaces move (mremap), drop (munmap, madvise)
 * and copy (fork) their part of the map; the numbers of the pages stay.
 *
 * Nothing here makes a system call, so all of it is tested without a kernel's help. All of it lives in the
 * arena, and each change of a space becomes true with one store: a pager may be killed at any instruction,
 * and its successor goes on from there.
 */
#ifndef PAGE_MAP_H
#define PAGE_MAP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_BYTES 4096ull
#define USER_END (1ull << 47)
#define MAX_MAP_PAGES (16u << 20) /* 64 GiB in one session: bounds what a plane can make us allocate */
#define MAX_TASKS 4096u
#define MAX_SPACES 16384u

struct run {
	uint64_t vaddr;
	uint32_t first; /* number of the page at vaddr */
	uint32_t count;
};

struct runs {
	uint64_t event;   /* number of the last event they have seen */
	struct run *list; /* sorted by vaddr, without overlap */
	size_t count, capacity;
	struct unsettled *unsettled; /* see reshape.h; NULL nearly always */
};

struct frame; /* pages that have arrived; see pager.h */

struct space {
	struct task *task;
	struct space *next;
	int uffd;
	struct runs *segments;    /* where pages live now; a dropped page is in no segment */
	uint64_t *missing;        /* bit per page: mapped here and not in place */
	uint32_t missing_count;
	bool reshaped;            /* forked, or has moved or unmapped something: ENOENT is explainable */
	bool gone;                /* the mm has exited */
};

struct task {
	uint32_t id;
	struct task *next;
	struct runs runs;         /* where pages were at the checkpoint */
	uint32_t page_count;
	uint64_t *requested;      /* bit per page: asked for, not arrived yet */
	uint64_t *parts;          /* per page: its part of the memory digest, once it is in place anywhere */
	struct frame **frame_of;  /* per page: the buffered frame that holds it */
	struct space *spaces;
	bool handed_over;         /* CRIU has sent its descriptor */
};

static inline bool bit_test(const uint64_t *bits, uint32_t at) { return bits[at >> 6] >> (at & 63) & 1; }
static inline void bit_set(uint64_t *bits, uint32_t at) { bits[at >> 6] |= 1ull << (at & 63); }
static inline void bit_clear(uint64_t *bits, uint32_t at) { bits[at >> 6] &= ~(1ull << (at & 63)); }

/* Building the map, which no successor takes over. task_add_run refuses what is unaligned, empty or beyond the user half (false). */
bool task_add_run(struct task *task, uint64_t vaddr, uint32_t page_count);
/* Sorts the runs and allocates the per-page state; false when runs overlap. */
bool task_seal(struct task *task);
/* The number of the page that was at vaddr at the checkpoint, and how many follow it without a hole. */
bool task_find(const struct task *task, uint64_t vaddr, uint32_t *page, uint32_t *following);
const struct run *task_run(const struct task *task, uint32_t page);
uint64_t task_vaddr(const struct task *task, uint32_t page);
/* Whether any address space still waits for the page; before the handover every page is waited for. */
bool task_wants(const struct task *task, uint32_t page);
/* Neither in place nor waited for any more. */
bool task_dropped(const struct task *task, uint32_t page);
/* Forgets what was asked for and had arrived: what only the dead pager knew. */
void task_reset(struct task *task);
void task_free(struct task *task);

/* A new space of the task in which everything is missing. */
struct space *space_new(struct task *task, int uffd);
struct space *space_fork(struct space *parent, int uffd);
bool space_find(const struct space *space, uint64_t vaddr, uint32_t *page);
/* Where the page lives in this space, and how many pages follow at consecutive numbers and addresses. */
bool space_vaddr(const struct space *space, uint32_t page, uint64_t *vaddr, uint32_t *following);
void space_in_place(struct space *space, uint32_t page);

void space_free(struct space *space);
#endif
