#ifndef HUB_ARCHIVE_INTERNAL_H
#define HUB_ARCHIVE_INTERNAL_H

#include "base/macros.h"

#include <stdbool.h>

struct archive_record;
struct hub;
struct message;

/*
 * The archive: a copy of what this node accepted, put into a durable queue of the broker. All of it is the hub
 * thread's. Off unless amqp.archive says otherwise; then all of this does nothing.
 */

/** struct hub_archive_ticket - waits for a record to be archived; embedded, zeroed, with @done */
struct hub_archive_ticket {
    struct archive_record *record; /* the archive's; NULL: nothing is waited for */
    void (*done)(struct hub_archive_ticket *t);
};

/** 0, -ENOMEM. */
int hub_archive_start(struct hub *h) base_must_check;
/** Before the bus is stopped: everything that waits is handed to it. */
void hub_archive_flush(struct hub *h);
/** The bus is stopped: what it did not confirm is counted and logged. */
void hub_archive_stop(struct hub *h);

/**
 * hub_archive_keep() - @m was accepted, or is a record of another kind: keep it
 *
 * Borrows @m. Beyond amqp.archive_pending it is counted, logged once a period, and not kept. Return: true: @ticket (may
 * be NULL) will be told, in a later turn; false: nothing is to be waited for.
 */
bool hub_archive_keep(struct hub *h, struct message *m, struct hub_archive_ticket *ticket);
/** Nobody waits any more. Accepts one that was told, or never given. */
void hub_archive_forget(struct hub_archive_ticket *t);

#endif
