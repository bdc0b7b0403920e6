#include "support/alloc.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *pointer, size_t size);
int __real_posix_memalign(void **ret, size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
int __wrap_posix_memalign(void **ret, size_t alignment, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *pointer, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t size);

static atomic_bool armed;
static atomic_bool refused;
static atomic_size_t remaining;

static bool refuse(void)
{
    size_t left;

    if (!atomic_load(&armed))
        return false;
    left = atomic_load(&remaining);
    while (left > 0) {
        if (atomic_compare_exchange_weak(&remaining, &left, left - 1))
            return false;
    }
    atomic_store(&refused, true);
    errno = ENOMEM;
    return true;
}

void alloc_fail_after(size_t successes)
{
    atomic_store(&remaining, successes);
    atomic_store(&refused, false);
    atomic_store(&armed, true);
}

bool alloc_fail_disarm(void)
{
    atomic_store(&armed, false);
    return atomic_load(&refused);
}

void *__wrap_malloc(size_t size)
{
    return refuse() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refuse() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *pointer, size_t size)
{
    return refuse() ? NULL : __real_realloc(pointer, size);
}

int __wrap_posix_memalign(void **ret, size_t alignment, size_t size)
{
    return refuse() ? ENOMEM : __real_posix_memalign(ret, alignment, size);
}

char *__wrap_strndup(const char *s, size_t size)
{
    size_t length = strnlen(s, size);
    char *copy = __wrap_malloc(length + 1);

    if (!copy)
        return NULL;
    memcpy(copy, s, length);
    copy[length] = '\0';
    return copy;
}

char *__wrap_strdup(const char *s)
{
    return __wrap_strndup(s, strlen(s));
}
