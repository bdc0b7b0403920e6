#ifndef HUB_HUB_INTERNAL_H
#define HUB_HUB_INTERNAL_H

#include "base/log.h"
#include "base/slab.h"
#include "base/table.h"
#include "bus/body.h"
#include "hub/channel_internal.h"
#include "hub/dedup.h"
#include "hub/metrics_internal.h"
#include "hub/port.h"
#include "hub/targets_internal.h"

#include <pthread.h>
#include <stdio.h>

/*
 * The inside of the hub. Two threads meet here: the hub's and a port's. An object that travels between them (struct
 * hub_letter) belongs to the one who holds it; fields that only one side touches say whose they are.
 */

struct hub {
    struct loop *loop;
    struct hub_config config;
    struct hub_identity identity;
    struct bus *bus;
    struct store *store;
    struct metrics_group *metrics;
    struct metrics_cells *cells;
    atomic_size_t refs; /* the owner and every letter on its way */
    atomic_bool is_freed;
    bool is_started, is_stopped;
    struct loop_deferred turn_end;
    struct hub_door *doors;
    size_t door_count;

    struct slab slab;    /* of channels, rooms, sequences, rings and members */
    struct slab clients; /* of ports and the hub */
    pthread_mutex_t clients_mutex;

    /* channel.c */
    struct table channels; /* by name */
    struct hub_channel *all;
    uint64_t channel_count, room_count;

    /* intake.c */
    struct hub_dedup dedup;
    struct list intakes; /* in the order of arrival */
    struct list asking;  /* intakes with ids that the store has not been asked about */
    uint64_t intake_count;
    struct log_limit poison_limit, memory_limit, reset_limit;
    char node_channel[160]; /* "node:<node id>" */

    /* sequence.c, log_reader.c, interest.c, sweep.c */
    struct list sequences;    /* all; the sweep walks over them */
    struct list stragglers;   /* which hold something, by when the log is due */
    struct list unpositioned; /* to be asked for at the end of the turn */
    struct list unread;       /* whose log is to be read, without a place yet */
    size_t reads;             /* under way */
    struct list idle_names;   /* channels that nobody listens to any more, which the store has yet to hear */
    size_t idle_count;
    size_t interest_ends; /* these, and those under way */
    struct loop_timer straggler_timer, sweep_timer, interest_timer;
    struct loop_timer state_timer; /* for what is to be stated */
    uint64_t interest_stated_ms;   /* when something was last */
    struct hub_sweep *sweep;       /* under way */
    size_t settled_bytes;          /* freed by hub_ring_settle() since the heap was trimmed */
    uint32_t sweep_round;          /* whom it has been at has this number */
    bool is_sweep_due;             /* another one, behind the one under way */
    bool is_sweep_near;            /* the timer was brought forward */

    /* call.c */
    struct bus_publication call;
    bool is_call_out;
    bool has_left;           /* what was appended and not published, and nobody was called to look for it */
    struct list early_joins; /* first of their requests' joins: they came while the store was waited for */
    uint64_t early_until_ms; /* how long they wait; 0: nobody does any more */
    bool is_store_known;     /* it came, and has not told that it went */

    struct hub_ingress *ingress; /* NULL: none */
    struct hub_archive *archive; /* likewise */

    /* append.c */
    struct list confirming;  /* appends whose answer waits for the broker, oldest first */
    struct list unpublished; /* which the bus had no room for, oldest first */
    struct loop_timer confirm_timer;
    size_t appends; /* under way */
    size_t late;    /* of them, published, without a confirm in time */
    bool is_bus_ready;
    bool are_others_cut; /* at the last read of the leases */

    /* kick.c */
    struct list kicks; /* under way */
    size_t kick_count;
    uint64_t kick_number;

    /* targets.c */
    struct hub_targets *targets[HUB_TARGETS_SLOTS]; /* by their digest */

    /* client.c */
    struct list settled, unstated; /* clients the store knows of; clients it has something to hear about */
    struct list put_off;           /* likewise, which it refused */
    struct loop_timer put_timer;   /* of the next batch */
    uint64_t next_put_ms;          /* not before; loop_now_ms() */
    uint64_t sessions;
    size_t puts;  /* batches of statements under way */
    size_t ended; /* ended clients among the unstated and those put off */

    /* presence.c */
    struct table members;     /* by room and user */
    struct list rooms, dirty; /* dirty is sorted by when a room is due */
    size_t flushes, lingering, left_members;
    struct loop_timer presence_timer;

    /* likes.c */
    struct list likes_due; /* sorted by when a room is due */
    size_t likes_batches, likes_lingering;
    uint64_t likes_sequence;
    struct loop_timer likes_timer;

    /* watch.c */
    struct table watchers;    /* by room and user */
    struct list watchers_due; /* sorted by when one is due */
    struct list spans;        /* to be sent */
    size_t span_count, watch_batches;
    struct loop_timer watch_timer;

    /* lease.c */
    struct loop_timer lease_timer, restate_timer, canary_timer, status_timer;
    struct store_lease_put lease_put;
    struct store_nodes_read nodes_read;
    bool is_lease_putting, is_nodes_reading;
    bool is_lease_stale; /* what is being put is not what holds any more, perhaps */
    uint64_t store_life; /* of store_status; 0: not met yet */
    bool may_state;      /* the store is there and the lease is ours: presence may be written */
    bool is_name_taken, is_draining;
    bool was_granted;
    uint64_t granted_ms, renewal_due_ms;
    int64_t started_ms;
    struct log_limit taken_limit;
    uint64_t *living; /* digests of the living nodes at the last read */
    size_t living_count;
    struct bus_publication canary;
    const char *canary_node;
    bool is_canary_out, was_canary_back;
    uint64_t canary_back_ms;
    struct hub_letter drain_letter;
    atomic_bool is_drain_sent;

    pthread_mutex_t status_mutex;
    struct hub_status status;

    /* words.c */
    pthread_mutex_t words_mutex;
    struct wordlist *words; /* NULL: there is none */
    atomic_uint words_generation;
};

/* ---- hub.c (counters: metrics_internal.h) ---- */

void hub_status_refresh(struct hub *h);

#endif
