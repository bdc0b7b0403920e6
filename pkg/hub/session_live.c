/*
 * What sessions do all day in live rooms, on their loop: likes, and signs of life.
 *
 * Likes for one room that come together travel as one letter. It leaves at the end of the turn, and before any leave,
 * for a channel may go with its last listener.
 */
#include "hub/client_internal.h"
#include "hub/likes_internal.h"
#include "hub/port_internal.h"
#include "hub/watch_internal.h"

void hub_port_flush_likes(struct hub_port *p)
{
    struct hub_like *like = base_take(p->like);

    if (like)
        hub_letter_to_hub(p->hub, &like->letter, hub_likes_on_like);
}

static void on_like_flush(void *userdata)
{
    hub_port_flush_likes(userdata);
}

void hub_port_live_init(struct hub_port *p)
{
    loop_deferred_init(&p->like_flush, on_like_flush, p);
}

int hub_session_like(struct hub_session *s, struct slice room, uint64_t count)
{
    const struct hub_subscription *sub = hub_session_find_room(s, room);
    struct hub_port *p = s->port;

    assert(count > 0);
    if (!sub)
        return HUB_E_NOT_JOINED;
    if (count > (uint64_t)p->hub->config.likes_per_op)
        return HUB_E_TOO_LARGE;
    if (p->like && !slice_equal(slice_make(p->like->name, p->like->name_size), slice_make(sub->name, sub->name_size)))
        hub_port_flush_likes(p);
    if (!p->like) {
        p->like = calloc(1, sizeof(*p->like) + sub->name_size);
        if (!p->like)
            return -ENOMEM;
        p->like->name_size = sub->name_size;
        memcpy(p->like->name, sub->name, sub->name_size);
        loop_defer(p->loop, &p->like_flush);
    }
    p->like->count += count;
    return 0;
}

void hub_session_alive(struct hub_session *s)
{
    if (!s->is_watching)
        return;
    for (const struct hub_subscription *sub = s->subscriptions; sub; sub = sub->next) {
        struct hub_sign *sign;

        if (!sub->is_listening || sub->kind != CHANNEL_KIND_ROOM || !sub->channel->rule->has_watch)
            continue;
        sign = malloc(sizeof(*sign));
        if (!sign)
            return; /* the next one tells as much */
        sign->channel = sub->channel;
        sign->client = s->client;
        hub_letter_to_hub(s->port->hub, &sign->letter, hub_watch_on_sign);
    }
}
