/*
 * Close codes and the payload of a close frame (RFC 6455 sections 5.5.1 and 7.4).
 */
#include "ws/ws.h"

bool ws_close_code_is_sendable(unsigned code)
{
    /* 1004 has no meaning yet, 1005, 1006 and 1015 are for a node's own use; 1012 to 1014 were registered after the
     * RFC. The rest below 3000 is kept for later versions of the protocol; 3000 and up belong to libraries and
     * applications. */
    if (code >= 1000 && code <= 1014)
        return code != 1004 && code != WS_CLOSE_NO_STATUS && code != WS_CLOSE_ABNORMAL;
    return code >= 3000 && code <= 4999;
}

size_t ws_close_payload(unsigned code, struct slice reason, char ret_payload[WS_CONTROL_MAX_BYTES])
{
    struct slice cut;

    if (code == WS_CLOSE_NO_STATUS)
        return 0;
    assert(ws_close_code_is_sendable(code));
    cut = utf8_prefix(reason, WS_REASON_MAX_BYTES);
    ret_payload[0] = (char)(uint8_t)(code >> 8);
    ret_payload[1] = (char)(uint8_t)code;
    if (cut.size > 0)
        memcpy(ret_payload + 2, cut.data, cut.size);
    return 2 + cut.size;
}
