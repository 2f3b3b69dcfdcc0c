/*
 * AF_VSOCK for Node, which knows no such address family: makes listening and connected descriptors that
 * libuv's pipe handles then serve (they never look at the family). See ../vsock.ts for the other half.
 * Addresses: vsock(7), linux/vm_sockets.h.
 */
#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <linux/vm_sockets.h>

#include "sockets.h"

static int read_u32_args(napi_env env, napi_callback_info info, uint32_t *values, size_t count)
{
	napi_value args[3];
	size_t argc = count;

	if (napi_get_cb_info(env, info, &argc, args, NULL, NULL) != napi_ok || argc < count)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (napi_get_value_uint32(env, args[i], &values[i]) != napi_ok)
			return -1;
	return 0;
}

/* bind(port): a bound, not yet listening descriptor; libuv calls listen(2). */
napi_value vsock_bind(napi_env env, napi_callback_info info)
{
	uint32_t port;
	struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY };
	int fd;

	if (read_u32_args(env, info, &port, 1))
		return fail(env, "vsock bind: expected (port)", EINVAL, -1);
	fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(env, "vsock bind: socket", errno, -1);
	address.svm_port = port;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		return fail(env, "vsock bind", errno, fd);
	return to_number(env, fd);
}

/*
 * connect(cid, port, timeoutMs): a connected descriptor. Blocks for the round trip of the connection
 * request, at most timeoutMs: the peer is the VMM beside us, not a network.
 */
napi_value vsock_connect(napi_env env, napi_callback_info info)
{
	uint32_t args[3];
	struct sockaddr_vm address = { .svm_family = AF_VSOCK };
	struct timeval timeout;
	int fd;

	if (read_u32_args(env, info, args, 3))
		return fail(env, "vsock connect: expected (cid, port, timeoutMs)", EINVAL, -1);
	fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(env, "vsock connect: socket", errno, -1);
	timeout.tv_sec = args[2] / 1000;
	timeout.tv_usec = (args[2] % 1000) * 1000;
	setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &timeout, sizeof(timeout));
	address.svm_cid = args[0];
	address.svm_port = args[1];
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fail(env, "vsock connect", errno, fd);
	return to_number(env, fd);
}
