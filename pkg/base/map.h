#ifndef BASE_MAP_H
#define BASE_MAP_H

/**
 * Hash maps: uthash with our keyed hash, and failing soft when memory is out.
 *
 * Use uthash's own macros (HASH_FIND, HASH_ADD_KEYPTR, HASH_DEL …). After an add, `MAP_ADDED(element)` tells whether
 * there was memory: if not, the element is in no map and may be freed (uthash then leaves its hh.tbl NULL and the map
 * as it was). Memory is needed for the first element and each time the buckets double. The handle is named hh. Include
 * this instead of <uthash.h>.
 */

#include "base/hash.h"

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = (unsigned)hash_bytes((keyptr), (keylen)))

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <uthash.h>
#pragma GCC diagnostic pop

#define MAP_ADDED(element) ((element)->hh.tbl != NULL)

#endif
