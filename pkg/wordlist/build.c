/*
 * From sorted words to the automaton.
 *
 * A node stands for all words that share a beginning, which in the sorted list are neighbours: a range. The nodes are
 * made breadth first, each range cut by its next byte; so children are neighbours too, and a node's fail, which is
 * shorter, is known before it is needed.
 */
#include "wordlist/wordlist_internal.h"

struct range {
    uint32_t from, to, depth;
};

static int compare_words(const void *a, const void *b)
{
    const struct wordlist_word *left = a, *right = b;
    size_t common = left->size < right->size ? left->size : right->size;
    int order = memcmp(left->text, right->text, common);

    return order != 0 ? order : (left->size > right->size) - (left->size < right->size);
}

/** Sorted, each once; of repetitions the stricter one. Returns how many are left. */
static size_t sort_words(struct wordlist_word *words, size_t count)
{
    size_t kept = 0;

    if (count > 0)
        qsort(words, count, sizeof(*words), compare_words);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || compare_words(&words[kept - 1], &words[i]) != 0) {
            words[kept++] = words[i];
            continue;
        }
        words[kept - 1].refuses |= words[i].refuses;
        words[kept - 1].is_whole &= words[i].is_whole;
    }
    return kept;
}

static void node_make_children(struct wordlist *w, struct range *ranges, const struct wordlist_word *words,
                               uint32_t number)
{
    struct range range = ranges[number];
    struct wordlist_node *node = &w->nodes[number];
    uint32_t at = range.from;

    if (words[at].size == range.depth) { /* the shortest one comes first */
        node->word_size = (uint8_t)words[at].size;
        node->is_whole = words[at].is_whole;
        node->refuses = words[at].refuses;
        at++;
    }
    node->first_child = w->node_count;
    while (at < range.to) {
        uint8_t byte = (uint8_t)words[at].text[range.depth];
        uint32_t from = at, child = w->node_count++;

        while (at < range.to && (uint8_t)words[at].text[range.depth] == byte)
            at++;
        ranges[child] = (struct range){from, at, range.depth + 1};
        w->labels[child] = byte;
        node->child_count++;
        if (number == 0)
            w->root[byte] = child;
    }
}

static void node_link_children(struct wordlist *w, uint32_t number)
{
    const struct wordlist_node *node = &w->nodes[number];

    for (uint32_t child = node->first_child; child < node->first_child + node->child_count; child++) {
        struct wordlist_node *to = &w->nodes[child];
        uint32_t suffix = node->fail, next = 0;

        if (number != 0) {
            while ((next = wordlist_child(w, suffix, w->labels[child])) == 0 && suffix != 0)
                suffix = w->nodes[suffix].fail;
        }
        to->fail = next;
        to->suffix_word = w->nodes[next].word_size ? next : w->nodes[next].suffix_word;
    }
}

int wordlist_build(struct wordlist *w, struct wordlist_word *words, size_t count)
{
    size_t bytes = 1;
    struct range *ranges;

    count = sort_words(words, count);
    for (size_t i = 0; i < count; i++) {
        bytes += words[i].size;
        wordlist_filter_add(&w->filter, &words[i]);
    }
    w->word_count = count;
    w->nodes = calloc(bytes, sizeof(*w->nodes));
    w->labels = calloc(bytes, 1);
    ranges = calloc(bytes, sizeof(*ranges));
    if (!w->nodes || !w->labels || !ranges) {
        free(ranges);
        return -ENOMEM;
    }
    w->node_count = 1;
    ranges[0] = (struct range){0, (uint32_t)count, 0};
    for (uint32_t i = 0; count > 0 && i < w->node_count; i++)
        node_make_children(w, ranges, words, i);
    for (uint32_t i = 0; i < w->node_count; i++)
        node_link_children(w, i);
    free(ranges);
    return 0;
}
