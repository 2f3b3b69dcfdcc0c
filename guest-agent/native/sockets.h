/* What the addon's functions share; those that make a descriptor give its number. */
#ifndef OFFLOAD_SOCKETS_H
#define OFFLOAD_SOCKETS_H

#define NAPI_VERSION 8
#include <node_api.h>

/* Closes fd unless it is negative, and throws `what: the error`. */
napi_value fail(napi_env env, const char *what, int error, int fd);
napi_value to_number(napi_env env, int value);

napi_value vsock_bind(napi_env env, napi_callback_info info);
napi_value vsock_connect(napi_env env, napi_callback_info info);
napi_value seqpacket_connect(napi_env env, napi_callback_info info);
napi_value mount_file_system(napi_env env, napi_callback_info info);

#endif
