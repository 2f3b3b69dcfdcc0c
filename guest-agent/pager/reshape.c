#include "reshape.h"
#include "arena.h"
#include <limits.h>
#include <string.h>

#define PROBE_ADDRESS 0x10000ull /* any will do */

enum kind {
	BROUGHT,   /* a remap has brought pages here */
	LEFT,      /* a remap has taken pages from here; an unmap of just that follows, which says nothing new */
	DROPPED,   /* an unmap has taken what was here; what leaves from here now has grown here, or was told too late */
	UNMAPPED,  /* what was brought here, or what was here before it */
	MOVED,     /* the same, by a remap */
	DISCARDED, /* what is there, or what has grown there after it had left */
	INHERITED, /* from a parent of whose changes some may not have been told */
};

struct note {
	uint64_t start, end;
	enum kind kind;
	bool late;  /* UNMAPPED: of what was here before, as it has turned out */
	bool told;  /* BROUGHT: a late event has been found for what was here before. LEFT: the unmap has come. */
	bool moved; /* BROUGHT: and it was a remap */
};

struct unsettled {
	struct runs displaced; /* where others have come, and of their own way no event has told yet */
	struct note *notes;
	size_t count, capacity;
	bool contradiction;
};

static uint64_t run_end(const struct run *run) { return run->vaddr + run->count * PAGE_BYTES; }
static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }
static uint64_t most(uint64_t a, uint64_t b) { return a > b ? a : b; }

static void notes_append(struct unsettled *unsettled, const struct note *notes, size_t count)
{
	if (unsettled->count + count > unsettled->capacity) {
		struct note *old = unsettled->notes;
		unsettled->capacity = 2 * (unsettled->count + count) + 8;
		unsettled->notes = arena_alloc(unsettled->capacity * sizeof(*notes));
		if (unsettled->count)
			memcpy(unsettled->notes, old, unsettled->count * sizeof(*notes));
		arena_free(old);
	}
	memcpy(&unsettled->notes[unsettled->count], notes, count * sizeof(*notes));
	unsettled->count += count;
}

static void note_add(struct unsettled *unsettled, struct note note) { notes_append(unsettled, &note, 1); }

static struct unsettled *unsettled_of(struct runs *segments)
{
	if (!segments->unsettled)
		segments->unsettled = arena_alloc(sizeof(struct unsettled));
	return segments->unsettled;
}

static void unsettled_free(struct runs *segments)
{
	struct unsettled *unsettled = segments->unsettled;
	if (!unsettled)
		return;
	SETTLE();
	segments->unsettled = NULL;
	SETTLE();
	arena_free(unsettled->displaced.list);
	arena_free(unsettled->notes);
	arena_free(unsettled);
}

struct runs *segments_copy(const struct runs *from)
{
	struct runs *segments = arena_alloc(sizeof(*segments));
	segments->event = from->event;
	runs_append(segments, from->list, from->count);
	if (!from->unsettled)
		return segments;
	struct unsettled *unsettled = unsettled_of(segments);
	runs_append(&unsettled->displaced, from->unsettled->displaced.list, from->unsettled->displaced.count);
	if (from->unsettled->count)
		notes_append(unsettled, from->unsettled->notes, from->unsettled->count);
	unsettled->contradiction = from->unsettled->contradiction;
	return segments;
}

void segments_free(struct runs *segments)
{
	unsettled_free(segments);
	arena_free(segments->list);
	arena_free(segments);
}

static void forget(struct space *space, const struct run *run)
{
	for (uint32_t page = run->first; page < run->first + run->count; page++)
		if (bit_test(space->missing, page))
			space_in_place(space, page);
}

/* Later events of the parent are not the child's: what they would have told has to be asked. */
void space_inherit(struct space *child)
{
	struct runs *segments = child->segments;
	for (size_t i = 0; segments->unsettled && i < segments->unsettled->displaced.count; i++)
		forget(child, &segments->unsettled->displaced.list[i]);
	unsettled_free(segments);
	note_add(unsettled_of(segments), (struct note){ 0, USER_END, .kind = INHERITED });
}

static void runs_cut(struct space *space, struct runs *runs, uint64_t start, uint64_t end)
{
	size_t from = runs_split(runs, start), to = runs_split(runs, end);
	for (size_t at = from; at < to; at++)
		forget(space, &runs->list[at]);
	runs_erase(runs, from, to - from);
}

/* Appends to `taken` what lies in [start, end). */
static void runs_take(struct runs *runs, uint64_t start, uint64_t end, struct runs *taken)
{
	size_t from = runs_split(runs, start), to = runs_split(runs, end);
	if (from == to)
		return;
	runs_append(taken, &runs->list[from], to - from);
	runs_erase(runs, from, to - from);
}

