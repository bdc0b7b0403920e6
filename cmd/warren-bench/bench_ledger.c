#include "bench_ledger.h"

int bench_ledger_init(struct bench_ledger *l, size_t viewers, size_t senders, size_t messages)
{
    size_t times, newest;

    *l = (struct bench_ledger){.viewers = viewers, .senders = senders, .messages = messages};
    if (messages >= UINT32_MAX || viewers >= UINT32_MAX || __builtin_mul_overflow(viewers, messages, &times) ||
        __builtin_mul_overflow(viewers, senders, &newest))
        return -ENOMEM;
    l->times = calloc(times, sizeof(*l->times));
    l->newest = calloc(newest, sizeof(*l->newest));
    l->arrived = calloc(messages, sizeof(*l->arrived));
    if (l->times && l->newest && l->arrived)
        return 0;
    bench_ledger_deinit(l);
    return -ENOMEM;
}

void bench_ledger_deinit(struct bench_ledger *l)
{
    free(l->times);
    free(l->newest);
    free(l->arrived);
    *l = (struct bench_ledger){0};
}

bool bench_ledger_take(struct bench_ledger *l, size_t viewer, size_t sender, size_t message)
{
    uint8_t *times = &l->times[viewer * l->messages + message];
    uint32_t *newest = &l->newest[viewer * l->senders + sender];

    assert(viewer < l->viewers && sender < l->senders && message < l->messages);
    l->received++;
    if (*times > 0) {
        l->duplicated++;
        *times = (uint8_t)(*times < UINT8_MAX ? *times + 1 : UINT8_MAX);
        return false;
    }
    *times = 1;
    l->arrived[message]++;
    if (*newest > message)
        l->out_of_order++;
    else
        *newest = (uint32_t)message + 1;
    return true;
}

bool bench_ledger_has(const struct bench_ledger *l, size_t viewer, size_t message)
{
    return l->times[viewer * l->messages + message] > 0;
}
