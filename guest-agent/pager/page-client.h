/* The connection to the plane: dials, queues what goes out, cuts what comes in into frames. */
#ifndef PAGE_CLIENT_H
#define PAGE_CLIENT_H
#include "pager.h"

struct client_calls {
	void (*connected)(bool again);
	/* False: enough for this turn. The payload, aligned to nothing, is gone when it returns. */
	bool (*frame)(const struct op_header *header, const uint8_t *payload);
	void (*lost)(void); /* the plane closed, or broke, the connection */
};

/* Ends the program when the address is not one. */
void client_prepare(const char *address);
void client_start(const struct client_calls *calls);
/* Gives the connection up and dials again, as if it had been lost. */
void client_redial(void);
bool client_connected(void);
void client_send(struct op_header header, const void *payload, uint32_t payload_bytes);
/* Hands over frames that have come, as many as are taken in one turn; false when no whole one is left. */
bool client_take(void);
/* Waits until all is written or a second has passed. */
void client_flush(void);
void client_drop(void);
#endif
