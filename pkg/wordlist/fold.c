/*
 * Folding: what looks alike becomes alike.
 *
 * Every character becomes one character of as many bytes or fewer, or none, and a mark may change the one before it
 * into one that is longer by less than the mark (compose.c): so a folded text is never longer.
 */
#include "wordlist/wordlist_internal.h"

#include "base/utf8.h"

/** Of valid UTF-8. */
static uint32_t code_point_at(const unsigned char *s, size_t *ret_size)
{
    if (s[0] < 0x80) {
        *ret_size = 1;
        return s[0];
    }
    if (s[0] < 0xe0) {
        *ret_size = 2;
        return (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu);
    }
    if (s[0] < 0xf0) {
        *ret_size = 3;
        return (s[0] & 0x0fu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
    }
    *ret_size = 4;
    return (s[0] & 0x07u) << 18 | (s[1] & 0x3fu) << 12 | (s[2] & 0x3fu) << 6 | (s[3] & 0x3fu);
}

/** What nobody sees. */
static bool is_ignored(uint32_t c)
{
    return c == 0xad || (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x2064) ||
           (c >= 0x2066 && c <= 0x206f) || (c >= 0xfe00 && c <= 0xfe0f) || c == 0xfeff || c == 0x34f || c == 0x180e ||
           (c >= 0xe0100 && c <= 0xe01ef) || c == 0x61c || c == 0x115f || c == 0x1160 || (c >= 0x180b && c <= 0x180d) ||
           c == 0x3164 || c == 0xffa0 || (c >= 0xe0000 && c <= 0xe007f);
}

/** Letters like ℋ that have places of their own, outside of the alphabets below. */
static uint32_t unstyle_odd(uint32_t c)
{
    static const char odd[0x39] = {
        [0x02] = 'c', [0x0a] = 'g', [0x0b] = 'h', [0x0c] = 'h', [0x0d] = 'h', [0x0e] = 'h', [0x10] = 'i',
        [0x11] = 'i', [0x12] = 'l', [0x13] = 'l', [0x15] = 'n', [0x19] = 'p', [0x1a] = 'q', [0x1b] = 'r',
        [0x1c] = 'r', [0x1d] = 'r', [0x24] = 'z', [0x28] = 'z', [0x2a] = 'k', [0x2b] = 'a', [0x2c] = 'b',
        [0x2d] = 'c', [0x2f] = 'e', [0x30] = 'e', [0x31] = 'f', [0x33] = 'm', [0x34] = 'o',
    };
    uint32_t place = c - 0x2100;

    return place < BASE_ARRAY_SIZE(odd) && odd[place] ? (uint32_t)odd[place] : c;
}

/** Letters and digits in other clothes: full and half width, bold, script, double-struck, in circles and squares. */
static uint32_t unstyle(uint32_t c)
{
    static const wchar_t katakana[] = L"ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテトナニヌネノハヒ"
                                      "フヘホマミムメモヤユヨラリルレロワン"
                                      L"\x3099\x309a";

    if (c < 0x2100)
        return c;
    if (c <= 0x2138)
        return unstyle_odd(c);
    if (c > 0x24e9 && c <= 0xff00) /* among them the full-width space */
        return c == 0x3000 ? ' ' : c;
    if (c >= 0xff01 && c <= 0xff5e)
        return c - 0xff01 + 0x21;
    if (c >= 0xff66 && c <= 0xff9f)
        return (uint32_t)katakana[c - 0xff66];
    if (c >= 0x249c && c <= 0x24e9) /* (a), then Ⓐ, ⓐ */
        return 'a' + (c - 0x249c) % 26;
    if (c >= 0x1d400 && c <= 0x1d6a3)
        return 'a' + (c - 0x1d400) % 26;
    if (c >= 0x1d7ce && c <= 0x1d7ff)
        return '0' + (c - 0x1d7ce) % 10;
    if ((c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189))
        return 'a' + (c - 0x1f130) % 32;
    return c;
}

static uint32_t fold_code_point(uint32_t c)
{
    c = unstyle(c);
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    if ((c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x391 && c <= 0x3ab) || (c >= 0x410 && c <= 0x42f))
        return c + 32;
    if (c >= 0x400 && c <= 0x40f)
        return c + 80;
    if ((c >= 0x388 && c <= 0x38a) || c == 0x386) /* accented Greek capitals */
        return c + (c == 0x386 ? 38 : 37);
    if (c == 0x38c || c == 0x38e || c == 0x38f)
        return c + (c == 0x38c ? 64 : 63);
    /* Pairs of a capital with an even number and its small letter behind it. */
    if ((c >= 0x100 && c <= 0x12f) || (c >= 0x132 && c <= 0x137) || (c >= 0x14a && c <= 0x177) ||
        (c >= 0x1de && c <= 0x1ef) || (c >= 0x1f8 && c <= 0x21f) || (c >= 0x222 && c <= 0x233) ||
        (c >= 0x1e00 && c <= 0x1e95) || (c >= 0x1ea0 && c <= 0x1eff) || (c >= 0x460 && c <= 0x481) ||
        (c >= 0x48a && c <= 0x4bf) || (c >= 0x4d0 && c <= 0x52f))
        return c | 1;
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e) || (c >= 0x1cd && c <= 0x1dc) ||
        (c >= 0x4c1 && c <= 0x4ce)) /* here the odd one is the capital */
        return c + (c & 1);
    return c == 0x3c2 ? 0x3c3 : c == 0x1a0 || c == 0x1af ? c + 1 : c; /* the sigma at a word's end */
}