static bool runs_any(const struct runs *runs, uint64_t start, uint64_t end)
{
	size_t at = runs_seek(runs, start);
	return start < end && at < runs->count && runs->list[at].vaddr < end;
}

static bool has_seen(const struct space *space, uint64_t event)
{
	return event != NO_EVENT && space->segments->event >= event;
}

static void segments_replace(struct space *space, struct runs *next, uint64_t event)
{
	struct runs *old = space->segments;
	if (event != NO_EVENT)
		next->event = event;
	SETTLE();
	space->segments = next;
	SETTLE();
	segments_free(old);
}

void space_drop(struct space *space, uint64_t start, uint64_t end, uint64_t event)
{
	const struct runs *segments = space->segments;
	if (has_seen(space, event) || (!segments->unsettled && !runs_any(segments, start, end)))
		return;
	struct runs *next = segments_copy(segments);
	runs_cut(space, next, start, end);
	if (next->unsettled)
		runs_cut(space, &next->unsettled->displaced, start, end);
	segments_replace(space, next, event);
}

void space_discard(struct space *space, uint64_t start, uint64_t end, uint64_t event)
{
	if (has_seen(space, event) || !runs_any(space->segments, start, end))
		return;
	struct runs *segments = segments_copy(space->segments);
	note_add(unsettled_of(segments), (struct note){ start, end, .kind = DISCARDED });
	for (size_t at = runs_seek(segments, start); at < segments->count && segments->list[at].vaddr < end; at++) {
		const struct run *run = &segments->list[at];
		uint64_t from = most(start, run->vaddr), to = least(end, run_end(run));
		forget(space, &(struct run){ from, run->first + (uint32_t)((from - run->vaddr) / PAGE_BYTES),
					     (uint32_t)((to - from) / PAGE_BYTES) });
	}
	segments_replace(space, segments, event);
}

static bool left_take(struct unsettled *unsettled, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < unsettled->count; i++) {
		struct note *note = &unsettled->notes[i];
		if (note->kind == LEFT && !note->told && note->start == start && note->end == end)
			return note->told = true;
	}
	return false;
}

/* Index of the newest note of the kind at the address, or -1; shortens `until` to where that may be different. */
static long note_at(const struct unsettled *unsettled, enum kind kind, uint64_t vaddr, uint64_t *until)
{
	long found = -1;
	for (size_t i = 0; i < unsettled->count; i++) {
		const struct note *note = &unsettled->notes[i];
		if (note->kind != kind || note->end <= vaddr)
			continue;
		if (note->start <= vaddr)
			found = (long)i;
		*until = least(*until, note->start > vaddr ? note->start : note->end);
	}
	return found;
}

/* Of what has taken away all that was there, as far as is known. */
static long gone_at(const struct unsettled *unsettled, uint64_t vaddr, uint64_t *until)
{
	long left = note_at(unsettled, LEFT, vaddr, until), dropped = note_at(unsettled, DROPPED, vaddr, until);
	long unmapped = note_at(unsettled, UNMAPPED, vaddr, until);
	if (unmapped >= 0 && unsettled->notes[unmapped].late)
		unmapped = -1;
	return left > dropped && left > unmapped ? left : dropped > unmapped ? dropped : unmapped;
}

/*
 * The oldest note of what has displaced pages of the range, or LONG_MAX. An event that tells of those pages happened
 * before what was brought then and later, whatever was read first.
 */
static long displaced_since(const struct unsettled *unsettled, uint64_t start, uint64_t end)
{
	long since = LONG_MAX;
	for (uint64_t at = start, until = end; at < end; at = until, until = end) {
		long brought = note_at(unsettled, BROUGHT, at, &until);
		if (brought >= 0 && brought < since && runs_any(&unsettled->displaced, at, until))
			since = brought;
	}
	return since;
}

static void unmap_unsettled(struct space *space, struct runs *next, uint64_t start, uint64_t end)
{
	struct unsettled *unsettled = next->unsettled;
	long since = displaced_since(unsettled, start, end);
	for (uint64_t at = start, until = end; at < end; at = until, until = end) {
		long brought = note_at(unsettled, BROUGHT, at, &until), left = note_at(unsettled, LEFT, at, &until);
		unsettled->contradiction |= left > brought;
		if (brought < 0) {
			runs_cut(space, next, at, until);
			note_add(unsettled, (struct note){ at, until, .kind = DROPPED });
			continue;
		}
		struct note *note = &unsettled->notes[brought];
		bool late = brought >= since;
		unsettled->contradiction |= note->moved && !late;
		note->told |= late;
		note_add(unsettled, (struct note){ at, until, .kind = UNMAPPED, .late = late });
	}
	runs_cut(space, &unsettled->displaced, start, end);
}

