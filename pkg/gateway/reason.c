/* The table of reasons, spelled out. A reason is chosen once, where a connection ends; words are labels of a metric. */
#include "gateway/reason.h"

#include "base/macros.h"

static const struct {
    const char *word;
    unsigned code;
    bool is_error;
    const char *sentence;
} gateway_reasons[GATEWAY_REASONS] = {
#define GATEWAY_REASON_ROW(symbol, word, code, is_error, sentence)                                                     \
    [GATEWAY_REASON_##symbol] = {word, code, is_error, sentence},
    GATEWAY_REASON_TABLE(GATEWAY_REASON_ROW)
#undef GATEWAY_REASON_ROW
};

const char *gateway_reason_word(enum gateway_reason reason)
{
    assert(reason < GATEWAY_REASONS);
    return gateway_reasons[reason].word;
}

unsigned gateway_reason_code(enum gateway_reason reason)
{
    assert(reason < GATEWAY_REASONS);
    return gateway_reasons[reason].code;
}

unsigned gateway_reason_status(enum gateway_reason reason)
{
    return reason == GATEWAY_REASON_ADDRESS ? 429 : 503;
}

bool gateway_reason_is_error(enum gateway_reason reason)
{
    assert(reason < GATEWAY_REASONS);
    return gateway_reasons[reason].is_error;
}

const char *gateway_reason_sentence(enum gateway_reason reason)
{
    assert(reason < GATEWAY_REASONS);
    return gateway_reasons[reason].sentence;
}
