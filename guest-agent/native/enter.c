/*
 * offload-enter: runs a static program with a container's root filesystem as its own.
 *
 *   offload-enter PID|- ROOT PROGRAM NAME ARGUMENT...
 *
 * PID is a process of a running container: its mount namespace is entered, so that the program sees every
 * mount the container sees. With `-` the directory ROOT is the root: the container does not run. PROGRAM is
 * opened before either and executed by its descriptor, so it is the guest's own program and not a file of
 * the container; NAME is what it is called as. Nothing of the container's leads out of there, as the program has no other root.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Its own failures, apart from the program's. */
#define EXIT_ENTER 125

static void die(const char *what, const char *subject)
{
	fprintf(stderr, "offload-enter: %s %s: %s\n", what, subject, strerror(errno));
	exit(EXIT_ENTER);
}

static int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		die("open", path);
	return fd;
}

/* Both are opened before the namespace changes: afterwards /proc is the container's, if it has one. */
static int enter_mounts(const char *pid)
{
	char path[64];
	int mounts, root;

	snprintf(path, sizeof(path), "/proc/%.20s/ns/mnt", pid);
	mounts = open_or_die(path, O_RDONLY);
	snprintf(path, sizeof(path), "/proc/%.20s/root", pid);
	root = open_or_die(path, O_PATH | O_DIRECTORY);
	if (setns(mounts, CLONE_NEWNS))
		die("enter the mounts of", pid);
	return root;
}

int main(int argc, char **argv)
{
	/* Nothing is inherited that a file of the container could be found by. */
	char *environment[] = { "PATH=/bin", "HOME=/", "LC_ALL=C", NULL };
	int program, root;

	if (argc < 5) {
		fprintf(stderr, "usage: offload-enter PID|- ROOT PROGRAM NAME ARGUMENT...\n");
		return EXIT_ENTER;
	}
	program = open_or_die(argv[3], O_RDONLY);
	root = strcmp(argv[1], "-") ? enter_mounts(argv[1]) : open_or_die(argv[2], O_PATH | O_DIRECTORY);
	if (fchdir(root) || chroot(".") || chdir("/"))
		die("enter the root of", argv[1]);
	fexecve(program, argv + 4, environment);
	die("execute", argv[3]);
}
