#include "bench_sequence.h"

#define REMEMBERED 64

void bench_sequence_begin(struct bench_sequence *s, uint64_t next)
{
    *s = (struct bench_sequence){.begin = next, .from = next};
}

/** @number is at or above s->next. */
static uint64_t advance(struct bench_sequence *s, uint64_t number)
{
    uint64_t step = number - s->next + 1;
    uint64_t owed = s->next > s->from ? s->next : s->from;
    uint64_t skipped = number > owed ? number - owed : 0;

    s->seen = step < REMEMBERED ? s->seen << step | 1 : 1;
    s->next = number + 1;
    s->holes += skipped;
    return skipped;
}

enum bench_arrival bench_sequence_take(struct bench_sequence *s, uint64_t number, uint64_t *ret_skipped)
{
    uint64_t back;

    *ret_skipped = 0;
    if (number >= s->next) {
        *ret_skipped = advance(s, number);
        return BENCH_ARRIVAL_NEXT;
    }
    back = s->next - 1 - number;
    if (back < REMEMBERED) {
        if (s->seen >> back & 1)
            return BENCH_ARRIVAL_TWICE;
        s->seen |= UINT64_C(1) << back;
    } else if (number >= s->begin && s->holes == 0) {
        return BENCH_ARRIVAL_TWICE;
    }
    if (number >= s->begin && s->holes > 0)
        s->holes--;
    return BENCH_ARRIVAL_LATE;
}

uint64_t bench_sequence_lost(const struct bench_sequence *s, uint64_t sent)
{
    uint64_t owed = s->next > s->from ? s->next : s->from;

    return s->holes + (sent > owed ? sent - owed : 0);
}

void bench_sequence_forgive(struct bench_sequence *s, uint64_t number)
{
    /* Holes stay counted: the sender's order was broken there, whatever is owed. */
    if (number > s->from)
        s->from = number;
}
