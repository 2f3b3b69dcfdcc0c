/*
 * A CRIU image is two magic numbers and then protobuf messages, each behind its length. Of the two
 * message types here only varint fields matter:
 *   pagemap_head  { 1: pages_id }
 *   pagemap_entry { 1: vaddr, 2: nr_pages (old, 32 bits), 3: in_parent, 4: flags, 5: nr_pages }
 */
#include "images.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMMON_MAGIC 0x54564319u
#define PAGEMAP_MAGIC 0x56084025u
#define ENTRY_PARENT 1u  /* content is in the parent image */
#define ENTRY_LAZY 2u    /* left to the pager */
#define ENTRY_PRESENT 4u /* has content in this image's pages file */
#define MAX_MESSAGE_BYTES 256
#define MAX_FIELD 6
#define VARINT 0

#define refuse(...) do { say(__VA_ARGS__); exit(1); } while (0)

static bool varint(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
	*value = 0;
	for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
		uint8_t byte = *(*at)++;
		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

/* Fills fields[number] for each varint field; `seen` has a bit for each. False when it is malformed. */
static bool message_parse(const uint8_t *at, size_t bytes, uint64_t fields[MAX_FIELD], unsigned *seen)
{
	const uint8_t *end = at + bytes;
	*seen = 0;
	memset(fields, 0, MAX_FIELD * sizeof(fields[0]));
	while (at < end) {
		uint64_t key, value;
		if (!varint(&at, end, &key) || (key & 7) != VARINT || !varint(&at, end, &value))
			return false;
		if (key >> 3 < MAX_FIELD) {
			fields[key >> 3] = value;
			*seen |= 1u << (key >> 3);
		}
	}
	return true;
}

/* The next message; false at the end of the file. */
static bool message_read(FILE *file, const char *name, uint64_t fields[MAX_FIELD], unsigned *seen)
{
	uint8_t bytes[MAX_MESSAGE_BYTES];
	uint32_t size;
	size_t got = fread(&size, 1, sizeof(size), file);
	if (got == 0 && feof(file))
		return false;
	if (got != sizeof(size) || size > sizeof(bytes) || fread(bytes, 1, size, file) != size ||
	    !message_parse(bytes, size, fields, seen))
		refuse("images: %s is cut short or malformed", name);
	return true;
}

static uint64_t read_entries(FILE *file, const char *name, struct image *image)
{
	uint64_t fields[MAX_FIELD], offset = 0;
	unsigned seen;
	size_t runs = 0, capacity = 0;
	while (message_read(file, name, fields, &seen)) {
		uint64_t vaddr = fields[1], count = seen & 1u << 5 ? fields[5] : fields[2];
		uint64_t flags = seen & 1u << 4 ? fields[4] : fields[3] ? ENTRY_PARENT : ENTRY_PRESENT;
		bool lazy = flags & ENTRY_LAZY;
		if (lazy && !(flags & ENTRY_PRESENT))
			refuse("images: %s: pages at %#llx are lazy, but their content is not in these images", name,
			       (unsigned long long)vaddr);
		if (count > UINT32_MAX)
			refuse("images: %s: entry of %llu pages", name, (unsigned long long)count);
		if (lazy) {
			if ((runs && vaddr <= image->task->runs.list[runs - 1].vaddr) ||
			    !task_add_run(image->task, vaddr, (uint32_t)count))
				refuse("images: %s: unusable entry of %llu pages at %#llx", name,
				       (unsigned long long)count, (unsigned long long)vaddr);
			if (runs == capacity) {
				capacity = capacity ? capacity * 2 : 64;
				image->offsets = need(realloc(image->offsets, capacity * sizeof(uint64_t)));
			}
			image->offsets[runs++] = offset;
		}
		if (flags & ENTRY_PRESENT)
			offset += count * PAGE_BYTES;
	}
	return offset;
}

static void pages_open(int directory, struct image *image, uint64_t pages_id, uint64_t bytes)
{
	char name[40];
	struct stat status;
	snprintf(name, sizeof(name), "pages-%llu.img", (unsigned long long)pages_id);
	image->pages_file = openat(directory, name, O_RDONLY | O_CLOEXEC);
	if (image->pages_file < 0 || fstat(image->pages_file, &status))
		refuse("images: open %s: %s", name, strerror(errno));
	if ((uint64_t)status.st_size < bytes)
		refuse("images: %s is truncated: %lld bytes, its pagemap needs %llu bytes", name,
		       (long long)status.st_size, (unsigned long long)bytes);
}

static struct image *image_open(int directory, const char *name, uint32_t pid)
{
	uint32_t magic[2];
	uint64_t fields[MAX_FIELD];
	unsigned seen;
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	if (!file)
		refuse("images: open %s: %s", name, strerror(errno));
	if (fread(magic, sizeof(magic), 1, file) != 1 || magic[0] != COMMON_MAGIC || magic[1] != PAGEMAP_MAGIC)
		refuse("images: %s is not a pagemap image", name);
	struct image *image = need(calloc(1, sizeof(*image)));
	image->task = task_open(pid);
	if (!image->task)
		refuse("images: more than %u tasks", MAX_TASKS);
	if (!message_read(file, name, fields, &seen))
		refuse("images: %s has no head", name);
	uint64_t pages_id = fields[1];
	pages_open(directory, image, pages_id, read_entries(file, name, image));
	fclose(file);
	if (!task_seal(image->task))
		refuse("images: entries of %s overlap", name);
	kept->mapped_pages += image->task->page_count;
	return image;
}

struct image *images_open(const char *path)
{
	struct image *images = NULL;
	int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = directory < 0 ? NULL : fdopendir(dup(directory));
	if (!entries)
		refuse("images: open %s: %s", path, strerror(errno));
	for (struct dirent *entry; (entry = readdir(entries));) {
		unsigned pid;
		char canonical[40];
		if (sscanf(entry->d_name, "pagemap-%u.img", &pid) != 1)
			continue; /* pagemap-shmem-<id>.img is CRIU's own business */
		snprintf(canonical, sizeof(canonical), "pagemap-%u.img", pid);
		if (strcmp(canonical, entry->d_name))
			continue;
		struct image *image = image_open(directory, entry->d_name, pid);
		image->next = images;
		images = image;
	}
	closedir(entries);
	close(directory);
	if (!images)
		refuse("images: no pagemap-<pid>.img in %s", path);
	return images;
}
