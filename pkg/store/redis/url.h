#ifndef STORE_REDIS_URL_H
#define STORE_REDIS_URL_H

#include "base/slice.h"

#include <netinet/in.h>
#include <sys/un.h>

/** struct redis_url - where a server is and who we are there; no memory of its own */
struct redis_url {
    char user[256];      /* empty: AUTH with the password alone */
    char password[4096]; /* empty: no AUTH */
    char host[256];      /* empty: a Unix socket */
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    uint16_t port;
    uint32_t database;
};

/** Bytes of a description, with its NUL. */
#define REDIS_URL_TEXT 256

/**
 * redis_url_parse() - redis://[[user]:password@]host[:port][/database] or unix://[[user]:password@]/path[?db=database]
 *
 * User, password and path may be percent-encoded; IPv6 addresses stand in brackets; the port is 6379 by default, the
 * database 0. Return: NULL and *ret_url; else what was expected (static), and *ret_url is untouched.
 */
const char *redis_url_parse(struct slice text, struct redis_url *ret_url);

/** For people: the URL without the password. */
void redis_url_describe(const struct redis_url *url, char ret_text[REDIS_URL_TEXT]);

#endif
