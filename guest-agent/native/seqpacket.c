/*
 * Unix sockets that keep the bounds of packets (SOCK_SEQPACKET, unix(7)), which conmon's attach socket is.
 * Connecting never waits: the peer's backlog takes the connection or refuses it.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "sockets.h"

/* connectSeqpacket(path, sendOnly): a connected descriptor; nothing can be sent to one that only sends. */
napi_value seqpacket_connect(napi_env env, napi_callback_info info)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char path[sizeof(address.sun_path) + 1];
	size_t argc = 2, length;
	napi_value args[2];
	bool send_only;
	int fd;

	if (napi_get_cb_info(env, info, &argc, args, NULL, NULL) != napi_ok || argc < 2 ||
	    napi_get_value_string_utf8(env, args[0], path, sizeof(path), &length) != napi_ok ||
	    napi_get_value_bool(env, args[1], &send_only) != napi_ok)
		return fail(env, "seqpacket connect: expected (path, sendOnly)", EINVAL, -1);
	if (length >= sizeof(address.sun_path))
		return fail(env, "seqpacket connect", ENAMETOOLONG, -1);
	memcpy(address.sun_path, path, length + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(env, "seqpacket connect: socket", errno, -1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fail(env, "seqpacket connect", errno, fd);
	if (send_only)
		shutdown(fd, SHUT_RD);
	return to_number(env, fd);
}