void space_unmap(struct space *space, uint64_t start, uint64_t end, uint64_t event)
{
	const struct runs *segments = space->segments;
	if (has_seen(space, event) || (!segments->unsettled && !runs_any(segments, start, end)))
		return;
	struct runs *next = segments_copy(segments);
	if (!left_take(unsettled_of(next), start, end))
		unmap_unsettled(space, next, start, end);
	segments_replace(space, next, event);
}

/* Whether all of the range was brought at once, or nothing of it: what is moved at once lies in one mapping. */
static bool brought_as_one(const struct unsettled *unsettled, uint64_t start, uint64_t end)
{
	uint64_t until = end;
	long first = note_at(unsettled, BROUGHT, start, &until);
	for (uint64_t at = until; at < end; at = until) {
		until = end;
		if (note_at(unsettled, BROUGHT, at, &until) != first)
			return false;
	}
	return true;
}

/* The pages that the remap has moved: those that live there, or those whom they have displaced. */
static void remap_take(struct runs *next, uint64_t start, uint64_t end, struct runs *moved)
{
	struct unsettled *unsettled = next->unsettled;
	long since = displaced_since(unsettled, start, end);
	unsettled->contradiction |= since == LONG_MAX && !brought_as_one(unsettled, start, end);
	for (uint64_t at = start, until = end, whole; at < end; at = until, until = end) {
		long brought = note_at(unsettled, BROUGHT, at, &until), gone = gone_at(unsettled, at, &until);
		bool late = brought >= since;
		unsettled->contradiction |= gone > brought;
		if (brought >= 0) {
			struct note *note = &unsettled->notes[brought];
			unsettled->contradiction |= note->told && !late;
			note->told |= late;
			note->moved |= late;
		}
		whole = until;
		if (!late && (brought >= 0 || note_at(unsettled, DISCARDED, at, &whole) >= 0 || whole < until))
			note_add(unsettled, (struct note){ at, until, .kind = MOVED });
		runs_take(late ? &unsettled->displaced : next, at, until, moved);
	}
}

static bool inherits(const struct unsettled *unsettled)
{
	return unsettled->count && unsettled->notes[0].kind == INHERITED;
}

static void displace(struct space *space, struct runs *next, uint64_t start, uint64_t end)
{
	struct unsettled *unsettled = next->unsettled;
	struct runs displaced = { 0 };
	if (inherits(unsettled)) { /* it has had but one thread, whose events come in order */
		runs_cut(space, next, start, end);
		return;
	}
	for (uint64_t at = start, until = end; at < end; at = until, until = end) {
		long left = note_at(unsettled, UNMAPPED, at, &until);
		if (left >= 0 && !unsettled->notes[left].late)
			runs_cut(space, next, at, until); /* that was what has made room */
		else
			runs_take(next, at, until, &displaced);
	}
	if (displaced.count && runs_any(&unsettled->displaced, start, end))
		unsettled->contradiction = true;
	for (size_t i = 0; i < displaced.count; i++) {
		struct run run = displaced.list[i];
		runs_insert(&unsettled->displaced, runs_seek(&unsettled->displaced, run.vaddr), run);
	}
	arena_free(displaced.list);
}

void space_remap(struct space *space, uint64_t from, uint64_t to, uint64_t bytes, uint64_t event)
{
	if (has_seen(space, event))
		return;
	struct runs *next = segments_copy(space->segments), moved = { 0 };
	struct unsettled *unsettled = unsettled_of(next);
	remap_take(next, from, from + bytes, &moved);
	displace(space, next, to, to + bytes);
	for (size_t i = 0; i < moved.count; i++) {
		moved.list[i].vaddr += to - from;
		runs_insert(next, runs_seek(next, moved.list[i].vaddr), moved.list[i]);
	}
	arena_free(moved.list);
	note_add(unsettled, (struct note){ to, to + bytes, .kind = BROUGHT });
	note_add(unsettled, (struct note){ from, from + bytes, .kind = LEFT });
	segments_replace(space, next, event);
}

bool space_in_doubt(const struct space *space)
{
	const struct unsettled *unsettled = space->segments->unsettled;
	for (size_t i = 0; unsettled && i < unsettled->count; i++)
		if (unsettled->notes[i].kind == UNMAPPED || unsettled->notes[i].kind == MOVED ||
		    unsettled->notes[i].kind == INHERITED)
			return true;
	return unsettled && (unsettled->contradiction || unsettled->displaced.count);
}

