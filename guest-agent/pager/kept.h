/*
 * What a successor has to know, in the arena. The rest of the pager's state is made anew: which pages were
 * asked for or had arrived, and the connection to the plane.
 *
 * The kernel tells an event once. So events are read straight into the arena: were the pager killed right
 * after the read, they lie in the inbox, and what a space has seen of them already it does not do twice.
 */
#ifndef KEPT_H
#define KEPT_H
#include "../../interconnect/page-protocol.h"
#include "page-map.h"
#include "uffd-abi.h"
#include <sys/socket.h>

#define INBOX_MESSAGES 32

struct kept {
	struct task *tasks;
	uint32_t tasks_count;
	uint64_t mapped_pages;
	struct op_counters counters;
	uint64_t started_us;
	uint64_t ready_at_us; /* CRIU was told that it may start; a pager that dies before has no successor */
	bool map_sealed;
	bool restored;        /* CRIU let the tasks go */
	bool finished;        /* every page is in place or dropped */
	bool failing, failed; /* the container is being ended; what could be done about it was done */
	unsigned successors;
	uint64_t turns;       /* of the pager's loop: a sign of life */
	/* The dead pager's; its successor makes its own. */
	int epoll, signals, plane;
	/* The conversation with CRIU. */
	int listener, criu;
	bool criu_seen;
	struct {
		enum { NUMBER, DESCRIPTOR } expected;
		int32_t number;
		uint32_t task; /* whose descriptor comes next */
		union {
			struct cmsghdr header;
			char bytes[CMSG_SPACE(sizeof(int))];
		} control;
	} incoming;
	/* What was read last from the userfaultfd of a space, and the number of its first event. */
	struct {
		struct space *space;
		uint64_t first;
		struct uffd_msg messages[INBOX_MESSAGES];
	} inbox;
};
extern struct kept *kept;
#endif
