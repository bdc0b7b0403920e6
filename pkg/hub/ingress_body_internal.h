#ifndef HUB_INGRESS_BODY_INTERNAL_H
#define HUB_INGRESS_BODY_INTERNAL_H

#include "hub/append_internal.h"
#include "hub/archive_internal.h"
#include "hub/ingress_internal.h"

/*
 * The bodies of the ingress (ingress_body.c) and what sends their messages (ingress.c). Thread: the hub's.
 */

/** An outcome: too many dead letters wait for the broker; it goes on when they are kept. */
#define HUB_INGRESS_E_LATER 1

struct ingress_item {
    struct ingress_body *body;
    struct message *message; /* NULL: done */
    bool is_out;             /* on its way; else it waits for a round */
    union {
        struct bus_publication publication;
        struct hub_append_order order;
    };
    struct hub_archive_ticket ticket; /* of a publication; what is appended is archived there */
};

/** A body; given back when all its items are done and its dead letters are kept. */
struct ingress_body {
    struct list link; /* ingress->line */
    struct hub *hub;
    struct bus_delivery *delivery; /* NULL: decoding it failed */
    struct ingress_item *items;    /* do not move once the body stands in the line */
    size_t count, capacity;
    size_t next;  /* no item before this one waits */
    size_t open;  /* items that are not done, and dead letters that are not kept */
    bool is_void; /* it comes again elsewhere: what waits is dropped */
};

struct hub_ingress {
    struct list arrived;          /* bus_delivery; not decoded before its turn */
    struct list line;             /* ingress_body */
    struct ingress_body *reading; /* of the first that arrived; NULL: not begun */
    struct bus_reader reader;     /* its */
    size_t dead;                  /* dead letters that are not kept */
    size_t bodies;                /* in both */
    size_t appending;             /* of the round: what the store has not answered */
    size_t out;                   /* not done, of all items */
    struct loop_deferred run;
    struct loop_timer retry, yield;
    struct log_limit dead_limit;
    bool is_store_up, is_reading;
};

/** Another round at the end of this turn. */
static inline void hub_ingress_run_soon(struct hub *h)
{
    if (!h->is_stopped)
        loop_defer(h->loop, &h->ingress->run);
}

/** Moves the first body that arrived into the line. 0; HUB_INGRESS_E_LATER; -ENOMEM: it is to be tried again (its dead
 * letters may then be there twice). */
int hub_ingress_decode_first(struct hub *h) base_must_check;
/** Ends the reading of a body: it goes into the line if all of it was read (@result 0); else nothing of it was sent,
 * and it stays where it was. */
void hub_ingress_end_reading(struct hub *h, int result);
/** Of one message all is done. Its body may be gone afterwards. */
void hub_ingress_item_done(struct ingress_item *item);
/** Drops what waits; the body may be gone afterwards. */
void hub_ingress_body_forget(struct ingress_body *b);
/** A delivery that has no body here any more, or never had one. */
void hub_ingress_give_back(struct hub *h, struct bus_delivery *d);

#endif
