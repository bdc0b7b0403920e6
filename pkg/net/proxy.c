/**
 * PROXY protocol version 2.
 *
 *      0           12     13      14      16                 16 + length
 *     ├─ signature ─┼ v|c ─┼ f|t ──┼ length ┼ addresses ┼ fields ┤
 *
 * v: version, 2. c: command, 0 LOCAL or 1 PROXY. f: address family, t: transport. A field is a type, a length of two
 * bytes and a value. Numbers are in network order.
 */
#include "net/proxy.h"

#include <string.h>

static const unsigned char signature[12] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 };
enum { FAMILY_UNSPECIFIED = 0x00, FAMILY_TCP4 = 0x11, FAMILY_TCP6 = 0x21 };
enum { FIELD_CRC32C = 0x03, FIELD_HEADER_BYTES = 3, CRC_BYTES = 4 };
enum { TCP4_BYTES = 12, TCP6_BYTES = 36 };

static unsigned number16(const unsigned char *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

/** CRC-32C (RFC 3720 section 12.1), reflected; bit by bit, for at most 2 KB of a connection's beginning. */
static uint32_t crc32c(uint32_t crc, const unsigned char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    return crc;
}

/** The checksum is of the header with the checksum's own four bytes as 0 (section 2.2.3). */
static bool crc_is_right(const unsigned char *header, size_t size, size_t crc_at)
{
    static const unsigned char zeros[CRC_BYTES];
    const unsigned char *told = header + crc_at;
    uint32_t crc = crc32c(UINT32_MAX, header, crc_at);

    crc = crc32c(crc, zeros, sizeof(zeros));
    crc = ~crc32c(crc, told + CRC_BYTES, size - crc_at - CRC_BYTES);
    return crc == ((uint32_t)number16(told) << 16 | number16(told + 2));
}

/** NULL, or what is wrong with the fields from @at on. */
static const char *check_fields(const unsigned char *header, size_t size, size_t at)
{
    bool has_crc = false;

    while (at < size) {
        size_t length;

        if (size - at < FIELD_HEADER_BYTES)
            return "a PROXY header whose last field is cut off";
        length = number16(header + at + 1);
        if (length > size - at - FIELD_HEADER_BYTES)
            return "a PROXY header with a field longer than the header";
        if (header[at] == FIELD_CRC32C) {
            if (length != CRC_BYTES || has_crc)
                return "a PROXY header whose checksum is not one of 4 bytes";
            if (!crc_is_right(header, size, at + FIELD_HEADER_BYTES))
                return "a PROXY header with a wrong checksum";
            has_crc = true;
        }
        at += FIELD_HEADER_BYTES + length;
    }
    return NULL;
}

/** NULL, or what is wrong with as much of the first 16 bytes as is there. */
static const char *check_start(const unsigned char *header, size_t size)
{
    if (memcmp(header, signature, size < sizeof(signature) ? size : sizeof(signature)) != 0)
        return "no PROXY header, though one must come first";
    if (size > 12 && header[12] >> 4 != 2)
        return "a PROXY header of another version than 2";
    if (size > 12 && header[12] != COMMAND_LOCAL && header[12] != COMMAND_PROXY)
        return "a PROXY header with an unknown command";
    if (size > 13 && header[12] == COMMAND_PROXY && header[13] != FAMILY_UNSPECIFIED && header[13] != FAMILY_TCP4 &&
        header[13] != FAMILY_TCP6)
        return "a PROXY header for something else than TCP over IPv4 or IPv6";
    if (size >= NET_PROXY_MIN_BYTES && NET_PROXY_MIN_BYTES + number16(header + 14) > NET_PROXY_MAX_BYTES)
        return "a PROXY header that is too long";
    return NULL;
}

static struct net_address address_v4(const unsigned char *ip, const unsigned char *port)
{
    struct net_address a = {.size = sizeof(struct sockaddr_in)};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number16(port))};

    memcpy(&in.sin_addr, ip, sizeof(in.sin_addr));
    memcpy(&a.storage, &in, sizeof(in));
    return a;
}

static struct net_address address_v6(const unsigned char *ip, const unsigned char *port)
{
    struct net_address a = {.size = sizeof(struct sockaddr_in6)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)number16(port))};

    memcpy(&in6.sin6_addr, ip, sizeof(in6.sin6_addr));
    memcpy(&a.storage, &in6, sizeof(in6));
    return a;
}

/** The addresses of a whole header. Return: how many bytes they have; SIZE_MAX if they do not fit. */
static size_t read_addresses(const unsigned char *header, size_t size, struct net_proxy_header *h)
{
    const unsigned char *at = header + NET_PROXY_MIN_BYTES;
    size_t rest = size - NET_PROXY_MIN_BYTES;

    switch (header[13]) {
    case FAMILY_TCP4:
        if (rest < TCP4_BYTES)
            return SIZE_MAX;
        h->source = address_v4(at, at + 8);
        h->destination = address_v4(at + 4, at + 10);
        return TCP4_BYTES;
    case FAMILY_TCP6:
        if (rest < TCP6_BYTES)
            return SIZE_MAX;
        h->source = address_v6(at, at + 32);
        h->destination = address_v6(at + 16, at + 34);
        return TCP6_BYTES;
    default:
        return 0;
    }
}

static int refuse(const char *sentence, const char **ret_sentence)
{
    *ret_sentence = sentence;
    return NET_PROXY_E_BAD;
}

int net_proxy_parse(const void *data, size_t size, size_t *ret_size, struct net_proxy_header *ret_header,
                    const char **ret_sentence)
{
    const unsigned char *header = data;
    const char *fault = check_start(header, size);
    struct net_proxy_header h = {0};
    size_t addresses;

    if (fault)
        return refuse(fault, ret_sentence);
    if (size < NET_PROXY_MIN_BYTES) {
        *ret_size = NET_PROXY_MIN_BYTES;
        return NET_PROXY_MORE;
    }
    h.size = NET_PROXY_MIN_BYTES + number16(header + 14);
    if (size < h.size) {
        *ret_size = h.size;
        return NET_PROXY_MORE;
    }
    /* What a LOCAL header, or one of unspecified family, says behind its start is to be skipped unread. */
    h.is_local = header[12] == COMMAND_LOCAL || header[13] == FAMILY_UNSPECIFIED;
    if (!h.is_local) {
        addresses = read_addresses(header, h.size, &h);
        if (addresses == SIZE_MAX)
            return refuse("a PROXY header too short for its addresses", ret_sentence);
        fault = check_fields(header, h.size, NET_PROXY_MIN_BYTES + addresses);
        if (fault)
            return refuse(fault, ret_sentence);
    }
    *ret_size = h.size;
    *ret_header = h;
    return 0;
}
