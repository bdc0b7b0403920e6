/*
 * The doctor, twice: as text for a node that does not run, and as GET /v1/doctor on a live one. The checks block, so
 * there they run on a thread; one run at a time, and who asks meanwhile gets its result too.
 */
#include "base/json.h"
#include "base/log.h"
#include "server/server_internal.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASKERS_MAX 16

static const char *const result_words[] = {
    [SERVER_CHECK_OK] = "ok", [SERVER_CHECK_WARN] = "warn", [SERVER_CHECK_FAIL] = "FAIL"};

int server_doctor(struct server_settings *settings, bool standalone, struct buffer *out)
{
    struct server_checks *checks = calloc(1, sizeof(*checks));
    size_t failed;

    if (!checks) {
        buffer_append_text(out, "out of memory\n");
        return 1;
    }
    server_checks_run(settings, standalone, false, checks);
    for (size_t i = 0; i < checks->count; i++) {
        const struct server_check *check = &checks->checks[i];

        buffer_printf(out, "%-5s %-15s %s\n", result_words[check->result], check->name, check->detail);
        if (check->mend[0])
            buffer_printf(out, "%-5s %-15s   to mend: %s\n", "", "", check->mend);
    }
    failed = checks->failed;
    free(checks);
    return (int)failed;
}

struct server_doctor_run {
    struct server *server;
    pthread_t thread;
    struct loop_task done;
    struct server_checks checks;
    struct api_reply *askers[ASKERS_MAX];
    size_t asker_count;
};

static void write_checks(const struct server *s, const struct server_checks *checks, struct buffer *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_member_text(&w, "node", s->node);
    json_write_member_uint64(&w, "failed", checks->failed);
    json_write_name(&w, "checks");
    json_write_array_begin(&w);
    for (size_t i = 0; i < checks->count; i++) {
        const struct server_check *check = &checks->checks[i];

        json_write_object_begin(&w);
        json_write_member_text(&w, "name", check->name);
        json_write_member_text(&w, "result", check->result == SERVER_CHECK_FAIL ? "fail" : result_words[check->result]);
        json_write_member_text(&w, "detail", check->detail);
        json_write_member_text(&w, "mend", check->mend[0] ? check->mend : NULL);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
}

/** A live node also knows whether it is ready; that is a check of its own. */
static void add_readiness(struct server *s, struct server_checks *checks)
{
    struct server_check *check;
    char reason[128] = "";
    bool is_ready = server_is_ready(s, reason);

    if (checks->count == SERVER_CHECKS_MAX)
        return;
    check = &checks->checks[checks->count++];
    memset(check, 0, sizeof(*check));
    check->name = "ready";
    check->result = is_ready ? SERVER_CHECK_OK : SERVER_CHECK_FAIL;
    (void)snprintf(check->detail, sizeof(check->detail), "%s", is_ready ? "clients are served in full" : reason);
    if (!is_ready) {
        (void)snprintf(check->mend, sizeof(check->mend), "see the checks above and the node's log");
        checks->failed++;
    }
}

static void on_run_done(struct loop_task *task)
{
    struct server_doctor_run *run = container_of(task, struct server_doctor_run, done);
    struct buffer json = {0};

    (void)pthread_join(run->thread, NULL);
    run->server->doctor = NULL;
    server_stop_if_over(run->server);
    add_readiness(run->server, &run->checks);
    write_checks(run->server, &run->checks, &json);
    for (size_t i = 0; i < run->asker_count; i++) {
        if (buffer_error(&json))
            api_reply_error(run->askers[i], 500, "internal", "out of memory");
        else
            api_reply_json(run->askers[i], 200, buffer_slice(&json));
    }
    buffer_deinit(&json);
    free(run);
}

static void *run_checks(void *argument)
{
    struct server_doctor_run *run = argument;

    server_checks_run(run->server->settings, run->server->is_standalone, true, &run->checks);
    loop_post(run->server->main_loop, &run->done);
    return NULL;
}

static int start_thread(struct server_doctor_run *run)
{
    sigset_t all, before;
    int result;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    result = pthread_create(&run->thread, NULL, run_checks, run);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -result;
}

void server_doctor_page(void *userdata, struct api_reply *reply)
{
    struct server *s = userdata;
    struct server_doctor_run *run = s->doctor;

    if (s->is_stopping || (run && run->asker_count == ASKERS_MAX)) {
        api_reply_error(reply, 503, s->is_stopping ? "unavailable" : "busy",
                        s->is_stopping ? "the node is ending" : "many ask already");
        return;
    }
    if (!run) {
        run = calloc(1, sizeof(*run));
        if (run) {
            run->server = s;
            run->done.run = on_run_done;
        }
        if (!run || start_thread(run)) {
            free(run);
            api_reply_error(reply, 500, "internal", "no memory or no thread for the checks");
            return;
        }
        s->doctor = run;
    }
    run->askers[run->asker_count++] = reply;
}

void server_doctor_stop(struct server *s)
{
    struct server_doctor_run *run = s->doctor;

    if (!run)
        return;
    /* Its thread cannot be ended from outside; the main loop goes on until it has. */
    for (size_t i = 0; i < run->asker_count; i++)
        api_reply_error(run->askers[i], 503, "unavailable", "the node is ending");
    run->asker_count = 0;
}
