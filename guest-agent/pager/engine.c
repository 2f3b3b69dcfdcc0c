/* The loop: unread events of the address spaces first, then whatever else is ready, then the queue. */
#include "pager.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define MAX_SILENCES 8
#define STALL_US 10000000 /* a page that was asked for comes in far less, where it comes at all */
#define LONGEST_SLEEP_MS 500 /* the supervisor takes a loop that does not turn for stuck */

static uint64_t wake_at_us;
static void (*after_call)(void);
static uint64_t after_at_us;

void engine_watch(int fd, uint32_t events, struct watch *watch)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };
	if (epoll_ctl(kept->epoll, EPOLL_CTL_ADD, fd, &event))
		pager_fail("loop: watch of descriptor %d: %s", fd, strerror(errno));
}

void engine_rewatch(int fd, uint32_t events, struct watch *watch)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };
	epoll_ctl(kept->epoll, EPOLL_CTL_MOD, fd, &event);
}

/* Out of the set first: where CRIU still holds the same descriptor, close alone would leave it there. */
void engine_close(int fd)
{
	epoll_ctl(kept->epoll, EPOLL_CTL_DEL, fd, NULL);
	close(fd);
}

void engine_wake_at(uint64_t at_us)
{
	if (!wake_at_us || at_us < wake_at_us)
		wake_at_us = at_us;
}

void engine_after(uint64_t us, void (*call)(void))
{
	after_at_us = now_us() + us;
	after_call = call;
	engine_wake_at(after_at_us);
}

static void run_timer(void)
{
	void (*call)(void) = after_call;
	if (call && now_us() >= after_at_us) {
		after_call = NULL;
		call();
	}
	if (after_call)
		engine_wake_at(after_at_us);
}

/* Tells the agent that CRIU may start; the socket listens already. */
void announce_ready(void)
{
	static const char line[] = "ready\n";
	if (write(STDOUT_FILENO, line, sizeof(line) - 1) < 0)
		say("ready: %s", strerror(errno)); /* whoever waits for the line will give up by itself */
	kept->ready_at_us = now_us();
}

struct op_counters counters_now(void)
{
	struct op_counters counters = kept->counters;
	counters.uptime_us = now_us() - kept->started_us;
	for (struct task *task = kept->tasks; task; task = task->next)
		for (uint32_t page = 0; task->parts && page < task->page_count; page++) {
			counters.installed += !!task->parts[page];
			counters.memory_digest += task->parts[page];
			counters.dropped += task_dropped(task, page);
		}
	return counters;
}

static void signal_ready(void *subject, uint32_t events)
{
	(void)subject;
	(void)events;
	if (!kept->finished)
		pager_fail(getppid() == pager.supervisor ? "ended by a signal" : "its supervisor was killed");
	pager.quit = true;
}

void engine_signals(void)
{
	static struct watch watch = { signal_ready, NULL };
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	kept->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	engine_watch(kept->signals, EPOLLIN, &watch);
}

static bool all_in_place(void)
{
	for (struct task *task = kept->tasks; task; task = task->next) {
		if (task->page_count && !task->handed_over)
			return false;
		for (struct space *space = task->spaces; space; space = space->next)
			if (space->missing_count)
				return false;
	}
	/* With an empty map there is nothing CRIU could leave to us, and it may never connect. */
	return kept->restored || (!kept->mapped_pages && !kept->criu_seen);
}

/* All pages are in place, so closing the descriptors cannot turn any into zero. */
static void finish(void)
{
	pager.finished = kept->finished = true;
	pager.heard_us = now_us();
	for (struct task *task = kept->tasks; task; task = task->next)
		for (struct space *space = task->spaces; space; space = space->next)
			space->gone = true;
	spaces_sweep();
	pager.source->finished();
}

/*
 * A connection can be dead without a sign: vhost-device-vsock 0.3 tells a guest nothing of a plane that was killed
 * with bytes of the guest unread (its read says ECONNRESET). One that owes a page, or its word that all is well, is
 * given up soon, however slow the guest: a needless dial costs little. One that merely says nothing may have nothing
 * to say, so it is given ever more time.
 */
static void check_silence(uint64_t now)
{
	uint64_t limit_us = pager.deadline_us << pager.silences, since_us = pager.heard_us;
	uint64_t stall_us = pager.deadline_us / 3 < STALL_US ? pager.deadline_us / 3 : STALL_US;
	if (pager.finished) {
		if (pager.silences == MAX_SILENCES)
			return;
		limit_us = stall_us;
	} else if (pager.outstanding && !pager.stalled) {
		limit_us = stall_us;
		since_us = pager.waiting_since_us;
	} else if (!kept->restored && !pager.outstanding)
		return;
	if (now > since_us + limit_us) {
		pager.stalled = pager.outstanding;
		if (pager.silences < MAX_SILENCES)
			pager.silences++;
		pager.heard_us = now;
		pager.source->stalled();
	} else {
		engine_wake_at(since_us + limit_us + 1);
	}
}

static void check_deadlines(void)
{
	uint64_t now = now_us();
	if (!pager.deadline_us)
		return;
	if (kept->ready_at_us && !kept->criu_seen && !pager.finished) {
		if (now > kept->ready_at_us + pager.deadline_us)
			pager_fail("handshake: CRIU did not connect within %llu ms",
				   (unsigned long long)pager.deadline_us / 1000);
		engine_wake_at(kept->ready_at_us + pager.deadline_us + 1);
	}
	check_silence(now);
	if (pager.outstanding) {
		if (now > pager.waiting_since_us + pager.deadline_us)
			pager_fail("faults: %u pages were asked for and none came within %llu ms", pager.outstanding,
				   (unsigned long long)pager.deadline_us / 1000);
		engine_wake_at(pager.waiting_since_us + pager.deadline_us + 1);
	}
}

static int sleep_ms(bool busy)
{
	if (busy)
		return 0;
	uint64_t now = now_us();
	if (!wake_at_us || wake_at_us > now + LONGEST_SLEEP_MS * 1000)
		return LONGEST_SLEEP_MS;
	return wake_at_us <= now ? 0 : (int)((wake_at_us - now + 999) / 1000);
}

void engine_run(void)
{
	struct epoll_event events[16];
	bool busy = false;
	while (!pager.quit) {
		kept->turns++;
		run_timer();
		check_deadlines();
		int count = epoll_wait(kept->epoll, events, 16, sleep_ms(busy));
		if (wake_at_us && now_us() >= wake_at_us)
			wake_at_us = 0;
		spaces_drain();
		for (int i = 0; i < count && !pager.quit; i++) {
			struct watch *watch = events[i].data.ptr;
			watch->ready(watch->subject, events[i].events);
		}
		if (pager.quit)
			break;
		busy = !pager.finished && queue_install();
		busy = pager.source->refill() || busy;
		if (pager.finished)
			continue;
		spaces_sweep();
		if (pager.all_sent && all_in_place())
			finish();
	}
	handshake_close();
}
