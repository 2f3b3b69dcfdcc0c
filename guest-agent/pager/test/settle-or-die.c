/*
 * For build/dying/offload-pager: where the state that a successor takes over is about to change, the pager kills
 * itself once in PAGER_DYING_ODDS times, by PAGER_DYING_SEED; the last successor lives.
 */
#include "arena.h"
#include "pager.h"
#include <signal.h>
#include <stdlib.h>

#define LAST_SUCCESSOR 8

static uint64_t number_of(const char *name)
{
	const char *text = getenv(name);
	return text ? strtoull(text, NULL, 10) : 0;
}

void settle_or_die(void)
{
	static uint64_t random;
	uint64_t odds = number_of("PAGER_DYING_ODDS");
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (!kept || !pager.supervisor || !kept->ready_at_us || kept->successors == LAST_SUCCESSOR || !odds)
		return;
	if (!random)
		random = number_of("PAGER_DYING_SEED") * 16 + kept->successors + 1;
	random = random * 6364136223846793005ull + 1442695040888963407ull;
	if ((random >> 33) % odds == 0)
		raise(SIGKILL);
}
