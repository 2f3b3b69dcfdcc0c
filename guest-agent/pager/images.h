/* Reads what the pager needs of CRIU's images: pagemap-<pid>.img and the place of pages in pages-<id>.img. */
#ifndef IMAGES_H
#define IMAGES_H
#include "pager.h"

struct image {
	struct image *next;
	struct task *task;
	int pages_file;
	uint64_t *offsets;   /* per run of the task: where its first page is in the pages file */
	uint32_t cursor;     /* next page to fill; the local source's */
};

/* All tasks of the directory; ends the program with one line when the images are not usable. */
struct image *images_open(const char *directory);
#endif
