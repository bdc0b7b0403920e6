/*
 * Questions to the store on behalf of a port: who is in a room, where a user is, which nodes live.
 *
 * The store's answer is valid during its call only, so it is copied: one allocation for the array and its texts, which
 * goes with the request.
 */
#include "hub/hub_internal.h"

static struct hub *request_hub(const struct hub_request *r)
{
    return r->letter.hub;
}

static int result_of(int store_result)
{
    return store_result > 0 ? HUB_E_UNAVAILABLE : store_result;
}

static int name_compare(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    int order = memcmp(x->data, y->data, x->size < y->size ? x->size : y->size);

    if (order)
        return order;
    return x->size < y->size ? -1 : x->size > y->size;
}

/** Sorts and drops doubles; returns how many are left. */
static size_t names_unique(struct slice *names, size_t count)
{
    size_t kept = 0;

    if (count)
        qsort(names, count, sizeof(*names), name_compare);
    for (size_t i = 0; i < count; i++) {
        if (!kept || !slice_equal(names[kept - 1], names[i]))
            names[kept++] = names[i];
    }
    return kept;
}

/** Copies @text to *@to and moves it behind. */
static struct slice text_put(char **to, struct slice text)
{
    struct slice copy = slice_make(*to, text.size);

    if (!slice_is_set(text))
        return SLICE_NONE;
    memcpy(*to, text.data, text.size);
    *to += text.size;
    return copy;
}

static int page_fill(struct hub_page *page, const struct slice *names, size_t count, struct slice after, uint64_t limit)
{
    size_t first = 0, bytes = 0, taken;
    char *texts;

    if (slice_is_set(after)) {
        while (first < count && name_compare(&names[first], &after) <= 0)
            first++;
    }
    taken = count - first < limit ? count - first : (size_t)limit;
    for (size_t i = 0; i < taken; i++)
        bytes += names[first + i].size;
    page->users = malloc(taken * sizeof(*page->users) + bytes + 1);
    if (!page->users)
        return -ENOMEM;
    texts = (char *)(page->users + taken);
    for (size_t i = 0; i < taken; i++)
        page->users[i] = text_put(&texts, names[first + i]);
    page->user_count = taken;
    page->has_next = first + taken < count;
    return 0;
}

/** The parts of the others as the store has them, this node's own as it is now. */
static int room_merge(struct hub *h, struct hub_request *r, const struct store_room_part *parts, size_t part_count)
{
    char storage[CHANNEL_MAX_BYTES];
    struct hub_channel *c = hub_channel_find(h, channel_format(CHANNEL_KIND_ROOM, r->room.room, storage));
    size_t roster = (size_t)h->config.roster_names, total = roster, count = 0;
    base_cleanup(base_free_p)
    struct slice *names = NULL;

    for (size_t i = 0; i < part_count; i++)
        total += parts[i].name_count;
    names = malloc((total + 1) * sizeof(*names));
    if (!names)
        return -ENOMEM;
    r->room.page.count = c ? hub_room_users(c->room, names, roster, &count) : 0;
    for (size_t i = 0; i < part_count; i++) {
        if (slice_equal_text(parts[i].node, h->identity.node))
            continue;
        r->room.page.count += parts[i].users;
        for (size_t k = 0; k < parts[i].name_count; k++)
            names[count++] = parts[i].names[k];
    }
    count = names_unique(names, count);
    return page_fill(&r->room.page, names, count, r->room.after, r->room.limit);
}

static void on_room_read(struct store_room_read *read, int result, const struct store_room_part *parts, size_t count)
{
    struct hub_request *r = container_of(read, struct hub_request, room.read);

    if (!result)
        result = room_merge(request_hub(r), r, parts, count);
    hub_request_answer(request_hub(r), r, result_of(result));
}

static int sessions_copy(struct hub_request *r, const struct store_session *sessions, size_t count)
{
    size_t bytes = 0;
    char *texts;

    for (size_t i = 0; i < count; i++)
        bytes += sessions[i].user.size + sessions[i].session.size + sessions[i].device.size + sessions[i].node.size;
    r->user.sessions = malloc(count * sizeof(*sessions) + bytes + 1);
    if (!r->user.sessions)
        return -ENOMEM;
    texts = (char *)(r->user.sessions + count);
    for (size_t i = 0; i < count; i++) {
        r->user.sessions[i] = (struct store_session){
            .user = text_put(&texts, sessions[i].user),
            .session = text_put(&texts, sessions[i].session),
            .device = text_put(&texts, sessions[i].device),
            .since_ms = sessions[i].since_ms,
            .node = text_put(&texts, sessions[i].node),
        };
    }
    r->user.count = count;
    return 0;
}

static void on_user_read(struct store_user_read *read, int result, const struct store_session *sessions, size_t count)
{
    struct hub_request *r = container_of(read, struct hub_request, user.read);

    if (!result)
        result = sessions_copy(r, sessions, count);
    hub_request_answer(request_hub(r), r, result_of(result));
}

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static const char *text_copy(char **to, const char *text)
{
    return text ? text_put(to, slice_make(text, text_size(text))).data : NULL;
}

static int leases_copy(struct hub_request *r, const struct store_lease *leases, size_t count)
{
    size_t bytes = 0;
    char *texts;

    for (size_t i = 0; i < count; i++)
        bytes += text_size(leases[i].node) + text_size(leases[i].version) + text_size(leases[i].internal);
    r->nodes.leases = malloc(count * sizeof(*leases) + bytes + 1);
    if (!r->nodes.leases)
        return -ENOMEM;
    texts = (char *)(r->nodes.leases + count);
    for (size_t i = 0; i < count; i++) {
        r->nodes.leases[i] = leases[i];
        r->nodes.leases[i].node = text_copy(&texts, leases[i].node);
        r->nodes.leases[i].version = text_copy(&texts, leases[i].version);
        r->nodes.leases[i].internal = text_copy(&texts, leases[i].internal);
    }
    r->nodes.count = count;
    return 0;
}

static void on_nodes_read(struct store_nodes_read *read, int result, const struct store_lease *leases, size_t count)
{
    struct hub_request *r = container_of(read, struct hub_request, nodes.read);

    if (!result)
        result = leases_copy(r, leases, count);
    hub_request_answer(request_hub(r), r, result_of(result));
}

void hub_query_handle(struct hub *h, struct hub_request *r)
{
    if (h->is_stopped) {
        hub_request_answer(h, r, HUB_E_UNAVAILABLE);
        return;
    }
    if (r->kind == HUB_REQUEST_ROOM) {
        r->room.read = (struct store_room_read){.room = r->room.room, .with_names = true, .done = on_room_read};
        store_room_read(h->store, &r->room.read);
    } else if (r->kind == HUB_REQUEST_USER) {
        r->user.read = (struct store_user_read){.user = slice_from(r->text), .done = on_user_read};
        store_user_read(h->store, &r->user.read);
    } else {
        assert(r->kind == HUB_REQUEST_NODES);
        r->nodes.read = (struct store_nodes_read){.done = on_nodes_read};
        store_nodes_read(h->store, &r->nodes.read);
    }
}
