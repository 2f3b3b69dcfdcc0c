/* The addon: sockets of kinds that Node cannot make itself, as descriptors, and mounts. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sockets.h"

napi_value fail(napi_env env, const char *what, int error, int fd)
{
	char message[160];

	if (fd >= 0)
		close(fd);
	snprintf(message, sizeof(message), "%s: %s", what, strerror(error));
	napi_throw_error(env, NULL, message);
	return NULL;
}

napi_value to_number(napi_env env, int value)
{
	napi_value result;

	napi_create_int32(env, value, &result);
	return result;
}

NAPI_MODULE_INIT()
{
	napi_property_descriptor properties[] = {
		{ .utf8name = "bind", .method = vsock_bind, .attributes = napi_enumerable },
		{ .utf8name = "connect", .method = vsock_connect, .attributes = napi_enumerable },
		{ .utf8name = "mount", .method = mount_file_system, .attributes = napi_enumerable },
		{ .utf8name = "connectSeqpacket", .method = seqpacket_connect, .attributes = napi_enumerable },
	};

	napi_define_properties(env, exports, sizeof(properties) / sizeof(properties[0]), properties);
	return exports;
}
