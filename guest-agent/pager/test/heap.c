/*
 * A program to checkpoint: `heap SOCKET MIB THREADS CHILDREN` has a heap whose every word follows from its number,
 * some idle threads, some child processes and a zombie, and takes commands on a Unix socket, one a line, each answered by one line. It leaves
 * its session and its standard files, so that CRIU finds nothing that reaches outside.
 *   walk          every word of the heap, by all threads at once: `ok`, or `wrong COUNT page FIRST`
 *   touch N SEED  N pages chosen by SEED
 *   family        every child process walks while the parent does
 *   fork          a child walks while the parent does
 *   discard       madvise(DONTNEED) of the second eighth: it has to read as zero from then on
 *   remap         mremap of the third eighth to another place, where it has to have its content
 *   unmap         munmap of the fourth eighth
 *   where         the heap's address
 *   quit
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ull
#define WORDS (PAGE / 8)
#define EIGHTHS 8

enum state { WHOLE, ZERO, MOVED, UNMAPPED };
static uint64_t *heap, *moved;
static uint64_t page_count;
static int thread_count;
static enum state states[EIGHTHS];
static uint64_t wrong, first_wrong;

/* Of the number of the word, so that a page that landed elsewhere shows. Every 16th page is zero. */
static uint64_t expected(uint64_t word)
{
	if (word / WORDS % 16 == 15)
		return 0;
	uint64_t mixed = (word + 1) * 0x9e3779b97f4a7c15ull;
	return mixed ^ mixed >> 29;
}

static void check_page(uint64_t page)
{
	uint64_t eighth = page * EIGHTHS / page_count, base = page * WORDS;
	const uint64_t *at = heap + base;
	if (states[eighth] == UNMAPPED)
		return;
	if (states[eighth] == MOVED)
		at = moved + (base - eighth * page_count / EIGHTHS * WORDS);
	for (uint64_t i = 0; i < WORDS; i++) {
		uint64_t want = states[eighth] == ZERO ? 0 : expected(base + i);
		if (at[i] != want && __sync_fetch_and_add(&wrong, 1) == 0)
			first_wrong = page;
	}
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

static void reshape(enum state state, uint64_t eighth)
{
	uint64_t bytes = page_count / EIGHTHS * PAGE;
	char *at = (char *)heap + eighth * bytes;
	int failed = 0;
	if (state == ZERO)
		failed = madvise(at, bytes, MADV_DONTNEED);
	if (state == UNMAPPED)
		failed = munmap(at, bytes);
	if (state == MOVED) {
		void *target = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		moved = mremap(at, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, target);
		failed = moved == MAP_FAILED;
	}
	states[eighth] = state;
	fputs(failed ? "failed\n" : "ok\n", client);
}

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
	if (!strncmp(line, "walk", 4)) {
		walk();
		answer();
	} else if (sscanf(line, "touch %llu %llu", &count, &seed) == 2)
		touch(count, seed);
	else if (!strncmp(line, "family", 6))
		family_walk();
	else if (!strncmp(line, "fork", 4))
		fork_walk();
	else if (!strncmp(line, "discard", 7))
		reshape(ZERO, 1);
	else if (!strncmp(line, "remap", 5))
		reshape(MOVED, 2);
	else if (!strncmp(line, "unmap", 5))
		reshape(UNMAPPED, 3);
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
	for (uint64_t word = 0; word < page_count * WORDS; word++)
		if (expected(word))
			heap[word] = expected(word);
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
