/*
 * A program to checkpoint: `heap SOCKET MIB THREADS CHILDREN` has a heap whose every word follows from its
 * number, some idle threads, some child processes and a zombie, and takes commands on a Unix socket, one a line,
 * each answered by one line. It leaves its session and its standard files, so that CRIU finds nothing that
 * reaches outside.
 *   walk          every word of the heap, by all threads at once: `ok`, or `wrong COUNT page FIRST`
 *   touch N SEED  N pages chosen by SEED
 *   family        every child process walks while the parent does
 *   fork          a child walks while the parent does
 *   discard       madvise(DONTNEED) of the second eighth: it has to read as zero from then on
 *   remap         mremap of the third eighth to another place, where it has to have its content
 *   unmap         munmap of the fourth eighth
 *   churn SEED N  every thread does N things at random with pages of its own: looks at them, writes, discards,
 *                 moves and unmaps them, forks children that do the same; and looks at pages that all look at
 *   look N        page N
 *   protect N     page N and all behind it become read-only, and so a mapping of their own
 *   random        what getrandom gives this process and a child of its own: 64 bytes each, in hexadecimal
 *   where         the heap's address
 *   quit
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ull
#define WORDS (PAGE / 8)
#define ZEROED UINT32_MAX

static char *heap;
static uint64_t page_count;
static int thread_count;
/* Of each page: its place, none when it is unmapped; and what it holds: 0, ZEROED or the number of a write. */
static struct shadow {
	char *place;
	uint32_t holds;
} *shadows;
static uint64_t wrong, first_wrong;

/* Of the number of the word, so that a page that landed elsewhere shows. Every 16th page was never touched. */
static uint64_t expected(uint64_t word, uint32_t holds)
{
	if (holds == ZEROED || (!holds && word / WORDS % 16 == 15))
		return 0;
	uint64_t mixed = (word + 1 + ((uint64_t)holds << 32)) * 0x9e3779b97f4a7c15ull;
	return mixed ^ mixed >> 29;
}

static void check_page(uint64_t page)
{
	const uint64_t *at = (const uint64_t *)shadows[page].place;
	for (uint64_t i = 0; at && i < WORDS; i++)
		if (at[i] != expected(page * WORDS + i, shadows[page].holds) && __sync_fetch_and_add(&wrong, 1) == 0)
			first_wrong = page;
}

static void write_page(uint64_t page, uint32_t holds)
{
	uint64_t *at = (uint64_t *)shadows[page].place;
	for (uint64_t i = 0; at && i < WORDS; i++)
		at[i] = expected(page * WORDS + i, holds);
	shadows[page].holds = holds;
}

static void *walk_part(void *argument)
{
	/* Each thread begins elsewhere and all pass over everything: they meet at the same faults. */
	uint64_t from = page_count / (uint64_t)thread_count * (uint64_t)(uintptr_t)argument;
	for (uint64_t i = 0; i < page_count; i++)
		check_page((from + i) % page_count);
	return NULL;
}

static int walk(void)
{
	pthread_t threads[64];
	wrong = 0;
	for (int i = 0; i < thread_count; i++)
		pthread_create(&threads[i], NULL, walk_part, (void *)(uintptr_t)i);
	for (int i = 0; i < thread_count; i++)
		pthread_join(threads[i], NULL);
	return wrong != 0;
}

static FILE *client;

static void answer(void)
{
	if (wrong)
		fprintf(client, "wrong %llu page %llu\n", (unsigned long long)wrong, (unsigned long long)first_wrong);
	else
		fprintf(client, "ok\n");
}

static void fork_walk(void)
{
	pid_t child = fork();
	if (!child)
		_exit(walk());
	int status = -1, own = walk();
	waitpid(child, &status, 0);
	fprintf(client, "parent %s child %s\n", own ? "wrong" : "ok", status ? "wrong" : "ok");
}

static void touch(uint64_t count, uint64_t seed)
{
	wrong = 0;
	for (uint64_t i = 0; i < count; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		check_page((seed >> 33) % page_count);
	}
	answer();
}

static int discard(uint64_t page, uint64_t count)
{
	if (madvise(shadows[page].place, count * PAGE, MADV_DONTNEED))
		return 1;
	for (uint64_t i = page; i < page + count; i++)
		shadows[i].holds = ZEROED;
	return 0;
}

static int unmap(uint64_t page, uint64_t count)
{
	if (munmap(shadows[page].place, count * PAGE))
		return 1;
	for (uint64_t i = page; i < page + count; i++)
		shadows[i].place = NULL;
	return 0;
}

