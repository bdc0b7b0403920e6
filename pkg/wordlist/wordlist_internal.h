#ifndef WORDLIST_WORDLIST_INTERNAL_H
#define WORDLIST_WORDLIST_INTERNAL_H

#include "wordlist/wordlist.h"

#include <stdatomic.h>

/** struct wordlist_word - a word of the list, folded */
struct wordlist_word {
    const char *text;
    uint32_t size;
    bool is_whole; /* no letter or digit may stand beside it */
    bool refuses;
};

/**
 * struct wordlist_node - a state of the automaton: the longest beginning of a word that the text read so far ends with
 *
 * Nodes are numbered breadth first, so that the children of one stand side by side, sorted by their byte, and those
 * near the root, which nearly all texts stay at, share few cache lines. Node 0 is the root.
 */
struct wordlist_node {
    uint32_t first_child;
    uint32_t fail;        /* the longest proper suffix that is a node too */
    uint32_t suffix_word; /* the nearest node on the way of fails at which a word ends; 0: none */
    uint16_t child_count;
    uint8_t word_size; /* of the word that ends here; 0: none does */
    bool is_whole : 1;
    bool refuses : 1;
};

/** Bits of the filter: 16 KiB, which stay in the first-level cache. */
#define WORDLIST_FILTER_BITS 17
/** Words are told by their first 6 bytes; short ones by fewer. */
#define WORDLIST_PREFIX_LONG 6
#define WORDLIST_PREFIX_SHORT 3
/** Readable bytes behind a folded text. */
#define WORDLIST_PADDING 8

/**
 * struct wordlist_filter - at which places of a text no word can begin
 *
 * At the root, where a scan nearly always is, a place is passed over unless the bytes there are the beginning of a
 * word, by bits of their hash. So most of a text is never shown to the automaton, whose steps are the dearer the more
 * words there are.
 */
struct wordlist_filter {
    uint64_t bits[(1u << WORDLIST_FILTER_BITS) / 64];
    uint64_t pairs[1024];     /* of words of two bytes, exact */
    bool singles[256];        /* of words of one byte, exact */
    bool has_long, has_short; /* of 6 bytes and more; of 3 to 5 */
    bool has_tiny;            /* of 1 or 2 */
};

struct wordlist {
    atomic_uint refs;
    size_t word_count;
    struct wordlist_node *nodes;
    uint8_t *labels; /* by which byte a node is reached from its parent */
    uint32_t node_count;
    uint32_t root[256]; /* the root's children; 0: none */
    struct wordlist_filter filter;
};

struct wordlist_span {
    uint32_t from, to; /* of the text */
};

/* ---- fold.c ---- */

/**
 * Folds valid UTF-8. @folded: room for text.size + WORDLIST_PADDING. @starts: NULL, or room for text.size + 1: where in
 * @text the character of each folded byte begins, and behind the last one where the text ends. Returns the bytes.
 */
size_t wordlist_fold(struct slice text, char *folded, uint32_t *starts);
/** Whether a letter or digit stands at @at of a folded text; not outside of it. */
bool wordlist_is_letter_at(const char *folded, size_t size, size_t at);
/** The same of the character that ends before @at. */
bool wordlist_is_letter_before(const char *folded, size_t size, size_t at);

/* ---- compose.c ---- */

/** Whether it stands above, below or in the character before it. */
bool wordlist_is_mark(uint32_t c);
/** What the two are together, of a folded letter; 0: nothing. */
uint32_t wordlist_compose(uint32_t letter, uint32_t mark);

/* ---- build.c ---- */

/** Sorts @words, drops repetitions (the stricter one stays) and fills @w. 0, -ENOMEM. */
int wordlist_build(struct wordlist *w, struct wordlist_word *words, size_t count) base_must_check;

/* ---- automaton.c ---- */

void wordlist_filter_add(struct wordlist_filter *f, const struct wordlist_word *word);
/** @at: with WORDLIST_PADDING readable bytes. */
bool wordlist_filter_admits(const struct wordlist_filter *f, const char *at);
/** The child of @state by @byte; 0: none. */
uint32_t wordlist_child(const struct wordlist *w, uint32_t state, uint8_t byte);

#endif
