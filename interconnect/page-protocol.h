/*
 * The page protocol: how the plane's page server and a guest's pager talk about memory pages.
 * The same facts for TypeScript are in page-protocol.ts; golden/ holds frames as bytes, and the tests
 * of both languages read them.
 *
 * One connection a restore. The pager dials the plane (vsock CID 2, port OP_PAGE_PORT), so which guest
 * it is follows from the socket; the token says which restore. All numbers are little-endian. Every
 * frame is a 32-byte header followed by payload_bytes of payload.
 *
 *   pager                                plane
 *   HELLO(version, token)      ->
 *   CREDIT(n pages)            ->                 how many pages the plane may have in flight
 *                              <-        FILE_PAGES ...   pages that CRIU itself shall install,
 *                              <-        FILES_END        appended to pages-<id>.img
 *                              <-        MAP ... MAP_END  which pages the pager is responsible for
 *                              <-        PAGES(PUSH) ...  the working set in recorded order (policy)
 *   FAULT(task, page)          ->                 a demand fault; overtakes everything
 *                              <-        PAGES(DEMAND)
 *   RESTORED                   ->                 CRIU let the tasks go
 *                              <-        PAGES(FILL) ...  the rest behind it
 *                              <-        MARK(n)          e.g. the first response passed
 *   STATUS(n, counters)        ->                 answers a MARK at once
 *                              <-        END              every mapped page has been sent
 *   DONE(counters)             ->                 every mapped page is in place or was dropped
 *                              <-        END              the plane has that on record, and closes
 *
 * MAP comes before the first PAGES frame; FILE_PAGES and MAP may come in any order among each other.
 * A pager whose connection breaks once map and files are whole dials again: HELLO with OP_RESUME, what it
 * still misses, and RESTORED if that has been. It does so after DONE as well, until it has the END.
 * A frame that breaks these rules ends the connection; either side says why in an ERROR frame first.
 */
#ifndef OFFLOAD_PAGE_PROTOCOL_H
#define OFFLOAD_PAGE_PROTOCOL_H
#include <stdint.h>

#define OP_VERSION 2u
#define OP_PAGE_PORT 2048u          /* vsock port on the plane: page sessions */
#define OP_DUMP_PORT 2049u          /* vsock port on the plane: dump streams */
#define OP_AGENT_PORT 1024u         /* vsock port in the guest: the agent API */
#define OP_PAGE_BYTES 4096u
#define OP_TOKEN_BYTES 32u
#define OP_MAX_PAGES_PER_FRAME 64u
#define OP_RANGE_BYTES 16u
#define OP_MAX_PAYLOAD_BYTES (OP_MAX_PAGES_PER_FRAME * (OP_PAGE_BYTES + OP_RANGE_BYTES))
#define OP_MAX_ERROR_BYTES 512u

struct op_header {
	uint16_t type;
	uint16_t flags;
	uint32_t task;          /* CRIU's id of the task's pagemap (its pid inside the container) */
	uint64_t vaddr;         /* page-aligned address at the time of the checkpoint */
	uint32_t page_count;
	uint32_t payload_bytes;
	uint64_t value;         /* by type: digest, sequence, time */
};
_Static_assert(sizeof(struct op_header) == 32, "the header is 32 bytes");

enum op_type {
	/* plane to pager */
	OP_MAP = 1,        /* payload: struct op_range[]; page_count = number of pages they cover */
	OP_MAP_END = 2,    /* value: total pages mapped */
	OP_PAGES = 3,      /* payload: struct op_range[], then the page_count pages that they name, in
	                      their order; how many ranges there are follows from payload_bytes.
	                      value = frame digest */
	OP_FILE_PAGES = 4, /* task = pages_id; payload is appended to pages-<pages_id>.img; vaddr = the
	                      offset in the file that it must land at; value = frame digest */
	OP_FILES_END = 5,  /* value: total pages written to files */
	OP_MARK = 6,       /* value: sequence, comes back in STATUS */
	OP_END = 7,        /* every page of the map has been sent */
	OP_ABORT = 8,      /* payload: text; the container has to be ended */
	/* pager to plane */
	OP_HELLO = 16,     /* value = OP_VERSION, payload: OP_TOKEN_BYTES of token; flags: OP_RESUME */
	OP_CREDIT = 17,    /* page_count: so many more pages of PUSH, FILL and FILE_PAGES may be sent */
	OP_FAULT = 18,     /* task, vaddr, page_count = 1, value = microseconds since the pager's start */
	OP_RESTORED = 19,  /* CRIU has finished, the tasks run */
	OP_STATUS = 20,    /* value: the MARK's sequence; payload: struct op_counters */
	OP_DONE = 21,      /* payload: struct op_counters */
	OP_ERROR = 22,     /* payload: text */
	OP_MISSING = 23,   /* struct op_range[]; after HELLO with OP_RESUME: still missing; before DONE: the
	                      pages that were dropped without ever having been in place */
	OP_MISSING_END = 24
};

/* flags of PAGES */
#define OP_DEMAND 1u
#define OP_PUSH 2u
#define OP_FILL 4u
/* flag of HELLO */
#define OP_RESUME 1u

struct op_range {
	uint32_t task;
	uint32_t page_count;
	uint64_t vaddr;
};
_Static_assert(sizeof(struct op_range) == OP_RANGE_BYTES, "a range is 16 bytes");

/* All counts are of pages unless the name says otherwise. */
struct op_counters {
	uint64_t installed;      /* put in place by the pager, whatever brought them */
	uint64_t demand_faults;  /* faults that had to ask the plane */
	uint64_t zero_faults;    /* faults on pages the checkpoint has as zero: answered in the guest */
	uint64_t pushed;         /* of installed: came as PUSH */
	uint64_t filled;         /* of installed: came as FILL */
	uint64_t duplicates;     /* arrived for a page that was in place already */
	uint64_t dropped;        /* of the map: the program unmapped or discarded them first */
	uint64_t file_pages;     /* written to pages-*.img for CRIU to install */
	uint64_t memory_digest;  /* sum over installed and file pages, see below */
	uint64_t uptime_us;      /* since the pager's start */
};
_Static_assert(sizeof(struct op_counters) == 80, "counters are 80 bytes");

/*
 * Digests. Page digest: XXH64, seed 0, of the 4096 bytes. Frame digest: XXH64, seed 0, of the page
 * digests as consecutive little-endian u64. Memory digest: the sum modulo 2^64, over every page that
 * is in place, of XXH64(seed 0) of the 24 bytes { u64 page digest, u64 task, u64 vaddr }; a sum,
 * so that the order of arrival does not matter while each page counts exactly once. For FILE_PAGES the
 * pager does not know task and vaddr, so the plane adds those pages' part; memory_digest covers
 * OP_PAGES only. Pages that were dropped are not in place: to have them left out of what is expected,
 * the pager names them in OP_MISSING frames before OP_DONE.
 */
#endif
