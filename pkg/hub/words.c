/*
 * The word list at the door: what sessions send is looked at on their loop, before it becomes a message.
 *
 * Looked at is a text: data of type text/plain, JSON data that is a string, and of JSON data that is an object the
 * string members which `text` of the channel's section names, and those in which the sender's dialect puts what is said
 * (every member of that name, since readers differ in which of two they take). JSON strings are looked at with their
 * escapes resolved. Masking rewrites these strings only; all other bytes stay. What back ends publish is not looked at.
 *
 * The list belongs to the hub, under a mutex; each port has a reference of its own and exchanges it when the generation
 * tells that there is another. So a message costs an atomic load, and no lock.
 */
#include "hub/port_internal.h"

#include "base/json.h"

#define SCRATCH_KEEP_BYTES 65536

void hub_words_set(struct hub *h, struct wordlist *list)
{
    struct wordlist *old;

    pthread_mutex_lock(&h->words_mutex);
    old = h->words;
    h->words = list;
    atomic_fetch_add_explicit(&h->words_generation, 1, memory_order_release);
    pthread_mutex_unlock(&h->words_mutex);
    wordlist_unref(old);
}

/** The list in force; NULL: there is none. */
static const struct wordlist *words_of(struct hub_port *p)
{
    struct hub *h = p->hub;
    struct hub_words *words = &p->words;

    if (atomic_load_explicit(&h->words_generation, memory_order_acquire) == words->generation)
        return words->list;
    wordlist_unref(words->list);
    pthread_mutex_lock(&h->words_mutex);
    words->list = h->words ? wordlist_ref(h->words) : NULL;
    words->generation = atomic_load_explicit(&h->words_generation, memory_order_relaxed);
    pthread_mutex_unlock(&h->words_mutex);
    return words->list;
}

void hub_words_deinit(struct hub_words *words)
{
    words->list = wordlist_unref(words->list);
    wordlist_scratch_deinit(&words->scratch);
    buffer_deinit(&words->decoded);
    buffer_deinit(&words->masked);
    buffer_deinit(&words->out);
}

/**
 * A JSON string: appends what was passed over so far and the masked string to words->out. @from moves behind it. 0,
 * WORDLIST_MASKED, WORDLIST_REFUSED, -ENOMEM.
 */
static int scan_string(struct hub_words *words, struct json_value value, const char **from)
{
    struct json_writer writer;
    int result;

    buffer_reset(&words->decoded, SCRATCH_KEEP_BYTES);
    buffer_reset(&words->masked, SCRATCH_KEEP_BYTES);
    json_string_decode(json_string_raw(value), &words->decoded);
    if (buffer_error(&words->decoded))
        return -ENOMEM;
    result = wordlist_scan(words->list, buffer_slice(&words->decoded), &words->scratch, &words->masked);
    if (result != WORDLIST_MASKED)
        return result;
    buffer_append(&words->out, *from, (size_t)(value.text.data - *from));
    json_writer_init(&writer, &words->out);
    json_write_string(&writer, buffer_slice(&words->masked));
    *from = value.text.data + value.text.size;
    return buffer_error(&words->out) ? -ENOMEM : WORDLIST_MASKED;
}

/** The members of an object that are looked at; each may be NULL or empty. */
struct members {
    const char *configured, *dialects;
};

static bool is_one_of(const struct members *members, struct slice name)
{
    return (members->configured && members->configured[0] && json_string_equal(name, members->configured)) ||
           (members->dialects && json_string_equal(name, members->dialects));
}

static int scan_object(struct hub_words *words, struct slice data, const struct members *members, const char **from)
{
    struct json_reader reader;
    struct json_value value;
    struct slice name;
    int result, found = 0;

    json_reader_init(&reader, data, JSON_DEPTH_MAX);
    if (json_reader_enter_object(&reader) != JSON_OK)
        return 0;
    while (json_reader_member(&reader, &name, &value) == JSON_OK) {
        if (value.type != JSON_STRING || !is_one_of(members, name))
            continue;
        result = scan_string(words, value, from);
        if (result == WORDLIST_MASKED)
            found = result;
        else if (result != 0)
            return result;
    }
    return found;
}

static int scan_json(struct hub_words *words, const struct members *members, struct slice data)
{
    const char *from = data.data;
    struct json_reader reader;
    struct json_value value;
    enum json_type type;
    int result = 0;

    json_reader_init(&reader, data, JSON_DEPTH_MAX);
    if (json_reader_peek(&reader, &type) != JSON_OK)
        return 0;
    if (type == JSON_STRING && json_reader_value(&reader, &value) == JSON_OK)
        result = scan_string(words, value, &from);
    else if (type == JSON_OBJECT)
        result = scan_object(words, data, members, &from);
    if (result == WORDLIST_MASKED)
        buffer_append(&words->out, from, (size_t)(data.data + data.size - from));
    return result == WORDLIST_MASKED && buffer_error(&words->out) ? -ENOMEM : result;
}

int hub_words_apply(struct hub_port *p, struct slice channel, struct hub_send *send)
{
    const struct wordlist *list = words_of(p);
    const struct hub_channel_config *rule;
    int result = 0;

    if (!list || send->kind != MESSAGE_KIND_MESSAGE)
        return 0;
    rule = hub_rule_find(p->hub, channel);
    if (!rule->words)
        return 0;
    buffer_reset(&p->words.out, SCRATCH_KEEP_BYTES);
    if (slice_equal(send->content_type, CONTENT_TYPE_JSON))
        result = scan_json(&p->words, &(struct members){rule->text, send->text}, send->data);
    else if (slice_equal(send->content_type, CONTENT_TYPE_TEXT))
        result = wordlist_scan(list, send->data, &p->words.scratch, &p->words.out);
    if (result == WORDLIST_MASKED) {
        metrics_add(p->cells, HUB_METRIC_WORDS_MASKED, 1);
        send->data = buffer_slice(&p->words.out);
    } else if (result == WORDLIST_REFUSED) {
        metrics_add(p->cells, HUB_METRIC_WORDS_REFUSED, 1);
        return HUB_E_WORDS;
    }
    return result < 0 ? result : 0;
}
