/* offload-pager: options, and which of its two sources of pages it serves from. */
#include "arena.h"
#include "pager.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#define LEAST_ADDRESS 0x10000ull /* vm.mmap_min_addr */

struct pager pager;
struct kept *kept;

static const char help[] =
	"offload-pager: serves the memory of a restore to criu restore --lazy-pages\n"
	"\n"
	"  offload-pager --connect ADDRESS --token-file FILE --work-dir DIR [--images-dir DIR]\n"
	"      pages come from the plane; ADDRESS is vsock:CID:PORT or unix:PATH\n"
	"  offload-pager --images-dir DIR --work-dir DIR [--order FILE] [--record FILE [--quiet-ms N]]\n"
	"      pages come from local CRIU images, as with criu lazy-pages\n"
	"\n"
	"  --work-dir DIR          where lazy-pages.socket is made: the --work-dir of criu restore\n"
	"  --images-dir DIR        CRIU's images; with --connect, pages for CRIU itself are written there\n"
	"  --token-file FILE       the session's token: 32 bytes, or 64 hexadecimal digits\n"
	"  --container-cgroup DIR  cgroup to kill when the memory cannot be completed; without it,\n"
	"                          missing pages are poisoned and whoever touches one gets SIGBUS\n"
	"  --deadline-ms N         longest wait for CRIU, for the plane, for a page asked for\n"
	"                          (default 10000; with local images, none)\n"
	"  --order FILE            install the pages in this order after those that fault\n"
	"  --record FILE           write the faults in their order, in the format --order reads\n"
	"  --quiet-ms N            with --record, the rest is filled when no fault came for so long (default 500)\n"
	"  --help, --version\n"
	"\n"
	"A pager that is killed is replaced; when it cannot be, the container is ended as above.\n"
	"Prints `ready` when CRIU may be started. Exit: 0 all pages are in place, 1 failure, 2 wrong use.\n";

static struct {
	const char *connect, *token_file, *work_dir, *images_dir, *order, *record, *deadline, *quiet;
} options;

static const struct {
	const char *name;
	const char **value;
} names[] = {
	{ "connect", &options.connect },       { "token-file", &options.token_file },
	{ "work-dir", &options.work_dir },     { "images-dir", &options.images_dir },
	{ "order", &options.order },           { "record", &options.record },
	{ "deadline-ms", &options.deadline },  { "container-cgroup", &pager.container_cgroup },
	{ "quiet-ms", &options.quiet },
};
#define NAME_COUNT (sizeof(names) / sizeof(names[0]))

static void parse_options(int argc, char **argv)
{
	struct option list[NAME_COUNT + 3] = { 0 };
	for (size_t i = 0; i < NAME_COUNT; i++)
		list[i] = (struct option){ names[i].name, required_argument, NULL, (int)i };
	list[NAME_COUNT] = (struct option){ "help", no_argument, NULL, 'h' };
	list[NAME_COUNT + 1] = (struct option){ "version", no_argument, NULL, 'v' };
	for (int option; (option = getopt_long(argc, argv, "", list, NULL)) != -1;) {
		if (option == '?')
			exit(2); /* getopt has said which one, in one line */
		if (option == 'h' || option == 'v') {
			fputs(option == 'h' ? help : "offload-pager " PROGRAM_VERSION "\n", stdout);
			exit(0);
		}
		*names[option].value = optarg;
	}
	if (optind < argc)
		usage_error("unexpected argument %s", argv[optind]);
}

static void check_options(void)
{
	uint64_t ms = options.connect ? 10000 : 0, quiet_ms = 500;
	if (!options.work_dir)
		usage_error("--work-dir is missing");
	if (options.connect && !options.token_file)
		usage_error("--connect needs --token-file");
	if (options.connect && (options.order || options.record))
		usage_error("--order and --record go with local images, not with --connect");
	if (!options.connect && !options.images_dir)
		usage_error("--connect or --images-dir is missing");
	if (!options.connect && options.token_file)
		usage_error("--token-file goes with --connect");
	if (options.deadline && (!parse_number(options.deadline, 10, 86400000, &ms) || !ms))
		usage_error("--deadline-ms %s: expected 1 to 86400000", options.deadline);
	if (options.quiet && (!options.record || !parse_number(options.quiet, 10, 86400000, &quiet_ms)))
		usage_error("--quiet-ms %s: expected 0 to 86400000, and --record", options.quiet);
	pager.deadline_us = ms * 1000;
	pager.quiet_us = quiet_ms * 1000;
	pager.work_dir = open(options.work_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (pager.work_dir < 0)
		usage_error("--work-dir %s: %s", options.work_dir, strerror(errno));
}

static void summary(void)
{
	const struct op_counters counters = counters_now(), *c = &counters;
	say("done installed=%llu demand_faults=%llu zero_faults=%llu pushed=%llu filled=%llu duplicates=%llu "
	    "dropped=%llu file_pages=%llu uptime_us=%llu",
	    (unsigned long long)c->installed, (unsigned long long)c->demand_faults, (unsigned long long)c->zero_faults,
	    (unsigned long long)c->pushed, (unsigned long long)c->filled, (unsigned long long)c->duplicates,
	    (unsigned long long)c->dropped, (unsigned long long)c->file_pages, (unsigned long long)c->uptime_us);
}

/* What the dead pager was about to do is done, and whoever waited for it faults again. */
static void take_over(void)
{
	close(kept->signals);
	if (kept->plane >= 0)
		close(kept->plane);
	kept->plane = -1;
	for (struct task *task = kept->tasks; task; task = task->next) {
		task_reset(task);
		for (struct space *space = task->spaces; space; space = space->next)
			space_adopt(space);
	}
	inbox_settle();
	for (struct task *task = kept->tasks; task; task = task->next)
		for (struct space *space = task->spaces; space; space = space->next)
			space_wake(space, LEAST_ADDRESS, USER_END - 2 * LEAST_ADDRESS);
}

static void serve(void)
{
	if (kept->epoll >= 0)
		close(kept->epoll);
	kept->epoll = epoll_create1(EPOLL_CLOEXEC);
	pager.heard_us = now_us();
	if (kept->successors)
		take_over();
	engine_signals();
	if (options.connect)
		session_start();
	else
		local_start();
	if (kept->successors)
		handshake_resume();
	engine_run();
	summary();
}

static void kept_make(void)
{
	arena_make();
	kept = arena_alloc(sizeof(*kept));
	mlock(kept, sizeof(*kept)); /* what the kernel writes there after SIGKILL must not need a page first */
	kept->started_us = now_us();
	kept->epoll = kept->signals = kept->plane = kept->listener = kept->criu = -1;
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	check_options();
	kept_make();
	if (options.connect)
		session_prepare(options.connect, options.token_file, options.images_dir);
	else
		local_prepare(options.images_dir, options.order, options.record);
	handshake_listen();
	supervise(serve);
}
