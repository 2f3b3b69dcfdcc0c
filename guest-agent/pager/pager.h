/*
 * The pager's state and what its parts offer each other. Single-threaded: one epoll loop in engine.c. What
 * has to outlive a pager that is killed is in kept.h; supervisor.c starts the next one.
 * Where pages come from is a struct source: the plane's connection or local CRIU images; everything
 * behind it (faults, events, installing, accounting) is the same.
 */
#ifndef PAGER_H
#define PAGER_H
#include "../../interconnect/page-protocol.h"
#include "kept.h"
#include "page-map.h"
#include "reshape.h"
#include "util.h"

#define BUFFER_LIMIT_BYTES (128ull << 20) /* no more credit beyond this */
#define WINDOW_PAGES 1024u                /* pages in flight from the plane */

/* Verified pages on their way into the address spaces: one run of one task. */
struct frame {
	struct frame *previous, *next;
	struct parcel *parcel;    /* holds it while it is in the queue */
	struct task *task;
	uint64_t vaddr;           /* at the checkpoint */
	uint32_t first, count;    /* page numbers */
	uint16_t flags;           /* OP_DEMAND, OP_PUSH, OP_FILL */
	uint64_t *digests;        /* of count pages */
	unsigned char *data;      /* count pages */
};

struct source {
	/* Asks for one page, at once; a source that has it at hand queues a frame before it returns. */
	void (*request)(struct task *task, uint32_t page);
	/* Brings more pages, some at a time; false when there are none now. */
	bool (*refill)(void);
	/* No page has come for a while. */
	void (*stalled)(void);
	/* CRIU let the tasks go. */
	void (*restored)(void);
	/* Called once, when all was sent and every page is in place or dropped. */
	void (*finished)(void);
	/* Tells whoever provides the pages why it ends; best effort. */
	void (*failed)(const char *reason);
};

#define TURN_PAGES 64u /* some 70 us: how long a fault may stand behind installs */

struct pager {
	const struct source *source;
	bool all_sent, finished, quit; /* finished: this pager has said so */
	struct frame *queue_head, *queue_tail;
	uint64_t buffered_bytes;
	uint32_t outstanding;       /* requested pages that have not arrived */
	uint64_t waiting_since_us;  /* start of the wait for the oldest of them, renewed by progress */
	uint64_t heard_us;          /* when the source gave pages last */
	unsigned silences;          /* how often it was asked whether it is still there, since */
	bool stalled;               /* it was, about what is outstanding now */
	uint64_t last_fault_us;
	uint64_t deadline_us;
	uint64_t quiet_us;          /* of faults, before what is recorded is taken for the whole of it */
	pid_t supervisor;
	int work_dir;
	const char *container_cgroup;
	int spaces_count;
};
extern struct pager pager;

/* engine.c */
typedef void ready_fn(void *subject, uint32_t events);
struct watch {
	ready_fn *ready;
	void *subject;
};
void engine_watch(int fd, uint32_t events, struct watch *watch);
void engine_rewatch(int fd, uint32_t events, struct watch *watch);
void engine_close(int fd);
void engine_signals(void); /* SIGTERM and SIGINT end the loop in order */
void engine_run(void);
/* When now_us() passes `at`, the loop looks again; call it for whatever is timed. */
void engine_wake_at(uint64_t at_us);
/* Calls once after that time; there is one such timer. */
void engine_after(uint64_t us, void (*call)(void));
void announce_ready(void);
struct op_counters counters_now(void);

/* install.c */
struct task *task_by_id(uint32_t id);
struct task *task_open(uint32_t id); /* finds or adds; NULL beyond MAX_TASKS */
/*
 * Frames that came together, their digests and their pages each one after the other. Those that are asked for
 * now, and all while nothing is queued, go to their places from where they lie; what cannot is copied into
 * the queue, demanded pages at its front. Pages nobody waits for are counted as duplicates.
 */
void frames_arrived(struct frame *frames, uint32_t count);
void frame_install(struct frame *frame); /* one of the queue */
bool queue_install(void); /* some of the queue; true when there may be more to do at once */
bool space_zero(struct space *space, uint64_t vaddr);
void space_wake(struct space *space, uint64_t vaddr, uint64_t bytes);
void space_exited(struct space *space);

/* uffd-events.c */
void space_adopt(struct space *space);      /* watch its descriptor */
void inbox_settle(void);                    /* the events that a dead pager had read */
bool spaces_drain(void);                    /* all unread events of all spaces; true if there were any */
void spaces_sweep(void);                    /* frees the spaces whose task has exited */

/* handshake.c */
void handshake_listen(void);
void handshake_accept(void);
void handshake_close(void);
void handshake_resume(void); /* where a dead pager left it */

/* failure.c */
_Noreturn void pager_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * page-session.c and local-source.c: what can be wrong with the options is found while preparing, once and
 * before there is a pager; each pager starts.
 */
void session_prepare(const char *address, const char *token_file, const char *images_dir);
void session_start(void);
void local_prepare(const char *images_dir, const char *order_path, const char *record_path);
void local_start(void);

/* supervisor.c */
void supervise(void (*serve)(void));

/* order-file.c */
struct order_entry {
	struct task *task;
	uint32_t page;
};
/* The pages of the file that the map knows; says on stderr at the end how many it did not. */
struct order_entry *order_read(const char *path, size_t *count, size_t *foreign);
void order_record_open(const char *path);
void order_record(uint32_t task, uint64_t vaddr, uint64_t at_us);
void order_record_close(void);
#endif
