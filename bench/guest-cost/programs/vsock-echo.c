/*
 * vsock-echo PORT: gives back what comes, one connection at a time. The least that an answer over a
 * guest's vsock can cost; a call of the agent is compared with it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

static void echo(int fd)
{
	char buffer[4096];
	ssize_t length;

	while ((length = read(fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t done = 0, step; done < length; done += step)
			if ((step = write(fd, buffer + done, length - done)) <= 0)
				return;
}

int main(int argc, char **argv)
{
	struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY };
	int listener = socket(AF_VSOCK, SOCK_STREAM, 0);
	int fd;

	if (argc != 2) {
		fprintf(stderr, "usage: vsock-echo PORT\n");
		return 2;
	}
	address.svm_port = strtoul(argv[1], NULL, 10);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 8) < 0) {
		perror("vsock-echo");
		return 1;
	}
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		echo(fd);
		close(fd);
	}
	perror("vsock-echo: accept");
	return 1;
}
