#ifndef SUPPORT_ALLOC_H
#define SUPPORT_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Makes memory run out on purpose. Test binaries are linked with --wrap for malloc, calloc, realloc, posix_memalign,
 * strdup and strndup; calls from our own objects come through here (calls inside shared libraries do not).
 *
 *     for (size_t n = 0;; n++) {
 *         alloc_fail_after(n);            // n allocations succeed, then each one fails
 *         result = work();
 *         if (!alloc_fail_disarm())       // false: nothing was refused, so every point was tried
 *             break;
 *         assert result is -ENOMEM, nothing leaked
 *     }
 */
void alloc_fail_after(size_t successes);

/** Allocations succeed again. Return: whether one was refused since alloc_fail_after(). */
bool alloc_fail_disarm(void);

#endif
