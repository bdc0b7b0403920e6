/*
 * The values of the opening handshake (RFC 6455 sections 1.3, 4.1 and 4.2): a random key, and the proof that it was
 * understood.
 *
 * Proof, not secret: SHA-1 is what the RFC names, and its weakness does not matter here.
 */
#include "base/random.h"
#include "ws/ws.h"

#include <openssl/evp.h>

#define KEY_BYTES 16
#define SHA1_BYTES 20

static bool is_base64_character(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

bool ws_key_is_valid(struct slice key)
{
    /* 16 bytes are 22 characters and two of padding. The four bits that are left over in the last character do not
     * count: section 4.2.1 asks for the decoded length alone. */
    if (key.size != WS_KEY_TEXT_SIZE || key.data[22] != '=' || key.data[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++)
        if (!is_base64_character(key.data[i]))
            return false;
    return true;
}

void ws_accept_value(struct slice key, char ret_accept[WS_ACCEPT_TEXT_SIZE + 1])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[WS_KEY_TEXT_SIZE + sizeof(guid)];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int digest_size = 0;

    assert(key.size == WS_KEY_TEXT_SIZE);
    memcpy(text, key.data, key.size);
    memcpy(text + key.size, guid, sizeof(guid));
    ret_accept[0] = '\0';
    if (EVP_Digest(text, sizeof(text) - 1, digest, &digest_size, EVP_sha1(), NULL) == 1 && digest_size == SHA1_BYTES)
        (void)EVP_EncodeBlock((unsigned char *)ret_accept, digest, SHA1_BYTES);
}

void ws_key_generate(char ret_key[WS_KEY_TEXT_SIZE + 1])
{
    unsigned char bytes[KEY_BYTES];

    random_bytes(bytes, sizeof(bytes));
    (void)EVP_EncodeBlock((unsigned char *)ret_key, bytes, sizeof(bytes));
}
