#include "bench_report.h"

#include "bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#define LABEL_COLUMN 24

static const struct {
    const char *label;
    const char *name;
    unsigned per_hundred_thousand;
} percentiles[] = {
    {"p50", "p50", 50000},    {"p90", "p90", 90000},  {"p99", "p99", 99000},
    {"p99.9", "p999", 99900}, {"max", "max", 100000},
};

bool bench_faults_any(const struct bench_faults *f)
{
    return f->lost || f->duplicated || f->out_of_order || f->corrupted || f->unexpected || f->refused || f->disconnects;
}

void bench_faults_deinit(struct bench_faults *f)
{
    buffer_deinit(&f->refusal);
    buffer_deinit(&f->disconnect);
    buffer_deinit(&f->oddity);
}

static void row_begin(struct bench_report *r, const char *label)
{
    buffer_printf(&r->out, "  %-*s", LABEL_COLUMN, label);
}

void bench_report_count(struct bench_report *r, const char *label, const char *name, uint64_t count)
{
    if (r->common->json) {
        json_write_member_uint64(&r->json, name, count);
    } else if (label) {
        row_begin(r, label);
        buffer_printf(&r->out, "%" PRIu64 "\n", count);
    }
}

void bench_report_number(struct bench_report *r, const char *label, const char *name, double number, unsigned digits,
                         const char *unit)
{
    if (r->common->json) {
        json_write_name(&r->json, name);
        json_write_double(&r->json, number);
    } else if (label) {
        row_begin(r, label);
        buffer_printf(&r->out, "%.*f%s%s\n", (int)digits, number, unit[0] ? " " : "", unit);
    }
}

void bench_report_text(struct bench_report *r, const char *label, const char *name, const char *text)
{
    if (r->common->json) {
        json_write_member_text(&r->json, name, text);
    } else if (label) {
        row_begin(r, label);
        buffer_printf(&r->out, "%s\n", text);
    }
}

void bench_report_latency(struct bench_report *r, const char *label, const char *name, const struct bench_histogram *h)
{
    if (r->common->json) {
        json_write_name(&r->json, name);
        json_write_object_begin(&r->json);
        json_write_member_uint64(&r->json, "count", h->count);
    } else {
        row_begin(r, label);
    }
    for (size_t i = 0; i < BASE_ARRAY_SIZE(percentiles); i++) {
        double ms = (double)bench_histogram_percentile(h, percentiles[i].per_hundred_thousand) / 1e6;

        if (r->common->json) {
            json_write_name(&r->json, percentiles[i].name);
            json_write_double(&r->json, ms);
        } else {
            buffer_printf(&r->out, "%s%s %.3f", i ? ", " : "", percentiles[i].label, ms);
        }
    }
    if (r->common->json)
        json_write_object_end(&r->json);
    else
        buffer_append_text(&r->out, " ms\n");
}

void bench_report_cpu(struct bench_report *r, const struct bench_probe *before, const struct bench_probe *after,
                      double units, double per, const char *what)
{
    const struct {
        const char *label, *name, *each;
        double used;
        bool is_known;
    } rows[] = {
        {"CPU of the nodes", "node_cpu_s", "node_cpu_s_each", after->node_cpu_s - before->node_cpu_s, after->has_cpu},
        {"CPU of this tool", "tool_cpu_s", "tool_cpu_s_each", after->tool_cpu_s - before->tool_cpu_s, true},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        double each = units > 0 ? rows[i].used / units * per : 0;

        if (r->common->json && rows[i].is_known) {
            bench_report_number(r, NULL, rows[i].name, rows[i].used, 3, "s");
            bench_report_number(r, NULL, rows[i].each, each, 3, "s");
        } else if (!r->common->json) {
            row_begin(r, rows[i].label);
            if (rows[i].is_known)
                buffer_printf(&r->out, "%.3f s: %.4f s per %s\n", rows[i].used, each, what);
            else
                buffer_append_text(&r->out, "not told (--metrics URL or --pid PID)\n");
        }
    }
    if (r->common->json)
        bench_report_text(r, NULL, "cpu_s_each_is_per", what);
}

void bench_report_faults(struct bench_report *r, const struct bench_faults *f)
{
    const struct {
        const char *label, *name;
        uint64_t count;
        const char *first_name; /* what the first one said */
        const struct buffer *first;
    } rows[] = {
        {"lost", "lost", f->lost, NULL, NULL},
        {"duplicated", "duplicated", f->duplicated, NULL, NULL},
        {"out of order", "out_of_order", f->out_of_order, NULL, NULL},
        {"corrupted", "corrupted", f->corrupted, NULL, NULL},
        {"unexpected", "unexpected", f->unexpected, "oddity", &f->oddity},
        {"refused", "refused", f->refused, "refusal", &f->refusal},
        {"disconnects", "disconnects", f->disconnects, "disconnect", &f->disconnect},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(rows); i++) {
        const struct buffer *first = rows[i].first && rows[i].first->size ? rows[i].first : NULL;

        if (r->common->json) {
            json_write_member_uint64(&r->json, rows[i].name, rows[i].count);
            if (first)
                json_write_member_string(&r->json, rows[i].first_name, buffer_slice(first));
        } else {
            row_begin(r, rows[i].label);
            buffer_printf(&r->out, "%" PRIu64 "%s%s\n", rows[i].count, first ? "  first: " : "",
                          first ? first->data : "");
        }
    }
}

/* ---- the head of it ---- */

