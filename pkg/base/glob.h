#ifndef BASE_GLOB_H
#define BASE_GLOB_H

#include "base/slice.h"

/**
 * glob_matches() - whether all of @text fits @pattern: '*' is any run of bytes, also none; '?' is one byte; everything
 * else is itself
 *
 * Takes at most the product of both sizes in steps, whatever they are.
 */
bool glob_matches(struct slice pattern, struct slice text);

#endif
