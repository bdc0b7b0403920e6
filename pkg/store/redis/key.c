/*
 * Names of keys. See redis_store.h for all of them.
 */
#include "store/redis/redis_internal.h"

void redis_add_key(struct redis_store *s, struct slice name)
{
    const struct slice parts[] = {s->prefix, name};

    redis_command_add_parts(&s->connection, parts, BASE_ARRAY_SIZE(parts));
}

void redis_add_named_key(struct redis_store *s, struct slice begin, struct slice name)
{
    const struct slice parts[] = {s->prefix, begin, name};

    redis_command_add_parts(&s->connection, parts, BASE_ARRAY_SIZE(parts));
}

void redis_add_tagged_key(struct redis_store *s, struct slice begin, struct slice name)
{
    const struct slice parts[] = {s->prefix, begin, name, SLICE_LITERAL("}")};

    redis_command_add_parts(&s->connection, parts, BASE_ARRAY_SIZE(parts));
}
