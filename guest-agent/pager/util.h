/* Small things every part needs. */
#ifndef UTIL_H
#define UTIL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROGRAM_VERSION "0.1.0"

/* The pointer, or the end of the program: there is nothing sensible to do without memory. */
void *need(void *pointer);
uint64_t now_us(void);
/* One line on stderr, prefixed with the program's name. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A wrong option: one line, exit 2. */
_Noreturn void usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool pread_all(int fd, void *target, size_t bytes, off_t offset);
bool pwrite_all(int fd, const void *source, size_t bytes, off_t offset);
/* Digits only, within [0, limit]. */
bool parse_number(const char *text, int base, uint64_t limit, uint64_t *number);
#endif
