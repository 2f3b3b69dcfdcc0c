/* `evict FILE...`: takes files out of the page cache, once what is dirty of them has been written. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		int fd = open(argv[i], O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fdatasync(fd)) {
			fprintf(stderr, "evict %s: %s\n", argv[i], strerror(errno));
			return 1;
		}
		int error = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		if (error) {
			fprintf(stderr, "evict %s: %s\n", argv[i], strerror(error));
			return 1;
		}
		close(fd);
	}
	return 0;
}
