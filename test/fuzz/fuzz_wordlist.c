/*
 * Any bytes as a list, a NUL, and a text. What is masked keeps the number of its characters; a text in which nothing is
 * found has no end in which something is.
 */
#include "base/utf8.h"
#include "wordlist/wordlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static size_t characters(struct slice s)
{
    size_t count = 0;

    for (size_t at = 0; at < s.size; count++)
        at += utf8_character_size(slice_make(s.data + at, s.size - at));
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, '\0', size) : NULL;
    size_t list_size = end ? (size_t)(end - data) : size;
    struct slice text = end ? slice_make(end + 1, size - list_size - 1) : SLICE_LITERAL("a scam");
    struct buffer errors = {0}, masked = {0}, again = {0};
    struct wordlist_scratch scratch = {0};
    struct wordlist *w = NULL;
    int result = wordlist_parse(slice_make(data, list_size), WORDLIST_ACTION_MASK, &errors, &w);

    require(result == 0 || result == WORDLIST_E_BAD);
    require((result == WORDLIST_E_BAD) == (errors.size > 0) && (result == 0) == (w != NULL));
    if (w && utf8_is_valid(text)) {
        result = wordlist_scan(w, text, &scratch, &masked);
        require(result == 0 || result == WORDLIST_MASKED || result == WORDLIST_REFUSED);
        require((result == WORDLIST_MASKED) == (masked.size > 0));
        if (result == WORDLIST_MASKED) {
            require(utf8_is_valid(buffer_slice(&masked)));
            require(characters(buffer_slice(&masked)) == characters(text));
            require(!slice_equal(buffer_slice(&masked), text) || memchr(text.data, '*', text.size));
        }
        /* Without words that look at their neighbours, what an end of the text has, the text has. */
        for (size_t i = 0; result == 0 && !memchr(data, '"', list_size) && i < text.size && text.size <= 256; i++)
            if (((uint8_t)text.data[i] & 0xc0) != 0x80)
                require(wordlist_scan(w, slice_skip(text, i), &scratch, &again) == 0);
    }
    wordlist_scratch_deinit(&scratch);
    wordlist_unref(w);
    buffer_deinit(&errors);
    buffer_deinit(&masked);
    buffer_deinit(&again);
    return 0;
}
