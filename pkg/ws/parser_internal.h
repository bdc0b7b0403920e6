#ifndef WS_PARSER_INTERNAL_H
#define WS_PARSER_INTERNAL_H

#include "ws/deflate.h"
#include "ws/ws.h"

/** What is known in the middle of things. Between messages there is nothing to know. */
struct ws_parse {
    const struct ws_parser_options *options;
    struct buffer message;        /* data frames of an unfinished message, or a message inflated */
    struct ws_inflater *inflater; /* while a compressed message is incomplete, or it keeps its window */
    struct utf8_state utf8;
    uint64_t payload_left; /* of the frame being read */
    uint32_t fragments;
    uint32_t payload_done; /* of the frame being read: the phase of the mask */
    uint8_t header[WS_HEADER_MAX_BYTES];
    uint8_t header_have, header_need;
    uint8_t masking_key[4];
    uint8_t control[WS_CONTROL_MAX_BYTES];
    uint8_t control_have;
    uint8_t frame_opcode, message_opcode, message_rsv;
    bool fin, in_payload, in_message, closed;
    uint16_t error_code;
    const char *error;
};

#endif