bool space_open_range(const struct space *space, size_t number, uint64_t *start, uint64_t *end)
{
	const struct unsettled *unsettled = space->segments->unsettled;
	if (!unsettled || number >= unsettled->count)
		return false;
	*start = unsettled->notes[number].start;
	*end = unsettled->notes[number].kind == INHERITED ? *start : unsettled->notes[number].end;
	return true;
}

/* Shortens `until` to a stretch of which all pages, or none, are registered. */
static enum probe probe_stretch(const struct space *space, uint64_t from, uint64_t *until)
{
	for (uint64_t pages = (*until - from) / PAGE_BYTES;; pages /= 2) {
		enum probe probe = space_probe(space, from, pages * PAGE_BYTES);
		*until = from + pages * PAGE_BYTES;
		if (probe != NOT_REGISTERED || pages == 1)
			return probe;
	}
}

/*
 * A mapping may grow to where an unmap has made room, and no event tells of that: what is registered there is then
 * not what was brought. It lies in one mapping with its neighbour in that case, unless that has gone as well.
 */
static enum probe may_have_grown(const struct space *space, const struct note *note)
{
	const struct unsettled *unsettled = space->segments->unsettled;
	uint64_t until = UINT64_MAX;
	if (gone_at(unsettled, note->start - PAGE_BYTES, &until) >= 0 || gone_at(unsettled, note->end, &until) >= 0)
		return REGISTERED;
	enum probe before = space_probe(space, note->start - PAGE_BYTES, 2 * PAGE_BYTES);
	return before != NOT_REGISTERED ? before : space_probe(space, note->end - PAGE_BYTES, 2 * PAGE_BYTES);
}

static enum settled as_settled(enum probe probe) { return probe == EXITED ? GONE : UNSETTLED; }

/* Drops the pages in the note's range that are not there. */
static enum settled settle_unmapped(struct space *space, struct runs *next, const struct note *note)
{
	bool any = false;
	for (uint64_t at = note->start, until; runs_any(next, at, note->end); at = until) {
		const struct run *run = &next->list[runs_seek(next, at)];
		at = most(at, run->vaddr);
		until = least(note->end, run_end(run));
		enum probe probe = probe_stretch(space, at, &until);
		if (probe == CHANGING || probe == EXITED)
			return as_settled(probe);
		if (probe == NOT_REGISTERED)
			runs_cut(space, next, at, until);
		any |= probe == REGISTERED;
	}
	if (!any || note->late || note->kind == INHERITED)
		return SETTLED;
	enum probe probe = may_have_grown(space, note);
	return probe == REGISTERED ? CONTRADICTORY : probe == NOT_REGISTERED ? SETTLED : as_settled(probe);
}

/* What a remap has taken from there must not be there, unless something else was brought. */
static enum settled settle_moved(struct space *space, const struct unsettled *unsettled, size_t number)
{
	const struct note *note = &unsettled->notes[number];
	for (uint64_t at = note->start, until = note->end; at < note->end; at = until, until = note->end) {
		if (note_at(unsettled, BROUGHT, at, &until) > (long)number)
			continue;
		enum probe probe = probe_stretch(space, at, &until);
		if (probe != NOT_REGISTERED)
			return probe == REGISTERED ? CONTRADICTORY : as_settled(probe);
	}
	return SETTLED;
}

static enum settled settle_notes(struct space *space, struct runs *next, const struct unsettled *unsettled)
{
	enum settled settled = unsettled->contradiction ? CONTRADICTORY : SETTLED;
	for (size_t i = 0; i < unsettled->count && settled == SETTLED; i++) {
		const struct note *note = &unsettled->notes[i];
		if (note->kind == UNMAPPED || note->kind == INHERITED)
			settled = settle_unmapped(space, next, note);
		else if (note->kind == MOVED)
			settled = settle_moved(space, unsettled, i);
	}
	return settled == SETTLED && unsettled->displaced.count ? CONTRADICTORY : settled;
}

enum settled space_settle(struct space *space)
{
	const struct unsettled *unsettled = space->segments->unsettled;
	if (!unsettled)
		return SETTLED;
	enum probe probe = space_probe(space, PROBE_ADDRESS, PAGE_BYTES);
	if (probe == CHANGING || probe == EXITED)
		return as_settled(probe);
	if (!space_in_doubt(space)) {
		unsettled_free(space->segments);
		return SETTLED;
	}
	struct runs *next = segments_copy(space->segments);
	enum settled settled = settle_notes(space, next, unsettled);
	if (settled != SETTLED) {
		segments_free(next);
		return settled;
	}
	unsettled_free(next);
	segments_replace(space, next, NO_EVENT);
	return SETTLED;
}
