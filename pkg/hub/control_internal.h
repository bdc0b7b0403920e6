#ifndef HUB_CONTROL_INTERNAL_H
#define HUB_CONTROL_INTERNAL_H

#include "base/json.h"
#include "hub/hub_internal.h"

/** A node's id is a routing key. */
#define HUB_NODE_ID_MAX_BYTES 128

/** A message of kind control came, for this node. */
void hub_control_hear(struct hub *h, const struct message *m);
/** Says @json to another node. Return: 0, it left (nobody knows whether it arrives); HUB_E_UNAVAILABLE: this node has
 * no broker; -ENOMEM. */
int hub_control_send(struct hub *h, struct slice node, struct slice json) base_must_check;
/** The member of an order; false if there is none. */
bool hub_control_member(struct slice json, const char *name, struct json_value *ret_value);
/** The same, a string of at most @max_bytes; @out is made anew, and to be freed in any case. */
bool hub_control_text(struct slice json, const char *name, size_t max_bytes, struct buffer *out);
bool hub_control_number(struct slice json, const char *name, uint64_t *ret_number);

/* ---- orders, each with its handler: false if it is not to be understood ---- */

bool hub_kick_on_order(struct hub *h, struct slice json);
bool hub_kick_on_answer(struct hub *h, struct slice json);

#endif
