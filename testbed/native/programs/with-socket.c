/*
 * `with-socket FD PATH PROGRAM [ARGUMENT]...` runs a program that has a connection to a Unix socket as that
 * descriptor. For CRIU's --ps-socket: over TCP its last command waits for 200 ms, since CRIU corks the socket and
 * never says that this was the last.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (argc < 4 || strlen(argv[2]) >= sizeof(address.sun_path))
		return 2;
	strcpy(address.sun_path, argv[2]);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address)) && dup2(fd, atoi(argv[1])) >= 0) {
		if (fd != atoi(argv[1]))
			close(fd);
		execvp(argv[3], argv + 3);
	}
	fprintf(stderr, "with-socket %s: %s\n", argv[3], strerror(errno));
	return 1;
}
