#ifndef WORDLIST_WORDLIST_H
#define WORDLIST_WORDLIST_H

#include "base/buffer.h"

/**
 * struct wordlist - words that may not be said, and one pass over a text that finds them all
 *
 * Immutable once made and counted with atomics: any thread may scan with it. Texts and words are compared after folding
 * (see below), so that neither case, nor letters in other clothes, nor what is put between or over letters is a way
 * round.
 *
 * The file is UTF-8, a word a line:
 *
 *     # a comment
 *     scam                 anywhere, also within a longer word
 *     "ass"                only as a whole word: no letter or digit before or behind it
 *     free money           spaces count as they stand
 *     \#winning            a backslash first takes the next character as it is
 *     [refuse]             from here on a text with one of these words is refused
 *     [mask]               from here on they are masked
 *
 * Folding: letters of Latin, Greek and Cyrillic become small ones; full-width forms (U+FF01 to U+FF5E), bold, script
 * and other mathematical letters, those in circles and squares their ASCII twins; half-width katakana the usual ones;
 * what has no width (soft hyphen, zero-width spaces and joiners, direction marks, fillers, variation selectors) is left
 * out. A letter and a mark behind it become one letter if Unicode has it, so that it does not matter how it was
 * written; any other mark (a stroke through the word, vowel points) is left out. Letters of one script that look like
 * those of another stay what they are.
 */
struct wordlist;

enum wordlist_action {
    WORDLIST_ACTION_MASK,
    WORDLIST_ACTION_REFUSE,
};

/** Bytes at most: of a word after folding, of a file. Words at most. */
#define WORDLIST_WORD_MAX_BYTES 128
#define WORDLIST_FILE_MAX_BYTES (8u * 1024u * 1024u)
#define WORDLIST_WORDS_MAX 200000

enum wordlist_result {
    WORDLIST_E_BAD = 1,   /* parse: the text is no list */
    WORDLIST_MASKED = 2,  /* scan: something was masked */
    WORDLIST_REFUSED = 3, /* scan: a word that refuses the text was found */
};

/**
 * wordlist_parse() - compile a list
 *
 * @action: of words before the first [mask] or [refuse]. Ownership: @text is only read; *ret_list belongs to the
 * caller. Return: 0; WORDLIST_E_BAD: sentences with line numbers, each ended by a newline, were appended to @errors
 * (the first ten); -ENOMEM. Takes time and memory in proportion to the words' bytes.
 */
int wordlist_parse(struct slice text, enum wordlist_action action, struct buffer *errors,
                   struct wordlist **ret_list) base_must_check;
struct wordlist *wordlist_ref(struct wordlist *w);
/** Accepts NULL, returns NULL. */
struct wordlist *wordlist_unref(struct wordlist *w);
/** Distinct words. */
size_t wordlist_count(const struct wordlist *w);

/** struct wordlist_scratch - what a scan works in; {0} to start, kept between scans by whoever scans; of one thread */
struct wordlist_scratch {
    char *folded;
    uint32_t *starts;
    struct wordlist_span *spans;
    size_t capacity, span_capacity;
};
void wordlist_scratch_deinit(struct wordlist_scratch *s);

/**
 * wordlist_scan() - look for all words in @text, in one pass whose time does not depend on how many words there are
 *
 * @text: valid UTF-8, below 4 GiB. Return: 0: there is none; WORDLIST_MASKED: the text was appended to @out with a '*'
 * in place of each character of a word that is masked; WORDLIST_REFUSED: a word that refuses it was found; -ENOMEM.
 * @out is untouched unless WORDLIST_MASKED is returned.
 *
 * The automaton is that of A. Aho, M. Corasick, "Efficient string matching: an aid to bibliographic search" (1975).
 */
int wordlist_scan(const struct wordlist *w, struct slice text, struct wordlist_scratch *s,
                  struct buffer *out) base_must_check;

#endif
