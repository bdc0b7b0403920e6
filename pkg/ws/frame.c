/*
 * Frames out (RFC 6455 section 5.2).
 *
 *      0               1               2 …
 *     +-+-+-+-+-------+-+-------------+ - - - - - - - - - - - - - - - - +
 *     |F|R|R|R| op    |M| length      | 16 or 64 bits, if it is 126/127 | masking key, if M | payload
 *     +-+-+-+-+-------+-+-------------+ - - - - - - - - - - - - - - - - +
 */
#include "ws/ws.h"

#define FIN 0x80u
#define MASKED 0x80u

size_t ws_header_size(uint64_t payload_size, bool masked)
{
    size_t length = payload_size < 126 ? 0 : payload_size <= UINT16_MAX ? 2 : 8;

    return 2 + length + (masked ? 4 : 0);
}

size_t ws_header_write(char *out, enum ws_opcode opcode, bool fin, unsigned rsv, uint64_t payload_size,
                       const uint8_t *masking_key)
{
    uint8_t *at = (uint8_t *)out;
    size_t size = ws_header_size(payload_size, masking_key != NULL);
    size_t length = size - 2 - (masking_key ? 4 : 0);
    unsigned length7 = length == 0 ? (unsigned)payload_size : length == 2 ? 126 : 127;

    assert((rsv & ~0x70u) == 0 && payload_size <= INT64_MAX);
    assert(opcode < WS_OPCODE_CLOSE || (fin && payload_size <= WS_CONTROL_MAX_BYTES)); /* section 5.5 */
    at[0] = (uint8_t)((fin ? FIN : 0) | rsv | (unsigned)opcode);
    at[1] = (uint8_t)((masking_key ? MASKED : 0) | length7);
    for (size_t i = 0; i < length; i++)
        at[2 + i] = (uint8_t)(payload_size >> (8 * (length - 1 - i)));
    if (masking_key)
        memcpy(at + size - 4, masking_key, 4);
    return size;
}

void ws_frame_append(struct buffer *out, enum ws_opcode opcode, struct slice payload, const uint8_t *masking_key)
{
    size_t header_size = ws_header_size(payload.size, masking_key != NULL);
    char *at = buffer_reserve(out, header_size + payload.size);

    if (!at)
        return;
    (void)ws_header_write(at, opcode, true, 0, payload.size, masking_key);
    if (payload.size > 0)
        memcpy(at + header_size, payload.data, payload.size);
    if (masking_key)
        ws_mask(at + header_size, payload.size, masking_key, 0);
    buffer_commit(out, header_size + payload.size);
}
