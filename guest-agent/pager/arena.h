/*
 * Memory that outlives the pager: mapped by the supervisor before it starts one, at the same place in each.
 * Killed at any instruction, the worst that an operation here leaves is a block that nobody uses.
 */
#ifndef ARENA_H
#define ARENA_H
#include <stddef.h>

void arena_make(void);
/* Zeroed; ends the program when the arena is full. */
void *arena_alloc(size_t bytes);
void arena_free(void *block);

/*
 * What was stored before is in memory before what is stored after, as a successor sees it: the points at which
 * it matters whether the pager is killed before or after. A pager built with DYING kills itself at some of them.
 */
#ifdef DYING
void settle_or_die(void);
#define SETTLE() settle_or_die()
#else
#define SETTLE() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#endif
#endif
