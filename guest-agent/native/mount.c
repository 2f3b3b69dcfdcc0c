/*
 * mount(2) in the agent's own process: to start a program for it costs a fork of all that the agent is, which
 * takes longer than the mount.
 */
#include <errno.h>
#include <sys/mount.h>

#include "sockets.h"

/* The kernel takes a page of options, and paths are shorter. */
#define MAX_TEXT 4096

/* mount(source, target, type, options): nothing, or throws. */
napi_value mount_file_system(napi_env env, napi_callback_info info)
{
	char text[4][MAX_TEXT + 1];
	napi_value args[4];
	size_t argc = 4, length;

	if (napi_get_cb_info(env, info, &argc, args, NULL, NULL) != napi_ok || argc < 4)
		return fail(env, "mount: expected (source, target, type, options)", EINVAL, -1);
	for (size_t i = 0; i < 4; i++) {
		if (napi_get_value_string_utf8(env, args[i], text[i], sizeof(text[i]), &length) != napi_ok)
			return fail(env, "mount: expected (source, target, type, options)", EINVAL, -1);
		if (length >= MAX_TEXT)
			return fail(env, "mount", ENAMETOOLONG, -1);
	}
	if (mount(text[0], text[1], text[2], 0, text[3]))
		return fail(env, "mount", errno, -1);
	return NULL;
}
