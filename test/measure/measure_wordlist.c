/*
 * What a scan costs, by how many words the list has.
 *
 *     measure_wordlist FILE.tsv [MILLISECONDS]
 *
 * Texts are the lines of chat in the last column of FILE. Lists are of made-up English-like and Chinese words of the
 * usual lengths. Columns: words; nanoseconds of this thread a line and a byte, the fastest of seven rounds of
 * MILLISECONDS (100); compared with ten words; lines in which something was masked; memory of the list.
 */
#include "support/prng.h"
#include "wordlist/wordlist_internal.h"

#include <stdio.h>
#include <time.h>

#define LINES_MAX 4096
#define ROUNDS 7

static struct slice lines[LINES_MAX];
static size_t line_count, line_bytes;

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
    while (line_count < LINES_MAX && fgets(line, sizeof(line), file)) {
        const char *text = strrchr(line, '\t');
        struct slice s = slice_trim(slice_from(text ? text + 1 : line));

        if (s.size > 0 && s.data[s.size - 1] == '\n')
            s.size--;
        s = slice_make(slice_dup(s), s.size);
        if (!s.data)
            die("out of memory");
        lines[line_count++] = s;
        line_bytes += s.size;
    }
    (void)fclose(file);
    if (line_count == 0)
        die("the file is empty");
}

/** Syllables for one half; for the other, two to four of the 3,000 most usual places of the CJK block. */
static void word_write(struct prng *p, struct buffer *out)
{
    static const char consonants[] = "bcdfghklmnprstvwz", vowels[] = "aeiouy";

    if (prng_below(p, 2) == 0) {
        for (size_t i = 2 + prng_below(p, 3); i > 0; i--) {
            buffer_append_char(out, consonants[prng_below(p, sizeof(consonants) - 1)]);
            buffer_append_char(out, vowels[prng_below(p, sizeof(vowels) - 1)]);
            if (prng_below(p, 3) == 0)
                buffer_append_char(out, consonants[prng_below(p, sizeof(consonants) - 1)]);
        }
    } else {
        for (size_t i = 2 + prng_below(p, 3); i > 0; i--) {
            unsigned c = 0x4e00 + (unsigned)prng_below(p, 3000) * 7 % 0x51a0;

            buffer_append_char(out, (char)(0xe0 | c >> 12));
            buffer_append_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
            buffer_append_char(out, (char)(0x80 | (c & 0x3f)));
        }
    }
    buffer_append_char(out, '\n');
}

static struct wordlist *list_new(size_t words)
{
    struct prng p = {42};
    struct buffer text = {0}, errors = {0};
    struct wordlist *w = NULL;

    while (words-- > 0)
        word_write(&p, &text);
    if (wordlist_parse(buffer_slice(&text), WORDLIST_ACTION_MASK, &errors, &w) != 0)
        die("the list cannot be made");
    buffer_deinit(&text);
    buffer_deinit(&errors);
    return w;
}

static uint64_t cpu_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/** Nanoseconds for all lines once, the fastest round. */
static double measure(const struct wordlist *w, uint64_t round_ns, size_t *ret_masked)
{
    struct wordlist_scratch scratch = {0};
    struct buffer out = {0};
    double best = 0;

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t began = cpu_ns(), passed;
        size_t passes = 0, masked = 0;

        do {
            masked = 0;
            for (size_t i = 0; i < line_count; i++) {
                int result = wordlist_scan(w, lines[i], &scratch, &out);

                if (result < 0)
                    die("out of memory");
                masked += result == WORDLIST_MASKED;
                buffer_reset(&out, SIZE_MAX);
            }
            passes++;
            passed = cpu_ns() - began;
        } while (passed < round_ns);
        if (round == 0 || (double)passed / (double)passes < best)
            best = (double)passed / (double)passes;
        *ret_masked = masked;
    }
    wordlist_scratch_deinit(&scratch);
    buffer_deinit(&out);
    return best;
}

int main(int argc, char **argv)
{
    static const size_t counts[] = {10, 100, 1000, 10000, 100000};
    uint64_t round_ns = argc > 2 ? strtoull(argv[2], NULL, 10) * 1000000u : 100000000u;
    double ten = 0;

    if (argc < 2)
        die("usage: measure_wordlist FILE.tsv [MILLISECONDS]");
    read_lines(argv[1]);
    printf("%zu lines of %zu bytes on average\n", line_count, line_bytes / line_count);
    printf("%8s %9s %9s %9s %8s %9s\n", "words", "ns/line", "ns/byte", "of ten's", "masked", "KiB");
    for (size_t i = 0; i < BASE_ARRAY_SIZE(counts); i++) {
        struct wordlist *w = list_new(counts[i]);
        size_t masked = 0;
        double ns = measure(w, round_ns, &masked);

        if (i == 0)
            ten = ns;
        printf("%8zu %9.1f %9.2f %9.2f %8zu %9zu\n", counts[i], ns / (double)line_count, ns / (double)line_bytes,
               ns / ten, masked, w->node_count * (sizeof(struct wordlist_node) + 1) / 1024);
        wordlist_unref(w);
    }
    for (size_t i = 0; i < line_count; i++)
        free((void *)(uintptr_t)lines[i].data);
    return 0;
}
