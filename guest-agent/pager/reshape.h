/*
 * How unmap, remap, discard and fork change where the pages of a space live.
 *
 * The kernel changes an address space first and tells of it once it has let go of its lock. By then another
 * thread may have moved pages to the addresses that have just become free, and may be told of before. So a remap
 * can come before the unmap, or the other remap, that made room for it; and each remap is followed by an unmap
 * of where it came from, which others can overtake. Taken as they come, such events would drop or swap pages.
 *
 * But while any change is not told of, the kernel refuses COPY and its like with EAGAIN. So the map has to be right
 * only at moments when it does not refuse, and then the kernel can be asked what is there. Between two such
 * moments a space is unsettled: what remaps have brought, and whom they have displaced, is noted, and what
 * remains in doubt is settled by asking. Where that leaves two answers, the container has to be ended.
 */
#ifndef RESHAPE_H
#define RESHAPE_H
#include "page-map.h"

/*
 * Events are numbered upwards from 1; one that the space has seen changes nothing, or a drop that is done again
 * would take what a later remap has brought there. 0 is for what is no event.
 */
#define NO_EVENT 0
/* Forgets the pages in [start, end): they are not there. */
void space_drop(struct space *space, uint64_t start, uint64_t end, uint64_t event);
void space_unmap(struct space *space, uint64_t start, uint64_t end, uint64_t event);
void space_remap(struct space *space, uint64_t from, uint64_t to, uint64_t bytes, uint64_t event);
/* The pages stay where they are, and are zero. */
void space_discard(struct space *space, uint64_t start, uint64_t end, uint64_t event);

/* What the kernel says of a stretch of addresses. CHANGING: not now, there is an event to be read. */
enum probe { REGISTERED, NOT_REGISTERED, CHANGING, EXITED };
/* REGISTERED when all of the stretch lies in one mapping that is registered; in uffd-events.c. */
enum probe space_probe(const struct space *space, uint64_t vaddr, uint64_t bytes);

enum settled { SETTLED, UNSETTLED, CONTRADICTORY, GONE };
/* Call when no event is unread, to do with what the events have left open. */
enum settled space_settle(struct space *space);
/* Whether nothing may be put in place before it is settled. */
bool space_in_doubt(const struct space *space);
/* Where there may be pages of which it is not known; false when there are no more such ranges. */
bool space_open_range(const struct space *space, size_t number, uint64_t *start, uint64_t *end);

struct runs *segments_copy(const struct runs *from);
void segments_free(struct runs *segments);
/* For a child, whose parent may not have been settled when it was made. */
void space_inherit(struct space *child);

/* page-map.c */
size_t runs_seek(const struct runs *runs, uint64_t vaddr); /* the first run that ends after vaddr */
size_t runs_split(struct runs *runs, uint64_t vaddr); /* makes a border there; the first run at or behind it */
void runs_insert(struct runs *runs, size_t at, struct run run);
void runs_append(struct runs *runs, const struct run *list, size_t count);
void runs_erase(struct runs *runs, size_t at, size_t count);
#endif
