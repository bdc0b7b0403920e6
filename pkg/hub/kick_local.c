/*
 * Closing a user's sessions on this node.
 *
 * Each session listens to its user's inbox, so the ports that have it are known, and the sessions stand side by side
 * there. A session that is just being opened does not stand there yet, and stays: to the one who asked it looks like
 * one that came a moment later.
 */
#include "hub/kick_internal.h"
#include "hub/port_internal.h"

/** A port's part: goes there, closes, comes back with the number. */
struct kick_letter {
    struct hub_letter letter;
    struct hub_kick_local *kick;
    struct hub_port *port;
    struct hub_local *local; /* good while the kick holds the channel */
    uint64_t closed;
};

static void finish_if_all_came(struct hub_kick_local *k)
{
    struct hub *h = k->hub;

    if (k->letters_out)
        return;
    if (k->channel)
        hub_channel_release(h, k->channel);
    k->done(k->userdata, h, k->closed);
    free(k);
}

static void on_back(struct loop_task *task)
{
    base_cleanup(hub_unref_p)
    struct hub *h base_unused = hub_of_letter(task);
    struct kick_letter *l = container_of(task, struct kick_letter, letter.task);
    struct hub_kick_local *k = l->kick;

    k->closed += l->closed;
    k->letters_out--;
    free(l);
    finish_if_all_came(k);
}

static void on_port(struct loop_task *task)
{
    base_cleanup(hub_unref_p)
    struct hub *h = hub_of_letter(task);
    struct kick_letter *l = container_of(task, struct kick_letter, letter.task);

    l->closed = hub_port_kick_local(l->port, l->local, &l->kick->which);
    hub_letter_to_hub(h, &l->letter, on_back);
}

static char *put_text(char *to, struct slice from, struct slice *ret_copy)
{
    if (!slice_is_set(from))
        return to;
    if (from.size)
        memcpy(to, from.data, from.size);
    *ret_copy = slice_make(to, from.size);
    return to + from.size;
}

int hub_kick_local(struct hub *h, const struct hub_kick_which *which, hub_kick_local_fn *done, void *userdata)
{
    size_t bytes = which->user.size + which->device.size + which->session.size + which->reason.size;
    struct hub_kick_local *k = calloc(1, sizeof(*k) + bytes);
    char storage[CHANNEL_MAX_BYTES], *text;

    if (!k)
        return -ENOMEM;
    k->hub = h;
    k->done = done;
    k->userdata = userdata;
    text = put_text(k->text, which->user, &k->which.user);
    text = put_text(text, which->device, &k->which.device);
    text = put_text(text, which->session, &k->which.session);
    (void)put_text(text, which->reason, &k->which.reason);
    k->channel = hub_channel_find(h, channel_format(CHANNEL_KIND_USER, which->user, storage));
    if (k->channel)
        hub_channel_hold(k->channel);
    for (struct hub_local *local = k->channel ? &k->channel->local : NULL; local; local = local->next) {
        struct kick_letter *l = local->listeners ? calloc(1, sizeof(*l)) : NULL;

        if (!l) {
            if (local->listeners)
                hub_note_out_of_memory(h, "closing sessions");
            continue;
        }
        l->kick = k;
        l->port = h->doors[local->port_index].port;
        l->local = local;
        k->letters_out++;
        hub_letter_to_port(l->port, &l->letter, on_port);
    }
    finish_if_all_came(k);
    return 0;
}
