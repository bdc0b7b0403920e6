/*
 * What compressing a message costs and saves, by its size and the effort: the figures behind the defaults of [deflate].
 *
 *     measure_deflate FILE.tsv [ROUNDS]
 *
 * Messages are events as listeners get them, with lines of chat from the last column of FILE in them. Columns: window
 * bits, level, memory level; per size of a message the share of it that is sent, and the microseconds of this thread.
 */
#include "base/json.h"
#include "ws/deflate.h"

#include <stdio.h>
#include <time.h>

#define SIZES 8
#define SAMPLES 64

static const size_t sizes[SIZES] = {150, 200, 256, 400, 700, 2000, 8000, 60000};

static char *lines[4096];
static size_t line_count;

static void die(const char *text)
{
    (void)fprintf(stderr, "%s\n", text);
    exit(2);
}

static void read_lines(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[4096];

    if (!file)
        die("the file cannot be read");
    while (line_count < BASE_ARRAY_SIZE(lines) && fgets(line, sizeof(line), file)) {
        const char *text = strrchr(line, '\t');
        struct slice s = slice_from(text ? text + 1 : line);

        while (s.size > 0 && (s.data[s.size - 1] == '\n' || s.data[s.size - 1] == '\r'))
            s.size--;
        if (s.size > 0 && (lines[line_count] = slice_dup(s)))
            line_count++;
    }
    (void)fclose(file);
    if (line_count == 0)
        die("the file is empty");
}

/** An event of about @size bytes; a short one has one line, a long one many. */
static void message_write(size_t number, size_t size, struct buffer *out)
{
    struct json_writer w;
    size_t at = number * 37;

    buffer_printf(
        out,
        "{\"event\":\"message\",\"channel\":\"room:%zu\",\"epoch\":\"1760000%zu\",\"offset\":%zu,\"id\":\"%016zx\","
        "\"from\":\"%zu\",\"time\":17600000%05zu,\"data\":[",
        number % 7, number % 10 + 100000, number * 3, number * 0x9e3779b97f4a7c15u, number * 7919 % 100000,
        number * 131 % 100000);
    do {
        if (out->data[out->size - 1] != '[')
            buffer_append_char(out, ',');
        json_writer_init(&w, out);
        json_write_text(&w, lines[at++ % line_count]);
    } while (out->size + 2 < size);
    buffer_append_text(out, "]}");
}

static double thread_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void measure(struct buffer messages[SIZES][SAMPLES], const struct ws_deflate_effort *effort, unsigned rounds)
{
    struct ws_deflater *d;

    if (ws_deflater_new(effort, &d) != 0)
        die("out of memory");
    (void)printf("%4u %5u %6u ", effort->window_bits, effort->level, effort->memory_level);
    for (size_t s = 0; s < SIZES; s++) {
        unsigned repeat = rounds * 8000 / (unsigned)(sizes[s] + 500) + 1;
        uint64_t before = 0, after = 0;
        struct buffer out = {0};
        double begin = thread_us();

        for (unsigned r = 0; r < repeat; r++) {
            for (size_t i = 0; i < SAMPLES; i++) {
                struct slice message = buffer_slice(&messages[s][i]);

                buffer_reset(&out, 1 << 20);
                before += message.size;
                after += ws_deflater_message(d, message, &out) == 0 ? out.size : message.size;
            }
        }
        (void)printf(" %4.0f%% %7.1f", 100 * (double)after / (double)before, (thread_us() - begin) / repeat / SAMPLES);
        buffer_deinit(&out);
    }
    (void)printf("\n");
    ws_deflater_free(d);
}

int main(int argc, char **argv)
{
    static const struct ws_deflate_effort efforts[] = {
        {15, 1, 3}, {15, 1, 4}, {15, 1, 5}, {15, 1, 6}, {15, 1, 8}, {15, 3, 5},
        {15, 6, 5}, {15, 6, 8}, {15, 9, 8}, {12, 1, 5}, {12, 6, 5}, {9, 1, 5},
    };
    static struct buffer messages[SIZES][SAMPLES];
    unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 40;

    if (argc < 2)
        die("usage: measure_deflate FILE.tsv [ROUNDS]");
    read_lines(argv[1]);
    (void)printf("bits level memory ");
    for (size_t s = 0; s < SIZES; s++) {
        size_t total = 0;

        for (size_t i = 0; i < SAMPLES; i++) {
            message_write(i, sizes[s], &messages[s][i]);
            total += messages[s][i].size;
        }
        (void)printf("%9zu B  ", total / SAMPLES);
    }
    (void)printf("\n");
    for (size_t i = 0; i < BASE_ARRAY_SIZE(efforts); i++)
        measure(messages, &efforts[i], rounds);
    for (size_t s = 0; s < SIZES; s++)
        for (size_t i = 0; i < SAMPLES; i++)
            buffer_deinit(&messages[s][i]);
    for (size_t i = 0; i < line_count; i++)
        free(lines[i]);
    return 0;
}
