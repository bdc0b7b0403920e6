#ifndef BUS_RABBITMQ_DEAD_H
#define BUS_RABBITMQ_DEAD_H

#include "bus/rabbitmq/rabbitmq.h"

#include <stdatomic.h>

/**
 * What people do with the ingress queue and the dead letters: count, look, put back, throw away. Over a connection of
 * its own, made for that; blocks.
 */
#define RABBITMQ_DEAD_PEEK_MAX 100
#define RABBITMQ_DEAD_PREVIEW_BYTES 512

enum rabbitmq_dead_act {
    RABBITMQ_DEAD_LOOK,    /* at the oldest @count; they stay where they are */
    RABBITMQ_DEAD_REQUEUE, /* the oldest @count go to the ingress queue again, one by one, confirmed */
    RABBITMQ_DEAD_DROP,    /* the oldest @count are gone for good */
};

/** A dead letter that was looked at. Texts are cut to their size. */
struct rabbitmq_dead_letter {
    char reason[256], message_id[256], app_id[128], content_type[128], routing_key[128], node[80];
    bool has_message_id, has_app_id, has_content_type, has_routing_key, has_node;
    uint64_t time_s;      /* when it was buried; 0: not known */
    uint64_t bytes;       /* of the whole body as it came */
    bool is_cut;          /* only its beginning was kept: it cannot be requeued */
    size_t preview_bytes; /* of the body, from its beginning */
    char preview[RABBITMQ_DEAD_PREVIEW_BYTES];
};

struct rabbitmq_dead_report {
    bool has_ingress, has_dead, has_archive; /* the queues are there */
    uint64_t ingress_ready, dead_ready, archive_ready;
    uint64_t consumers;                   /* of the ingress queue: nodes that stand in line */
    uint64_t done;                        /* requeued or dropped */
    uint64_t cut;                         /* not requeued, because only their beginning was kept */
    struct rabbitmq_dead_letter *letters; /* the caller frees them */
    size_t letter_count;
    char error[256]; /* empty: all went well; else @done tells how far it went */
};

/** @count UINT64_MAX: as many as there are at its beginning. Once *@is_cancelled it ends within seconds. Thread: any.
 */
void rabbitmq_dead_do(const struct rabbitmq_config *config, enum rabbitmq_dead_act act, uint64_t count,
                      const atomic_bool *is_cancelled, struct rabbitmq_dead_report *ret_report);

#endif
