#include "util.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

void *need(void *pointer)
{
	if (pointer)
		return pointer;
	say("out of memory");
	/* abort() would close the descriptors in the same way; the supervisor's duplicates are the net. */
	_exit(1);
}

uint64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void print_line(const char *format, va_list arguments)
{
	char line[1024];
	vsnprintf(line, sizeof(line), format, arguments);
	dprintf(STDERR_FILENO, "%s: %s\n", program_invocation_short_name, line);
}

void say(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	print_line(format, arguments);
	va_end(arguments);
}

void usage_error(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	print_line(format, arguments);
	va_end(arguments);
	exit(2);
}

bool pread_all(int fd, void *target, size_t bytes, off_t offset)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t got = pread(fd, (char *)target + done, bytes - done, offset + (off_t)done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		done += (size_t)got;
	}
	return true;
}

bool pwrite_all(int fd, const void *source, size_t bytes, off_t offset)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t put = pwrite(fd, (const char *)source + done, bytes - done, offset + (off_t)done);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		done += (size_t)put;
	}
	return true;
}

bool parse_number(const char *text, int base, uint64_t limit, uint64_t *number)
{
	if (!isxdigit((unsigned char)text[0]))
		return false;
	char *end;
	errno = 0;
	unsigned long long parsed = strtoull(text, &end, base);
	if (errno || *end || parsed > limit)
		return false;
	*number = parsed;
	return true;
}
