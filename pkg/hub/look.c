/*
 * A user's sessions on this node, as they are right now: what the store cannot know, because only their loop does.
 *
 * As with a kick the ports are known by the user's inbox, to which each session listens; each port writes what it has,
 * and the letter brings the text back. A session that is just being opened is not among them yet.
 */
#include "hub/port_internal.h"

/** Of one port, about. A user has a few sessions; a thousand under one name are told of in part. */
#define LOOK_MAX_BYTES (256u * 1024u)

/** struct look - under way; frees itself */
struct look {
    struct hub_request *request;
    struct hub_channel *channel; /* the inbox, held */
    size_t letters_out;
    int result;
};

struct look_letter {
    struct hub_letter letter;
    struct look *look;
    struct hub_port *port;
    struct hub_local *local; /* good while the channel is held */
    struct buffer objects;
};

static void finish_if_all_came(struct hub *h, struct look *l)
{
    if (l->letters_out)
        return;
    if (!l->result && buffer_error(&l->request->look.objects))
        l->result = -ENOMEM;
    hub_channel_release(h, l->channel);
    hub_request_answer(h, l->request, l->result);
    free(l);
}

static void on_back(struct loop_task *task)
{
    base_cleanup(hub_unref_p)
    struct hub *h = hub_of_letter(task);
    struct look_letter *letter = container_of(task, struct look_letter, letter.task);
    struct look *l = letter->look;
    struct buffer *all = &l->request->look.objects;

    if (buffer_error(&letter->objects))
        l->result = -ENOMEM;
    if (all->size && letter->objects.size)
        buffer_append_char(all, ',');
    buffer_append_slice(all, buffer_slice(&letter->objects));
    buffer_deinit(&letter->objects);
    free(letter);
    l->letters_out--;
    finish_if_all_came(h, l);
}

static void on_port(struct loop_task *task)
{
    base_cleanup(hub_unref_p)
    struct hub *h = hub_of_letter(task);
    struct look_letter *letter = container_of(task, struct look_letter, letter.task);

    hub_port_look_local(letter->port, letter->local, LOOK_MAX_BYTES, &letter->objects);
    hub_letter_to_hub(h, &letter->letter, on_back);
}

void hub_look_handle(struct hub *h, struct hub_request *r)
{
    char storage[CHANNEL_MAX_BYTES];
    struct hub_channel *inbox = hub_channel_find(h, channel_format(CHANNEL_KIND_USER, slice_from(r->text), storage));
    struct look *l = inbox && !h->is_stopped ? calloc(1, sizeof(*l)) : NULL;

    if (!l) {
        hub_request_answer(h, r, h->is_stopped ? HUB_E_UNAVAILABLE : inbox ? -ENOMEM : 0);
        return;
    }
    l->request = r;
    l->channel = inbox;
    hub_channel_hold(inbox);
    for (struct hub_local *local = &inbox->local; local; local = local->next) {
        struct look_letter *letter = local->listeners ? calloc(1, sizeof(*letter)) : NULL;

        if (!letter) {
            l->result = local->listeners ? -ENOMEM : l->result;
            continue;
        }
        letter->look = l;
        letter->port = h->doors[local->port_index].port;
        letter->local = local;
        l->letters_out++;
        hub_letter_to_port(letter->port, &letter->letter, on_port);
    }
    finish_if_all_came(h, l);
}
