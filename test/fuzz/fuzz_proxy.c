/*
 * Any bytes as a PROXY header. What is accepted keeps what the header of the parser promises, and means the same when
 * it comes a byte at a time; what is refused or not complete says the same of every longer beginning.
 */
#include "net/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_proxy_header whole = {0}, header = {0};
    const char *sentence = NULL;
    size_t wanted = 0, have = 0;
    int result = net_proxy_parse(data, size, &wanted, &whole, &sentence), step = NET_PROXY_MORE;

    require(result >= 0 && result <= NET_PROXY_E_BAD);
    require((result == NET_PROXY_E_BAD) == (sentence != NULL));
    if (result == NET_PROXY_MORE)
        require(wanted > size && wanted <= NET_PROXY_MAX_BYTES);
    while (step == NET_PROXY_MORE && have < size) {
        have++;
        step = net_proxy_parse(data, have, &wanted, &header, &sentence);
    }
    require(have == 0 || step == result);
    if (result == 0) {
        require(whole.size == have && header.size == have && wanted == have);
        require(whole.is_local == header.is_local);
        require(whole.is_local || (whole.source.size > 0 && whole.destination.size == whole.source.size));
    }
    return 0;
}