static void cpu_model(char *ret_model, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");

    (void)snprintf(ret_model, size, "unknown CPU");
    while (file && fgets(line, sizeof(line), file)) {
        const char *colon = strchr(line, ':');

        if (strncmp(line, "model name", strlen("model name")) == 0 && colon) {
            (void)snprintf(ret_model, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
            break;
        }
    }
    if (file)
        (void)fclose(file);
}

static void report_machine(struct bench_report *r, const char *version)
{
    struct utsname kernel = {.release = "unknown"};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct buffer line = {0};
    char model[128];

    (void)uname(&kernel);
    cpu_model(model, sizeof(model));
    if (r->common->json) {
        json_write_name(&r->json, "versions");
        json_write_object_begin(&r->json);
        json_write_member_text(&r->json, "warren_bench", WARREN_VERSION);
        json_write_member_text(&r->json, "node", version[0] ? version : NULL);
        json_write_member_text(&r->json, "kernel", kernel.release);
        json_write_object_end(&r->json);
        json_write_member_text(&r->json, "cpu", model);
        json_write_member_int64(&r->json, "cores", cores);
        return;
    }
    buffer_printf(&line, "warren-bench %s, node %s, Linux %s", WARREN_VERSION, version[0] ? version : "not told",
                  kernel.release);
    bench_report_text(r, "versions", "", line.data ? line.data : "");
    buffer_truncate(&line, 0);
    buffer_printf(&line, "%ld cores, %s", cores, model);
    bench_report_text(r, "machine", "", line.data ? line.data : "");
    buffer_deinit(&line);
}

/** Where the tool and, as far as is known, the nodes may run. */
static void report_pinning(struct bench_report *r)
{
    struct buffer tool = {0}, nodes = {0}, line = {0};

    bench_affinity(0, &tool);
    for (size_t i = 0; i < r->common->pids.count; i++) {
        uint64_t pid;

        if (!slice_to_uint64(r->common->pids.urls[i], INT32_MAX, &pid))
            continue;
        if (nodes.size)
            buffer_append_text(&nodes, "; ");
        bench_affinity((long)pid, &nodes);
    }
    if (r->common->json) {
        json_write_name(&r->json, "pinning");
        json_write_object_begin(&r->json);
        json_write_member_string(&r->json, "tool", buffer_slice(&tool));
        json_write_member_text(&r->json, "nodes", nodes.size ? nodes.data : NULL);
        json_write_object_end(&r->json);
    } else {
        buffer_printf(&line, "this tool on CPU %s, nodes on %s", tool.data ? tool.data : "?",
                      nodes.size ? nodes.data : "CPUs that are not told (--pid)");
        bench_report_text(r, "pinning", "", line.data ? line.data : "");
    }
    buffer_deinit(&tool);
    buffer_deinit(&nodes);
    buffer_deinit(&line);
}

static void report_nodes(struct bench_report *r)
{
    const struct bench_nodes *nodes = &r->common->nodes;

    if (nodes->count == 0)
        return;
    if (!r->common->json) {
        row_begin(r, "nodes");
        for (size_t i = 0; i < nodes->count; i++)
            buffer_printf(&r->out, "%s%.*s", i ? ", " : "", SLICE_PRINTF(nodes->urls[i]));
        buffer_append_char(&r->out, '\n');
        return;
    }
    json_write_name(&r->json, "nodes");
    json_write_array_begin(&r->json);
    for (size_t i = 0; i < nodes->count; i++)
        json_write_string(&r->json, nodes->urls[i]);
    json_write_array_end(&r->json);
}

void bench_report_begin(struct bench_report *r, const struct bench_common *c, bool has_warmup, const char *version)
{
    char warmup[80] = "none: bare figures";

    *r = (struct bench_report){.common = c};
    if (c->json) {
        json_writer_init(&r->json, &r->out);
        json_write_object_begin(&r->json);
        json_write_member_text(&r->json, "scenario", c->scenario);
        json_write_member_text(&r->json, "command", c->command);
    } else {
        buffer_printf(&r->out, "%s\n", c->command ? c->command : c->scenario);
    }
    report_machine(r, version);
    report_pinning(r);
    report_nodes(r);
    if (c->warmup_s > 0)
        (void)snprintf(warmup, sizeof(warmup), "%g s before the measurement, not counted", c->warmup_s);
    if (has_warmup && c->json) {
        json_write_member_bool(&r->json, "warm", c->warmup_s > 0);
        bench_report_number(r, NULL, "warmup_s", c->warmup_s, 1, "s");
    } else if (has_warmup) {
        bench_report_text(r, "warm-up", "", warmup);
    }
}

int bench_report_end(struct bench_report *r, bool is_ok, bool is_interrupted, const char *failure, const char *praise)
{
    is_ok = is_ok && !is_interrupted && !failure;
    if (r->common->json) {
        json_write_member_bool(&r->json, "ok", is_ok);
        json_write_member_bool(&r->json, "interrupted", is_interrupted);
        if (failure)
            json_write_member_text(&r->json, "failure", failure);
        json_write_object_end(&r->json);
    } else {
        buffer_printf(&r->out, "%s%s", is_ok ? "OK: " : "FAILED",
                      is_ok            ? praise
                      : is_interrupted ? ": interrupted"
                                       : "");
    }
    if (isatty(STDERR_FILENO) == 1)
        (void)fputs("\r\033[K", stderr);
    if (buffer_error(&r->out) == 0)
        (void)printf("%s\n", r->out.data);
    else
        is_ok = false;
    if (failure)
        (void)fprintf(stderr, "warren-bench: %s\n", failure);
    buffer_deinit(&r->out);
    return is_ok ? BENCH_OK : BENCH_FAILED;
}