static size_t character_before(const char *folded, size_t at)
{
    do {
        at--;
    } while (at > 0 && ((unsigned char)folded[at] & 0xc0) == 0x80);
    return at;
}

/** The last folded character gets @mark, which is left out if that is no letter of its own. Returns the new end. */
static size_t fold_mark(uint32_t mark, char *folded, uint32_t *starts, size_t end)
{
    size_t at, ignored, written;
    uint32_t letter;

    if (end == 0)
        return end;
    at = character_before(folded, end);
    letter = wordlist_compose(code_point_at((const unsigned char *)folded + at, &ignored), mark);
    if (!letter)
        return end;
    written = utf8_encode(letter, folded + at);
    for (size_t k = 1; starts && k < written; k++)
        starts[at + k] = starts[at];
    return at + written;
}

size_t wordlist_fold(struct slice text, char *folded, uint32_t *starts)
{
    const unsigned char *s = (const unsigned char *)text.data;
    size_t out = 0;

    for (size_t i = 0; i < text.size;) {
        size_t size, written;
        uint32_t c = code_point_at(s + i, &size);

        if (c < 0x80) {
            folded[out] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
            if (starts)
                starts[out] = (uint32_t)i;
            out++;
            i++;
            continue;
        }
        c = is_ignored(c) ? 0 : fold_code_point(c);
        if (c && wordlist_is_mark(c)) {
            out = fold_mark(c, folded, starts, out);
        } else if (c) {
            written = utf8_encode(c, folded + out);
            for (size_t k = 0; starts && k < written; k++)
                starts[out + k] = (uint32_t)i;
            out += written;
        }
        i += size;
    }
    if (starts)
        starts[out] = (uint32_t)text.size;
    memset(folded + out, 0, WORDLIST_PADDING);
    return out;
}

/** Scripts that put spaces between words. */
static bool is_letter(uint32_t c)
{
    if (c < 0x80)
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '_';
    return (c >= 0xc0 && c <= 0x24f && c != 0xd7 && c != 0xf7) || (c >= 0x370 && c <= 0x52f) ||
           (c >= 0x1e00 && c <= 0x1fff);
}

bool wordlist_is_letter_at(const char *folded, size_t size, size_t at)
{
    size_t ignored;

    return at < size && is_letter(code_point_at((const unsigned char *)folded + at, &ignored));
}

bool wordlist_is_letter_before(const char *folded, size_t size, size_t at)
{
    return at > 0 && wordlist_is_letter_at(folded, size, character_before(folded, at));
}
