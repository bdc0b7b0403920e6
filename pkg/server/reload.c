/*
 * Reloading: by SIGHUP, or POST /v1/config/reload. All sources are read again into a second set of settings, so that a
 * mistake in them changes nothing. Then what can fail is done on the side (certificates), what cannot is made to hold,
 * and told to the workers. Options that need a restart keep their values, and are named.
 */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "server/server_internal.h"

#include <stdio.h>

/** Between these two the service manager waits for us (sd_notify(3); Type=notify-reload wants the time). */
static void notify_begin(void)
{
    char state[80];

    (void)snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_monotonic_us());
    server_notify(state);
}

struct told_changes {
    config_change_fn *tell;
    void *userdata;
    size_t applied, kept;
};

static void on_change(void *userdata, const struct config_change *change)
{
    struct told_changes *t = userdata;

    if (change->reloadable) {
        t->applied++;
        log_event(LOG_NOTICE, "option changed", LOG_SLICE("option", change->key), LOG_SLICE("old", change->before),
                  LOG_SLICE("new", change->after));
    } else {
        t->kept++;
        log_event(LOG_WARNING, "option changed in the configuration, but not before a restart",
                  LOG_SLICE("option", change->key), LOG_SLICE("old", change->before), LOG_SLICE("new", change->after));
    }
    if (t->tell)
        t->tell(t->userdata, change);
}

static void log_errors(struct slice errors)
{
    struct slice line;

    while (slice_split(&errors, '\n', &line))
        if (line.size > 0)
            log_event(LOG_ERROR, "the configuration is not reloaded, nothing has changed", LOG_SLICE("error", line));
}

/** What was started with, where the packages have not been told otherwise. */
static void apply(struct server *s, struct server_settings *fresh, struct gateway_reload *gateway,
                  struct wordlist *words)
{
    config_adopt(s->settings->config, fresh->config);
    log_set_level((enum log_level)s->settings->server.log_level);
    gateway_reload_commit(s->gateway, gateway);
    server_words_apply(s, words);
}

static int reload(struct server *s, struct server_settings *fresh, struct told_changes *told, struct buffer *errors)
{
    struct gateway_reload *gateway = NULL;
    struct wordlist *words = NULL;
    int result = server_settings_load(fresh, s->sources, errors);

    if (!result)
        result = server_settings_check(fresh, errors); /* also of what waits for a restart */
    if (!result)
        result = server_words_load(&fresh->server, errors, &words);
    if (!result)
        result = gateway_reload_new(s->gateway, &fresh->gateway, errors, &gateway);
    if (result) {
        wordlist_unref(words);
        return result;
    }
    if (config_compare(s->settings->config, fresh->config, on_change, told))
        log_event(LOG_WARNING, "out of memory: not every changed option could be told");
    apply(s, fresh, gateway, words);
    return 0;
}

static int reload_with_errors(struct server *s, config_change_fn *tell, void *userdata, struct buffer *errors)
{
    struct told_changes told = {.tell = tell, .userdata = userdata};
    struct server_settings *fresh = NULL;
    int result;

    if (s->is_stopping)
        return -EBUSY;
    notify_begin();
    result = server_settings_new(&fresh);
    if (!result)
        result = reload(s, fresh, &told, errors);
    if (result < 0)
        log_event(LOG_ERROR, "the configuration is not reloaded, nothing has changed", LOG_ERRNO(result));
    else if (result)
        log_errors(buffer_slice(errors));
    else
        log_event(LOG_NOTICE, "configuration reloaded", LOG_UINT("changed", told.applied),
                  LOG_UINT("after_restart", told.kept));
    server_count_reload(s, result == 0);
    server_settings_free(fresh);
    server_notify("READY=1");
    return result;
}

int server_reload(struct server *s, config_change_fn *tell, void *userdata)
{
    struct buffer errors = BUFFER_WITH_LIMIT(1 << 16);
    int result = reload_with_errors(s, tell, userdata, &errors);

    buffer_deinit(&errors);
    return result;
}

/* ---- the page ---- */

static void write_change(void *userdata, const struct config_change *change)
{
    struct json_writer *w = userdata;

    json_write_object_begin(w);
    json_write_member_string(w, "option", change->key);
    if (slice_is_set(change->before))
        json_write_member_string(w, "old", change->before);
    if (slice_is_set(change->after))
        json_write_member_string(w, "new", change->after);
    json_write_member_bool(w, "applied", change->reloadable);
    json_write_object_end(w);
}

void server_reload_page(void *userdata, struct api_reply *reply)
{
    struct buffer json = {0}, errors = BUFFER_WITH_LIMIT(1 << 16);
    struct json_writer w;
    int result;

    json_writer_init(&w, &json);
    json_write_object_begin(&w);
    json_write_name(&w, "changes");
    json_write_array_begin(&w);
    result = reload_with_errors(userdata, write_change, &w, &errors);
    json_write_array_end(&w);
    json_write_object_end(&w);
    if (result == CONFIG_E_INVALID)
        api_reply_error(reply, 422, "bad_request", errors.size ? errors.data : "the configuration is not valid");
    else if (result == -EBUSY)
        api_reply_error(reply, 503, "unavailable", "this node is ending");
    else if (result || buffer_error(&json))
        api_reply_error(reply, 500, "internal", "out of memory");
    else
        api_reply_json(reply, 200, buffer_slice(&json));
    buffer_deinit(&errors);
    buffer_deinit(&json);
}
