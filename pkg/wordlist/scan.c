/*
 * One pass over a text.
 *
 * At the root the filter says where a word may begin; from there the automaton goes on until it is at the root again.
 * What was found is a list of spans, in the order of their ends; a longer one swallows those that it covers.
 */
#include "wordlist/wordlist_internal.h"

#include "base/utf8.h"

#define SPANS_MIN 16

void wordlist_scratch_deinit(struct wordlist_scratch *s)
{
    free(s->folded);
    free(s->starts);
    free(s->spans);
    *s = (struct wordlist_scratch){0};
}

static int scratch_make_room(struct wordlist_scratch *s, size_t bytes)
{
    size_t capacity = bytes < 4096 ? 4096 : bytes;

    if (bytes <= s->capacity)
        return 0;
    free(s->folded);
    free(s->starts);
    s->folded = malloc(capacity + WORDLIST_PADDING);
    s->starts = malloc((capacity + 1) * sizeof(*s->starts));
    s->capacity = s->folded && s->starts ? capacity : 0;
    return s->capacity > 0 ? 0 : -ENOMEM;
}

static int spans_add(struct wordlist_scratch *s, size_t *count, struct wordlist_span span)
{
    while (*count > 0 && s->spans[*count - 1].to >= span.from) {
        if (s->spans[*count - 1].from < span.from)
            span.from = s->spans[*count - 1].from;
        (*count)--;
    }
    if (*count == s->span_capacity) {
        size_t capacity = s->span_capacity ? s->span_capacity * 2 : SPANS_MIN;
        struct wordlist_span *spans = realloc(s->spans, capacity * sizeof(*spans));

        if (!spans)
            return -ENOMEM;
        s->spans = spans;
        s->span_capacity = capacity;
    }
    s->spans[(*count)++] = span;
    return 0;
}

static bool is_alone(const char *folded, size_t size, size_t from, size_t to)
{
    return !wordlist_is_letter_before(folded, size, from) && !wordlist_is_letter_at(folded, size, to);
}

/** The words that end behind folded byte @end - 1, the longest first: one that masks covers all shorter ones. */
static int take_words(const struct wordlist *w, struct wordlist_scratch *s, size_t size, uint32_t state, size_t end,
                      size_t *count)
{
    bool is_masked = false;

    for (uint32_t at = w->nodes[state].word_size ? state : w->nodes[state].suffix_word; at != 0;
         at = w->nodes[at].suffix_word) {
        const struct wordlist_node *node = &w->nodes[at];
        size_t from = end - node->word_size;
        int result;

        if (node->is_whole && !is_alone(s->folded, size, from, end))
            continue;
        if (node->refuses)
            return WORDLIST_REFUSED;
        if (is_masked)
            continue;
        is_masked = true;
        result = spans_add(s, count, (struct wordlist_span){s->starts[from], s->starts[end]});
        if (result != 0)
            return result;
    }
    return 0;
}

static void mask(struct slice text, const struct wordlist_span *spans, size_t count, struct buffer *out)
{
    size_t at = 0;

    for (size_t i = 0; i < count; i++) {
        buffer_append(out, text.data + at, spans[i].from - at);
        for (at = spans[i].from; at < spans[i].to;
             at += utf8_character_size(slice_make(text.data + at, text.size - at)))
            buffer_append_char(out, '*');
    }
    buffer_append(out, text.data + at, text.size - at);
}

int wordlist_scan(const struct wordlist *w, struct slice text, struct wordlist_scratch *s, struct buffer *out)
{
    uint32_t state = 0;
    size_t count = 0, size, begin = out->size;

    if (w->word_count == 0 || text.size == 0)
        return 0;
    if (scratch_make_room(s, text.size) != 0)
        return -ENOMEM;
    size = wordlist_fold(text, s->folded, s->starts);
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)s->folded[i];
        uint32_t next = 0;
        int result;

        while (state != 0 && (next = wordlist_child(w, state, byte)) == 0)
            state = w->nodes[state].fail;
        if (state == 0 && wordlist_filter_admits(&w->filter, s->folded + i))
            next = w->root[byte];
        state = next;
        if (state == 0 || (!w->nodes[state].word_size && !w->nodes[state].suffix_word))
            continue;
        result = take_words(w, s, size, state, i + 1, &count);
        if (result != 0)
            return result;
    }
    if (count == 0)
        return 0;
    mask(text, s->spans, count, out);
    if (buffer_error(out)) {
        if (out->size > begin)
            buffer_truncate(out, begin);
        return buffer_error(out);
    }
    return WORDLIST_MASKED;
}
