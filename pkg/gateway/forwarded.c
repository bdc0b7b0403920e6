/*
 * X-Forwarded-For: each proxy on the way appends the address it heard from, so the list is read from its right end, as
 * long as who wrote an entry is trusted. What stands left of the first stranger, that stranger may have made up.
 */
#include "gateway/gateway_internal.h"

/** More entries than any chain of proxies; further left nothing is looked at. */
#define HOPS_MAX 32

/** "1.2.3.4", "1.2.3.4:567", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:567". */
static bool parse_hop(struct slice text, struct net_address *ret_address)
{
    return !net_address_parse_ip(text, ret_address) ||
           (text.size > 0 && text.data[0] != ':' && !net_address_parse(text, ret_address));
}

bool gateway_forwarded_client(const struct gateway_live *live, const struct http_message *request,
                              struct net_address *ret_client)
{
    struct slice hops[HOPS_MAX], line, hop;
    struct net_address address;
    size_t count = 0;
    bool found = false;

    /* The last HOPS_MAX, wherever the lines are cut: several lines are one list (RFC 9110 section 5.3). */
    for (size_t position = 0; http_message_each(request, "X-Forwarded-For", &position, &line);)
        while (slice_split(&line, ',', &hop))
            hops[count++ % HOPS_MAX] = slice_trim(hop);
    for (size_t i = 0; i < count && i < HOPS_MAX; i++) {
        if (!parse_hop(hops[(count - 1 - i) % HOPS_MAX], &address))
            break; /* "unknown" and the like: who wrote it is the last one known */
        *ret_client = address;
        found = true;
        if (!gateway_live_trusts(live, &address))
            break;
    }
    return found;
}
