/*
 * A program to checkpoint whose next request touches a known part of its memory:
 * `scattered-heap SOCKET MIB PAGES SEED whole|touched [THREADS]`.
 *
 * Every word of the heap follows from its number and looks random. A connection to the socket sends one line,
 * `touch SEED`, and gets one, the digest of PAGES pages chosen by that seed and read in a fixed scattered order;
 * then the connection is closed. `whole` fills all of the heap. `touched` fills only the pages that SEED chooses,
 * and the rest of the mapping is never touched: what is dumped of it is all that a request needs.
 *
 * `scattered-heap --expect MIB PAGES SEED` prints the same digest from arithmetic alone, without a heap.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PAGE 4096ull
#define WORDS (PAGE / 8)

static uint64_t *heap, page_count, touched_count;

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static uint64_t content(uint64_t word) { return mix(word + 0x9e3779b97f4a7c15ull); }

/* The i-th page of a seed's order: a permutation, so that no page comes twice, computed without a table. */
static uint64_t scattered(uint64_t i, uint64_t seed)
{
	unsigned half = 1;
	while (1ull << 2 * half < page_count)
		half++;
	uint64_t mask = (1ull << half) - 1;
	do {
		uint64_t left = i >> half, right = i & mask;
		for (uint64_t round = 0; round < 4; round++) {
			uint64_t next = left ^ (mix(right ^ seed << 8 ^ round << 40) & mask);
			left = right;
			right = next;
		}
		i = left << half | right;
	} while (i >= page_count);
	return i;
}

static uint64_t digest_page(uint64_t digest, const uint64_t *words)
{
	for (uint64_t i = 0; i < WORDS; i++)
		digest = (digest ^ words[i]) * 0x100000001b3ull;
	return digest;
}

static void fill_page(uint64_t *words, uint64_t page)
{
	for (uint64_t i = 0; i < WORDS; i++)
		words[i] = content(page * WORDS + i);
}

static uint64_t digest_touched(uint64_t seed, bool from_heap)
{
	uint64_t digest = 0xcbf29ce484222325ull, made[WORDS];
	for (uint64_t i = 0; i < touched_count; i++) {
		uint64_t page = scattered(i, seed);
		if (!from_heap)
			fill_page(made, page);
		digest = digest_page(digest, from_heap ? heap + page * WORDS : made);
	}
	return digest;
}

static void *idle(void *argument)
{
	for (;;)
		pause();
	return argument;
}

static void serve(int listener)
{
	char line[64];
	unsigned long long seed;
	int fd = accept(listener, NULL, NULL);
	FILE *client = fdopen(fd, "r+");
	if (!client)
		exit(1);
	setvbuf(client, NULL, _IONBF, 0);
	if (fgets(line, sizeof(line), client) && sscanf(line, "touch %llu", &seed) == 1)
		fprintf(client, "%016llx\n", (unsigned long long)digest_touched(seed, true));
	fclose(client);
}

/* CRIU finds nothing that reaches outside. */
static void leave_session(void)
{
	int null = open("/dev/null", O_RDWR);
	setsid();
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	closefrom(3);
}

static void warm(uint64_t seed, bool whole)
{
	heap = mmap(NULL, page_count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (heap == MAP_FAILED)
		exit(1);
	madvise(heap, page_count * PAGE, MADV_NOHUGEPAGE); /* pages are counted one by one */
	for (uint64_t i = 0; i < (whole ? page_count : touched_count); i++) {
		uint64_t page = whole ? i : scattered(i, seed);
		fill_page(heap + page * WORDS, page);
	}
}

static uint64_t number(const char *text) { return strtoull(text, NULL, 10); }

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	bool expect = argc == 5 && !strcmp(argv[1], "--expect");
	if (!expect && argc != 6 && argc != 7)
		return 2;
	page_count = number(argv[2]) * (1 << 20) / PAGE;
	touched_count = number(argv[3]);
	if (touched_count > page_count)
		return 2;
	if (expect) {
		printf("%016llx\n", (unsigned long long)digest_touched(number(argv[4]), false));
		return 0;
	}
	if (strlen(argv[1]) >= sizeof(address.sun_path))
		return 2;
	strcpy(address.sun_path, argv[1]);
	leave_session();
	warm(number(argv[4]), !strcmp(argv[5], "whole"));
	for (uint64_t i = 0; argc == 7 && i < number(argv[6]); i++) {
		pthread_t thread;
		pthread_create(&thread, NULL, idle, NULL);
	}
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 8))
		return 1;
	for (;;)
		serve(listener);
}