/*
 * To where there is room, which is often where another thread has just made some; or over the pages that begin with
 * `onto`: those are gone then.
 */
static int move(uint64_t page, uint64_t count, const uint64_t *onto)
{
	char *target = onto ? shadows[*onto].place
			    : mmap(NULL, count * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *place = mremap(shadows[page].place, count * PAGE, count * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target);
	/* They lie in several mappings: not at once then. Whether the target is still there differs between kernels. */
	if (place == MAP_FAILED && errno == EFAULT && !onto)
		return 0;
	if (place == MAP_FAILED)
		return 1;
	for (uint64_t i = 0; i < count; i++) {
		if (onto)
			shadows[*onto + i].place = NULL;
		shadows[page + i].place = place + i * PAGE;
	}
	return 0;
}

struct churn {
	uint64_t seed, from, count, steps;
	int depth;
};

static uint64_t draw(struct churn *churn, uint64_t limit)
{
	churn->seed = churn->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (churn->seed >> 33) % limit;
}

/* Some own pages that lie side by side; none when the first is unmapped. */
static uint64_t stretch(struct churn *churn, uint64_t *page)
{
	uint64_t count = 0, limit = 1 + draw(churn, 24);
	*page = churn->from + draw(churn, churn->count);
	while (count < limit && *page + count < churn->from + churn->count && shadows[*page].place &&
	       shadows[*page + count].place == shadows[*page].place + count * PAGE)
		count++;
	return count;
}

static void churn_steps(struct churn *churn);

static void churn_fork(struct churn *churn)
{
	struct churn child = *churn;
	child.depth++;
	child.steps = draw(churn, 4) ? draw(churn, 20) : 0; /* some end at once */
	child.seed ^= 0x5bd1e995;
	pid_t pid = fork();
	if (!pid) {
		wrong = 0;
		churn_steps(&child);
		_exit(wrong != 0);
	}
	int status = -1;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		__sync_fetch_and_add(&wrong, 1);
}

static void churn_step(struct churn *churn)
{
	uint64_t page, other, count = stretch(churn, &page);
	int failed = 0;
	check_page(page_count - 1 - draw(churn, page_count / 4)); /* all threads look at these */
	switch (count ? draw(churn, 16) : 0) {
	case 1:
		failed = discard(page, count);
		break;
	case 2:
		failed = unmap(page, count > 2 ? 2 : count);
		break;
	case 3:
		failed = move(page, count, NULL);
		break;
	case 4:
		if (stretch(churn, &other) && other != page)
			failed = move(page, 1, &other);
		break;
	case 5:
		if (churn->depth < 2 && !draw(churn, 4))
			churn_fork(churn);
		break;
	case 6:
		write_page(page, 1 + (uint32_t)draw(churn, 1000));
		break;
	default:
		check_page(page);
	}
	if (failed)
		__sync_fetch_and_add(&wrong, 1);
}

static void churn_steps(struct churn *churn)
{
	for (uint64_t i = 0; i < churn->steps; i++)
		churn_step(churn);
}

static void *churn_thread(void *argument)
{
	churn_steps(argument);
	return NULL;
}

static void churn(uint64_t seed, uint64_t steps)
{
	pthread_t threads[64];
	struct churn parts[64];
	uint64_t each = page_count * 3 / 4 / (uint64_t)thread_count;
	wrong = 0;
	for (int i = 0; i < thread_count; i++) {
		parts[i] = (struct churn){ seed * 64 + (uint64_t)i, each * (uint64_t)i, each, steps, 0 };
		pthread_create(&threads[i], NULL, churn_thread, &parts[i]);
	}
	for (int i = 0; i < thread_count; i++)
		pthread_join(threads[i], NULL);
	answer();
}

static void tell_random(const uint8_t *bytes)
{
	for (int i = 0; i < 64; i++)
		fprintf(client, "%02x", bytes[i]);
}

static void draw_random(void)
{
	uint8_t *bytes = mmap(NULL, 2 * 64, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child = fork();
	if (!child)
		_exit(getrandom(bytes + 64, 64, 0) != 64);
	if (getrandom(bytes, 64, 0) != 64 || waitpid(child, NULL, 0) != child)
		memset(bytes, 0, 2 * 64);
	tell_random(bytes);
	fputs(" ", client);
	tell_random(bytes + 64);
	fputs("\n", client);
	munmap(bytes, 2 * 64);
}

static void reshape(int failed) { fputs(failed ? "failed\n" : "ok\n", client); }

static void *idle(void *argument)
{
	for (;;)
		pause();
	return argument;
}

#define MAX_CHILDREN 16
static struct { int commands, results; } children[MAX_CHILDREN];
static int child_count;

static void child_serve(int commands, int results)
{
	char byte;
	while (read(commands, &byte, 1) == 1) {
		byte = (char)walk();
		if (write(results, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

static void spawn(void)
{
	for (int i = 0; i < child_count; i++) {
		int commands[2], results[2];
		if (pipe(commands) || pipe(results))
			exit(1);
		if (!fork())
			child_serve(commands[0], results[1]);
		close(commands[0]);
		close(results[1]);
		children[i].commands = commands[1];
		children[i].results = results[0];
	}
	if (child_count && !fork())
		_exit(0); /* nobody waits for it: a zombie */
}

static void family_walk(void)
{
	char byte = 0;
	int bad = 0;
	for (int i = 0; i < child_count; i++)
		bad += write(children[i].commands, &byte, 1) != 1;
	bad += walk();
	for (int i = 0; i < child_count; i++)
		bad += read(children[i].results, &byte, 1) != 1 || byte;
	fprintf(client, bad ? "wrong\n" : "ok\n");
}

static void serve(char *line)
{
	unsigned long long count, seed;
	const uint64_t eighth = page_count / 8;
	if (!strncmp(line, "walk", 4)) {
		walk();
		answer();
	} else if (sscanf(line, "touch %llu %llu", &count, &seed) == 2)
		touch(count, seed);
	else if (!strncmp(line, "family", 6))
		family_walk();
	else if (!strncmp(line, "fork", 4))
		fork_walk();
	else if (sscanf(line, "churn %llu %llu", &seed, &count) == 2)
		churn(seed, count);
	else if (!strncmp(line, "discard", 7))
		reshape(discard(eighth, eighth));
	else if (!strncmp(line, "remap", 5))
		reshape(move(2 * eighth, eighth, NULL));
	else if (!strncmp(line, "unmap", 5))
		reshape(unmap(3 * eighth, eighth));
	else if (sscanf(line, "look %llu", &count) == 1) {
		wrong = 0;
		check_page(count);
		answer();
	} else if (sscanf(line, "protect %llu", &count) == 1)
		reshape(mprotect(heap + count * PAGE, (page_count - count) * PAGE, PROT_READ));
	else if (!strncmp(line, "random", 6))
		draw_random();
	else if (!strncmp(line, "where", 5))
		fprintf(client, "%p\n", (void *)heap);
	else if (!strncmp(line, "quit", 4))
		exit(0);
	else
		fputs("unknown\n", client);
}

static void warm(void)
{
	heap = mmap(NULL, page_count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(heap, page_count * PAGE, MADV_NOHUGEPAGE); /* pages are counted one by one */
	shadows = mmap(NULL, page_count * sizeof(*shadows), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (uint64_t page = 0; page < page_count; page++) {
		shadows[page].place = heap + page * PAGE;
		if (page % 16 != 15)
			write_page(page, 0);
	}
	uint8_t seed[16];
	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed)) /* a generator in this process has its state now */
		exit(1);
	for (int i = 0; i < thread_count; i++) {
		pthread_t thread;
		pthread_create(&thread, NULL, idle, NULL);
	}
}

static void leave_session(void)
{
	int null = open("/dev/null", O_RDWR);
	setsid();
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	closefrom(3); /* a shell may have leaked one of its own */
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (argc != 5)
		return 2;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", argv[1]);
	page_count = strtoull(argv[2], NULL, 10) * 256;
	thread_count = atoi(argv[3]);
	child_count = atoi(argv[4]);
	if (child_count > MAX_CHILDREN)
		return 2;
	leave_session();
	warm();
	spawn();
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 8))
		return 1;
	/* The socket's name is there before it listens; this one is not. */
	char ready[sizeof(address.sun_path) + 8];
	snprintf(ready, sizeof(ready), "%s.ready", argv[1]);
	close(creat(ready, 0600));
	for (;;) {
		char line[128];
		int fd = accept(listener, NULL, NULL);
		client = fdopen(fd, "r+");
		setvbuf(client, NULL, _IONBF, 0);
		while (fgets(line, sizeof(line), client))
			serve(line);
		fclose(client);
	}
}
