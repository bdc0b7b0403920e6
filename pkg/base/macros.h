#ifndef BASE_MACROS_H
#define BASE_MACROS_H

/**
 * Small words that the whole tree uses.
 *
 * Results, everywhere in Warren: a function returns 0 for success, a negative errno value for what is unexpected
 * (passed up unchanged, never matched on), and a positive PACKAGE_E_* for an outcome that its header documents and its
 * caller handles. Outputs are named ret_*, come last, and stay untouched unless 0 is returned.
 */

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define base_must_check __attribute__((warn_unused_result))
#define base_printf(format_index, first_index) __attribute__((format(printf, format_index, first_index)))
#define base_unused __attribute__((unused))
#define base_likely(x) __builtin_expect(!!(x), 1)
#define base_unlikely(x) __builtin_expect(!!(x), 0)

#define BASE_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/** The object of @type whose member @member is at @pointer. */
#define container_of(pointer, type, member) ((type *)((uintptr_t)(pointer)-offsetof(type, member)))

/** base_cleanup(fn): at the end of the scope call fn(&variable). */
#define base_cleanup(fn) __attribute__((cleanup(fn)))

/** Defines fn##_p(), the cleanup function of a `T *` local whose destructor is `T *fn(T *)`. */
#define BASE_DEFINE_CLEANUP(T, fn)                                                                                     \
    static inline base_unused void fn##_p(T *p)                                                                        \
    {                                                                                                                  \
        (void)fn(*p);                                                                                                  \
    }

/** Hands the pointer in @p over to the caller and leaves NULL behind, for use with base_cleanup. */
#define base_take(p)                                                                                                   \
    __extension__({                                                                                                    \
        __typeof__(p) base_taken_ = (p);                                                                               \
        (p) = NULL;                                                                                                    \
        base_taken_;                                                                                                   \
    })

static inline void base_free_p(void *p)
{
    free(*(void **)p);
}

#endif
