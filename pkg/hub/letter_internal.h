#ifndef HUB_LETTER_INTERNAL_H
#define HUB_LETTER_INTERNAL_H

#include "base/macros.h"
#include "loop/loop.h"

struct hub;
struct hub_port;

/**
 * struct hub_letter - what travels between a port and the hub
 *
 * Each one on its way holds a reference to the hub, so that what is still in a mailbox when everything ends finds it
 * alive. Once hub_free() was called no loop runs any more, and a letter is handled on the spot instead of being posted.
 */
struct hub_letter {
    struct loop_task task; /* the first member of what travels, so that its handler finds it */
    struct hub *hub;
};

/**
 * A handler begins with
 *     base_cleanup(hub_unref_p)
 *     struct hub *h = hub_of_letter(task);
 * by which the letter's reference is given back when it ends.
 */
void hub_letter_to_hub(struct hub *h, struct hub_letter *letter, loop_task_fn *handler);
void hub_letter_to_port(struct hub_port *p, struct hub_letter *letter, loop_task_fn *handler);

static inline struct hub *hub_of_letter(const struct loop_task *task)
{
    return container_of(task, struct hub_letter, task)->hub;
}

/** Returns NULL. */
struct hub *hub_unref(struct hub *h);
BASE_DEFINE_CLEANUP(struct hub *, hub_unref)

#endif
